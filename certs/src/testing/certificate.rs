//! Certificates made to order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::encode;
use super::key::{KeyKind, TestKey};
use super::revocation::CrlBuilder;
use crate::certificate::{Certificate, Version};
use crate::chain::PresentedChain;
use crate::der::{encode as der, tag};
use crate::extension::KeyUsage;
use crate::fingerprint::Fingerprint;
use crate::oid::{self, Oid};
use crate::serial::Serial;
use crate::signature::SignatureAlgorithm;
use crate::validity::Timestamp;

/// A certificate with its private key and the intermediates above it.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The certificate.
    pub certificate: Certificate,
    /// Its private key.
    pub key: Arc<TestKey>,
    /// The certificate and the intermediates up to the root, which is left out.
    pub chain: Vec<Certificate>,
}

impl Issued {
    /// The certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The same with the certificate's other ECDSA signature, which anybody can make of it.
    ///
    /// # Panics
    /// When it is not signed with ECDSA.
    #[must_use]
    pub fn with_twin_signature(mut self) -> Self {
        let der = self.certificate.twin_der().expect("a certificate signed with ECDSA");
        self.certificate = Certificate::parse(&der).expect("only the signature differs");
        if let Some(leaf) = self.chain.first_mut() {
            *leaf = self.certificate.clone();
        }
        self
    }

    /// What a peer with this certificate presents.
    pub fn presented(&self) -> PresentedChain {
        super::presented(&self.chain)
    }

    /// The chain as DER, leaf first.
    pub fn chain_der(&self) -> Vec<Vec<u8>> {
        self.chain.iter().map(|certificate| certificate.der().to_vec()).collect()
    }

    /// The chain as PEM, leaf first.
    pub fn chain_pem(&self) -> String {
        self.chain.iter().map(Certificate::to_pem).collect()
    }

    /// The private key as PKCS #8 PEM.
    pub fn key_pem(&self) -> String {
        self.key.to_pem()
    }

    /// The private key as PKCS #8 DER.
    pub fn key_der(&self) -> &[u8] {
        self.key.pkcs8()
    }
}

/// A certificate authority.
#[derive(Debug, Clone)]
pub struct Authority {
    certificate: Certificate,
    key: Arc<TestKey>,
    /// Itself and the intermediates above it, without a root.
    chain: Vec<Certificate>,
}

impl Authority {
    /// A self-signed root with this common name, to be finished with [`CertificateBuilder::authority`].
    pub fn root(name: &str) -> CertificateBuilder {
        CertificateBuilder::new(None, name).attribute(oid::COMMON_NAME, name).is_authority(None)
    }

    /// An intermediate below, to be finished with [`CertificateBuilder::authority`].
    pub fn intermediate(&self, name: &str) -> CertificateBuilder {
        CertificateBuilder::new(Some(self.clone()), name).attribute(oid::COMMON_NAME, name).is_authority(None)
    }

    /// A leaf without subject, for TLS clients.
    pub fn leaf(&self) -> CertificateBuilder {
        CertificateBuilder::new(Some(self.clone()), "leaf")
            .key_usage(KeyUsage::DIGITAL_SIGNATURE)
            .purposes(&[oid::CLIENT_AUTH])
    }

    /// A CRL of this authority, empty and fresh.
    pub fn crl(&self) -> CrlBuilder {
        CrlBuilder::new(self.clone())
    }

    /// The authority's certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The authority's key.
    pub fn key(&self) -> &Arc<TestKey> {
        &self.key
    }

    /// The same name and key under another certificate, such as a cross-signed one.
    #[must_use]
    pub fn with_certificate(&self, issued: &Issued) -> Self {
        Self {
            certificate: issued.certificate.clone(),
            key: Arc::clone(&self.key),
            chain: issued.chain.clone(),
        }
    }

    /// The key identifier that its certificates name.
    pub(super) fn key_identifier(&self) -> Vec<u8> {
        key_identifier(&self.key)
    }
}

fn key_identifier(key: &TestKey) -> Vec<u8> {
    Fingerprint::of(key.public().spki_der()).as_bytes().iter().copied().take(20).collect()
}

/// What a certificate shall hold. Later calls replace earlier ones, except for attributes, which add up.
#[derive(Debug, Clone)]
pub struct CertificateBuilder {
    issuer: Option<Authority>,
    issuer_name: Option<Vec<u8>>,
    subject: Vec<Vec<u8>>,
    serial: Option<Vec<u8>>,
    version: Version,
    not_before: Timestamp,
    not_after: Timestamp,
    key: KeyKind,
    label: String,
    own_key: Option<Arc<TestKey>>,
    algorithm: Option<SignatureAlgorithm>,
    extensions: Vec<(Oid, bool, Vec<u8>)>,
    key_identifiers: bool,
    broken_signature: bool,
    claimed_algorithm: Option<SignatureAlgorithm>,
}

static SERIALS: AtomicU64 = AtomicU64::new(0x1000_0000);

impl CertificateBuilder {
    fn new(issuer: Option<Authority>, label: &str) -> Self {
        Self {
            issuer,
            issuer_name: None,
            subject: Vec::new(),
            serial: None,
            version: Version::V3,
            not_before: super::Pki::NOW.plus_seconds(-30 * 86_400),
            not_after: super::Pki::NOW.plus_seconds(365 * 86_400),
            key: KeyKind::P256,
            label: label.to_owned(),
            own_key: None,
            algorithm: None,
            extensions: Vec::new(),
            key_identifiers: true,
            broken_signature: false,
            claimed_algorithm: None,
        }
    }

    /// Adds an attribute to the subject, as a UTF8String.
    #[must_use]
    pub fn attribute(self, oid: Oid, text: &str) -> Self {
        self.raw_attribute(oid, tag::UTF8_STRING, text.as_bytes())
    }

    /// Adds an attribute to the subject, as a PrintableString.
    #[must_use]
    pub fn printable_attribute(self, oid: Oid, text: &str) -> Self {
        self.raw_attribute(oid, tag::PRINTABLE_STRING, text.as_bytes())
    }

    /// Adds an attribute to the subject, as a BMPString.
    #[must_use]
    pub fn bmp_attribute(self, oid: Oid, text: &str) -> Self {
        let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        self.raw_attribute(oid, tag::BMP_STRING, &bytes)
    }

    /// Adds an attribute to the subject with any DER tag and any contents.
    #[must_use]
    pub fn raw_attribute(mut self, oid: Oid, tag: u8, contents: &[u8]) -> Self {
        self.subject.push(der(tag::SET, &pair(&oid, tag, contents)));
        self
    }

    /// Adds one relative distinguished name with several attributes.
    #[must_use]
    pub fn multi_valued(mut self, attributes: &[(Oid, &str)]) -> Self {
        let mut pairs: Vec<Vec<u8>> =
            attributes.iter().map(|(oid, text)| pair(oid, tag::UTF8_STRING, text.as_bytes())).collect();
        // DER sorts the members of a SET OF.
        pairs.sort();
        self.subject.push(der(tag::SET, &pairs.concat()));
        self
    }

    /// Drops the attributes given so far.
    #[must_use]
    pub fn without_subject(mut self) -> Self {
        self.subject.clear();
        self
    }

    /// The serial number, as the contents of its INTEGER.
    #[must_use]
    pub fn serial(mut self, bytes: &[u8]) -> Self {
        self.serial = Some(Serial::from_bytes(bytes).as_bytes().to_vec());
        self
    }

    /// The version; 1 and 2 drop all extensions.
    #[must_use]
    pub fn version(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    /// The first valid second.
    #[must_use]
    pub fn not_before(mut self, time: Timestamp) -> Self {
        self.not_before = time;
        self
    }

    /// The last valid second.
    #[must_use]
    pub fn not_after(mut self, time: Timestamp) -> Self {
        self.not_after = time;
        self
    }

    /// Expired one second before [`Pki::NOW`](super::Pki::NOW).
    #[must_use]
    pub fn expired(self) -> Self {
        self.not_after(super::Pki::NOW.plus_seconds(-1))
    }

    /// The kind of key.
    #[must_use]
    pub fn key(mut self, kind: KeyKind) -> Self {
        self.key = kind;
        self
    }

    /// Another key than the one that this name would get, kept under this label.
    #[must_use]
    pub fn key_label(mut self, label: &str) -> Self {
        label.clone_into(&mut self.label);
        self
    }

    /// This very key.
    #[must_use]
    pub fn with_key(mut self, key: &Arc<TestKey>) -> Self {
        self.own_key = Some(Arc::clone(key));
        self
    }

    /// How the issuer signs, such as `RsaPkcs1(Hash::Sha1)`.
    #[must_use]
    pub fn signed_with(mut self, algorithm: SignatureAlgorithm) -> Self {
        self.algorithm = Some(algorithm);
        self
    }

    /// Flips a bit of the signature.
    #[must_use]
    pub fn broken_signature(mut self) -> Self {
        self.broken_signature = true;
        self
    }

    /// Says another signature algorithm than the one that signed.
    #[must_use]
    pub fn claims_algorithm(mut self, algorithm: SignatureAlgorithm) -> Self {
        self.claimed_algorithm = Some(algorithm);
        self
    }

    /// Another issuer name, as DER, than the issuing authority's.
    #[must_use]
    pub fn issuer_name(mut self, der: &[u8]) -> Self {
        self.issuer_name = Some(der.to_vec());
        self
    }

    /// The extKeyUsage.
    #[must_use]
    pub fn purposes(self, purposes: &[Oid]) -> Self {
        let list: Vec<u8> = purposes.iter().flat_map(encode::object_identifier).collect();
        self.extension(oid::EXTENDED_KEY_USAGE, false, &encode::sequence(&[&list]))
    }

    /// The keyUsage; combine with [`key_usages`](Self::key_usages).
    #[must_use]
    pub fn key_usage(self, usage: KeyUsage) -> Self {
        self.key_usages(&[usage])
    }

    /// The keyUsage, with several uses.
    #[must_use]
    pub fn key_usages(self, usages: &[KeyUsage]) -> Self {
        let bits = usages.iter().fold(0, |bits, usage| bits | usage.bits());
        let bytes =
            if bits & 0x00ff == 0 { bits.to_be_bytes()[..1].to_vec() } else { bits.to_be_bytes().to_vec() };
        let unused = bytes.last().map_or(0, |last| last.trailing_zeros().min(7));
        let unused = u8::try_from(unused).unwrap_or(0);
        self.extension(oid::KEY_USAGE, true, &der(tag::BIT_STRING, &[&[unused], &bytes[..]].concat()))
    }

    /// A certificate authority's basicConstraints and keyUsage.
    #[must_use]
    pub fn is_authority(self, path_length: Option<u64>) -> Self {
        let length = path_length.map(encode::integer).unwrap_or_default();
        let value = encode::sequence(&[&der(tag::BOOLEAN, &[0xff]), &length]);
        self.extension(oid::BASIC_CONSTRAINTS, true, &value)
            .key_usages(&[KeyUsage::KEY_CERT_SIGN, KeyUsage::CRL_SIGN])
    }

    /// DNS names as subjectAltName.
    #[must_use]
    pub fn dns_names(self, names: &[&str]) -> Self {
        let names: Vec<(u8, &[u8])> = names.iter().map(|name| (0x82, name.as_bytes())).collect();
        self.alternative_names(&names)
    }

    /// A subjectAltName of any kinds: the tag (0x81 e-mail, 0x82 DNS, 0xa4 directory, 0x86 URI, 0x87 IP) and contents.
    #[must_use]
    pub fn alternative_names(self, names: &[(u8, &[u8])]) -> Self {
        let names: Vec<u8> = names.iter().flat_map(|(tag, contents)| der(*tag, contents)).collect();
        self.extension(oid::SUBJECT_ALTERNATIVE_NAME, false, &encode::sequence(&[&names]))
    }

    /// nameConstraints: tags and contents as in [`alternative_names`](Self::alternative_names).
    #[must_use]
    pub fn name_constraints(self, permitted: &[(u8, &[u8])], excluded: &[(u8, &[u8])]) -> Self {
        let subtrees = |number, names: &[(u8, &[u8])]| {
            let list: Vec<u8> =
                names.iter().flat_map(|(tag, contents)| encode::sequence(&[&der(*tag, contents)])).collect();
            if names.is_empty() { Vec::new() } else { der(tag::context_constructed(number), &list) }
        };
        let value = encode::sequence(&[&subtrees(0, permitted), &subtrees(1, excluded)]);
        self.extension(oid::NAME_CONSTRAINTS, true, &value)
    }

    /// One CRL distribution point with this URI.
    #[must_use]
    pub fn distribution_point(self, uri: &str) -> Self {
        let value = encode::sequence(&[&encode::sequence(&[&super::revocation::point_name(uri)])]);
        self.extension(oid::CRL_DISTRIBUTION_POINTS, false, &value)
    }

    /// Any extension, as DER.
    #[must_use]
    pub fn extension(mut self, oid: Oid, critical: bool, value: &[u8]) -> Self {
        self.extensions.retain(|(other, _, _)| *other != oid);
        self.extensions.push((oid, critical, value.to_vec()));
        self
    }

    /// Leaves an extension out.
    #[must_use]
    pub fn without_extension(mut self, oid: &Oid) -> Self {
        self.extensions.retain(|(other, _, _)| other != oid);
        self
    }

    /// Leaves the subject and authority key identifiers out.
    #[must_use]
    pub fn without_key_identifiers(mut self) -> Self {
        self.key_identifiers = false;
        self
    }

    /// Makes the certificate.
    ///
    /// # Panics
    /// When the certificate cannot be made, or is not one that [`Certificate::parse`] accepts.
    pub fn issue(self) -> Issued {
        let key = self.own_key.clone().unwrap_or_else(|| TestKey::cached(self.key, &self.label));
        let der = self.encode(&key);
        let certificate = Certificate::parse(&der).expect("the builder makes certificates that parse");
        let mut chain = vec![certificate.clone()];
        chain.extend(self.issuer.into_iter().flat_map(|issuer| issuer.chain));
        Issued { certificate, key, chain }
    }

    /// Makes the certificate and an authority of it.
    ///
    /// # Panics
    /// As [`issue`](Self::issue).
    pub fn authority(self) -> Authority {
        let is_root = self.issuer.is_none();
        let Issued { certificate, key, chain } = self.issue();
        Authority { certificate, key, chain: if is_root { Vec::new() } else { chain } }
    }

    /// The certificate's DER, also of one that does not parse.
    ///
    /// # Panics
    /// When the issuer's key does not sign with the wanted algorithm.
    pub fn to_der(&self) -> Vec<u8> {
        let key = self.own_key.clone().unwrap_or_else(|| TestKey::cached(self.key, &self.label));
        self.encode(&key)
    }

    fn encode(&self, key: &TestKey) -> Vec<u8> {
        let signer = self.issuer.as_ref().map_or(key, |issuer| &*issuer.key);
        let algorithm = self.algorithm.unwrap_or_else(|| signer.default_algorithm());
        let identifier = encode::signature_algorithm(self.claimed_algorithm.unwrap_or(algorithm));
        let version = match self.version {
            Version::V1 => Vec::new(),
            Version::V2 | Version::V3 => {
                let number = u64::from(self.version.number()) - 1;
                der(tag::context_constructed(0), &encode::integer(number))
            }
        };
        let serial = self.serial.clone().map_or_else(
            || encode::integer(SERIALS.fetch_add(1, Ordering::Relaxed)),
            |serial| der(tag::INTEGER, &serial),
        );
        let subject = der(tag::SEQUENCE, &self.subject.concat());
        let issuer_subject = self.issuer.as_ref().map(|issuer| issuer.certificate.subject().der().to_vec());
        let issuer = self.issuer_name.clone().or(issuer_subject).unwrap_or_else(|| subject.clone());
        let validity = encode::sequence(&[&encode::time(self.not_before), &encode::time(self.not_after)]);
        let extensions = match self.version {
            Version::V1 | Version::V2 => Vec::new(),
            Version::V3 => encode::extensions(3, &self.all_extensions(key)),
        };
        let spki = key.public().spki_der();
        let tbs = encode::sequence(&[
            &version,
            &serial,
            &identifier,
            &issuer,
            &validity,
            &subject,
            spki,
            &extensions,
        ]);
        let mut signature = signer.sign(algorithm, &tbs);
        if self.broken_signature
            && let Some(last) = signature.last_mut()
        {
            *last ^= 1;
        }
        encode::sequence(&[&tbs, &identifier, &encode::bit_string(&signature)])
    }

    fn all_extensions(&self, key: &TestKey) -> Vec<(Oid, bool, Vec<u8>)> {
        let mut extensions = self.extensions.clone();
        if self.subject.is_empty() {
            // RFC 5280 §4.1.2.6
            let names = extensions.iter_mut().filter(|(oid, _, _)| *oid == oid::SUBJECT_ALTERNATIVE_NAME);
            names.for_each(|(_, critical, _)| *critical = true);
        }
        let has = |oid: &Oid| self.extensions.iter().any(|(other, _, _)| other == oid);
        if self.key_identifiers && !has(&oid::SUBJECT_KEY_IDENTIFIER) {
            let value = der(tag::OCTET_STRING, &key_identifier(key));
            extensions.push((oid::SUBJECT_KEY_IDENTIFIER, false, value));
        }
        if self.key_identifiers && !has(&oid::AUTHORITY_KEY_IDENTIFIER) {
            let identifier =
                self.issuer.as_ref().map_or_else(|| key_identifier(key), Authority::key_identifier);
            let value = encode::sequence(&[&der(tag::context(0), &identifier)]);
            extensions.push((oid::AUTHORITY_KEY_IDENTIFIER, false, value));
        }
        extensions
    }
}

fn pair(oid: &Oid, tag: u8, contents: &[u8]) -> Vec<u8> {
    encode::sequence(&[&encode::object_identifier(oid), &der(tag, contents)])
}
