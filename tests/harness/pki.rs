//! Certificates made at run time, each as a test wants it. Not the library under test: a mistake there must not be
//! repeated here.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};

use sha1::Digest as _;

use crate::{der, expect::now, workdir::WorkDir};

mod crl;
mod key;

pub use self::{
    crl::Crl,
    key::{Digest, Key, KeyKind},
};

/// Seconds of a day.
pub const DAY: i64 = 86_400;

/// The attribute types in names.
pub mod attribute {
    /// commonName.
    pub const COMMON_NAME: &str = "2.5.4.3";
    /// surname, Apache's `S`.
    pub const SURNAME: &str = "2.5.4.4";
    /// serialNumber.
    pub const SERIAL_NUMBER: &str = "2.5.4.5";
    /// countryName.
    pub const COUNTRY: &str = "2.5.4.6";
    /// localityName.
    pub const LOCALITY: &str = "2.5.4.7";
    /// stateOrProvinceName.
    pub const STATE: &str = "2.5.4.8";
    /// organizationName.
    pub const ORGANIZATION: &str = "2.5.4.10";
    /// organizationalUnitName.
    pub const ORGANIZATIONAL_UNIT: &str = "2.5.4.11";
    /// title.
    pub const TITLE: &str = "2.5.4.12";
    /// description.
    pub const DESCRIPTION: &str = "2.5.4.13";
    /// givenName.
    pub const GIVEN_NAME: &str = "2.5.4.42";
    /// initials.
    pub const INITIALS: &str = "2.5.4.43";
    /// userId.
    pub const USER_ID: &str = "0.9.2342.19200300.100.1.1";
    /// emailAddress.
    pub const EMAIL: &str = "1.2.840.113549.1.9.1";
}

/// A distinguished name, attribute by attribute.
#[derive(Clone, Debug, Default)]
pub struct Name(Vec<Vec<Vec<u8>>>);

impl Name {
    /// The empty name.
    pub fn new() -> Self {
        Self::default()
    }

    /// A name with a commonName.
    pub fn common(text: &str) -> Self {
        Self::new().with(attribute::COMMON_NAME, text)
    }

    /// The subject of a phone, as the guide prints it: OU, L, S.
    pub fn phone(product: &str, serial: &str, mac: &str) -> Self {
        Self::new()
            .with(attribute::ORGANIZATIONAL_UNIT, product)
            .with(attribute::LOCALITY, serial)
            .with(attribute::SURNAME, mac)
    }

    /// Adds an attribute as UTF8String.
    #[must_use]
    pub fn with(self, oid: &str, text: &str) -> Self {
        self.typed(oid, 0x0c, text.as_bytes())
    }

    /// Adds an attribute with the string type's tag and its bytes as given.
    #[must_use]
    pub fn typed(mut self, oid: &str, tag: u8, bytes: &[u8]) -> Self {
        self.0.push(vec![der::sequence(&[der::oid(oid), der::element(tag, bytes)])]);
        self
    }

    /// Adds an attribute to the last relative name, which has several then.
    #[must_use]
    pub fn joined(mut self, oid: &str, text: &str) -> Self {
        let attribute = der::sequence(&[der::oid(oid), der::element(0x0c, text.as_bytes())]);
        self.0.last_mut().unwrap().push(attribute);
        self
    }

    fn der(&self) -> Vec<u8> {
        der::sequence(&self.0.iter().map(|attributes| der::set(attributes)).collect::<Vec<_>>())
    }
}

/// An extension, ready for a certificate.
#[derive(Clone, Debug)]
pub struct Extension {
    oid: &'static str,
    critical: bool,
    value: Vec<u8>,
}

impl Extension {
    /// Any extension.
    pub fn new(oid: &'static str, critical: bool, value: Vec<u8>) -> Self {
        Self { oid, critical, value }
    }

    /// basicConstraints, critical.
    pub fn basic_constraints(authority: bool, path_length: Option<u32>) -> Self {
        let mut parts = Vec::new();
        if authority {
            parts.push(der::truth());
        }
        parts.extend(path_length.map(der::small_integer));
        Self::new("2.5.29.19", true, der::sequence(&parts))
    }

    /// keyUsage, critical. `bits` counts from the left as RFC 5280 does: 0x80 digitalSignature, 0x20
    /// keyEncipherment, 0x04 keyCertSign, 0x02 cRLSign.
    pub fn key_usage(bits: u8) -> Self {
        let unused = u8::try_from(bits.trailing_zeros().min(7)).unwrap();
        Self::new("2.5.29.15", true, der::element(0x03, &[unused, bits]))
    }

    /// extendedKeyUsage.
    pub fn extended_key_usage(purposes: &[&str]) -> Self {
        let purposes: Vec<_> = purposes.iter().map(|purpose| der::oid(purpose)).collect();
        Self::new("2.5.29.37", false, der::sequence(&purposes))
    }

    /// subjectAltName with DNS names.
    pub fn dns_names(names: &[&str]) -> Self {
        let names: Vec<_> = names.iter().map(|name| der::element(0x82, name.as_bytes())).collect();
        Self::new("2.5.29.17", false, der::sequence(&names))
    }

    /// nameConstraints that permit DNS names below this one only.
    pub fn permitted_dns(name: &str) -> Self {
        let subtree = der::sequence(&[der::element(0x82, name.as_bytes())]);
        Self::new("2.5.29.30", true, der::sequence(&[der::explicit(0, &subtree)]))
    }

    /// policyConstraints that require an explicit policy from here on.
    pub fn require_explicit_policy() -> Self {
        Self::new("2.5.29.36", true, der::sequence(&[der::element(0x80, &[0])]))
    }

    fn der(&self) -> Vec<u8> {
        let mut parts = vec![der::oid(self.oid)];
        if self.critical {
            parts.push(der::truth());
        }
        parts.push(der::octets(&self.value));
        der::sequence(&parts)
    }
}

/// extendedKeyUsage: TLS clients.
pub const CLIENT_AUTH: &str = "1.3.6.1.5.5.7.3.2";
/// extendedKeyUsage: TLS servers.
pub const SERVER_AUTH: &str = "1.3.6.1.5.5.7.3.1";

/// A certificate to be: every field can be changed before it is issued.
#[derive(Clone, Debug)]
pub struct Template {
    /// Who it is for.
    pub subject: Name,
    /// Content bytes of the serial number.
    pub serial: Vec<u8>,
    /// First second of its validity.
    pub not_before: i64,
    /// Last second of its validity.
    pub not_after: i64,
    /// Version 3 if true, else version 1 without extensions.
    pub version_3: bool,
    /// In order.
    pub extensions: Vec<Extension>,
    /// How it is signed.
    pub digest: Digest,
    /// Whether its signature is damaged.
    pub damaged: bool,
}

impl Template {
    /// A device's certificate, valid from yesterday for ten years.
    pub fn device(subject: Name) -> Self {
        static SERIALS: AtomicU32 = AtomicU32::new(0x1001);
        let serial = SERIALS.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        Self {
            subject,
            serial: [&[0x51], serial.as_slice()].concat(),
            not_before: now() - DAY,
            // Half a day over: two servers that count the whole days left in different seconds count the same.
            not_after: now() + 3650 * DAY + DAY / 2,
            version_3: true,
            extensions: vec![
                Extension::basic_constraints(false, None),
                Extension::key_usage(0x80),
                Extension::extended_key_usage(&[CLIENT_AUTH]),
            ],
            digest: Digest::Usual,
            damaged: false,
        }
    }

    /// A server's certificate.
    pub fn server(names: &[&str]) -> Self {
        let mut template = Self::device(Name::common(names.first().unwrap()));
        template.extensions = vec![
            Extension::basic_constraints(false, None),
            Extension::key_usage(0x80 | 0x20),
            Extension::extended_key_usage(&[SERVER_AUTH]),
            Extension::dns_names(names),
        ];
        template
    }

    /// An authority's certificate.
    pub fn authority(name: &str) -> Self {
        let mut template = Self::device(Name::common(name));
        template.extensions =
            vec![Extension::basic_constraints(true, None), Extension::key_usage(0x04 | 0x02)];
        template
    }

    /// Puts an extension in place of the one with the same OID, or adds it.
    #[must_use]
    pub fn with(mut self, extension: Extension) -> Self {
        self.extensions.retain(|old| old.oid != extension.oid);
        self.extensions.push(extension);
        self
    }

    /// Takes an extension away.
    #[must_use]
    pub fn without(mut self, oid: &str) -> Self {
        self.extensions.retain(|old| old.oid != oid);
        self
    }

    /// Signs it.
    fn issue(&self, issuer: &Name, public_key: &[u8], signer: &Key) -> Vec<u8> {
        let Self { subject, serial, not_before, not_after, version_3, extensions, digest, damaged } = self;
        let algorithm = signer.algorithm(*digest);
        let mut parts = Vec::new();
        if *version_3 {
            parts.push(der::explicit(0, &der::small_integer(2)));
        }
        parts.extend([
            der::integer(serial),
            algorithm.clone(),
            issuer.der(),
            der::sequence(&[der::time(*not_before), der::time(*not_after)]),
            subject.der(),
            public_key.to_vec(),
        ]);
        if *version_3 && !extensions.is_empty() {
            let extensions: Vec<_> = extensions.iter().map(Extension::der).collect();
            parts.push(der::explicit(3, &der::sequence(&extensions)));
        }
        let tbs = der::sequence(&parts);
        let mut signature = signer.sign(&tbs, *digest);
        if *damaged {
            // The last byte belongs to a number in every kind of signature, so the encoding stays sound.
            *signature.last_mut().unwrap() ^= 1;
        }
        der::sequence(&[tbs, algorithm, der::bits(&signature)])
    }
}

/// A certification authority.
#[derive(Debug)]
pub struct Authority {
    name: Name,
    key: Key,
    certificate: Vec<u8>,
    /// What stands between it and its root, itself first; nothing for a root.
    above: Vec<Vec<u8>>,
    serial: Vec<u8>,
}

impl Authority {
    /// A root with a P-256 key.
    pub fn root(name: &str) -> Self {
        Self::root_with(Key::new(KeyKind::P256), Template::authority(name))
    }

    /// A root as the template has it.
    pub fn root_with(key: Key, template: Template) -> Self {
        let certificate = template.issue(&template.subject, &key.public(), &key);
        Self { name: template.subject, key, certificate, above: Vec::new(), serial: template.serial }
    }

    /// An authority below this one.
    #[must_use]
    pub fn intermediate(&self, name: &str) -> Self {
        self.intermediate_with(Template::authority(name))
    }

    /// An authority below this one as the template has it.
    #[must_use]
    pub fn intermediate_with(&self, template: Template) -> Self {
        self.intermediate_for(Key::new(KeyKind::P256), template)
    }

    /// An authority below this one with this key.
    #[must_use]
    pub fn intermediate_for(&self, key: Key, template: Template) -> Self {
        let certificate = template.issue(&self.name, &key.public(), &self.key);
        let above = std::iter::once(certificate.clone()).chain(self.above.iter().cloned()).collect();
        Self { name: template.subject, key, certificate, above, serial: template.serial }
    }

    /// Its certificate.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// Its certificate's serial number.
    pub fn serial(&self) -> &[u8] {
        &self.serial
    }

    /// Its certificate in PEM.
    pub fn pem(&self) -> String {
        der::pem("CERTIFICATE", &self.certificate)
    }

    /// Issues a certificate for a new P-256 key.
    pub fn issue(&self, template: &Template) -> Credentials {
        self.issue_for(Key::new(KeyKind::P256), template)
    }

    /// Issues a certificate for this key.
    pub fn issue_for(&self, key: Key, template: &Template) -> Credentials {
        let leaf = template.issue(&self.name, &key.public(), &self.key);
        let chain = std::iter::once(leaf).chain(self.above.iter().cloned()).collect();
        Credentials { chain, key: key.pkcs8(), serial: template.serial.clone() }
    }

    /// What it presents if it uses its own certificate as a client's.
    pub fn credentials(&self) -> Credentials {
        let mut chain = self.above.clone();
        if chain.is_empty() {
            chain.push(self.certificate.clone());
        }
        Credentials { chain, key: self.key.pkcs8(), serial: self.serial.clone() }
    }

    /// A revocation list of these serial numbers, fresh for a week.
    pub fn crl(&self, revoked: &[&[u8]]) -> Crl<'_> {
        Crl {
            issuer: self,
            revoked: revoked.iter().map(|serial| serial.to_vec()).collect(),
            this_update: now() - 3600,
            next_update: Some(now() + 7 * DAY),
            extensions: Vec::new(),
        }
    }
}

/// A certificate chain with the key of its first certificate.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// DER, the holder's own first, no root.
    pub chain: Vec<Vec<u8>>,
    /// PKCS #8.
    pub key: Vec<u8>,
    /// Content bytes of the serial number.
    pub serial: Vec<u8>,
}

impl Credentials {
    /// The chain in PEM.
    pub fn chain_pem(&self) -> String {
        self.chain.iter().map(|certificate| der::pem("CERTIFICATE", certificate)).collect()
    }

    /// The key in PEM.
    pub fn key_pem(&self) -> String {
        der::pem("PRIVATE KEY", &self.key)
    }

    /// Writes `NAME-chain.pem` and `NAME-key.pem`.
    pub fn write(&self, folder: &WorkDir, name: &str) -> (PathBuf, PathBuf) {
        let chain = folder.write(format!("{name}-chain.pem"), self.chain_pem());
        let key = folder.write_private(format!("{name}-key.pem"), self.key_pem());
        (chain, key)
    }

    /// SHA-256 of the holder's certificate, 64 lower-case hex digits.
    pub fn fingerprint(&self) -> String {
        fingerprint(self.chain.first().unwrap())
    }

    /// The serial number as Apache prints it: upper-case hex.
    pub fn serial_text(&self) -> String {
        hex(&self.serial).to_uppercase()
    }
}

/// SHA-256 of a certificate, 64 lower-case hex digits.
pub fn fingerprint(certificate: &[u8]) -> String {
    hex(&rsa::sha2::Sha256::digest(certificate))
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of base64 text.
///
/// # Panics
/// It is none.
pub fn from_base64(text: &str) -> Vec<u8> {
    pem::parse(format!("-----BEGIN X-----\n{text}\n-----END X-----\n")).unwrap().into_contents()
}

/// The blocks of PEM text, label and contents.
///
/// # Panics
/// It is none.
pub fn pem_blocks(text: &str) -> Vec<(String, Vec<u8>)> {
    let blocks = pem::parse_many(text).unwrap();
    blocks.into_iter().map(|block| (block.tag().to_owned(), block.into_contents())).collect()
}
