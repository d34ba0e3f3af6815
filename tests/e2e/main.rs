//! The gateway and the authority judged from outside, one module per behaviour. Real processes, real sockets; Apache, curl
//! and `openssl` as peers; certificates made as each test needs them.

mod handshake;
mod identity;
mod verdict;
