//! Reading a request: hostile bytes, whoever sends them.

use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, SHA512};
use der::asn1::Any;
use der::{Decode, Encode, Tag, Tagged};
use x509_cert::ext::Extension;

use super::message::{CertId, NONCE, OcspRequest, SingleRequest};

/// Most octets of a request.
pub(crate) const MAX_SIZE: usize = 16 * 1024;

/// Most certificates asked for at a time.
const MAX_ASKED: usize = 32;

/// Longest nonce (RFC 9654 §2.1).
const MAX_NONCE: usize = 128;

/// Longest serial number (RFC 5280 §4.1.2.2).
const MAX_SERIAL: usize = 20;

/// What is asked.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) asked: Vec<Asked>,
    /// The nonce extension, as it came.
    pub(super) nonce: Option<Extension>,
}

/// One certificate.
#[derive(Debug)]
pub(super) struct Asked {
    /// The whole `CertID`, as it came.
    pub(super) id: Any,
    hash: Hash,
    name: Vec<u8>,
    key: Vec<u8>,
    /// Content octets of its serial number.
    pub(super) serial: Vec<u8>,
}

/// What issuers are named by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hash {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
    /// One that no issuer is known by here.
    Other,
}

/// The bytes are no request, or one that is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

impl From<der::Error> for Malformed {
    fn from(_why: der::Error) -> Self {
        Self // a client that asks nonsense is not told which
    }
}

impl Request {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() > MAX_SIZE {
            return Err(Malformed);
        }
        let OcspRequest { tbs, signature: _ } = OcspRequest::from_der(bytes)?;
        if tbs.version.is_some_and(|version| version != 0)
            || tbs.asked.is_empty()
            || tbs.asked.len() > MAX_ASKED
        {
            return Err(Malformed);
        }
        let asked = tbs.asked.into_iter().map(Asked::read).collect::<Result<_, _>>()?;
        let mut nonce = None;
        for extension in tbs.extensions.unwrap_or_default() {
            if extension.extn_id == NONCE {
                let length = extension.extn_value.as_bytes().len();
                // The value is an OCTET STRING in the OCTET STRING; some clients leave the inner one out.
                if nonce.is_some() || length == 0 || length > MAX_NONCE + 3 {
                    return Err(Malformed);
                }
                nonce = Some(Extension { critical: false, ..extension });
            } else if extension.critical {
                return Err(Malformed); // RFC 6960 §4.4: not to be passed over
            }
        }
        Ok(Self { asked, nonce })
    }
}

impl Asked {
    fn read(request: SingleRequest) -> Result<Self, Malformed> {
        let SingleRequest { certificate: id, extensions } = request;
        if extensions.unwrap_or_default().iter().any(|extension| extension.critical) {
            return Err(Malformed);
        }
        let CertId { hash_algorithm, issuer_name_hash, issuer_key_hash, serial } =
            CertId::from_der(&id.to_der()?)?;
        let octets = serial.value();
        if serial.tag() != Tag::Integer || octets.is_empty() || octets.len() > MAX_SERIAL + 1 {
            return Err(Malformed);
        }
        let hash = match hash_algorithm.oid.to_string().as_str() {
            "1.3.14.3.2.26" => Hash::Sha1,
            "2.16.840.1.101.3.4.2.1" => Hash::Sha256,
            "2.16.840.1.101.3.4.2.2" => Hash::Sha384,
            "2.16.840.1.101.3.4.2.3" => Hash::Sha512,
            _ => Hash::Other,
        };
        Ok(Self {
            hash,
            name: issuer_name_hash.as_bytes().to_vec(),
            key: issuer_key_hash.as_bytes().to_vec(),
            serial: octets.to_vec(),
            id,
        })
    }

    /// Whether it means a certificate of the issuer with this subject, DER, and the bits of this key.
    pub(super) fn is_of(&self, subject: &[u8], key_bits: &[u8]) -> bool {
        let algorithm = match self.hash {
            Hash::Sha1 => &SHA1_FOR_LEGACY_USE_ONLY,
            Hash::Sha256 => &SHA256,
            Hash::Sha384 => &SHA384,
            Hash::Sha512 => &SHA512,
            Hash::Other => return false,
        };
        digest::digest(algorithm, subject).as_ref() == self.name
            && digest::digest(algorithm, key_bits).as_ref() == self.key
    }
}
