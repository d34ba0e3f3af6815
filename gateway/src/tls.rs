//! The TLS engines: rustls for TLS 1.2 and 1.3 ([`modern`]), OpenSSL for what it will never speak (`legacy`). Both give
//! the same [`Secured`](crate::handshake::Secured); [`offer`] chooses between them.

pub mod client_verifier;
pub mod credentials;
#[cfg(feature = "legacy-tls")]
pub mod legacy;
pub mod modern;
pub mod offer;
pub mod tickets;

/// Which TLS library serves a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// OpenSSL: TLS 1.0 to 1.2 with the suites of old phones.
    #[cfg(feature = "legacy-tls")]
    Legacy,
    /// rustls: TLS 1.2 and 1.3.
    Modern,
}

impl Engine {
    /// The name in audit records.
    pub fn as_str(self) -> &'static str {
        match self {
            #[cfg(feature = "legacy-tls")]
            Self::Legacy => "legacy",
            Self::Modern => "modern",
        }
    }
}
