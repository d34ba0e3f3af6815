//! The gateway and the authority judged from outside, one module per behaviour. Real processes, real sockets; Apache, curl
//! and `openssl` as peers; certificates made as each test needs them.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod admin;
mod apache;
mod audit;
mod audit_burst;
mod audit_commands;
mod audit_cost;
mod audit_server;
mod audit_sinks;
mod authorization;
mod backend;
mod certificates;
mod coverage;
mod endings;
mod engines;
mod handshake;
mod identity;
mod idle;
mod issuance;
mod leftovers;
mod limits;
mod old_phones;
mod page;
mod peers;
mod phone_syslog;
mod pkits;
mod probe;
mod processor;
mod proofs;
mod quickstart;
mod reload;
mod resumption;
mod revocation;
mod rewriting;
mod shutdown;
mod smuggling;
mod spoofing;
mod terminal_records;
mod trace;
mod vendor;
mod verdict;
