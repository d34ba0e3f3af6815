//! Keys for requests, good and bad, with the plainest arithmetic: no library makes what is wrong here.

use std::process::Command;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use num_bigint::BigUint;

use super::request::{bits, integer, oid, tlv};

/// What signs a request, and the `SubjectPublicKeyInfo` it puts in.
pub(super) enum Key {
    Curve(Box<EcdsaKeyPair>),
    Rsa(Rsa),
}

impl Key {
    pub(super) fn curve() -> Self {
        Self::Curve(Box::new(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap()))
    }

    /// The `SubjectPublicKeyInfo`.
    pub(super) fn public(&self) -> Vec<u8> {
        match self {
            Self::Curve(pair) => point_on("1.2.840.10045.3.1.7", pair.public_key().as_ref()),
            Self::Rsa(rsa) => rsa.public("1.2.840.113549.1.1.1"),
        }
    }

    /// For OpenSSL, PEM.
    pub(super) fn private(&self) -> String {
        let Self::Curve(pair) = self else { panic!("only keys on a curve go to OpenSSL") };
        pem::encode(&pem::Pem::new("PRIVATE KEY", pair.to_pkcs8v1().unwrap().as_ref()))
    }

    /// An `AlgorithmIdentifier`, and the signature over these bytes with SHA-256.
    pub(super) fn sign(&self, message: &[u8]) -> (Vec<u8>, Vec<u8>) {
        match self {
            Self::Curve(pair) => {
                let signature = pair.sign(&SystemRandom::new(), message).unwrap();
                (tlv(0x30, &[&oid("1.2.840.10045.4.3.2")]), signature.as_ref().to_vec())
            }
            Self::Rsa(rsa) => (tlv(0x30, &[&oid("1.2.840.113549.1.1.11"), &[5, 0]]), rsa.sign(message)),
        }
    }
}

/// A key on a curve with whatever octets for its point.
pub(super) fn point_on(curve: &str, point: &[u8]) -> Vec<u8> {
    tlv(0x30, &[&tlv(0x30, &[&oid("1.2.840.10045.2.1"), &oid(curve)]), &bits(point)])
}

/// An RSA key of two primes, and any exponent.
#[derive(Clone)]
pub(super) struct Rsa {
    modulus: BigUint,
    exponent: BigUint,
    /// Absent where the exponent has no inverse.
    secret: Option<BigUint>,
}

impl Rsa {
    pub(super) fn of(p: &BigUint, q: &BigUint, exponent: u32) -> Self {
        let one = BigUint::from(1_u32);
        let exponent = BigUint::from(exponent);
        let secret = exponent.modinv(&((p - &one) * (q - &one)));
        Self { modulus: p * q, exponent, secret }
    }

    pub(super) fn public(&self, algorithm: &str) -> Vec<u8> {
        let key = tlv(0x30, &[&integer(&self.modulus.to_bytes_be()), &integer(&self.exponent.to_bytes_be())]);
        tlv(0x30, &[&tlv(0x30, &[&oid(algorithm), &[5, 0]]), &bits(&key)])
    }

    /// PKCS #1 v1.5 (RFC 8017 §9.2); zeros where there is no secret exponent.
    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let length = usize::try_from(self.modulus.bits().div_ceil(8)).unwrap();
        let info = tlv(
            0x30,
            &[
                &tlv(0x30, &[&oid("2.16.840.1.101.3.4.2.1"), &[5, 0]]),
                &tlv(4, &[digest(&SHA256, message).as_ref()]),
            ],
        );
        let mut padded = vec![0, 1];
        padded.resize(length - info.len() - 1, 0xff);
        padded.push(0);
        padded.extend(&info);
        let Some(secret) = &self.secret else { return vec![0; length] };
        let signature = BigUint::from_bytes_be(&padded).modpow(secret, &self.modulus).to_bytes_be();
        [vec![0; length - signature.len()], signature].concat()
    }
}

/// Two primes of so many bits together, both suited to the exponent 3.
pub(super) fn primes(bits: u32) -> (BigUint, BigUint) {
    let prime = || loop {
        let half = (bits / 2).to_string();
        let said = openssl(&["prime", "-generate", "-hex", "-bits", &half]);
        let prime = BigUint::parse_bytes(said.trim().as_bytes(), 16).unwrap();
        if &prime % 3_u32 == BigUint::from(2_u32) {
            return prime;
        }
    };
    (prime(), prime())
}

/// The first prime after this number.
pub(super) fn next_prime(number: &BigUint) -> BigUint {
    let odd = number | BigUint::from(1_u32);
    first_prime((1..4000_u32).map(|step| &odd + 2 * step))
}

/// A prime such as the generator of certain chips made (CVE-2017-15361): a power of 65537 modulo the product of small primes.
pub(super) fn roca_prime(like: &BigUint) -> BigUint {
    let small = (2_u32..168).filter(|one| (2..*one).all(|other| one % other != 0));
    let product = small.fold(BigUint::from(1_u32), |product, prime| product * prime);
    let power = BigUint::from(65_537_u32).modpow(&(like % 1_000_003_u32), &product);
    let above = like / &product;
    first_prime((1..4000_u32).map(|step| (&above + step) * &product + &power))
}

/// OpenSSL looks at many in one go.
fn first_prime(candidates: impl Iterator<Item = BigUint>) -> BigUint {
    let candidates: Vec<BigUint> = candidates.collect();
    for chunk in candidates.chunks(200) {
        let texts: Vec<String> = chunk.iter().map(|one| one.to_str_radix(16)).collect();
        let mut arguments = vec!["prime", "-hex"];
        arguments.extend(texts.iter().map(String::as_str));
        let said = openssl(&arguments);
        let verdicts = said.lines().map(|line| line.ends_with("is prime"));
        if let Some((found, _)) = chunk.iter().zip(verdicts).find(|(_, is_prime)| *is_prime) {
            return found.clone();
        }
    }
    panic!("no prime");
}

fn openssl(arguments: &[&str]) -> String {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
