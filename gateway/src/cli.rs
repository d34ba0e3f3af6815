//! The command line: definitions only.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use self::audit::{
    Audit, AuditDevice, AuditExpiring, AuditFilter, AuditFollow, AuditQuestion, AuditSummary,
};
use crate::commands::probe::family::Family;

mod audit;

/// The HTTPS gateway for provisioning phones.
///
/// It takes the place of Apache with `SSLVerifyClient require`: it asks each phone for its certificate, tells from it which
/// phone it is, lets it fetch its own profile and nothing else, and hands permitted requests to the profile store behind it.
#[derive(Debug, Parser)]
#[command(name = "provision-gateway", version, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve phones until told to stop.
    ///
    /// SIGHUP reads the configuration again; if it has a mistake the old one stays. SIGTERM stops accepting, lets running
    /// requests finish, and exits.
    Run(Run),
    /// Check a configuration: every mistake with its line, or what each host will do.
    Check(Check),
    /// Explain what would happen to one request of one phone, step by step.
    ///
    /// Exit status: 0 when it would be permitted, 1 when it would be refused.
    Explain(Explain),
    /// Be a phone: show what a server offers, its certificate, whether its name is right, and what phones would say to it.
    ///
    /// Makes some dozens of short connections that the server's log shows as broken handshakes. With a certificate and its key
    /// it also makes a whole handshake. Exit status: 0; 1 when the server cannot be reached, refuses the certificate or the
    /// request, or when phones of --family would refuse it.
    Probe(Probe),
    /// Serve the next connection on an address of its own and show it message by message, with the verdict and its reason.
    ///
    /// Send a phone there, and see what both sides say: every field of the handshake, what is encrypted too. The phone is
    /// served as the configuration says; nothing is written to the audit file. Exit status: 0 when it was let in, 1 when it
    /// was refused.
    Trace(Trace),
    /// List the reason codes of records, or explain one: what it means, what the phone shows, what to do.
    Reasons(Reasons),
    /// Ask the audit database: why was this phone refused? Without a further command, lists records, newest first.
    ///
    /// Times are UTC. Exit status: 0 when there is an answer, an empty list too; 1 when nothing is known of a device or the
    /// database cannot be asked.
    Audit(Box<Audit>),
    /// Set up a demonstration with its own authorities, phones and profiles, and serve it.
    #[cfg(feature = "quickstart")]
    Quickstart(Quickstart),
    /// Answer each line with the CPU time of an RSA 2048 signature in nanoseconds: what `run` asks of itself.
    #[command(name = crate::processor::COMMAND, hide = true)]
    SignatureTimes,
}

/// `run`
#[derive(Debug, Args)]
pub struct Run {
    /// The configuration file.
    #[arg(long, short, value_name = "FILE")]
    pub config: PathBuf,
}

/// `check`
#[derive(Debug, Args)]
pub struct Check {
    /// The configuration file.
    #[arg(long, short, value_name = "FILE")]
    pub config: PathBuf,
    /// Print JSON, for programs.
    #[arg(long)]
    pub json: bool,
}

/// `explain`
#[derive(Debug, Args)]
pub struct Explain {
    /// The configuration file.
    #[arg(long, short, value_name = "FILE")]
    pub config: PathBuf,
    /// What the phone presents: its certificate, then any intermediates (PEM). Without it, a client that presents none.
    #[arg(long, value_name = "FILE")]
    pub certificate: Option<PathBuf>,
    /// The address the phone asks for, as in its Profile_Rule with the macros filled in.
    #[arg(long, value_name = "URL")]
    pub url: String,
    /// The request method.
    #[arg(long, default_value = "GET")]
    pub method: String,
    /// The User-Agent the phone sends.
    #[arg(long, value_name = "TEXT")]
    pub user_agent: Option<String>,
    /// Judge by this time instead of now, as 2026-11-23T02:25:11Z.
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
    /// Print JSON, for programs.
    #[arg(long)]
    pub json: bool,
}

/// `probe`
#[derive(Debug, Args)]
pub struct Probe {
    /// The server: a name or an address, and a port (443 unless said).
    #[arg(value_name = "HOST:PORT")]
    pub server: String,
    /// What to present: a phone's certificate, then any intermediates (PEM).
    #[arg(long, value_name = "FILE", requires = "key")]
    pub certificate: Option<PathBuf>,
    /// The certificate's key (PEM).
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub key: Option<PathBuf>,
    /// Read the key's passphrase from the first line of this file.
    #[arg(long, value_name = "FILE", requires = "key", conflicts_with = "passphrase_env")]
    pub passphrase_file: Option<PathBuf>,
    /// Read the key's passphrase from the environment variable of this name.
    #[arg(long, value_name = "NAME", requires = "key")]
    pub passphrase_env: Option<String>,
    /// The host in the phones' Profile_Rule, where it is not HOST.
    #[arg(long, value_name = "NAME")]
    pub server_name: Option<String>,
    /// Judge for this family of phones alone, and connect as it does.
    #[arg(long, value_enum)]
    pub family: Option<Family>,
    /// Ask for this path once connected, and show the answer.
    #[arg(long, value_name = "PATH")]
    pub path: Option<String>,
    /// How long to wait for each connection and each answer.
    #[arg(long, default_value = "5s", value_name = "TIME")]
    pub timeout: String,
    /// Print JSON, for programs.
    #[arg(long)]
    pub json: bool,
}

/// `trace`
#[derive(Debug, Args)]
pub struct Trace {
    /// The configuration file.
    #[arg(long, short, value_name = "FILE")]
    pub config: PathBuf,
    /// The address to listen on; not one of the gateway that runs.
    #[arg(long, value_name = "ADDR")]
    pub listen: SocketAddr,
    /// The configured listener to stand in for, by its address; the first unless said.
    #[arg(long = "as", value_name = "ADDR")]
    pub stands_in_for: Option<SocketAddr>,
    /// How many connections to show before ending.
    #[arg(long, default_value = "1", value_name = "N")]
    pub count: std::num::NonZeroU32,
    /// Print lines of JSON, for programs.
    #[arg(long)]
    pub json: bool,
}

/// `reasons`
#[derive(Debug, Args)]
pub struct Reasons {
    /// A reason code, as in a record: expired, no_rule_matched. Without it, the list.
    #[arg(value_name = "REASON")]
    pub reason: Option<String>,
    /// Print JSON, for programs.
    #[arg(long)]
    pub json: bool,
}

/// `quickstart`
#[cfg(feature = "quickstart")]
#[derive(Debug, Args)]
pub struct Quickstart {
    /// The folder for everything it makes. What is there already is used again.
    #[arg(long, default_value = "provision-quickstart", value_name = "DIR")]
    pub dir: PathBuf,
    /// The address to serve on.
    #[arg(long, default_value = "127.0.0.1:8443", value_name = "ADDR")]
    pub listen: SocketAddr,
    /// Play the phones, print what each got, and exit: 0 only when every answer is as it should be.
    #[arg(long)]
    pub check: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definitions_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }

    #[test]
    fn explain_takes_what_the_help_says() {
        let cli = Cli::parse_from([
            "provision-gateway",
            "explain",
            "--config",
            "gateway.toml",
            "--url",
            "https://prov.example.com/000e08abcdef.cfg",
        ]);
        let Command::Explain(explain) = cli.command else { panic!("{cli:?}") };
        assert_eq!((explain.method.as_str(), explain.certificate, explain.json), ("GET", None, false));
    }

    #[test]
    fn a_command_without_its_configuration_is_misuse() {
        let error = Cli::try_parse_from(["provision-gateway", "run"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
    }
}
