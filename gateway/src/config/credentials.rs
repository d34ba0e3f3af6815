//! `certificate` and `private-key`: what the gateway shows to phones, and to a backend that asks.

use std::{fmt, ops::Deref, os::unix::fs::PermissionsExt as _, path::PathBuf};

use certs::{Certificate, pem};
use pkcs8::{
    EncryptedPrivateKeyInfoRef,
    pkcs5::{EncryptionScheme, pbes2::Kdf},
};
use policies::document::{Located, Place, Table};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer};
use zeroize::{Zeroize as _, Zeroizing};

use super::{
    certificates::{self, Causes, broken_armour, line_of},
    files::Files,
};

/// A certificate chain and the key that belongs to it.
#[derive(Debug)]
pub struct ServerCredentials {
    /// The server's certificate first, then what leads towards a root.
    pub chain: Vec<Certificate>,
    /// The key of the first certificate.
    pub key: PrivateKey,
    /// The chain's file.
    pub file: PathBuf,
}

/// A private key; erased from memory when dropped, never shown.
pub struct PrivateKey(PrivateKeyDer<'static>);

impl Deref for PrivateKey {
    type Target = PrivateKeyDer<'static>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Drop for PrivateKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PrivateKey(..)")
    }
}

/// The keys of a table that name a certificate, its key and the key's passphrase.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keys {
    pub(super) certificate: &'static str,
    pub(super) private_key: &'static str,
    pub(super) passphrase: &'static str,
}

/// A host's own.
pub(super) const HOST: Keys = Keys {
    certificate: "certificate",
    private_key: "private-key",
    passphrase: "private-key-passphrase-file",
};

/// What a backend is shown.
pub(super) const BACKEND: Keys = Keys {
    certificate: "backend-certificate",
    private_key: "backend-private-key",
    passphrase: "backend-private-key-passphrase-file",
};

impl ServerCredentials {
    /// Reads chain and key, and checks that they belong together. Both must be there.
    pub(super) fn read(table: &Table<'_, '_>, files: &Files<'_, '_>, keys: Keys) -> Option<Self> {
        let certificate = table.string(keys.certificate);
        let private_key = table.string(keys.private_key);
        let passphrase = table.optional_string(keys.passphrase);
        let chain = certificate.as_ref().and_then(|path| certificates::read(files, "certificate", path));
        let key = private_key.as_ref().and_then(|path| PrivateKey::read(files, path, passphrase.as_ref()));
        let (certificate, private_key, chain, key) = (certificate?, private_key?, chain?, key?);
        check_pair(files, &certificate, &private_key, &chain, &key)?;
        check_order(files, &certificate.place, &chain);
        Some(Self { chain, key, file: files.resolve(&certificate.value) })
    }

    /// The server's own certificate.
    #[must_use]
    pub fn leaf(&self) -> Option<&Certificate> {
        self.chain.first()
    }
}

/// The key must be of a kind we can use, and the chain's first certificate must be for it.
fn check_pair(
    files: &Files<'_, '_>,
    certificate: &Located<String>,
    private_key: &Located<String>,
    chain: &[Certificate],
    key: &PrivateKey,
) -> Option<()> {
    let document = files.document();
    let signer = match any_supported_type(key) {
        Ok(signer) => signer,
        Err(error) => {
            document.error_with_hint(
                &private_key.place,
                format!(
                    "private key {} cannot be used: {error}",
                    files.resolve(&private_key.value).display()
                ),
                "RSA keys of 2048 to 8192 bits and P-256, P-384, P-521 and Ed25519 keys can",
            );
            return None;
        }
    };
    let Some(public) = signer.public_key() else {
        let message = format!(
            "private key {} cannot be compared with the certificate",
            files.resolve(&private_key.value).display()
        );
        document.error(&private_key.place, message);
        return None;
    };
    let position = chain.iter().position(|one| one.public_key().spki_der() == public.as_ref());
    match position {
        Some(0) => Some(()),
        Some(at) => {
            let message = format!(
                "the server's own certificate is number {} in {}; it must be the first",
                at + 1,
                files.resolve(&certificate.value).display()
            );
            document.error_with_hint(
                &certificate.place,
                message,
                "the order is: server, intermediates; no root is needed",
            );
            None
        }
        None => {
            let subject = chain.first().map(|leaf| leaf.subject().to_rfc4514()).unwrap_or_default();
            let message = format!(
                "private key {} does not belong to the certificate of {subject}",
                files.resolve(&private_key.value).display()
            );
            let hint = "`openssl x509 -noout -pubkey -in CERTIFICATE` and `openssl pkey -pubout -in KEY` must print the same";
            document.error_with_hint(&private_key.place, message, hint);
            None
        }
    }
}

/// Each certificate should be issued by the next; phones with small stacks do not sort a chain.
fn check_order(files: &Files<'_, '_>, place: &Place, chain: &[Certificate]) {
    for (index, pair) in chain.windows(2).enumerate() {
        if let [one, next] = pair
            && !one.issuer().equals(next.subject())
        {
            let message = format!(
                "certificate {} of the chain ({}) was not issued by the one after it ({})",
                index + 1,
                one.subject().to_rfc4514(),
                next.subject().to_rfc4514()
            );
            files.document().warning(place, message, Some("the order is: server, intermediates".to_owned()));
        }
    }
}

impl PrivateKey {
    fn read(
        files: &Files<'_, '_>,
        path: &Located<String>,
        passphrase: Option<&Located<String>>,
    ) -> Option<Self> {
        let mut contents = files.read_watched("private key", path)?;
        if contents.metadata.permissions().mode() & 0o007 != 0 {
            let message =
                format!("private key {} can be read or changed by every user", contents.path.display());
            files.document().warning(
                &path.place,
                message,
                Some(format!("chmod o= {}", contents.path.display())),
            );
        }
        let passphrase = match passphrase {
            Some(file) => Some(read_passphrase(files, file)?),
            None => None,
        };
        let key = Self::parse(&contents.bytes, passphrase.as_ref().map(|text| text.as_slice()));
        contents.bytes.zeroize();
        match key {
            Ok(key) => Some(key),
            Err(error) => {
                let message =
                    format!("private key {}: {error}", certificates::position(&contents, error.line()));
                match error.hint() {
                    Some(hint) => files.document().error_with_hint(&path.place, message, hint),
                    None => files.document().error(&path.place, message),
                }
                None
            }
        }
    }

    /// Reads the contents of a key file.
    ///
    /// # Errors
    /// What keeps it from being read.
    pub(crate) fn parse(bytes: &[u8], passphrase: Option<&[u8]>) -> Result<Self, KeyError> {
        if bytes.windows(20).any(|window| window == b"Proc-Type: 4,ENCRYPT") {
            return Err(KeyError::OldEncryption);
        }
        if !certificates::looks_like_pem(bytes) {
            let key = PrivateKeyDer::try_from(bytes.to_vec()).map_err(|_| KeyError::NoKey)?;
            return Ok(Self(key));
        }
        broken_armour(bytes).map_err(|(line, problem)| KeyError::Armour { line, problem })?;
        let blocks = pem::blocks(bytes).map_err(|error| KeyError::Armour {
            line: line_of(&error),
            problem: Causes(&error).to_string(),
        })?;
        let mut keys = blocks.into_iter().filter(|block| block.label.ends_with("PRIVATE KEY"));
        let (Some(block), None) = (keys.next(), keys.next()) else { return Err(KeyError::NoKey) };
        let der = block.contents;
        Ok(Self(match block.label.as_str() {
            "PRIVATE KEY" => PrivatePkcs8KeyDer::from(der).into(),
            "RSA PRIVATE KEY" => PrivatePkcs1KeyDer::from(der).into(),
            "EC PRIVATE KEY" => PrivateSec1KeyDer::from(der).into(),
            "ENCRYPTED PRIVATE KEY" => PrivatePkcs8KeyDer::from(decrypt(&der, passphrase)?).into(),
            _ => return Err(KeyError::UnknownLabel(block.label)),
        }))
    }
}

fn decrypt(der: &[u8], passphrase: Option<&[u8]>) -> Result<Vec<u8>, KeyError> {
    let passphrase = passphrase.ok_or(KeyError::PassphraseMissing)?;
    let encrypted = EncryptedPrivateKeyInfoRef::try_from(der).map_err(|_| KeyError::UnknownEncryption)?;
    if !is_bearable(&encrypted.encryption_algorithm) {
        return Err(KeyError::TooCostly);
    }
    let document = encrypted.decrypt(passphrase).map_err(|_| KeyError::PassphraseWrong)?;
    Ok(document.as_bytes().to_vec())
}

/// Whether opening a key encrypted in this way takes a bearable time and amount of memory. The numbers come from the file,
/// and a reload opens it again. OpenSSL's own keys take 2 048 rounds, or 16 MiB and 2^17 blocks.
fn is_bearable(scheme: &EncryptionScheme) -> bool {
    const MOST_ROUNDS: u32 = 10_000_000;
    const MOST_MEMORY: u64 = 256 << 20;
    const MOST_BLOCKS: u64 = 1 << 23;
    let EncryptionScheme::Pbes2(parameters) = scheme else {
        return true; // PKCS #5 version 1 counts its rounds with sixteen bits
    };
    match &parameters.kdf {
        Kdf::Pbkdf2(kdf) => kdf.iteration_count <= MOST_ROUNDS,
        Kdf::Scrypt(kdf) => {
            let blocks = kdf.cost_parameter.saturating_mul(u64::from(kdf.block_size));
            blocks.saturating_mul(128) <= MOST_MEMORY
                && blocks.saturating_mul(u64::from(kdf.parallelization)) <= MOST_BLOCKS
        }
        _ => true, // what else there may be is refused when it is to be computed
    }
}

/// The first line of the passphrase file, without its line end.
pub(super) fn read_passphrase(files: &Files<'_, '_>, file: &Located<String>) -> Option<Zeroizing<Vec<u8>>> {
    let contents = files.read_watched("passphrase file", file)?;
    let bytes = Zeroizing::new(contents.bytes);
    Some(Zeroizing::new(first_line(&bytes).to_vec()))
}

/// The first line, without its line end.
pub(crate) fn first_line(bytes: &[u8]) -> &[u8] {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Why a file gives no private key. Says nothing of its contents.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("{problem}")]
    Armour { line: Option<usize>, problem: String },
    #[error("there is not exactly one private key in it")]
    NoKey,
    #[error("it is encrypted in the old way of OpenSSL, which gives little protection")]
    OldEncryption,
    #[error("it is encrypted, and no passphrase is given")]
    PassphraseMissing,
    #[error("the passphrase does not open it")]
    PassphraseWrong,
    #[error("it is encrypted so that opening it would take too much time or memory")]
    TooCostly,
    #[error("it is encrypted in a way that is not known here")]
    UnknownEncryption,
    #[error("keys of the kind \"{0}\" are not known here")]
    UnknownLabel(String),
}

impl KeyError {
    const fn line(&self) -> Option<usize> {
        match self {
            Self::Armour { line, .. } => *line,
            Self::NoKey
            | Self::OldEncryption
            | Self::PassphraseMissing
            | Self::PassphraseWrong
            | Self::TooCostly
            | Self::UnknownEncryption
            | Self::UnknownLabel(_) => None,
        }
    }

    pub(crate) const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::OldEncryption | Self::TooCostly | Self::UnknownEncryption | Self::UnknownLabel(_) => {
                Some("convert it: openssl pkcs8 -topk8 -v2 aes-256-cbc -in OLD -out NEW")
            }
            Self::PassphraseMissing => Some("private-key-passphrase-file names the file that holds it"),
            Self::PassphraseWrong => Some("only the first line of the passphrase file counts"),
            Self::Armour { .. } | Self::NoKey => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use pkcs8::der::Decode as _;

    use super::*;

    fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let contents = parts.concat();
        [&[tag, u8::try_from(contents.len()).unwrap()], contents.as_slice()].concat()
    }

    /// A positive INTEGER.
    fn number(value: u32) -> Vec<u8> {
        let bytes: Vec<u8> = value.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
        let sign: &[u8] = if bytes[0] < 0x80 { &[] } else { &[0] };
        tlv(2, &[sign, &bytes])
    }

    /// PBES2 with AES-256-CBC and this key derivation (RFC 8018, appendix A).
    fn scheme_is_bearable(derivation_oid: &[u8], parameters: &[&[u8]]) -> bool {
        let derivation = tlv(0x30, &[&tlv(6, &[derivation_oid]), &tlv(0x30, parameters)]);
        let aes = tlv(6, &[&[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 0x2a]]);
        let cipher = tlv(0x30, &[&aes, &tlv(4, &[&[0; 16]])]);
        let pbes2 = tlv(6, &[&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 0x0d]]);
        let der = tlv(0x30, &[&pbes2, &tlv(0x30, &[&derivation, &cipher])]);
        is_bearable(&EncryptionScheme::from_der(&der).unwrap())
    }

    #[test]
    fn a_key_that_asks_for_hours_or_for_all_memory_is_not_opened() {
        const PBKDF2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 0x0c];
        const SCRYPT: &[u8] = &[0x2b, 6, 1, 4, 1, 0xda, 0x47, 4, 0x0b];
        let salt = tlv(4, &[&[1; 8]]);
        let rounds = |count: u32| scheme_is_bearable(PBKDF2, &[&salt, &number(count)]);
        assert!(rounds(10_000_000) && !rounds(10_000_001));
        let scrypt = |cost: u32, parallel: u8| {
            let cost = number(cost);
            scheme_is_bearable(SCRYPT, &[&salt, &cost, &tlv(2, &[&[8]]), &tlv(2, &[&[parallel]])])
        };
        assert!(scrypt(1 << 18, 4), "256 MiB");
        assert!(!scrypt(1 << 24, 1), "16 GiB");
        assert!(!scrypt(1 << 18, 5), "minutes");
    }
}
