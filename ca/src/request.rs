//! Certification requests (RFC 2986): judging those that come in, making those that go to an outside authority.

use std::fs::File;
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};

use certs::{CertificationRequest, GeneralName, Hash, ParseError, PublicKey};
use der::asn1::{Any, ObjectIdentifier, SetOfVec};
use der::{Decode, Encode, Sequence};
use x509_cert::attr::Attribute;
use x509_cert::ext::Extension;
use x509_cert::spki::AlgorithmIdentifierOwned;

use crate::error::IssueError;
use crate::key::{PrivateKey, armour};
use crate::key_policy::{WeakKey, check_key, impossible};
use crate::profile::subject_alt_name;
use crate::server_name::ServerName;
use crate::store::FileError;
use crate::subject::{NameError, SubjectName};
use crate::template::assemble;

/// A request that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// Neither common name nor subject alternative name says which host it is for.
    #[error("the request names no host")]
    NoName,
    /// A name in it is not acceptable.
    #[error("the request asks for a name that cannot be given")]
    Name(#[from] NameError),
    /// It is signed with RSA-PSS and a salt of another length than everybody's.
    #[error(
        "the request is signed with RSA-PSS and {salt} octets of salt, which is not verified: {hash} are usual, as its hash has"
    )]
    PssSalt {
        /// Octets of the hash.
        hash: u8,
        /// Octets of salt.
        salt: u64,
    },
    /// It is damaged, or not signed with its own key.
    #[error("the request is refused")]
    Refused(#[source] ParseError),
    /// The file has more octets than any request, and was not read to its end.
    #[error("{} is larger than any request: more than {} kB", path.display(), MAX_FILE / 1024)]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The key is too weak.
    #[error("the request's key is refused")]
    WeakKey(#[from] WeakKey),
    /// The request's own signature is too weak.
    #[error("the request is signed with {0}, which anyone can forge")]
    WeakSignature(Hash),
}

impl RequestError {
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::NoName => Some("make the request with `-subj /CN=FQDN`".to_owned()),
            Self::WeakKey(WeakKey::RsaSize { .. }) => Some(
                "old guides show 1024-bit keys; phones take 2048: openssl req -new -newkey rsa:2048 -nodes -keyout privkey.pem -out provserver.csr"
                    .to_owned(),
            ),
            Self::WeakKey(_) => Some("make a new key: openssl genrsa -out privkey.pem 2048".to_owned()),
            Self::PssSalt { .. } => Some(
                "make the request again with `-sigopt rsa_pss_saltlen:digest`, or without RSA-PSS".to_owned(),
            ),
            Self::WeakSignature(_) => Some("make the request again with `-sha256`".to_owned()),
            Self::Refused(ParseError::ProofOfPossession) => {
                Some("the request was changed after it was signed, or signed with another key".to_owned())
            }
            Self::Refused(ParseError::UnsupportedAlgorithm { .. }) => {
                Some("sign it with SHA-256 and an RSA key, or one on P-256: openssl req -new -sha256".to_owned())
            }
            Self::Name(_) | Self::Refused(_) | Self::TooLarge { .. } => None,
        }
    }
}

/// The longest file that is read as a request, in octets: the largest request in base64, with OpenSSL's description before it.
const MAX_FILE: usize = 4 * CertificationRequest::MAX_SIZE;

/// Reads a request's file, PEM or DER, and no more of it than a request can have.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, IssueError> {
    let failed = |source| FileError::new("read", path, source);
    let mut contents = Vec::new();
    let limit = u64::try_from(MAX_FILE).unwrap_or(u64::MAX);
    File::open(path).map_err(failed)?.take(limit + 1).read_to_end(&mut contents).map_err(failed)?;
    if contents.len() > MAX_FILE {
        return Err(RequestError::TooLarge { path: path.to_owned() }.into());
    }
    Ok(contents)
}

/// What we take from a server's request: the key and the host names. Everything else in it is left out.
#[derive(Debug, Clone)]
pub struct ServerRequestContent {
    /// The `SubjectPublicKeyInfo`, DER, byte for byte.
    pub(crate) public_key: Vec<u8>,
    /// The host names, the common name first.
    pub(crate) names: Vec<ServerName>,
    /// What the request asked for and does not get, for the operator to read (CA B3).
    pub ignored: Vec<String>,
}

impl ServerRequestContent {
    /// Reads a request, PEM or DER, and checks proof of possession, key and names (CA B1–B6).
    pub fn read(contents: &[u8]) -> Result<Self, RequestError> {
        let request = verified(contents)?;
        let mut ignored = Vec::new();
        let names = names(&request, &mut ignored)?;
        for extension in request.requested_extensions() {
            if extension.oid.to_string() != "2.5.29.17" {
                ignored.push(describe(extension));
            }
        }
        Ok(Self { public_key: request.public_key().spki_der().to_vec(), names, ignored })
    }

    /// The host the request is for.
    pub fn host(&self) -> &ServerName {
        &self.names[0]
    }
}

/// What a device's certification request may give: a key, and nothing else. Who the device is, the operator says.
#[derive(Debug, Clone)]
pub struct DeviceRequestContent {
    /// The `SubjectPublicKeyInfo`, DER, byte for byte.
    pub(crate) public_key: Vec<u8>,
    /// What the request asked for and does not get, for the operator to read (CA B3).
    pub ignored: Vec<String>,
}

impl DeviceRequestContent {
    /// Reads a request, PEM or DER, and checks proof of possession and key (CA B1, B2, B5, B6).
    pub fn read(contents: &[u8]) -> Result<Self, RequestError> {
        let request = verified(contents)?;
        let subject = request.subject().attributes().count() > 0;
        let ignored = subject.then(|| format!("the subject {}", request.subject().to_rfc4514()));
        let ignored =
            ignored.into_iter().chain(request.requested_extensions().iter().map(describe)).collect();
        Ok(Self { public_key: request.public_key().spki_der().to_vec(), ignored })
    }
}

/// A request whose signature and key are good.
pub(crate) fn verified(contents: &[u8]) -> Result<CertificationRequest, RequestError> {
    let request = CertificationRequest::parse_file(contents).map_err(|error| explain(contents, error))?;
    // What was verified decides, so that no way of padding is forgotten.
    if let Some(hash @ (Hash::Md5 | Hash::Sha1)) = request.signature_algorithm().hash() {
        return Err(RequestError::WeakSignature(hash));
    }
    check_key(request.public_key())?;
    Ok(request)
}

/// Why a request is refused: a signature that cannot be verified is often no more than the consequence of a bad key or hash, and
/// that is what its maker can mend.
fn explain(contents: &[u8], error: ParseError) -> RequestError {
    let claims = Claims::of(contents).unwrap_or_default();
    if let Some(hash) = claims.weak_hash {
        return RequestError::WeakSignature(hash);
    }
    let is_of_key = matches!(error, ParseError::Der { .. });
    let is_of_signature =
        matches!(error, ParseError::ProofOfPossession | ParseError::UnsupportedAlgorithm { .. });
    match (claims.weak_key, claims.salt) {
        (Some(WrongKey::Impossible(wrong)), _) if is_of_key => RequestError::WeakKey(wrong),
        (Some(WrongKey::Weak(weak)), _) if is_of_signature => RequestError::WeakKey(weak),
        (_, Some((hash, salt))) if is_of_signature => RequestError::PssSalt { hash, salt },
        (_, _) => RequestError::Refused(error),
    }
}

/// What a request says that we cannot verify.
#[derive(Default)]
struct Claims {
    /// The hash it is signed with.
    weak_hash: Option<Hash>,
    /// What is wrong with its key.
    weak_key: Option<WrongKey>,
    /// The octets of hash and salt of a signature with RSA-PSS, where they differ.
    salt: Option<(u8, u64)>,
}

/// A key that is not to be certified.
enum WrongKey {
    /// It is none, and is not read as one.
    Impossible(WeakKey),
    Weak(WeakKey),
}

/// What RSA-PSS is used with (RFC 8017 appendix A.2.3).
#[derive(Sequence)]
struct PssParameters {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    hash: Option<AlgorithmIdentifierOwned>,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", optional = "true")]
    mask: Option<Any>,
    #[asn1(context_specific = "2", tag_mode = "EXPLICIT", optional = "true")]
    salt: Option<u64>,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT", optional = "true")]
    trailer: Option<u64>,
}

/// The octets of hash and salt, where they differ.
fn unusual_salt(algorithm: &AlgorithmIdentifierOwned) -> Option<(u8, u64)> {
    if algorithm.oid.to_string() != "1.2.840.113549.1.1.10" {
        return None;
    }
    let PssParameters { hash, salt, .. } = algorithm.parameters.as_ref()?.decode_as().ok()?;
    let octets = match hash?.oid.to_string().as_str() {
        "2.16.840.1.101.3.4.2.1" => 32,
        "2.16.840.1.101.3.4.2.2" => 48,
        "2.16.840.1.101.3.4.2.3" => 64,
        _ => return None,
    };
    let salt = salt.unwrap_or(20); // what the standard means where nothing is said
    (salt != u64::from(octets)).then_some((octets, salt))
}

impl Claims {
    fn of(contents: &[u8]) -> Option<Self> {
        if contents.len() > MAX_FILE {
            return None;
        }
        let der =
            pem::parse(contents).map(pem::Pem::into_contents).unwrap_or_else(|_not_pem| contents.to_vec());
        let mut reader = der::SliceReader::new(&der).ok()?;
        let parts: Vec<der::AnyRef<'_>> = Vec::decode(&mut reader).ok()?;
        let algorithm: AlgorithmIdentifierOwned = parts.get(1)?.decode_as().ok()?;
        let weak_hash = match algorithm.oid.to_string().as_str() {
            "1.2.840.113549.1.1.4" => Some(Hash::Md5),
            "1.2.840.113549.1.1.5" | "1.3.14.3.2.29" | "1.2.840.10045.4.1" => Some(Hash::Sha1),
            _ => None,
        };
        let info: Vec<der::AnyRef<'_>> = parts.first()?.decode_as().ok()?;
        let key = info.get(2).and_then(|key| key.to_der().ok()).unwrap_or_default();
        let weak_key = match PublicKey::from_spki_der(&key) {
            Ok(key) => check_key(&key).err().map(WrongKey::Weak),
            Err(_) => impossible(&key).map(WrongKey::Impossible),
        };
        Some(Self { weak_hash, weak_key, salt: unusual_salt(&algorithm) })
    }
}

fn names(request: &CertificationRequest, ignored: &mut Vec<String>) -> Result<Vec<ServerName>, RequestError> {
    let mut names = Vec::new();
    let mut add = |name: ServerName| {
        if !names.contains(&name) {
            names.push(name);
        }
    };
    for attribute in request.subject().attributes() {
        if *attribute.oid() == certs::oid::COMMON_NAME {
            let refused =
                |_not_text| NameError::HostName { value: "common name".to_owned(), why: "it is no text" };
            add(ServerName::from_common_name(&attribute.text().map_err(refused)?)?);
        } else {
            ignored.push(format!("{} in the subject", attribute.oid()));
        }
    }
    for name in request.requested_names().map(certs::SubjectAltNames::names).into_iter().flatten() {
        if let GeneralName::Dns(host) = name {
            add(ServerName::host(host)?);
        } else {
            ignored.push(format!("the name {name}"));
        }
    }
    if names.is_empty() { Err(RequestError::NoName) } else { Ok(names) }
}

/// Says plainly what was asked for and is not given.
fn describe(extension: &certs::Extension) -> String {
    let name = match extension.oid.to_string().as_str() {
        "2.5.29.14" => "a subject key identifier",
        "2.5.29.15" => "key usage",
        "2.5.29.19" => "basic constraints (to be an authority, perhaps)",
        "2.5.29.30" => "name constraints",
        "2.5.29.31" => "CRL distribution points",
        "2.5.29.32" => "certificate policies",
        "2.5.29.35" => "an authority key identifier",
        "2.5.29.37" => "extended key usage",
        "1.3.6.1.5.5.7.1.1" => "authority information access",
        _ => return format!("the extension {}", extension.oid),
    };
    name.to_owned()
}

#[derive(Sequence)]
struct RequestInfo {
    version: u8,
    subject: Any,
    public_key: Any,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT")]
    attributes: SetOfVec<Attribute>,
}

/// A request for an outside authority.
#[derive(Debug)]
pub struct NewRequest {
    /// PEM, label `CERTIFICATE REQUEST`.
    pub pem: String,
    der: Vec<u8>,
}

impl NewRequest {
    /// Signs a request for `subject` and the host names with the server's own key.
    pub fn sign(subject: &SubjectName, names: &[ServerName], key: &PrivateKey) -> Result<Self, IssueError> {
        let wanted: Vec<Extension> = vec![subject_alt_name(names)?];
        let mut values = SetOfVec::new();
        values.insert(Any::from_der(&wanted.to_der()?)?)?;
        let mut attributes = SetOfVec::new();
        attributes.insert(Attribute { oid: EXTENSION_REQUEST, values })?;
        let info = RequestInfo {
            version: 0,
            subject: Any::from_der(&subject.to_der())?,
            public_key: Any::from_der(&key.public_key_der())?,
            attributes,
        }
        .to_der()?;
        let algorithm: AlgorithmIdentifierOwned = key.signature_algorithm();
        let der = assemble(&info, &algorithm, &key.sign(&info)?)?;
        CertificationRequest::parse(&der).map_err(RequestError::Refused)?;
        Ok(Self { pem: armour("CERTIFICATE REQUEST", &der), der })
    }

    /// The request, DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The PEM text as the one file of a ZIP archive, as the phones' maker wants it sent.
    pub fn zipped(&self, file_name: &str) -> std::io::Result<Vec<u8>> {
        let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
        archive.start_file(file_name, zip::write::SimpleFileOptions::default())?;
        archive.write_all(self.pem.as_bytes())?;
        Ok(archive.finish()?.into_inner())
    }
}

/// A request for an authority's own certificate, DER: a name and a key, and whoever signs decides the rest.
pub(crate) fn authority_request(
    subject: &[u8],
    public_key: &[u8],
    signer: &dyn crate::signer::Signer,
) -> Result<Vec<u8>, IssueError> {
    let info = RequestInfo {
        version: 0,
        subject: Any::from_der(subject)?,
        public_key: Any::from_der(public_key)?,
        attributes: SetOfVec::new(),
    }
    .to_der()?;
    let der = assemble(&info, &signer.algorithm(), &signer.sign(&info)?)?;
    CertificationRequest::parse(&der).map_err(RequestError::Refused)?;
    Ok(der)
}

const EXTENSION_REQUEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.14");

#[cfg(test)]
mod tests {
    use der::Tag;
    use x509_cert::attr::AttributeTypeAndValue;

    use super::*;
    use crate::key::KeyType;

    /// A request whose common name is exactly these bytes.
    fn request_for(common_name: &[u8]) -> Vec<u8> {
        let key = PrivateKey::generate(KeyType::P256).unwrap();
        let oid = ObjectIdentifier::new_unwrap("2.5.4.3");
        let value = Any::new(Tag::Utf8String, common_name).unwrap();
        let mut rdn = SetOfVec::new();
        rdn.insert(AttributeTypeAndValue { oid, value }).unwrap();
        let info = RequestInfo {
            version: 0,
            subject: Any::from_der(&vec![rdn].to_der().unwrap()).unwrap(),
            public_key: Any::from_der(&key.public_key_der()).unwrap(),
            attributes: SetOfVec::new(),
        };
        let info = info.to_der().unwrap();
        assemble(&info, &key.signature_algorithm(), &key.sign(&info).unwrap()).unwrap()
    }

    #[test]
    fn b4_a_nul_in_a_name_does_not_cut_it_short() {
        let refused =
            ServerRequestContent::read(&request_for(b"prov.example.com\0.evil.example")).unwrap_err();
        assert!(matches!(refused, RequestError::Name(NameError::HostName { .. })), "{refused:?}");
        let good = ServerRequestContent::read(&request_for(b"prov.example.com")).unwrap();
        assert_eq!(good.host().to_string(), "prov.example.com");
    }

    #[test]
    fn b1_every_changed_byte_is_refused() {
        let good = request_for(b"prov.example.com");
        for position in 0..good.len() {
            let mut changed = good.clone();
            changed[position] ^= 0x01;
            assert!(ServerRequestContent::read(&changed).is_err(), "byte {position}");
        }
        assert!(ServerRequestContent::read(&good).is_ok());
    }

    #[test]
    fn b9_random_bytes_never_panic() {
        proptest::proptest!(|(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200))| {
            let _either = ServerRequestContent::read(&bytes);
        });
    }
}
