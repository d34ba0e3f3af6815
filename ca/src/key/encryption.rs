//! Encrypted PKCS #8 (RFC 5958, RFC 8018), with the key derivation done by aws-lc: a tenth of the time of a plain one.

use std::num::NonZeroU32;

use aws_lc_rs::cipher::{
    AES_256, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey, PaddedBlockEncryptingKey,
    UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::pbkdf2::{self, PBKDF2_HMAC_SHA256};
use der::asn1::OctetStringRef;
use der::{Decode, Encode};
use pkcs8::EncryptedPrivateKeyInfo;
use pkcs8::pkcs5::EncryptionScheme;
use pkcs8::pkcs5::pbes2::{self, Kdf, Parameters, Pbkdf2Params, Pbkdf2Prf};
use zeroize::Zeroizing;

use super::KeyError;
use crate::passphrase::Passphrase;
use crate::random::RandomSource;

/// Rounds of PBKDF2-HMAC-SHA-256: the number OWASP recommends.
const ROUNDS: u32 = 600_000;

/// What is not worth waiting for: a file that asks for more rounds is refused, not computed for hours.
const MOST_ROUNDS: u32 = 10_000_000;

/// Encrypts a `PrivateKeyInfo` with a fresh salt and initialisation vector.
pub(super) fn encrypt(
    pkcs8: &[u8],
    passphrase: &Passphrase,
    random: &dyn RandomSource,
) -> Result<Vec<u8>, KeyError> {
    let mut salt = [0_u8; 16];
    let mut iv = [0_u8; 16];
    random.fill(&mut salt)?;
    random.fill(&mut iv)?;

    let mut data = Zeroizing::new(Vec::with_capacity(pkcs8.len() + 16));
    data.extend_from_slice(pkcs8);
    let key = derived(passphrase, &salt, ROUNDS)?;
    PaddedBlockEncryptingKey::cbc_pkcs7(key)
        .and_then(|key| key.less_safe_encrypt(&mut *data, EncryptionContext::Iv128(FixedLength::from(iv))))
        .map_err(|_failed| unsupported("AES-256-CBC failed"))?;

    let kdf = Pbkdf2Params::hmac_sha256(ROUNDS, &salt).map_err(unsupported)?;
    let parameters =
        Parameters { kdf: Kdf::Pbkdf2(kdf), encryption: pbes2::EncryptionScheme::Aes256Cbc { iv } };
    EncryptedPrivateKeyInfo {
        encryption_algorithm: EncryptionScheme::Pbes2(parameters),
        encrypted_data: OctetStringRef::new(&data).map_err(unsupported)?,
    }
    .to_der()
    .map_err(unsupported)
}

/// Opens an `EncryptedPrivateKeyInfo`: our own scheme quickly, every other that PKCS #5 knows by the general way.
pub(super) fn decrypt(der: &[u8], passphrase: &Passphrase) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let info = EncryptedPrivateKeyInfo::<&OctetStringRef>::from_der(der).map_err(unsupported)?;
    let ciphertext = info.encrypted_data.as_bytes();
    let EncryptionScheme::Pbes2(parameters) = &info.encryption_algorithm else {
        return Err(unsupported("PKCS #5 version 1"));
    };
    if let Kdf::Pbkdf2(kdf) = &parameters.kdf {
        if kdf.iteration_count > MOST_ROUNDS {
            return Err(unsupported(format!("{} rounds of PBKDF2", kdf.iteration_count)));
        }
        if let (Pbkdf2Prf::HmacWithSha256, pbes2::EncryptionScheme::Aes256Cbc { iv }) =
            (kdf.prf, parameters.encryption)
        {
            let key = derived(passphrase, kdf.salt.as_ref(), kdf.iteration_count)?;
            let mut data = Zeroizing::new(ciphertext.to_vec());
            let plain = PaddedBlockDecryptingKey::cbc_pkcs7(key)
                .and_then(|key| key.decrypt(&mut data, DecryptionContext::Iv128(FixedLength::from(iv))))
                .map_err(|_padding| KeyError::WrongPassphrase)?;
            return plausible(Zeroizing::new(plain.to_vec()));
        }
    }
    let plain = parameters.decrypt(passphrase.as_bytes(), ciphertext).map_err(|error| {
        if error == pkcs8::pkcs5::Error::DecryptFailed {
            KeyError::WrongPassphrase
        } else {
            unsupported(error)
        }
    })?;
    plausible(Zeroizing::new(plain))
}

/// Whether `der` has the shape of an encrypted key.
pub(super) fn is_encrypted(der: &[u8]) -> bool {
    EncryptedPrivateKeyInfo::<&OctetStringRef>::from_der(der).is_ok()
}

/// One wrong passphrase in 256 leaves valid padding, but not a well-formed key.
fn plausible(plain: Zeroizing<Vec<u8>>) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    match der::AnyRef::from_der(&plain) {
        Ok(_) => Ok(plain),
        Err(_) => Err(KeyError::WrongPassphrase),
    }
}

fn derived(passphrase: &Passphrase, salt: &[u8], rounds: u32) -> Result<UnboundCipherKey, KeyError> {
    let rounds = NonZeroU32::new(rounds).ok_or_else(|| unsupported("no rounds of PBKDF2"))?;
    let mut key = Zeroizing::new([0_u8; 32]);
    pbkdf2::derive(PBKDF2_HMAC_SHA256, rounds, salt, passphrase.as_bytes(), &mut *key);
    UnboundCipherKey::new(&AES_256, &*key).map_err(|_failed| unsupported("AES-256"))
}

fn unsupported(what: impl std::fmt::Display) -> KeyError {
    KeyError::EncryptionUnsupported(what.to_string())
}
