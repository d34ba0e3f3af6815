//! Why something was not taken in.

use std::path::PathBuf;

use certs::Timestamp;

/// A certificate, or an authority, cannot be taken in.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The store has this authority's key under another certificate.
    #[error("{name} in the store has the same name and key, and another certificate")]
    AnotherCertificate {
        /// The authority in the store.
        name: String,
    },
    /// Its issuer's key made no such signature.
    #[error(
        "it says that {issuer} issued it, and the signature is not that authority's: it is damaged or forged"
    )]
    BadSignature {
        /// Who is said to have issued it.
        issuer: String,
    },
    /// The store has no authority of its issuer's name.
    #[error("its issuer is not in the store: {issuer}")]
    IssuerUnknown {
        /// The issuer's name.
        issuer: String,
    },
    /// The number of its last list is beyond what is counted here.
    #[error("the number of its revocation list, {number} in hexadecimal, is too large to go on from")]
    ListNumber {
        /// In hexadecimal digits.
        number: String,
    },
    /// A key for it was given, and it cannot sign certificates and lists here.
    #[error("it cannot sign here: {why}")]
    NotAnAuthority {
        /// Why not.
        why: &'static str,
    },
    /// It is another authority's certificate than those of the folder.
    #[error("it was issued by another authority: {issuer}")]
    OtherIssuer {
        /// Who issued it.
        issuer: String,
    },
    /// A date of revocation that no list can have.
    #[error("it is said to have been revoked on {at}")]
    RevokedThen {
        /// The date.
        at: Timestamp,
    },
    /// Nobody revokes a root (CA C7).
    #[error("it is the authority itself, which cannot be on its own list")]
    RevokedRoot,
    /// A serial number that no list can have.
    #[error("its serial number {serial} is negative or has more than 20 octets (RFC 5280 §4.1.2.2)")]
    Serial {
        /// The number.
        serial: String,
    },
    /// Another certificate has its serial number (CA A2).
    #[error("the store has another certificate of {authority} with the serial number {serial}: {other}")]
    SerialTaken {
        /// Whose.
        authority: String,
        /// The number.
        serial: String,
        /// What the other is called.
        other: String,
    },
    /// It is not said in which tree the new authority stands.
    #[error("it is not said whether it is an authority of phones or of servers")]
    SideNeeded,
    /// A test store has one authority of each kind.
    #[error("{} is a test store, which takes no other authority's certificates", path.display())]
    TestStore {
        /// Its folder.
        path: PathBuf,
    },
}

impl ImportError {
    /// What the operator can do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::AnotherCertificate { .. } => {
                "one certificate of an authority is enough: what its key signed is taken in under the one that is there"
            }
            Self::BadSignature { .. } => "look for an undamaged copy, for example in a backup",
            Self::IssuerUnknown { .. } => {
                "import the issuer's certificate first: provision-ca import ISSUER.pem --side client"
            }
            Self::ListNumber { .. } => {
                "lists with a lower number would be refused: make a new authority with `provision-ca authority add`"
            }
            Self::NotAnAuthority { .. } => {
                "take in its certificate alone (`--certificate-only`), and make a new authority with `provision-ca authority add`"
            }
            Self::OtherIssuer { .. } => "import it by itself, after its issuer's certificate",
            Self::RevokedThen { .. } => "correct the line: YYMMDDHHMMSSZ, not before 1970",
            Self::RevokedRoot => "take it out of the trust stores instead",
            Self::Serial { .. } => "such a certificate can be in no list: have it replaced",
            Self::SerialTaken { .. } => {
                "an authority gives a number once: find out which of the two is genuine, `provision-ca show SERIAL`"
            }
            Self::SideNeeded => "say `--side client` or `--side server`",
            Self::TestStore { .. } => "import into a store made without `--test`",
        }
    }
}
