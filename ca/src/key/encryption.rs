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

/// The most memory that scrypt may take, in bytes; OpenSSL's own keys take 16 MiB.
const MOST_MEMORY: u64 = 256 * 1024 * 1024;

/// The most work of scrypt, cost times block size times parallelisation: some seconds; OpenSSL's own keys take 2^17.
const MOST_WORK: u64 = 1 << 23;

/// Whether opening a key encrypted in this way takes a bearable time and amount of memory. The numbers come from the
/// file, which may be anybody's.
///
/// # Errors
/// [`KeyError::TooCostly`].
pub fn check_decryption_cost(scheme: &EncryptionScheme) -> Result<(), KeyError> {
    let EncryptionScheme::Pbes2(parameters) = scheme else {
        return Ok(()); // PKCS #5 version 1 counts its rounds with sixteen bits
    };
    let too_costly = |what: String| Err(KeyError::TooCostly(what));
    match &parameters.kdf {
        Kdf::Pbkdf2(kdf) if kdf.iteration_count > MOST_ROUNDS => {
            too_costly(format!("{} rounds of PBKDF2", kdf.iteration_count))
        }
        Kdf::Scrypt(kdf) => {
            let (cost, parallel) = (kdf.cost_parameter, u64::from(kdf.parallelization));
            let blocks = cost.saturating_mul(u64::from(kdf.block_size));
            if blocks.saturating_mul(128) > MOST_MEMORY {
                return too_costly(format!("{} MiB of memory for scrypt", blocks.saturating_mul(128) >> 20));
            }
            if blocks.saturating_mul(parallel) > MOST_WORK {
                return too_costly(format!("{} blocks of scrypt", blocks.saturating_mul(parallel)));
            }
            Ok(())
        }
        Kdf::Pbkdf2(_) | _ => Ok(()), // what else there may be is refused when it is to be computed
    }
}

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
    check_decryption_cost(&info.encryption_algorithm)?;
    if let Kdf::Pbkdf2(kdf) = &parameters.kdf
        && let (Pbkdf2Prf::HmacWithSha256, pbes2::EncryptionScheme::Aes256Cbc { iv }) =
            (kdf.prf, parameters.encryption)
    {
        let key = derived(passphrase, kdf.salt.as_ref(), kdf.iteration_count)?;
        let mut data = Zeroizing::new(ciphertext.to_vec());
        let plain = PaddedBlockDecryptingKey::cbc_pkcs7(key)
            .and_then(|key| key.decrypt(&mut data, DecryptionContext::Iv128(FixedLength::from(iv))))
            .map_err(|_padding| KeyError::WrongPassphrase)?;
        return plausible(Zeroizing::new(plain.to_vec()));
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

#[cfg(test)]
mod tests {
    use pkcs8::pkcs5::pbes2::{Salt, ScryptParams};

    use super::*;

    fn encrypted(kdf: Kdf) -> Vec<u8> {
        let encryption = pbes2::EncryptionScheme::Aes256Cbc { iv: [0; 16] };
        EncryptedPrivateKeyInfo {
            encryption_algorithm: EncryptionScheme::Pbes2(Parameters { kdf, encryption }),
            encrypted_data: OctetStringRef::new(&[0; 32]).unwrap(),
        }
        .to_der()
        .unwrap()
    }

    fn scrypt(cost: u64, block_size: u16, parallelization: u16) -> KeyError {
        let salt = Salt::new(b"saltsalt").unwrap();
        let kdf = ScryptParams { salt, cost_parameter: cost, block_size, parallelization, key_length: None };
        decrypt(&encrypted(Kdf::Scrypt(kdf)), &Passphrase::new("x")).unwrap_err()
    }

    fn rounds(rounds: u32, prf: Pbkdf2Prf) -> KeyError {
        let mut kdf = Pbkdf2Params::hmac_sha256(rounds, b"saltsalt").unwrap();
        kdf.prf = prf;
        decrypt(&encrypted(Kdf::Pbkdf2(kdf)), &Passphrase::new("x")).unwrap_err()
    }

    #[test]
    fn i9_a_file_that_asks_for_too_much_memory_or_time_is_refused_not_computed() {
        for (cost, block_size, parallel) in
            [(1 << 34, 8, 1), (1 << 19, 8, 1), (1 << 14, 8, 65), (1 << 63, u16::MAX, u16::MAX)]
        {
            let refused = scrypt(cost, block_size, parallel);
            assert!(matches!(refused, KeyError::TooCostly(_)), "{cost} {block_size} {parallel}: {refused}");
        }
        // What OpenSSL writes is computed, and found to be encrypted with another passphrase.
        assert!(matches!(scrypt(1 << 14, 8, 1), KeyError::WrongPassphrase));
    }

    #[test]
    fn i9_too_many_rounds_are_refused_whatever_the_hash() {
        for prf in [Pbkdf2Prf::HmacWithSha256, Pbkdf2Prf::HmacWithSha384, Pbkdf2Prf::HmacWithSha512] {
            assert!(matches!(rounds(10_000_001, prf), KeyError::TooCostly(_)));
            assert!(matches!(rounds(1_000, prf), KeyError::WrongPassphrase));
        }
    }
}
