//! The mutual-TLS gateway for provisioning phones: terminates TLS, learns from the client certificate which
//! device is asking, decides whether that device may have that path, and forwards to the profile store.
//!
//! # The way of a connection
//!
//! One file per step; each consumes what the one before it made, so a skipped check does not compile.
//!
//! | file | takes | gives | on refusal |
//! | --- | --- | --- | --- |
//! | [`accept`] | a listener | [`accept::Accepted`] | a record, the socket closed |
//! | [`client_hello`] | the socket | [`client_hello::Greeting`]: what the client offered | an alert |
//! | [`tls::offer`] | the greeting, the host's policy | [`tls::offer::Choice`]: the engine | an alert that names the cause |
//! | [`handshake`] | the greeting, the choice | [`handshake::Secured`] | the engine's alert, then the drain |
//! | [`peer`] | the presented chain, the time | [`peer::Peer`]: verified chain and principal | the alert that fits |
//! | [`request`] | an HTTP request | [`request::Inbound`]: one normalised target | 400, 421 |
//! | [`authorize`] | `Inbound` | `Permitted<Inbound>` | 403 |
//! | [`rewrite`] | `Permitted<Inbound>` | `Outbound`: foreign identity fields gone, ours set | 500 |
//! | [`forward`] | `Outbound` | the answer | 502, 504 |
//! | [`audit`] | every outcome above | one line | as `when-full` says |
//!
//! Verification and admission run inside the handshake, through the engine's hook, so that a refused device gets an
//! alert ([`tls::client_verifier`], `tls::legacy`). They run again after it: a resumed session never calls that hook,
//! and would keep a revoked device connected. A connection that was open when the configuration was read again is
//! judged anew at its next request ([`server::Gateway::is_in_force`]).
//!
//! Beside the connections stand the admin's listener (`admin`) and the one for what phones say of themselves ([`phone_syslog`]),
//! which is recorded and never believed.
//!
//! # Two engines on one port
//!
//! [`tls::offer::choose`] answers with a [`tls::offer::Choice`]: rustls ([`tls::modern`]), or OpenSSL (`tls::legacy`) for phones
//! that speak nothing rustls ever will. Both take the replayed hello, ask the same [`peer::Judge`] in the handshake, and
//! give the same [`handshake::Secured`]; everything behind it is one code path. The legacy engine is the feature
//! `legacy-tls`, on by default, and serves only where a listener's TLS policy asks for it.
//!
//! OpenSSL is built from source with RC4 in it (`weak-crypto`, and its legacy provider). Its own verification decides
//! nothing: the chain is judged in `SSL_CTX_set_cert_verify_callback`, a SHA-1 signature on a TLS 1.2 handshake in the
//! security callback (`SSL_SECOP_SIGALG_CHECK`, the one place between the client's certificate and its proof where a
//! hash can still be refused with an alert), and alerts are heard of through the info callback. `tls/legacy/ffi.rs` is
//! the one module with `unsafe`.
//!
//! # Looking at handshakes
//!
//! [`wire`] reads TLS off the wire and serves nobody: [`commands::trace`] shows one connection with it that the steps above
//! serve behind a relay, [`commands::probe`] what any server says to a phone, and [`commands::reasons`] explains the codes.

use std::io;
use std::process::ExitCode;

use cli::{Cli, Command};
use commands::{Outcome, Streams};

pub mod accept;
mod admin;
pub mod audit;
pub mod authorize;
pub mod backend;
pub mod cli;
pub mod client_hello;
pub mod clock;
pub mod commands;
pub mod config;
pub mod connection;
pub mod descriptors;
pub mod exceptions;
pub mod forward;
pub mod handshake;
pub mod metrics;
pub mod peer;
pub mod phone_syslog;
pub mod printer;
#[cfg(feature = "quickstart")]
pub mod quickstart;
pub mod reload;
pub mod request;
pub mod respond;
pub mod rewrite;
pub mod run;
pub mod server;
pub mod site;
pub mod telemetry;
pub mod tls;
pub mod wire;

/// Runs one command and says how it ended: 0 done, 1 refused or failed, 2 misuse (most of it is clap's).
pub fn run_cli(cli: Cli) -> ExitCode {
    let (mut out, mut err) = (io::stdout(), io::stderr());
    let mut streams = Streams { out: &mut out, err: &mut err };
    let outcome = match cli.command {
        Command::Run(arguments) => run::command(&arguments, &mut streams),
        Command::Explain(arguments) => commands::explain::explain(&arguments, clock::now(), &mut streams),
        #[cfg(feature = "quickstart")]
        Command::Quickstart(arguments) => quickstart::quickstart(&arguments, &mut streams),
        Command::Check(arguments) => commands::check::check(&arguments, clock::now(), &mut streams),
        Command::Probe(arguments) => commands::probe::probe(&arguments, clock::now(), &mut streams),
        Command::Trace(arguments) => commands::trace::trace(&arguments, &mut streams),
        Command::Reasons(arguments) => commands::reasons::reasons(&arguments, &mut streams),
        Command::Audit(arguments) => commands::audit::audit(&arguments, clock::now(), &mut streams),
    };
    match outcome {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Misuse) => ExitCode::from(2),
        // A closed pipe (`… | head`) is the reader's choice, not an error worth a message nobody reads.
        Ok(Outcome::Refused) | Err(_) => ExitCode::FAILURE,
    }
}
