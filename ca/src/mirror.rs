//! Test twins of real chains: the same certificates byte for byte, but for what new keys change, and a mark.
//!
//! A twin has its original's names in the same string types, its extensions in the same order, its kinds and sizes of
//! keys, its signature algorithm and its length of life. It has a key of its own, and so another signature and other key
//! identifiers, a new serial number, dates of its own, and the mark of a twin: [`MARKER`] as the last extension, and in
//! front of the serial number [`SERIAL_PREFIX`], which is all that a certificate of version 1 has room for.

mod device;
mod difference;
mod identifiers;
mod order;
mod original;

use certs::{Certificate, KeyAlgorithm, SignatureAlgorithm, Timestamp, Validity, Version};
use der::asn1::{ObjectIdentifier, Utf8StringRef};
use x509_cert::ext::Extension;
use zeroize::Zeroizing;

use crate::error::IssueError;
use crate::key::KeyError;
use crate::key::twin::TwinKey;
use crate::key_policy::exponent;
use crate::lint::sign_twin;
use crate::profile::extension;
use crate::random::RandomSource;
use crate::signer::{Signer, TwinSigner};
use crate::template::Template;

pub(crate) use device::DeviceTwin;
pub use device::TwinProfile;
pub(crate) use difference::Difference;

/// The extension that marks a twin, below the number that IANA keeps for documentation (RFC 5612); never critical. Its
/// value is a UTF8String, [`MARKER_TEXT`].
pub(crate) const MARKER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.32473.90.1");

/// What [`MARKER`] says.
pub(crate) const MARKER_TEXT: &str = "TEST TWIN, not for production";

/// The first octets of every twin's serial number: 7E57 7E57.
pub(crate) const SERIAL_PREFIX: [u8; 4] = [0x7e, 0x57, 0x7e, 0x57];

/// How twins are made.
#[derive(Debug)]
pub(crate) struct MirrorOptions {
    /// Whether the originals' dates stay; otherwise all of them move by the same time, so that the newest begins now.
    pub(crate) keep_dates: bool,
    /// Days after which every twin ends, when the original lasts longer.
    pub(crate) days: Option<u32>,
    /// A device to add below the lowest authority.
    pub(crate) device: Option<DeviceTwin>,
}

/// One twin.
pub(crate) struct Twin {
    /// What its folder is called: `root`, `intermediate`, `leaf`, `device`, `stand-in-root`.
    pub(crate) name: String,
    pub(crate) certificate: Certificate,
    pub(crate) key: std::sync::Arc<TwinKey>,
    /// What it was made from; stand-ins and devices have none.
    pub(crate) original: Option<Certificate>,
    /// What became of it, where there is no original to compare with.
    pub(crate) remark: Option<String>,
}

impl Twin {
    /// The private key as PKCS #8 PEM.
    pub(crate) fn key_pem(&self) -> Zeroizing<String> {
        self.key.to_pem()
    }

    /// Whether others can stand below it.
    pub(crate) fn is_authority(&self) -> bool {
        is_authority(&self.certificate)
    }

    /// What differs from the original.
    pub(crate) fn differences(&self) -> Vec<Difference> {
        self.original
            .as_ref()
            .map(|original| difference::between(original, &self.certificate))
            .unwrap_or_default()
    }
}

/// A chain cannot be mirrored.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// A certificate has something that cannot be written again.
    #[error("the certificate of {subject} cannot be written again byte for byte")]
    Irregular {
        /// Whose.
        subject: String,
    },
    /// Its kind of key cannot be made.
    #[error("keys of the kind {key} cannot be made for a twin of {subject}")]
    Key {
        /// Whose.
        subject: String,
        /// The kind.
        key: String,
    },
    /// A device needs an authority above it.
    #[error("there is no authority in the chain to sign a device with")]
    NoAuthority,
    /// The certificates do not belong together.
    #[error("the certificates are not one chain: {why}")]
    NotOneChain {
        /// In what way.
        why: String,
    },
    /// The authority above the device has ended.
    #[error("the twin of {subject} ended {not_after}, nothing can be issued below it")]
    Over {
        /// Whose.
        subject: String,
        /// When.
        not_after: Timestamp,
    },
    /// Its signature algorithm is unknown, or goes with no key that can be made.
    #[error("the certificate of {subject} is signed with {algorithm}, which cannot be done for a twin")]
    Signature {
        /// Whose.
        subject: String,
        /// The algorithm.
        algorithm: SignatureAlgorithm,
    },
}

impl MirrorError {
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoAuthority => Some("give the certificate of an authority, or leave `--device` out"),
            Self::NotOneChain { .. } => Some("put one chain in a file, each certificate once, in any order"),
            Self::Over { .. } => Some("leave `--keep-dates` out: the twins then begin now"),
            Self::Irregular { .. } | Self::Key { .. } | Self::Signature { .. } => None,
        }
    }
}

/// Makes a twin of every certificate, the topmost first.
pub(crate) fn mirror(
    certificates: &[Certificate],
    options: &MirrorOptions,
    now: Timestamp,
    random: &dyn RandomSource,
) -> Result<Vec<Twin>, IssueError> {
    let chain = order::from_the_top(certificates)?;
    let period = Period::of(&chain, options, now);
    let mut twins: Vec<Twin> = Vec::with_capacity(chain.len() + 2);
    if let Some(top) = chain.first().filter(|top| !order::is_self_signed(top)) {
        twins.push(stand_in(top, &period, random)?);
    }
    for (index, original) in chain.iter().enumerate() {
        let above = index.checked_sub(1).and_then(|index| chain.get(index));
        let name = name(index, &chain);
        let twin = twin(original, above, twins.last(), name, &period, random)?;
        twins.push(twin);
    }
    if let Some(device) = &options.device {
        let authority = twins.iter().rfind(|twin| twin.is_authority()).ok_or(MirrorError::NoAuthority)?;
        twins.push(device.issue(authority, now, random)?);
    }
    Ok(twins)
}

/// What the twins' dates are made from.
struct Period {
    shift: i64,
    latest: Option<Timestamp>,
}

/// "No end" (RFC 5280 §4.1.2.5), which no shift moves.
const NO_END: Timestamp = Timestamp::from_unix(253_402_300_799);

impl Period {
    fn of(chain: &[Certificate], options: &MirrorOptions, now: Timestamp) -> Self {
        let newest = chain.iter().map(|one| one.validity().not_before).max().unwrap_or(now);
        // One shift for all: the lengths stay, and so does which of them ends before which.
        let shift = if options.keep_dates { 0 } else { now.unix() - 3600 - newest.unix() };
        let latest = options.days.map(|days| crate::profile::validity_for(now, days).not_after);
        Self { shift, latest }
    }

    fn shifted(&self, validity: Validity) -> Validity {
        let Validity { not_before, not_after } = validity;
        let end = if not_after == NO_END { NO_END } else { not_after.plus_seconds(self.shift).min(NO_END) };
        Validity {
            not_before: not_before.plus_seconds(self.shift),
            not_after: self.latest.map_or(end, |latest| latest.min(end)),
        }
    }
}

fn is_authority(certificate: &Certificate) -> bool {
    certificate.basic_constraints().is_some_and(|constraints| constraints.ca)
        || (certificate.version() == Version::V1 && order::is_self_signed(certificate))
}

/// What a certificate's folder is called, by its place.
fn name(index: usize, chain: &[Certificate]) -> String {
    let is_ca = |certificate: &Certificate| is_authority(certificate);
    let Some(certificate) = chain.get(index) else { return index.to_string() };
    if order::is_self_signed(certificate) {
        return if is_ca(certificate) { "root" } else { "leaf" }.to_owned();
    }
    if index + 1 == chain.len() && !is_ca(certificate) {
        return "leaf".to_owned();
    }
    let between = |one: &&Certificate| !order::is_self_signed(one) && is_ca(one);
    if chain.iter().filter(between).count() == 1 {
        return "intermediate".to_owned();
    }
    let number = chain.iter().take(index + 1).filter(|one| !order::is_self_signed(one)).count();
    format!("intermediate-{number}")
}

fn twin(
    original: &Certificate,
    original_issuer: Option<&Certificate>,
    issuer: Option<&Twin>,
    name: String,
    period: &Period,
    random: &dyn RandomSource,
) -> Result<Twin, IssueError> {
    let mut template = original::template_of(original)?;
    let key = std::sync::Arc::new(TwinKey::generate(original::key_kind(original)?)?);
    let public_key = original::like(original, &key.public_key_der()?)?;
    template.serial = serial(random)?;
    template.validity = period.shifted(original.validity());
    template.public_key = public_key.clone();
    identifiers::renew(&mut template, original, original_issuer, issuer)?;
    if template.version == Version::V3 {
        template.extensions.push(marker()?);
    }
    let signing_key = issuer.map_or(&key, |issuer| &issuer.key);
    let issuer_key =
        issuer.map_or(public_key.as_slice(), |issuer| issuer.certificate.public_key().spki_der());
    let signer = TwinSigner::like(
        std::sync::Arc::clone(signing_key),
        original.signature_algorithm(),
        template.signature_algorithm.clone(),
    );
    let certificate = signed(&template, &signer, issuer_key, original)?;
    Ok(Twin { name, certificate, key, original: Some(original.clone()), remark: None })
}

fn signed(
    template: &Template,
    signer: &dyn Signer,
    issuer_key: &[u8],
    original: &Certificate,
) -> Result<Certificate, IssueError> {
    sign_twin(template, signer, issuer_key).map_err(|error| {
        if let IssueError::Key(KeyError::Algorithm(algorithm)) = error {
            return MirrorError::Signature { subject: original.subject().to_rfc4514(), algorithm }.into();
        }
        error
    })
}

/// A root in the place of one that is not in the file. Its name is known, and how it signs; the rest is invented.
fn stand_in(top: &Certificate, period: &Period, random: &dyn RandomSource) -> Result<Twin, IssueError> {
    let kind = original::key_kind_that_signed(top)?;
    let key = std::sync::Arc::new(TwinKey::generate(kind)?);
    let public_key = key.public_key_der()?;
    let length = top
        .authority_key_identifier()
        .and_then(|one| one.key_identifier.as_deref())
        .map_or(identifiers::SHA1_OCTETS, <[u8]>::len);
    let mut template = original::template_of(top)?;
    template.version = Version::V3;
    template.serial = serial(random)?;
    template.validity = period.shifted(top.validity());
    template.subject.clone_from(&template.issuer);
    template.public_key = public_key.clone();
    template.extensions = original::authority_extensions(&identifiers::of_length(&public_key, length)?)?;
    template.extensions.push(marker()?);
    let identifier = template.signature_algorithm.clone();
    let signer = TwinSigner::like(std::sync::Arc::clone(&key), top.signature_algorithm(), identifier);
    let certificate = signed(&template, &signer, &public_key, top)?;
    let remark = "stands for the issuer, which is not in the file: its name and how it signs are known, its key's exponent, its dates and its extensions are invented";
    Ok(Twin {
        name: "stand-in-root".to_owned(),
        certificate,
        key,
        original: None,
        remark: Some(remark.to_owned()),
    })
}

/// The extension at the end of every twin of version 3.
fn marker() -> der::Result<Extension> {
    extension(MARKER, false, &Utf8StringRef::new(MARKER_TEXT)?)
}

/// Sixteen octets, the last twelve of them random (CA A1).
fn serial(random: &dyn RandomSource) -> Result<Vec<u8>, IssueError> {
    let mut rest = [0; 12];
    random.fill(&mut rest)?;
    Ok([&SERIAL_PREFIX[..], &rest].concat())
}

/// Whether a certificate bears the mark of a twin.
pub(crate) fn is_twin(certificate: &Certificate) -> bool {
    let marker = MARKER.to_string();
    certificate.extensions().iter().any(|extension| extension.oid.to_string() == marker)
        || (certificate.version() == Version::V1
            && certificate.serial().as_bytes().starts_with(&SERIAL_PREFIX))
}

/// A key in words: kind, size, exponent.
fn key_text(certificate: &Certificate) -> String {
    let key = certificate.public_key().algorithm();
    match (key, exponent(certificate.public_key())) {
        (KeyAlgorithm::Rsa { .. }, Some(exponent)) => format!("{key}, exponent {exponent}"),
        (_, _) => key.to_string(),
    }
}

#[cfg(test)]
mod tests;
