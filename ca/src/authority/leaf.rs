//! What can be asked of an authority, and what it gives.

use std::path::PathBuf;

use certs::{Certificate, Validity};
use zeroize::Zeroizing;

use crate::device::{DeviceIdentity, MacAttribute};
use crate::error::IssueError;
use crate::key::twin::{TwinKey, TwinKind, USUAL_EXPONENT};
use crate::key::{KeyError, KeyType, PrivateKey};
use crate::legacy::{Legacy, SHORT_RSA};
use crate::passphrase::Passphrase;
use crate::profile::Profile;
use crate::random::RandomSource;
use crate::request::{DeviceRequestContent, ServerRequestContent};
use crate::server_name::ServerName;
use crate::store::{CertificateRecord, Kind, Side};
use crate::subject::SubjectName;

/// The key a certificate is for.
#[derive(Debug)]
pub struct SubjectKey {
    pub(super) public_key: Vec<u8>,
    pub(super) private_pem: Option<Zeroizing<String>>,
    /// The private half in a form that only another one opens.
    pub(super) sealed: Option<Vec<u8>>,
}

impl SubjectKey {
    /// Makes a new key; its PEM is encrypted when a passphrase is given. Takes a while: do it before taking any lock.
    pub fn generate(
        key_type: KeyType,
        passphrase: Option<&Passphrase>,
        random: &dyn RandomSource,
    ) -> Result<Self, KeyError> {
        let key = PrivateKey::generate(key_type)?;
        let private_pem = match passphrase {
            Some(passphrase) => Zeroizing::new(key.to_encrypted_pem(passphrase, random)?),
            None => key.to_pem(),
        };
        Ok(Self { public_key: key.public_key_der(), private_pem: Some(private_pem), sealed: None })
    }

    /// Makes a new RSA key of 1024 bits, which only test stores certify.
    pub fn generate_short(
        passphrase: Option<&Passphrase>,
        random: &dyn RandomSource,
    ) -> Result<Self, KeyError> {
        let key = TwinKey::generate(TwinKind::Rsa { bits: SHORT_RSA, exponent: USUAL_EXPONENT })?;
        let private_pem = match passphrase {
            Some(passphrase) => Zeroizing::new(key.to_encrypted_pem(passphrase, random)?),
            None => key.to_pem(),
        };
        Ok(Self { public_key: key.public_key_der()?, private_pem: Some(private_pem), sealed: None })
    }

    /// The key of a certification request; its private half stays where it is.
    pub fn from_request(request: &ServerRequestContent) -> Self {
        Self { public_key: request.public_key.clone(), private_pem: None, sealed: None }
    }

    /// The same for a device's request.
    pub fn from_device_request(request: &DeviceRequestContent) -> Self {
        Self { public_key: request.public_key.clone(), private_pem: None, sealed: None }
    }

    /// Puts the private half into a sealed letter that the recipient alone can open.
    pub fn sealed_to(self, recipient: &age::x25519::Recipient) -> Result<Self, KeyError> {
        let Some(pem) = &self.private_pem else { return Ok(self) };
        let sealed = age::encrypt(recipient, pem.as_bytes()).map_err(|_refused| KeyError::Sealing)?;
        Ok(Self { public_key: self.public_key, private_pem: None, sealed: Some(sealed) })
    }

    /// Whether the private half is not here and never was.
    pub(super) fn is_requested(&self) -> bool {
        self.private_pem.is_none() && self.sealed.is_none()
    }
}

/// A server certificate to issue.
#[derive(Debug)]
pub struct ServerRequest {
    /// The host names, the one for the common name first.
    pub names: Vec<ServerName>,
    /// The server's key.
    pub key: SubjectKey,
    /// From when until when; what [`Authority::period`](super::Authority::period) gives when absent.
    pub validity: Option<Validity>,
    /// Issue even if there is a valid certificate, and move its files to `superseded`.
    pub replace: bool,
}

/// A device certificate to issue.
#[derive(Debug)]
pub struct DeviceRequest {
    /// The device.
    pub identity: DeviceIdentity,
    /// Which attribute carries the MAC address.
    pub mac_attribute: MacAttribute,
    /// The device's key.
    pub key: SubjectKey,
    /// From when until when; what [`Authority::period`](super::Authority::period) gives when absent.
    pub validity: Option<Validity>,
    /// Issue even if there is a valid certificate, and move its files to `superseded`.
    pub replace: bool,
}

/// A generic certificate to issue.
#[derive(Debug)]
pub struct GenericRequest {
    /// Which attribute carries what is a MAC address elsewhere.
    pub mac_attribute: MacAttribute,
    /// The shared key.
    pub key: SubjectKey,
    /// From when until when; what [`Authority::period`](super::Authority::period) gives when absent.
    pub validity: Option<Validity>,
    /// Issue even if there is a valid certificate, and move its files to `superseded`.
    pub replace: bool,
}

/// A certificate in the store, with its files in place.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The certificate.
    pub certificate: Certificate,
    /// Where `cert.pem`, `chain.pem` and, unless it came from a request, `key.pem` lie.
    pub folder: PathBuf,
    /// Whether it was made just now; if not, the same one was there already and nothing was done.
    pub is_new: bool,
    /// Where the files went that it replaced.
    pub superseded: Option<PathBuf>,
}

/// A certificate to issue in another one's place.
#[derive(Debug)]
pub struct RenewalRequest {
    /// The one before.
    pub record: CertificateRecord,
    /// How the new one differs.
    pub renewal: Renewal,
    /// Days it lasts; as many as the one before when absent.
    pub days: Option<u32>,
    /// Leave the one before valid.
    pub keep_old: bool,
}

/// How a certificate differs from the one before.
#[derive(Debug)]
pub enum Renewal {
    /// Another key, and new dates.
    Rekey(SubjectKey),
    /// The same key and the same end: what the authority writes into certificates has changed.
    Reissue,
    /// The same key, and new dates.
    Renew,
}

/// How a device stands in the inventory.
#[derive(Debug)]
pub enum Standing {
    /// Nothing stands in the way of a certificate.
    Free,
    /// It has this valid certificate.
    Issued(Box<CertificateRecord>),
    /// Its MAC address or serial number belongs to another.
    Taken(Box<IssueError>),
}

/// What all kinds have in common.
pub(super) struct LeafRequest {
    pub(super) kind: Kind,
    pub(super) side: Side,
    pub(super) profile: Profile,
    pub(super) name: String,
    pub(super) product: Option<String>,
    pub(super) device_serial: Option<String>,
    pub(super) subject: LeafSubject,
    pub(super) names: Vec<ServerName>,
    pub(super) key: SubjectKey,
    pub(super) validity: Option<Validity>,
    pub(super) days: u32,
    pub(super) replace: bool,
    /// How old it is made; not at all but in test stores.
    pub(super) legacy: Legacy,
    pub(super) folder: PathBuf,
    /// Whose place it takes.
    pub(super) succeeds: Option<Box<Succession>>,
}

/// Whose place a certificate takes.
#[derive(Debug)]
pub(super) struct Succession {
    pub(super) record: CertificateRecord,
    /// Whether it ends with that.
    pub(super) ends: bool,
}

/// Who a certificate is for.
#[derive(Debug)]
pub(super) enum LeafSubject {
    /// Byte for byte what stood in the one before (CA D3).
    Kept {
        der: Vec<u8>,
        text: String,
    },
    New(SubjectName),
}

impl LeafSubject {
    pub(super) fn to_der(&self) -> Vec<u8> {
        match self {
            Self::Kept { der, .. } => der.clone(),
            Self::New(name) => name.to_der(),
        }
    }
}

impl std::fmt::Display for LeafSubject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Kept { text, .. } => f.write_str(text),
            Self::New(name) => name.fmt(f),
        }
    }
}

/// What is to be done about a request.
pub(super) enum Judged {
    Issue(Box<LeafRequest>, Validity),
    There(Box<CertificateRecord>),
}
