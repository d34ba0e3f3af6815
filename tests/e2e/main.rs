//! The gateway and the authority judged from outside, one module per behaviour. Real processes, real sockets; Apache, curl
//! and `openssl` as peers; certificates made as each test needs them.

mod authorization;
mod handshake;
mod identity;
mod smuggling;
mod spoofing;
mod verdict;
