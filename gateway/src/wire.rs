//! TLS as it stands on the wire: records and handshake messages of SSL 3.0 to TLS 1.3, read for a person to see.
//!
//! Nothing here serves anybody. `trace` shows with it what phone and gateway say to each other,
//! `probe` reads what a server says. What is encrypted is opened with the secrets that the TLS
//! library hands over for this one connection ([`Secrets`]); they stay in memory and are wiped with it (SEC-65).
//!
//! Both sides may be hostile: whatever cannot be read becomes an item that says so, memory is bounded by the largest message
//! that is put together ([`decoder::MAX_MESSAGE`]), and nothing panics.

pub mod certificate;
mod cursor;
pub mod decoder;
pub mod describe;
pub mod message;
pub mod names;
pub mod opener;
pub mod record;
pub mod secrets;

pub use self::decoder::{Decoder, Item};
pub use self::message::Message;
pub use self::secrets::Secrets;

/// Who says something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    /// The phone.
    Client,
    /// The gateway, or the server that is probed.
    Server,
}

impl Side {
    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}
