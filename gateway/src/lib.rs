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

//!
//! # What it costs, and what was tried
//!
//! `bench` and the instruction counts in `benches/` tell what a connection costs; README has the figures. Profiles (perf on a
//! gateway under `bench`, callgrind on the steps, probes on the allocator) found, and the changes gave:
//!
//! | found | change | gave |
//! | --- | --- | --- |
//! | half of a full TLS 1.3 handshake is the RSA 2048 signature, and with both sides' verifications and the key agreement two thirds | a host may have a P-256 certificate too | for phones that take it, what the signature takes; nothing for others: see README |
//! | RSA signatures were made with BMI2 and ADX, which the crypto library takes wherever they are; on this processor AVX2 takes four fifths of the time while both cores are busy | both ways are measured at the start, and the faster one is used ([`processor`]) | in pairs of runs full TLS 1.2 from 0.65 to 0.57 × nginx, full TLS 1.3 from 0.49 to 0.43, old phones 0.93 of before |
//! | 4 to 5 % of a resumed handshake verified the leaf's signature again | the key that verified it travels in the sealed ticket ([`tls`]); dates, revocation and deny lists are still looked at | together with the next three: resumed 1.3 0.92, resumed 1.2 0.90 of before |
//! | a system call, a segment and a wake-up for the ticket alone | [`handshake`]'s cork sends it in front of the answer | see above |
//! | each client that had left was drained, to save an answer it had read already | no drain for those | see above |
//! | `TCP_NODELAY` was set on each connection | it is set on the listener and inherited | see above |
//! | the same four, on full handshakes | – | nothing: 0.98 to 1.01 |
//! | 53 KiB for each idle connection: 17 in the task's room for a handshake long over, 16 in hyper's buffers | the handshake is boxed and given back; after a second without a request hyper is dropped until something can be read | 41 KiB |
//! | of the 35 KiB still allocated: 8 in the room for what moved through the task, 5 in the header map for backends, 2 in the hello's facts (told in the records' text too), 2 in a prepared key that verified one signature | made outside of the task; made anew for the first request after a pause; forgotten once written; not kept | 20 KiB, with the next |
//! | an idle process gave no freed page back: jemalloc does so while it works | jemalloc's background thread. Before the parking, its decay at 10 s, 1 s and 0 s was worth 0.4, 2.8 and 4.6 KiB | see above |
//! | each full handshake of a phone verified its certificate's signature again, yesterday's as today's | `certs` remembers which key signed the leaf of an accepted chain; all else is judged anew | with the next: connection 0.95 in instructions, 0.96 of the handshake; full TLS 1.2 from 0.67 to 0.65 and 0.64 × nginx in pairs of runs |
//! | of the 17 KiB still allocated (heap profile of 200 idle connections): 3.3 in certificates as read, which only a new judgement needs; 1 in what only a connection's first record tells; 0.4 in the room for facts that are written | a new judgement reads the certificates again, from the TLS session after a pause; forgotten once told; boxed and given back. Parking after a quarter of a second instead of a whole one, so that the next connections find its memory | 19.1 to 14.2 KiB; a request and a whole connection within 1 % in instructions |
//! | fingerprints, serial numbers and names of certificates were formatted octet by octet, character by character | written as a whole where they are plain | reading a chain 0.82, fields for the backend 0.84 |
//! | a record repeated the whole hello, nearly half of it, for each request; the audit queue's chunks were allocated, grown and given back | the first record of a connection tells all, the later ones what a phone is known by; chunks keep their memory | a request 0.96 in instructions; auditing one into a file 3.3 % instead of 7.3 % of its CPU time |
//!
//! Optimisation across all crates at once (`lto = "fat"`, one codegen unit) gave 0.98 to 1.01 of a full TLS 1.2 handshake and of a
//! request on a kept connection, a sixth off the program's size, and a minute more to build: not taken. A full TLS 1.2 connection is
//! fourteen system calls, and RSA 2048 more than half of its time; nothing else stands out in its profile.
//!
//! Tried on a bare proxy with the same libraries before this was built, without gain: smaller read buffers, other arena settings of
//! the allocator, a runtime for each core with `SO_REUSEPORT` (on two cores that the phones share).
//!
//! What is left of an idle connection is the TLS library's read buffer (4 KiB), its states and keys (4), the certificate as sent
//! (1), the connection's text for records (1), and the states of task, session and socket.

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
pub mod processor;
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
        Command::SignatureTimes => {
            processor::signature_times(io::stdin().lock(), streams.out).map(|()| Outcome::Done)
        }
    };
    match outcome {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Misuse) => ExitCode::from(2),
        // A closed pipe (`… | head`) is the reader's choice, not an error worth a message nobody reads.
        Ok(Outcome::Refused) | Err(_) => ExitCode::FAILURE,
    }
}
