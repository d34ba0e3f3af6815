//! A key that was made elsewhere, put into a token: it cannot be read out of it again.
//!
//! Nothing makes the token forget that the key was outside once (its `CKA_ALWAYS_SENSITIVE` is false); the file it came from is
//! the operator's to destroy.

use cryptoki::object::{Attribute, KeyType as TokenKeyType, ObjectClass};
use cryptoki::session::Session;
use der::asn1::{AnyRef, OctetString, OctetStringRef, UintRef};
use der::{Decode, Encode, Reader, Sequence};
use zeroize::Zeroize;

use super::{KeyUri, Token, TokenError, TokenKey, find, open, public, refusal};
use crate::key::{KeyError, Pair, PrivateKey, foreign};
use crate::passphrase::Passphrase;
use crate::signer::Signer;
use certs::{Fingerprint, PublicKey};

/// RFC 8017 appendix A.1.2, of two primes.
#[derive(Sequence)]
struct RsaPrivateKey<'a> {
    version: u8,
    modulus: UintRef<'a>,
    public_exponent: UintRef<'a>,
    private_exponent: UintRef<'a>,
    prime_1: UintRef<'a>,
    prime_2: UintRef<'a>,
    exponent_1: UintRef<'a>,
    exponent_2: UintRef<'a>,
    coefficient: UintRef<'a>,
}

/// Attributes that hold a private key; wiped when dropped.
struct Secret(Vec<Attribute>);

impl Drop for Secret {
    fn drop(&mut self) {
        for attribute in &mut self.0 {
            if let Attribute::Value(octets)
            | Attribute::PrivateExponent(octets)
            | Attribute::Prime1(octets)
            | Attribute::Prime2(octets)
            | Attribute::Exponent1(octets)
            | Attribute::Exponent2(octets)
            | Attribute::Coefficient(octets) = attribute
            {
                octets.zeroize();
            }
        }
    }
}

impl TokenKey {
    /// Whether keys of this kind are put into tokens.
    ///
    /// # Errors
    /// They are not.
    pub(crate) fn takes(key: &PrivateKey) -> Result<(), TokenError> {
        match key.pair {
            Pair::Rsa(_) | Pair::P256(_) => Ok(()),
            Pair::P384(_) | Pair::P521(_) | Pair::Ed25519(_) => {
                let kind = PublicKey::from_spki_der(&key.public_key_der());
                let kind =
                    kind.map_or_else(|_unreadable| "another".to_owned(), |key| key.algorithm().to_string());
                Err(TokenError::KindNotKept { kind })
            }
        }
    }

    /// Puts a key into the token, called `object` there, and proves with a signature that it is in it. Its id is made of its
    /// public half, so that what a killed command put in is found again.
    ///
    /// # Errors
    /// The token does not take it; then nothing of it is there.
    pub(crate) fn import(
        token: &Token,
        object: &str,
        key: &PrivateKey,
        pin: &Passphrase,
    ) -> Result<Self, KeyError> {
        Self::takes(key)?;
        let public_key = key.public_key_der();
        let id = Fingerprint::of(&public_key).as_bytes().iter().take(16).copied().collect();
        let uri = KeyUri { token: token.clone(), object: object.to_owned(), id };
        if let Ok(there) = Self::proved(open(token, pin, true)?, &uri, &public_key) {
            return Ok(there);
        }
        let session = open(token, pin, true)?;
        remove(&session, &uri)?;
        let (private, public) = templates(key, &uri).ok_or(KeyError::Rejected)?;
        let made = session
            .create_object(&private.0)
            .and_then(|_private| session.create_object(&public))
            .map_err(refusal(TAKE));
        drop(private);
        if let Err(error) = made {
            remove(&session, &uri)?;
            return Err(error.into());
        }
        Self::proved(session, &uri, &public_key).inspect_err(|_error| {
            // Best effort: the first error is the one to tell.
            let _left = open(token, pin, true).and_then(|session| remove(&session, &uri));
        })
    }

    /// The key of this name, when its public half is this and it signs.
    fn proved(session: Session, uri: &KeyUri, public_key: &[u8]) -> Result<Self, KeyError> {
        let key = Self::found(session, uri.clone())?;
        if key.public_key_der() != public_key {
            return Err(TokenError::Signature.into());
        }
        // `sign` checks what the token gives.
        key.sign(b"a key that was put into a token").map(|_signature| key)
    }
}

/// What a token refuses to do that takes no key from outside.
pub(super) const TAKE: &str = "take a key that was made elsewhere";

/// Removes what a killed command put in under this name and id.
fn remove(session: &Session, uri: &KeyUri) -> Result<(), TokenError> {
    for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
        match find(session, uri, class) {
            Ok(handle) => session.destroy_object(handle).map_err(refusal("remove a key"))?,
            Err(TokenError::NoKey { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The attributes of both halves; nothing when the key is not what it was when it was read.
fn templates(key: &PrivateKey, uri: &KeyUri) -> Option<(Secret, Vec<Attribute>)> {
    let (_algorithm, inner) = foreign::pkcs8(&key.pkcs8).ok()?;
    let both = [
        Attribute::Token(true),
        Attribute::Label(uri.object.as_bytes().to_vec()),
        Attribute::Id(uri.id.clone()),
    ];
    let mut private = vec![
        Attribute::Class(ObjectClass::PRIVATE_KEY),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
    ];
    let mut public =
        vec![Attribute::Class(ObjectClass::PUBLIC_KEY), Attribute::Private(false), Attribute::Verify(true)];
    private.extend(both.clone());
    public.extend(both);
    let mut secret = Secret(private);
    match key.pair {
        Pair::Rsa(_) => {
            let rsa = RsaPrivateKey::from_der(inner).ok()?;
            let octets = |number: UintRef<'_>| number.as_bytes().to_vec();
            let open = [
                Attribute::KeyType(TokenKeyType::RSA),
                Attribute::Modulus(octets(rsa.modulus)),
                Attribute::PublicExponent(octets(rsa.public_exponent)),
            ];
            public.extend(open.clone());
            secret.0.extend(open);
            secret.0.extend([
                Attribute::PrivateExponent(octets(rsa.private_exponent)),
                Attribute::Prime1(octets(rsa.prime_1)),
                Attribute::Prime2(octets(rsa.prime_2)),
                Attribute::Exponent1(octets(rsa.exponent_1)),
                Attribute::Exponent2(octets(rsa.exponent_2)),
                Attribute::Coefficient(octets(rsa.coefficient)),
            ]);
        }
        Pair::P256(_) => {
            let spki = PublicKey::from_spki_der(&key.public_key_der()).ok()?;
            let point = OctetString::new(spki.key_bytes()).and_then(|point| point.to_der()).ok()?;
            let curve = [Attribute::KeyType(TokenKeyType::EC), Attribute::EcParams(public::P256.to_vec())];
            public.extend(curve.clone());
            public.push(Attribute::EcPoint(point));
            secret.0.extend(curve);
            secret.0.push(Attribute::Value(scalar(inner).ok()?));
        }
        Pair::P384(_) | Pair::P521(_) | Pair::Ed25519(_) => return None,
    }
    Some((secret, public))
}

/// The number in an `ECPrivateKey` (RFC 5915).
fn scalar(der: &[u8]) -> der::Result<Vec<u8>> {
    AnyRef::from_der(der)?.sequence(|reader| {
        let _version = u8::decode(reader)?;
        let number = <&OctetStringRef>::decode(reader)?.as_bytes().to_vec();
        while !reader.is_finished() {
            let _curve_and_point = AnyRef::decode(reader)?;
        }
        Ok(number)
    })
}
