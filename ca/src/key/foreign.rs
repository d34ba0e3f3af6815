//! The public half of keys that we would not use ourselves, such as RSA with 1024 bits, so that they can be explained.

use der::asn1::{Any, BitString, ObjectIdentifier, OctetStringRef, UintRef};
use der::{AnyRef, Decode, Encode, Reader, Sequence, SliceReader};
use zeroize::Zeroizing;

use super::encryption;
use crate::passphrase::Passphrase;

/// What a private key is, when it is none that [`PrivateKey`](super::PrivateKey) takes.
pub(crate) enum ForeignKey {
    /// An RSA key: its `SubjectPublicKeyInfo`, DER.
    Rsa(Vec<u8>),
    /// A key of this algorithm.
    Other(ObjectIdentifier),
}

/// Reads PKCS #8, plain or encrypted, or PKCS #1.
pub(crate) fn read(der: &[u8], passphrase: Option<&Passphrase>) -> Option<ForeignKey> {
    let plain = if encryption::is_encrypted(der) {
        encryption::decrypt(der, passphrase?).ok()?
    } else {
        Zeroizing::new(der.to_vec())
    };
    if let Some(public) = rsa(&plain) {
        return Some(ForeignKey::Rsa(public));
    }
    let (algorithm, inner) = pkcs8(&plain).ok()?;
    if algorithm == RSA_ENCRYPTION {
        rsa(inner).map(ForeignKey::Rsa)
    } else {
        Some(ForeignKey::Other(algorithm))
    }
}

/// The algorithm and the key inside a `PrivateKeyInfo` (RFC 5958).
pub(super) fn pkcs8(der: &[u8]) -> der::Result<(ObjectIdentifier, &[u8])> {
    AnyRef::from_der(der)?.sequence(|reader| {
        let _version = u8::decode(reader)?;
        let algorithm = AnyRef::decode(reader)?.sequence(|inner| {
            let oid = ObjectIdentifier::decode(inner)?;
            let _parameters = Option::<AnyRef<'_>>::decode(inner)?;
            Ok::<_, der::Error>(oid)
        })?;
        let key = <&OctetStringRef>::decode(reader)?.as_bytes();
        while !reader.is_finished() {
            let _attributes = AnyRef::decode(reader)?;
        }
        Ok((algorithm, key))
    })
}

#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    exponent: UintRef<'a>,
}

#[derive(Sequence)]
struct SubjectPublicKeyInfo {
    algorithm: Vec<Any>,
    key: BitString,
}

/// The public half of an `RSAPrivateKey` (RFC 8017 appendix A.1.2), as a `SubjectPublicKeyInfo`.
fn rsa(der: &[u8]) -> Option<Vec<u8>> {
    let mut outer = SliceReader::new(der).ok()?;
    let key = AnyRef::decode(&mut outer).ok()?;
    let mut reader = SliceReader::new(key.value()).ok()?;
    let _version = u8::decode(&mut reader).ok()?;
    let public = RsaPublicKey {
        modulus: UintRef::decode(&mut reader).ok()?,
        exponent: UintRef::decode(&mut reader).ok()?,
    };
    let algorithm = vec![Any::encode_from(&RSA_ENCRYPTION).ok()?, Any::null()];
    SubjectPublicKeyInfo { algorithm, key: BitString::from_bytes(&public.to_der().ok()?).ok()? }.to_der().ok()
}

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{KeyType, PrivateKey};

    #[test]
    fn finds_the_same_public_half_as_the_library() {
        let key = PrivateKey::generate(KeyType::Rsa2048).unwrap();
        let Some(ForeignKey::Rsa(found)) = read(&key.pkcs8, None) else { panic!("not read") };
        assert_eq!(found, key.public_key_der());
    }
}
