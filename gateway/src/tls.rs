//! The TLS engines. Today one, rustls for TLS 1.2 and 1.3 ([`modern`]); the engine for older phones gives the
//! same [`Secured`](crate::handshake::Secured) and takes its place beside it in [`Engine`].

pub mod client_verifier;
pub mod credentials;
pub mod modern;
pub mod offer;
pub mod tickets;

/// Which TLS library serves a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// rustls: TLS 1.2 and 1.3.
    Modern,
}

impl Engine {
    /// The name in audit records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Modern => "modern",
        }
    }
}
