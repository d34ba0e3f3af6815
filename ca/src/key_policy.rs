//! Which public keys a certificate may have (CA B6).

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ECDSA_P521_SHA512_ASN1, ParsedPublicKey,
};
use certs::{Curve, Fingerprint, KeyAlgorithm, PublicKey};
use der::asn1::{ObjectIdentifier, UintRef};
use der::{Decode, Sequence};
use num_bigint::BigUint;
use x509_cert::spki::SubjectPublicKeyInfoRef;

use crate::store::FileError;

/// A key that must not be certified.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WeakKey {
    /// The point is written in the short form, which old phones do not read.
    #[error("its point is compressed, which old phones cannot read")]
    CompressedPoint,
    /// An elliptic curve we do not take.
    #[error("its curve is {0}, P-256 and P-384 are accepted")]
    Curve(String),
    /// The exponent is even, so that it has no inverse, and nobody can sign.
    #[error("its RSA exponent is {0}, an even number, with which nobody can sign")]
    EvenExponent(String),
    /// The exponent is small or enormous.
    #[error("its RSA exponent is {0}, an odd number from 65537 to 4294967295 is needed")]
    Exponent(String),
    /// The two primes are close together, so the modulus falls apart at once.
    #[error("its RSA modulus falls apart at once: the two primes are almost the same (Fermat)")]
    Fermat,
    /// The neutral point of a curve: the key of nobody's number.
    #[error("its point is the point at infinity, with which no signature proves anything")]
    Infinity,
    /// The key could not be read.
    #[error("its public key cannot be read")]
    Malformed,
    /// The numbers are no point of the curve: a signature with it proves nothing.
    #[error("its point is not on its curve")]
    NotOnCurve,
    /// The key says that it is for RSA-PSS alone.
    #[error("it is for RSA-PSS alone, which old phones do not know")]
    PssOnly,
    /// The generator of certain chips, which is broken.
    #[error("it was made by a broken generator (ROCA, CVE-2017-15361) and can be computed by others")]
    Roca,
    /// Neither 2048, 3072 nor 4096.
    #[error("its RSA key has {bits} bits; 2048, 3072 and 4096 are accepted")]
    RsaSize {
        /// How many it has.
        bits: u32,
    },
    /// A small prime divides the modulus.
    #[error("its RSA modulus is divisible by {0}")]
    SmallFactor(u32),
    /// Neither RSA nor ECDSA.
    #[error("it is neither RSA nor ECDSA")]
    UnknownAlgorithm,
}

/// Refuses weak keys.
pub(crate) fn check_key(key: &PublicKey) -> Result<(), WeakKey> {
    match key.algorithm() {
        KeyAlgorithm::Rsa { bits } => {
            if !is_plain_rsa(key) {
                return Err(WeakKey::PssOnly);
            }
            if !matches!(bits, 2048 | 3072 | 4096) {
                return Err(WeakKey::RsaSize { bits });
            }
            let rsa = RsaPublicKey::from_der(key.key_bytes()).map_err(|_malformed| WeakKey::Malformed)?;
            check_rsa(rsa.modulus.as_bytes(), rsa.exponent.as_bytes())
        }
        KeyAlgorithm::Ec { curve: curve @ (Curve::P256 | Curve::P384) } => match key.key_bytes().first() {
            // SEC 1 §2.3.3: uncompressed. The curve's own library judges the point.
            Some(4) if is_point(curve, key.key_bytes()) => Ok(()),
            Some(2 | 3) => Err(WeakKey::CompressedPoint),
            Some(4) => Err(WeakKey::NotOnCurve),
            Some(0) => Err(WeakKey::Infinity),
            _ => Err(WeakKey::Malformed),
        },
        KeyAlgorithm::Ec { curve } => Err(WeakKey::Curve(curve.to_string())),
        KeyAlgorithm::Ed25519 => Err(WeakKey::UnknownAlgorithm),
        KeyAlgorithm::Other { .. } => Err(unknown(key)),
    }
}

fn is_point(curve: Curve, octets: &[u8]) -> bool {
    match curve {
        Curve::P256 => ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, octets).is_ok(),
        Curve::P384 => ParsedPublicKey::new(&ECDSA_P384_SHA384_ASN1, octets).is_ok(),
        Curve::P521 => ParsedPublicKey::new(&ECDSA_P521_SHA512_ASN1, octets).is_ok(),
    }
}

/// What to say of a key of another kind: a curve by its number, so that its maker knows which it is.
fn unknown(key: &PublicKey) -> WeakKey {
    let Ok(spki) = SubjectPublicKeyInfoRef::from_der(key.spki_der()) else { return WeakKey::Malformed };
    match spki.algorithm.oid.to_string().as_str() {
        "1.2.840.10045.2.1" => {
            let curve = spki.algorithm.parameters.and_then(|one| one.decode_as::<ObjectIdentifier>().ok());
            WeakKey::Curve(match curve.map(|curve| curve.to_string()).as_deref() {
                Some("1.3.132.0.10") => "secp256k1".to_owned(),
                Some(other) => other.to_owned(),
                None => "given by its numbers".to_owned(),
            })
        }
        "1.2.840.113549.1.1.10" => WeakKey::PssOnly,
        _ => WeakKey::UnknownAlgorithm,
    }
}

/// Keys marked for RSA-PSS alone cannot serve old phones.
fn is_plain_rsa(key: &PublicKey) -> bool {
    SubjectPublicKeyInfoRef::from_der(key.spki_der())
        .is_ok_and(|spki| spki.algorithm.oid.to_string() == "1.2.840.113549.1.1.1")
}

#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    exponent: UintRef<'a>,
}

/// What is wrong with a key that is not even read as one: a `SubjectPublicKeyInfo`, DER.
pub(crate) fn impossible(spki: &[u8]) -> Option<WeakKey> {
    let spki = SubjectPublicKeyInfoRef::from_der(spki).ok()?;
    let key = spki.subject_public_key.as_bytes()?;
    match spki.algorithm.oid.to_string().as_str() {
        "1.2.840.113549.1.1.1" => {
            let RsaPublicKey { modulus, exponent } = RsaPublicKey::from_der(key).ok()?;
            let exponent = BigUint::from_bytes_be(exponent.as_bytes());
            if !exponent.bit(0) {
                return Some(WeakKey::EvenExponent(number(&exponent)));
            }
            (!BigUint::from_bytes_be(modulus.as_bytes()).bit(0)).then_some(WeakKey::SmallFactor(2))
        }
        // SEC 1 §2.3.3: one octet of nought.
        "1.2.840.10045.2.1" if key == [0] => Some(WeakKey::Infinity),
        _ => None,
    }
}

/// A number for a message: a long one by its length.
fn number(number: &BigUint) -> String {
    match number.bits() {
        0..=64 => number.to_string(),
        bits => format!("a number of {bits} bits"),
    }
}

/// The public exponent of an RSA key, when it is of a size that anybody uses.
pub(crate) fn exponent(key: &PublicKey) -> Option<u64> {
    let KeyAlgorithm::Rsa { .. } = key.algorithm() else { return None };
    let rsa = RsaPublicKey::from_der(key.key_bytes()).ok()?;
    let octets = rsa.exponent.as_bytes();
    (octets.len() <= 8).then(|| octets.iter().fold(0, |number, octet| (number << 8) | u64::from(*octet)))
}

fn check_rsa(modulus: &[u8], exponent: &[u8]) -> Result<(), WeakKey> {
    let exponent = BigUint::from_bytes_be(exponent);
    if !exponent.bit(0) {
        return Err(WeakKey::EvenExponent(number(&exponent)));
    }
    if exponent < BigUint::from(65_537_u32) || exponent.bits() > 32 {
        return Err(WeakKey::Exponent(number(&exponent)));
    }
    for (product, primes) in SMALL_PRIMES.iter() {
        // One long division for several primes at once.
        let rest = residue(modulus, *product);
        if let Some(prime) = primes.iter().find(|prime| rest.is_multiple_of(**prime)) {
            return Err(WeakKey::SmallFactor(*prime));
        }
    }
    if is_roca(modulus) {
        return Err(WeakKey::Roca);
    }
    if falls_to_fermat(&BigUint::from_bytes_be(modulus)) {
        return Err(WeakKey::Fermat);
    }
    Ok(())
}

/// The primes below 752, and the products of those that stand together.
static SMALL_PRIMES: LazyLock<Vec<(u32, Vec<u32>)>> = LazyLock::new(|| {
    let mut groups: Vec<(u32, Vec<u32>)> = Vec::new();
    for prime in primes_below(752) {
        match groups.last_mut().and_then(|group| Some((group.0.checked_mul(prime)?, group))) {
            Some((product, group)) => {
                group.0 = product;
                group.1.push(prime);
            }
            None => groups.push((prime, vec![prime])),
        }
    }
    groups
});

/// The modulus by a small number, four octets at a time.
fn residue(modulus: &[u8], divisor: u32) -> u32 {
    let (first, words) = modulus.as_rchunks::<4>();
    let digits = first.iter().map(|octet| (8, u32::from(*octet)));
    let digits = digits.chain(words.iter().map(|word| (32, u32::from_be_bytes(*word))));
    let divisor = u64::from(divisor);
    let rest = digits.fold(0_u64, |rest, (bits, digit)| (rest << bits | u64::from(digit)) % divisor);
    u32::try_from(rest).unwrap_or_default() // smaller than the divisor
}

fn primes_below(limit: u32) -> impl Iterator<Item = u32> {
    (2..limit)
        .filter(|candidate| (2..*candidate).take_while(|d| d * d <= *candidate).all(|d| candidate % d != 0))
}

/// Such moduli are powers of 65537 modulo every small prime at once; a random one is so once in 2^154.
fn is_roca(modulus: &[u8]) -> bool {
    primes_below(168).skip(1).all(|prime| {
        let wanted = residue(modulus, prime);
        let mut power = 1;
        for _ in 0..prime {
            if power == wanted {
                return true;
            }
            power = power * (65_537 % prime) % prime;
        }
        false
    })
}

/// A hundred rounds of Fermat's method: finds primes that share their upper half.
fn falls_to_fermat(modulus: &BigUint) -> bool {
    let mut a = modulus.sqrt();
    if &a * &a < *modulus {
        a += 1_u32;
    }
    let mut rest = &a * &a - modulus;
    let mut step = (&a << 1_u32) + 1_u32;
    for _ in 0..100 {
        if may_be_square(&rest) {
            let b = rest.sqrt();
            if &b * &b == rest {
                return true;
            }
        }
        // From a² to (a + 1)².
        rest += &step;
        step += 2_u32;
    }
    false
}

/// Which numbers below 64 are squares modulo 64: 0, 1, 4, 9, 16, 17, 25, 33, 36, 41, 49 and 57.
const SQUARES_64: u64 = 0x0202_0212_0203_0213;

/// Squares end in few ways: this spares most of the roots.
fn may_be_square(number: &BigUint) -> bool {
    let ends = |modulus: u32| {
        let rest = (number % modulus).to_u32_digits().first().copied().unwrap_or(0);
        (0..modulus).any(|root| root * root % modulus == rest)
    };
    let low = number.iter_u32_digits().next().unwrap_or(0) % 64;
    SQUARES_64 >> low & 1 == 1 && ends(63) && ends(65) && ends(11)
}

/// Keys that must not be certified, by the SHA-256 of their `SubjectPublicKeyInfo` (CA B6).
#[derive(Debug, Clone, Default)]
pub struct KeyBlocklist(HashSet<[u8; 32]>);

/// A list of keys that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BlocklistError {
    /// The key is in it.
    #[error("its key is on the list of blocked keys: SHA-256 {0}")]
    Blocked(Fingerprint),
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A line is no digest.
    #[error("line {line} of {} is no SHA-256 of a public key: 64 hexadecimal digits are needed", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
}

impl KeyBlocklist {
    /// Reads a list, one digest a line, in hexadecimal digits; what follows a `#` is not looked at. Without a file, it is empty.
    ///
    /// # Errors
    /// The file cannot be read, or a line makes no sense: then nothing is certified rather than too much.
    pub fn read(path: Option<&Path>) -> Result<Self, BlocklistError> {
        let Some(path) = path else { return Ok(Self::default()) };
        let file = File::open(path).map_err(|source| FileError::new("read", path, source))?;
        let mut blocked = HashSet::new();
        for (line, text) in (1..).zip(BufReader::new(file).lines()) {
            let text = text.map_err(|source| FileError::new("read", path, source))?;
            let digits: String = text
                .split('#')
                .next()
                .unwrap_or_default()
                .chars()
                .filter(|character| !character.is_whitespace() && *character != ':')
                .collect();
            if digits.is_empty() {
                continue;
            }
            let octets =
                digest(&digits).ok_or_else(|| BlocklistError::Line { path: path.to_owned(), line })?;
            blocked.insert(octets);
        }
        Ok(Self(blocked))
    }

    /// Refuses a key, a DER `SubjectPublicKeyInfo`, that is on the list.
    ///
    /// # Errors
    /// It is.
    pub fn check(&self, public_key: &[u8]) -> Result<(), BlocklistError> {
        let print = Fingerprint::of(public_key);
        if self.0.contains(print.as_bytes()) { Err(BlocklistError::Blocked(print)) } else { Ok(()) }
    }
}

fn digest(digits: &str) -> Option<[u8; 32]> {
    let mut octets = [0; 32];
    if digits.len() != 64 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (index, octet) in octets.iter_mut().enumerate() {
        *octet = u8::from_str_radix(digits.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{KeyType, PrivateKey};

    /// 2^k + offset
    fn number(bits: u32, offset: u32) -> BigUint {
        (BigUint::from(1_u32) << bits) + offset
    }

    fn modulus() -> Vec<u8> {
        let key = PrivateKey::generate(KeyType::Rsa2048).unwrap();
        let spki = PublicKey::from_spki_der(&key.public_key_der()).unwrap();
        RsaPublicKey::from_der(spki.key_bytes()).unwrap().modulus.as_bytes().to_vec()
    }

    #[test]
    fn b6_a_good_key_passes_and_r16_exponent_3_does_not() {
        let modulus = modulus();
        assert_eq!(check_rsa(&modulus, &[1, 0, 1]), Ok(()));
        assert_eq!(check_rsa(&modulus, &[3]), Err(WeakKey::Exponent("3".to_owned())));
        assert_eq!(check_rsa(&modulus, &[1, 0, 2]), Err(WeakKey::EvenExponent("65538".to_owned())));
        let long = check_rsa(&modulus, &[1; 200]).unwrap_err().to_string();
        assert!(long.contains("a number of 1593 bits"), "{long}");
    }

    #[test]
    fn b6_a_compressed_point_is_refused_and_the_whole_point_is_not() {
        let whole = PrivateKey::generate(KeyType::P256).unwrap().public_key_der();
        // The header of a P-256 key's SubjectPublicKeyInfo is 26 octets, then the point: 04, x, y.
        let mut short = whole[..26].to_vec();
        (short[1], short[24]) = (57, 34);
        short.push(2 + (whole[90] & 1));
        short.extend(&whole[27..59]);
        let judge = |der: &[u8]| check_key(&PublicKey::from_spki_der(der).unwrap());
        assert_eq!(judge(&short), Err(WeakKey::CompressedPoint));
        assert_eq!(judge(&whole), Ok(()));
    }

    #[test]
    fn b6_a_small_factor_is_found() {
        let odd = (number(2046, 1) * 751_u32).to_bytes_be();
        assert!(matches!(check_rsa(&odd, &[1, 0, 1]), Err(WeakKey::SmallFactor(_))));
    }

    #[test]
    fn b6_quick_residues_and_squares_are_the_plain_ones() {
        for squared in 0..64_u64 {
            assert_eq!(SQUARES_64 >> squared & 1 == 1, (0..64).any(|root| root * root % 64 == squared));
        }
        let numbers = [vec![], vec![5], vec![1, 0, 0, 0, 0], modulus()];
        for number in numbers {
            for prime in primes_below(200) {
                let plain = number.iter().fold(0, |rest, octet| (rest * 256 + u32::from(*octet)) % prime);
                assert_eq!(residue(&number, prime), plain, "{prime}");
            }
        }
        let primes: Vec<u32> = SMALL_PRIMES.iter().flat_map(|(_, primes)| primes.clone()).collect();
        assert_eq!(primes, primes_below(752).collect::<Vec<_>>());
        assert!(SMALL_PRIMES.iter().all(|(product, primes)| primes.iter().product::<u32>() == *product));
    }

    #[test]
    fn b6_close_primes_are_found() {
        // Fermat's method needs no primes, only two factors close together.
        let product = number(1023, 1_155) * number(1023, 1_161);
        assert!(falls_to_fermat(&product));
        assert!(!falls_to_fermat(&BigUint::from_bytes_be(&modulus())));
    }

    #[test]
    fn b6_a_power_of_65537_modulo_the_primorial_is_roca() {
        let primorial = primes_below(168).fold(BigUint::from(1_u32), |product, prime| product * prime);
        let power = BigUint::from(65_537_u32).modpow(&BigUint::from(123_457_u32), &primorial);
        let fingerprint = (&primorial << 1800_u32) + power;
        assert!(is_roca(&fingerprint.to_bytes_be()));
        assert!(!is_roca(&modulus()));
    }
}
