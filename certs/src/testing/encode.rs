//! Writing DER.

use crate::der::{encode, tag};
use crate::oid::{self, Oid};
use crate::signature::{Hash, SignatureAlgorithm};
use crate::validity::Timestamp;

pub(super) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    encode(tag::SEQUENCE, &parts.concat())
}

pub(super) fn object_identifier(oid: &Oid) -> Vec<u8> {
    encode(tag::OBJECT_IDENTIFIER, oid.as_bytes())
}

pub(super) fn integer(number: u64) -> Vec<u8> {
    let bytes = [&[0][..], &number.to_be_bytes()].concat();
    encode(tag::INTEGER, crate::Serial::from_bytes(&bytes).as_bytes())
}

pub(super) fn bit_string(bytes: &[u8]) -> Vec<u8> {
    encode(tag::BIT_STRING, &[&[0], bytes].concat())
}

/// UTCTime through 2049, GeneralizedTime from 2050 (RFC 5280 §4.1.2.5).
pub(super) fn time(time: Timestamp) -> Vec<u8> {
    let (year, month, day, hour, minute, second) = time.civil();
    let rest = format!("{month:02}{day:02}{hour:02}{minute:02}{second:02}Z");
    if (1950..2050).contains(&year) {
        encode(tag::UTC_TIME, format!("{:02}{rest}", year % 100).as_bytes())
    } else {
        encode(tag::GENERALIZED_TIME, format!("{year:04}{rest}").as_bytes())
    }
}

pub(super) fn extension(oid: &Oid, critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical { encode(tag::BOOLEAN, &[0xff]) } else { Vec::new() };
    sequence(&[&object_identifier(oid), &critical, &encode(tag::OCTET_STRING, value)])
}

/// `[3]` or `[0]` around a list of extensions; nothing when there are none.
pub(super) fn extensions(tag_number: u8, list: &[(Oid, bool, Vec<u8>)]) -> Vec<u8> {
    if list.is_empty() {
        return Vec::new();
    }
    let list: Vec<u8> =
        list.iter().flat_map(|(oid, critical, value)| extension(oid, *critical, value)).collect();
    encode(tag::context_constructed(tag_number), &sequence(&[&list]))
}

/// The AlgorithmIdentifier of a signature.
pub(super) fn signature_algorithm(algorithm: SignatureAlgorithm) -> Vec<u8> {
    let null = encode(tag::NULL, &[]);
    let (oid, parameters) = match algorithm {
        SignatureAlgorithm::RsaPkcs1(hash) => {
            let oid = match hash {
                Hash::Md5 => oid::MD5_WITH_RSA,
                Hash::Sha1 => oid::SHA1_WITH_RSA,
                Hash::Sha256 => oid::SHA256_WITH_RSA,
                Hash::Sha384 => oid::SHA384_WITH_RSA,
                Hash::Sha512 => oid::SHA512_WITH_RSA,
            };
            (oid, null)
        }
        SignatureAlgorithm::Ecdsa(hash) => {
            let oid = match hash {
                Hash::Md5 | Hash::Sha1 => oid::ECDSA_WITH_SHA1,
                Hash::Sha256 => oid::ECDSA_WITH_SHA256,
                Hash::Sha384 => oid::ECDSA_WITH_SHA384,
                Hash::Sha512 => oid::ECDSA_WITH_SHA512,
            };
            (oid, Vec::new())
        }
        SignatureAlgorithm::RsaPss(hash) => (oid::RSA_PSS, pss_parameters(hash)),
        SignatureAlgorithm::Ed25519 => (oid::ED25519, Vec::new()),
        SignatureAlgorithm::Other(oid) => (oid, Vec::new()),
    };
    sequence(&[&object_identifier(&oid), &parameters])
}

fn pss_parameters(hash: Hash) -> Vec<u8> {
    let (oid, salt) = match hash {
        Hash::Md5 | Hash::Sha1 => (oid::SHA1, 20),
        Hash::Sha256 => (oid::SHA256, 32),
        Hash::Sha384 => (oid::SHA384, 48),
        Hash::Sha512 => (oid::SHA512, 64),
    };
    let hash = sequence(&[&object_identifier(&oid), &encode(tag::NULL, &[])]);
    let mask = sequence(&[&object_identifier(&oid::MGF1), &hash]);
    sequence(&[
        &encode(tag::context_constructed(0), &hash),
        &encode(tag::context_constructed(1), &mask),
        &encode(tag::context_constructed(2), &integer(salt)),
    ])
}
