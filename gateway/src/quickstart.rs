//! `quickstart`: a demonstration that needs nothing but this program.
//!
//! It makes both authorities of the phones' guide, a server certificate for `localhost`, phones with certificates, a folder with a
//! profile for each, and a configuration; then it serves. A second host, `reflect.localhost`, forwards to a small backend that
//! answers as the guide's `reflect.pl` does, so that one sees what a backend is told. `--check` plays the phones instead.
//!
//! This module alone uses the authority's library; the gateway proper meets it in files only.

mod check;
mod device;
mod folder;
mod profile;
mod reflect;

use std::{
    io,
    path::{Path, PathBuf},
};

use policies::Diagnostic;

use self::folder::{Demonstration, EXPIRED, GENERIC, PHONES, REVOKED};
use crate::{
    cli,
    commands::{Outcome, Streams},
    config::Config,
    run::{self, RunError},
    server::ServerError,
    telemetry,
};

/// Why the demonstration cannot be set up or run.
#[derive(Debug, thiserror::Error)]
pub enum QuickstartError {
    /// The authority refuses or cannot work.
    #[error("the demonstration's authorities cannot be made or used")]
    Authority(#[from] ca::IssueError),
    /// The configuration that was made, or changed by hand since, has mistakes.
    #[error("the demonstration's configuration has mistakes")]
    Config(Vec<Diagnostic>),
    /// A file cannot be read or written.
    #[error("{} cannot be used", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// A key of the demonstration is not what it should be.
    #[error("the demonstration's key or certificate in {} cannot be used", .0.display())]
    Key(PathBuf),
    /// The gateway does not start.
    #[error("the gateway does not start")]
    Run(#[from] RunError),
    /// The system gave no runtime or socket.
    #[error("the system refused what the demonstration needs")]
    System(#[source] io::Error),
    /// TLS on the phones' side cannot be set up.
    #[error("the phones cannot be played")]
    Tls(#[from] rustls::Error),
}

impl QuickstartError {
    pub(self) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }

    const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Authority(_) | Self::Key(_) => Some("remove the folder to begin anew"),
            Self::Config(_) => {
                Some("mend or remove gateway.toml in the folder; it is made anew when it is missing")
            }
            Self::Run(RunError::Server(_)) => {
                Some("another program, or another quickstart, has the port: --listen takes another one")
            }
            Self::File { .. } | Self::Run(_) | Self::System(_) | Self::Tls(_) => None,
        }
    }
}

/// Sets the demonstration up and serves it, or plays the phones and says whether every answer was as it should be.
///
/// # Errors
/// When a stream is closed.
pub fn quickstart(arguments: &cli::Quickstart, streams: &mut Streams<'_>) -> io::Result<Outcome> {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(source) => return fail(&QuickstartError::System(source), streams),
    };
    let made = Demonstration::prepare(&arguments.dir, arguments.listen);
    let done = match made {
        Ok(demonstration) if arguments.check => runtime.block_on(check::check(&demonstration, streams.out)),
        Ok(demonstration) => runtime.block_on(serve(&demonstration, arguments.listen, streams)),
        Err(error) => Err(error),
    };
    match done {
        Ok(outcome) => Ok(outcome),
        Err(error) => fail(&error, streams),
    }
}

fn fail(error: &QuickstartError, streams: &mut Streams<'_>) -> io::Result<Outcome> {
    let found = match error {
        QuickstartError::Config(found) | QuickstartError::Run(RunError::Config(found)) => found.as_slice(),
        QuickstartError::Authority(_)
        | QuickstartError::File { .. }
        | QuickstartError::Key(_)
        | QuickstartError::Run(_)
        | QuickstartError::System(_)
        | QuickstartError::Tls(_) => &[],
    };
    crate::printer::diagnostics(streams.err, found)?;
    crate::printer::error(streams.err, error, error.hint())?;
    Ok(Outcome::Refused)
}

async fn serve(
    demonstration: &Demonstration,
    wanted: std::net::SocketAddr,
    streams: &mut Streams<'_>,
) -> Result<Outcome, QuickstartError> {
    telemetry::start();
    let config = Config::load(&demonstration.config, crate::clock::now()).map_err(QuickstartError::Config)?;
    let port = config.listeners.first().map_or(0, |listener| listener.address.port());
    check_free(&config)?;
    if config.listeners.iter().all(|listener| listener.address != wanted) {
        // A configuration changed by hand is kept as it is.
        let file = demonstration.config.display();
        writeln!(
            streams.err,
            "warning: {file} was changed by hand and says where to listen; --listen {wanted} is not used"
        )
        .map_err(QuickstartError::System)?;
    }
    introduce(demonstration, port, streams).map_err(QuickstartError::System)?;
    let reflecting = reflect::on_socket(&demonstration.socket())?;
    let served = run::run(&demonstration.config).await;
    reflecting.abort();
    // Left behind it would only be made anew.
    let _ = std::fs::remove_file(demonstration.socket());
    served?;
    Ok(Outcome::Done)
}

/// A second demonstration in the same folder would take the first one's socket and then fail at its port.
fn check_free(config: &Config) -> Result<(), QuickstartError> {
    for listener in &config.listeners {
        let address = listener.address;
        std::net::TcpListener::bind(address)
            .map_err(|source| RunError::from(ServerError::Listen { address, source }))?;
    }
    Ok(())
}

/// Says what there is, and what to try.
fn introduce(demonstration: &Demonstration, port: u16, streams: &mut Streams<'_>) -> io::Result<()> {
    let out = &mut *streams.out;
    let [first, second] = PHONES;
    writeln!(out, "The demonstration lies in {}:", demonstration.folder.display())?;
    writeln!(out, "  gateway.toml     what the gateway does; change it and send SIGHUP")?;
    writeln!(
        out,
        "  ca/              both authorities: provision-ca --store {} list",
        demonstration.store().display()
    )?;
    writeln!(out, "  profiles/        what phones fetch")?;
    writeln!(out, "  deny.txt         add \"mac {}\" to shut that phone out within two seconds", first.mac)?;
    writeln!(out, "  audit.jsonl      one line for each refused connection and each request")?;
    writeln!(out)?;
    writeln!(out, "Try, in another terminal:")?;
    let own = |mac: &str| format!("https://localhost:{port}/{mac}.cfg");
    let reflect = format!("https://reflect.localhost:{port}/reflect.pl");
    let device = |name: &str| Some(demonstration.device(name));
    let forged = format!("--header 'SSL-Client-S-DN-S: {}' ", second.mac);
    let tries = [
        ("200: a phone fetches its own profile", device(first.mac), "", own(first.mac)),
        ("403: it asks for another phone's", device(first.mac), "", own(second.mac)),
        ("200: what its backend is told of it", device(first.mac), "", reflect.clone()),
        (
            "200: it claims to be another phone, and its backend is told the truth",
            device(first.mac),
            &forged,
            reflect,
        ),
        (
            "200: a unit with the shared certificate starts up",
            device(GENERIC),
            "",
            format!("https://localhost:{port}/init/start.cfg"),
        ),
        ("403: and gets no phone's profile", device(GENERIC), "", own(first.mac)),
        ("TLS alert: no certificate, no connection", None, "", own(first.mac)),
        ("TLS alert: a certificate that expired", device(EXPIRED.mac), "", own(EXPIRED.mac)),
        ("TLS alert: a certificate that was revoked", device(REVOKED.mac), "", own(REVOKED.mac)),
        (
            "TLS alert: a certificate of an authority nobody here trusts",
            Some(demonstration.foreign()),
            "",
            own(first.mac),
        ),
    ];
    for (what, who, header, url) in tries {
        writeln!(out)?;
        writeln!(out, "  # {what}")?;
        write!(out, "  curl --cacert {}", demonstration.server_root().display())?;
        if let Some(folder) = who {
            write!(
                out,
                " --cert {} --key {}",
                folder.join("chain.pem").display(),
                folder.join("key.pem").display()
            )?;
        }
        writeln!(out, " {header}{url}")?;
    }
    writeln!(out)?;
    out.flush()
}

#[cfg(test)]
mod tests;
