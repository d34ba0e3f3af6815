//! Certification requests (PKCS #10, RFC 2986).

use std::fmt;

use crate::certificate::Envelope;
use crate::der::{self, Element, Reader, tag};
use crate::error::ParseError;
use crate::extension::Extension;
use crate::general_name::SubjectAltNames;
use crate::key::PublicKey;
use crate::name::DistinguishedName;
use crate::oid::{self, Oid};
use crate::pem;
use crate::signature::SignatureAlgorithm;

/// A certification request whose proof of possession holds: it is signed by the key it asks a certificate for.
///
/// What it asks for is only a wish. Nothing of it belongs in a certificate unless an issuance profile says so.
#[derive(Clone)]
pub struct CertificationRequest {
    der: Box<[u8]>,
    subject: DistinguishedName,
    public_key: PublicKey,
    signature_algorithm: SignatureAlgorithm,
    attributes: Box<[Oid]>,
    requested_extensions: Box<[Extension]>,
    requested_names: Option<SubjectAltNames>,
}

impl CertificationRequest {
    /// Most bytes of a request.
    pub const MAX_SIZE: usize = 64 * 1024;

    /// Reads one DER encoded request and verifies its signature over the exact bytes.
    ///
    /// # Errors
    /// Anything that is not strictly DER, trailing bytes, a version other than 0, repeated extensions, and
    /// [`ParseError::ProofOfPossession`].
    pub fn parse(der: &[u8]) -> Result<Self, ParseError> {
        const WHAT: &str = "certification request";
        if der.len() > Self::MAX_SIZE {
            return Err(ParseError::TooLarge { what: WHAT, size: der.len(), limit: Self::MAX_SIZE });
        }
        let broken = ParseError::der(WHAT);
        let envelope = Envelope::read(der, WHAT)?;
        let mut info = envelope.tbs.reader();
        let version = info.small_integer("a version").map_err(broken)?;
        if version != 0 {
            return Err(ParseError::UnsupportedVersion { what: WHAT, version });
        }
        let subject = DistinguishedName::read(&mut info).map_err(broken)?;
        let spki = info.expect(tag::SEQUENCE, "a public key").map_err(broken)?;
        let public_key = PublicKey::from_element(&spki).map_err(broken)?;
        // RFC 2986 wants the field even when it is empty; old devices leave it out.
        let attributes = info.optional(tag::context_constructed(0)).map_err(broken)?;
        info.finish().map_err(broken)?;
        let wishes = match attributes {
            Some(attributes) => Wishes::read(&attributes).map_err(broken)?,
            None => Wishes::default(),
        };
        if let Some(oid) = Extension::duplicate(&wishes.extensions) {
            return Err(ParseError::DuplicateExtension { oid });
        }
        let signature_algorithm = SignatureAlgorithm::from_element(&envelope.algorithm).map_err(broken)?;
        if let SignatureAlgorithm::Other(oid) = signature_algorithm {
            return Err(ParseError::UnsupportedAlgorithm { oid });
        }
        signature_algorithm
            .verify(&public_key, envelope.tbs.encoded, envelope.signature.bytes)
            .map_err(|_| ParseError::ProofOfPossession)?;
        let names = wishes.extensions.iter().find(|extension| extension.oid == oid::SUBJECT_ALTERNATIVE_NAME);
        let requested_names = names.map(|extension| SubjectAltNames::parse(&extension.value)).transpose();
        Ok(Self {
            der: der.into(),
            subject,
            public_key,
            signature_algorithm,
            attributes: wishes.attributes,
            requested_names: requested_names.map_err(ParseError::der("requested subjectAltName"))?,
            requested_extensions: wishes.extensions,
        })
    }

    /// Reads a PEM text that holds one request and no other block.
    ///
    /// # Errors
    /// Broken armour, another number or kind of blocks, or what [`parse`](Self::parse) refuses.
    pub fn parse_pem(text: impl AsRef<[u8]>) -> Result<Self, ParseError> {
        let labels = [pem::CERTIFICATE_REQUEST, "NEW CERTIFICATE REQUEST"];
        Self::parse(&pem::single(text.as_ref(), &labels, pem::CERTIFICATE_REQUEST)?)
    }

    /// Reads a file that is either PEM or DER.
    ///
    /// # Errors
    /// As [`parse`](Self::parse) and [`parse_pem`](Self::parse_pem).
    pub fn parse_file(contents: &[u8]) -> Result<Self, ParseError> {
        if pem::looks_like_pem(contents) { Self::parse_pem(contents) } else { Self::parse(contents) }
    }

    /// The DER encoding.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The DER in a `CERTIFICATE REQUEST` block.
    pub fn to_pem(&self) -> String {
        pem::encode(pem::CERTIFICATE_REQUEST, &self.der)
    }

    /// The name it asks for.
    pub fn subject(&self) -> &DistinguishedName {
        &self.subject
    }

    /// The key it asks for, whose possession is proved.
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// How possession was proved; judge whether that is strong enough.
    pub fn signature_algorithm(&self) -> SignatureAlgorithm {
        self.signature_algorithm
    }

    /// The types of its attributes.
    pub fn attributes(&self) -> &[Oid] {
        &self.attributes
    }

    /// The extensions it asks for.
    pub fn requested_extensions(&self) -> &[Extension] {
        &self.requested_extensions
    }

    /// The alternative names it asks for.
    pub fn requested_names(&self) -> Option<&SubjectAltNames> {
        self.requested_names.as_ref()
    }
}

impl fmt::Debug for CertificationRequest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = out.debug_struct("CertificationRequest");
        text.field("subject", &format_args!("{}", self.subject)).field("public_key", &self.public_key);
        text.finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Wishes {
    attributes: Box<[Oid]>,
    extensions: Box<[Extension]>,
}

/// The attribute in which Microsoft's tools put extensions.
const MICROSOFT_EXTENSION_REQUEST: &str = "1.3.6.1.4.1.311.2.1.14";

impl Wishes {
    fn read(attributes: &Element<'_>) -> der::Result<Self> {
        let mut reader = attributes.reader();
        let mut oids = Vec::new();
        let mut extensions: Option<Box<[Extension]>> = None;
        while !reader.is_empty() {
            let mut attribute = reader.sequence("an attribute")?;
            let oid = Oid::from_element(&attribute.expect(tag::OBJECT_IDENTIFIER, "an attribute type")?)?;
            let values = attribute.expect(tag::SET, "attribute values")?;
            attribute.finish()?;
            if oids.contains(&oid) {
                return values.invalid("repeated attribute");
            }
            oids.push(oid);
            if oid == oid::EXTENSION_REQUEST || Oid::parse(MICROSOFT_EXTENSION_REQUEST) == Some(oid) {
                if extensions.is_some() {
                    return values.invalid("second list of extensions");
                }
                let mut list = values.reader();
                extensions = Some(Extension::read_all(&list.expect(tag::SEQUENCE, "requested extensions")?)?);
                list.finish()?;
            } else {
                skip_values(&values)?;
            }
        }
        Ok(Self { attributes: oids.into(), extensions: extensions.unwrap_or_default() })
    }
}

fn skip_values(values: &Element<'_>) -> der::Result<()> {
    let mut reader: Reader<'_> = values.reader();
    while !reader.is_empty() {
        reader.any()?;
    }
    Ok(())
}
