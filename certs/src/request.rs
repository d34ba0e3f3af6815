//! Certification requests (PKCS #10, RFC 2986).

use std::fmt;

use crate::der::{self, Element, Reader, tag};
use crate::envelope::Envelope;
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
    /// Most attributes of a request: finding repeated ones takes time that grows with the square.
    pub const MAX_ATTRIBUTES: usize = 64;

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
            if oids.len() == CertificationRequest::MAX_ATTRIBUTES {
                return attributes.invalid("list of very many attributes");
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{KeyKind, RequestBuilder, TestKey};

    #[test]
    fn reads_what_is_asked_for() {
        let builder = RequestBuilder::new("prov.example.com", KeyKind::P256)
            .extension(oid::SUBJECT_ALTERNATIVE_NAME, false, b"\x30\x03\x82\x01a")
            .extension(oid::BASIC_CONSTRAINTS, true, &[0x30, 0x03, 0x01, 0x01, 0xff]);
        for request in [
            CertificationRequest::parse(&builder.to_der()),
            CertificationRequest::parse_pem(builder.to_pem()),
        ] {
            let request = request.unwrap();
            assert_eq!(request.subject().to_string(), "CN=prov.example.com");
            assert_eq!(request.public_key(), builder.key().public());
            assert_eq!(request.requested_names().unwrap().dns_names().collect::<Vec<_>>(), ["a"]);
            let asked: Vec<_> =
                request.requested_extensions().iter().map(|extension| extension.oid).collect();
            assert_eq!(asked, [oid::SUBJECT_ALTERNATIVE_NAME, oid::BASIC_CONSTRAINTS]);
            assert_eq!(request.attributes(), [oid::EXTENSION_REQUEST]);
        }
    }

    #[test]
    fn proof_of_possession_holds_for_every_kind_of_key() {
        for kind in [
            KeyKind::P256,
            KeyKind::P384,
            KeyKind::P521,
            KeyKind::Ed25519,
            KeyKind::Rsa1024,
            KeyKind::Rsa2048,
        ] {
            assert!(
                CertificationRequest::parse(&RequestBuilder::new("x", kind).to_der()).is_ok(),
                "{kind:?}"
            );
        }
    }

    #[test]
    fn refuses_a_request_that_another_key_signed() {
        // CA.md B1
        let other = TestKey::cached(KeyKind::P256, "another key");
        let der = RequestBuilder::new("x", KeyKind::P256).signed_by(other).to_der();
        assert_eq!(CertificationRequest::parse(&der).unwrap_err(), ParseError::ProofOfPossession);
    }

    #[test]
    fn refuses_a_request_with_one_changed_byte() {
        // CA.md B1: subject, key, attributes and signature are all covered.
        let der = RequestBuilder::new("changeable", KeyKind::P256).to_der();
        assert!(CertificationRequest::parse(&der).is_ok());
        for index in 0..der.len() {
            let mut changed = der.clone();
            changed[index] ^= 1;
            assert!(CertificationRequest::parse(&changed).is_err(), "byte {index}");
        }
    }

    #[test]
    fn refuses_trailing_data_other_versions_and_two_blocks() {
        // CA.md B2, R12
        let builder = RequestBuilder::new("x", KeyKind::P256);
        let mut trailing = builder.to_der();
        trailing.push(0);
        let problem = crate::DerError { offset: trailing.len() - 1, problem: crate::DerProblem::Trailing };
        let expected = ParseError::Der { what: "certification request", source: problem };
        assert_eq!(CertificationRequest::parse(&trailing).unwrap_err(), expected);
        let version = builder.clone().version(1).to_der();
        let expected = ParseError::UnsupportedVersion { what: "certification request", version: 1 };
        assert_eq!(CertificationRequest::parse(&version).unwrap_err(), expected);
        let twice = builder.to_pem().repeat(2);
        let expected = ParseError::WrongBlockCount { label: "CERTIFICATE REQUEST", found: 2 };
        assert_eq!(CertificationRequest::parse_pem(twice).unwrap_err(), expected);
        let label = pem::encode("CERTIFICATE", &builder.to_der());
        let found = "CERTIFICATE".to_owned();
        let expected = ParseError::WrongLabel { line: 1, expected: "CERTIFICATE REQUEST", found };
        assert_eq!(CertificationRequest::parse_pem(label).unwrap_err(), expected);
    }

    #[test]
    fn refuses_more_attributes_than_any_honest_request_has() {
        let with = |count: u8| {
            let request = |builder, number| {
                let oid = Oid::parse(&format!("1.2.3.{number}")).unwrap();
                RequestBuilder::attribute(builder, oid, &[5, 0])
            };
            let builder = (0..count).fold(RequestBuilder::new("x", KeyKind::P256), request);
            CertificationRequest::parse(&builder.to_der())
        };
        assert_eq!(with(64).unwrap().attributes().len(), 64);
        let refused = with(65).unwrap_err();
        let ParseError::Der { source, .. } = refused else { panic!("{refused:?}") };
        assert_eq!(source.problem, crate::DerProblem::Invalid("list of very many attributes"));
    }

    #[test]
    fn refuses_ber() {
        // CA.md B2: the outer length in one byte more than it needs.
        let der = RequestBuilder::new("x", KeyKind::P256).to_der();
        assert_eq!(der[1], 0x81);
        let ber = [&[0x30, 0x82, 0x00, der[2]], &der[3..]].concat();
        let problem = crate::DerError { offset: 0, problem: crate::DerProblem::Length };
        let expected = ParseError::Der { what: "certification request", source: problem };
        assert_eq!(CertificationRequest::parse(&ber).unwrap_err(), expected);
    }

    #[test]
    fn refuses_an_extension_that_is_asked_for_twice() {
        let extension =
            |builder: RequestBuilder| builder.extension(oid::KEY_USAGE, false, &[0x03, 0x02, 0x07, 0x80]);
        let once = extension(RequestBuilder::new("x", KeyKind::P256));
        assert!(CertificationRequest::parse(&once.to_der()).is_ok());
        let refused = CertificationRequest::parse(&extension(once).to_der()).unwrap_err();
        assert_eq!(refused, ParseError::DuplicateExtension { oid: oid::KEY_USAGE });
    }
}
