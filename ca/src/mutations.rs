//! Requests and lists with octets changed, put in, left out or repeated: read, refused or not, and never a panic (CA B9, I9).

use std::path::Path;

use certs::testing::Pki;
use certs::{CertificationRequest, RevocationList, Timestamp};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::inspect;
use crate::key::{KeyType, PrivateKey};
use crate::request::{DeviceRequestContent, NewRequest, ServerRequestContent};
use crate::server_name::ServerName;
use crate::subject::{AttributeType, SubjectName};

/// How many of each kind: a four-hundredth of what `PROVISION_MUTATIONS` says, for each of them costs a signature.
pub(crate) fn count() -> u32 {
    let said = std::env::var("PROVISION_MUTATIONS").ok().and_then(|text| text.parse::<u32>().ok());
    said.map_or(1000, |said| said.div_ceil(400))
}

/// One change.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Cut(Index),
    Insert(Index, u8),
    /// Lengths are where parsers go wrong.
    Length(Index, u8),
    Remove(Index, usize),
    Repeat(Index, usize),
    Set(Index, u8),
}

pub(crate) fn changes() -> impl Strategy<Value = Vec<Change>> {
    let place = any::<Index>;
    let change = prop_oneof![
        1 => place().prop_map(Change::Cut),
        3 => (place(), any::<u8>()).prop_map(|(at, octet)| Change::Insert(at, octet)),
        3 => (place(), prop_oneof![Just(0), Just(0x7f), Just(0x80), Just(0x81), Just(0x84), Just(0xff)])
            .prop_map(|(at, octet)| Change::Length(at, octet)),
        2 => (place(), 1..8_usize).prop_map(|(at, count)| Change::Remove(at, count)),
        2 => (place(), 1..64_usize).prop_map(|(at, count)| Change::Repeat(at, count)),
        8 => (place(), any::<u8>()).prop_map(|(at, octet)| Change::Set(at, octet)),
    ];
    proptest::collection::vec(change, 1..5)
}

pub(crate) fn changed(original: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut octets = original.to_vec();
    for change in changes {
        if octets.is_empty() {
            break;
        }
        let length = octets.len();
        match change {
            Change::Cut(at) => octets.truncate(at.index(length)),
            Change::Insert(at, octet) => octets.insert(at.index(length), *octet),
            Change::Length(at, octet) => {
                // Behind a tag that holds others.
                let tags: Vec<usize> = (0..length - 1).filter(|at| octets[*at] & 0x20 != 0).collect();
                if !tags.is_empty() {
                    octets[tags[at.index(tags.len())] + 1] = *octet;
                }
            }
            Change::Remove(at, count) => {
                let at = at.index(length);
                octets.drain(at..length.min(at + count));
            }
            Change::Repeat(at, count) => {
                let at = at.index(length);
                let part = octets[at..length.min(at + count)].to_vec();
                octets.splice(at..at, part);
            }
            Change::Set(at, octet) => octets[at.index(length)] = *octet,
        }
    }
    octets
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: count(), failure_persistence: None, ..ProptestConfig::default() }
}

fn request(kind: KeyType) -> Vec<u8> {
    let subject = vec![(AttributeType::CommonName, "prov.example.com".to_owned())];
    let names = [ServerName::host("prov.example.com").unwrap(), ServerName::host("alt.example.com").unwrap()];
    let key = PrivateKey::generate(kind).unwrap();
    NewRequest::sign(&SubjectName::new(subject).unwrap(), &names, &key).unwrap().der().to_vec()
}

#[test]
fn b9_a_changed_request_is_refused_or_still_the_same_request() {
    let originals = [request(KeyType::P256), request(KeyType::Rsa2048)];
    proptest!(config(), |(which in 0..2_usize, changes in changes(), is_pem: bool)| {
        let original = &originals[which];
        let request = match is_pem {
            false => changed(original, &changes),
            true => changed(pem::encode(&pem::Pem::new("CERTIFICATE REQUEST", &original[..])).as_bytes(), &changes),
        };
        let read = (ServerRequestContent::read(&request), DeviceRequestContent::read(&request));
        let _described = inspect::read(Path::new("x"), &request, None, Timestamp::from_unix(1_800_000_000));
        if let (Ok(server), Ok(device)) = read {
            // What is signed is the same: another signature over it is none of our business.
            let before = CertificationRequest::parse(original).unwrap();
            prop_assert_eq!(&server.public_key, before.public_key().spki_der());
            prop_assert_eq!(&device.public_key, before.public_key().spki_der());
            prop_assert_eq!(server.names.len(), 2);
        }
    });
}

#[test]
fn b9_a_changed_revocation_list_is_refused_or_says_the_same() {
    let pki = Pki::named("Mutations");
    let (one, other) = (pki.device().issue(), pki.device().issue());
    let list =
        pki.intermediate().crl().number(7).revoke(one.certificate()).revoke_because(other.certificate(), 1);
    let original = list.to_der();
    let issuer = pki.intermediate().certificate().public_key();
    proptest!(config(), |(changes in changes())| {
        let octets = changed(&original, &changes);
        let _described = inspect::read(Path::new("x"), &octets, None, Timestamp::from_unix(1_800_000_000));
        if let Ok(list) = RevocationList::parse(&octets) {
            let (_usable, _number) = (list.is_usable(), list.number());
            let still = list.contains(one.certificate().serial()).is_some();
            if list.verify_signature(issuer).is_ok() {
                prop_assert!(still && list.len() == 2);
            }
        }
    });
}
