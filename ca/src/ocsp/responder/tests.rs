use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::key::{KeyType, PrivateKey};
use crate::lint::{Rules, prepare};
use crate::mutations::{changed, changes, count};
use crate::profile::{Profile, validity_for};
use crate::store::RevocationReason;
use crate::subject::{AttributeType, SubjectName};
use crate::template::Template;

const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);

struct Known(HashMap<Vec<u8>, Status>);

impl Inventory for Known {
    fn status(&self, authority: AuthorityId, serial: &[u8]) -> Result<Status, IssueError> {
        assert_eq!(authority, AuthorityId(1));
        Ok(self.0.get(serial).copied().unwrap_or(Status::Unknown))
    }
}

fn made(
    profile: Profile,
    name: &str,
    issuer: Option<(&Certificate, &PrivateKey)>,
) -> (Certificate, PrivateKey) {
    let key = PrivateKey::generate(KeyType::P256).unwrap();
    let subject = SubjectName::new(vec![(AttributeType::CommonName, name.to_owned())]).unwrap().to_der();
    let public_key = key.public_key_der();
    let identifier = issuer.and_then(|one| one.0.subject_key_identifier());
    let template = Template {
        version: certs::Version::V3,
        serial: vec![0x41; 16],
        signature_algorithm: key.signature_algorithm(),
        issuer: issuer.map_or_else(|| subject.clone(), |one| one.0.subject().der().to_vec()),
        validity: validity_for(NOW, 10),
        subject,
        extensions: profile.extensions(&public_key, identifier, &[]).unwrap(),
        public_key,
    };
    let linted = prepare(template, profile, Rules::Production, issuer.map(|one| one.0)).unwrap();
    let certificate = linted.issue(issuer.map_or(&key, |one| one.1)).unwrap();
    (certificate, key)
}

fn responders() -> (Certificate, Responders) {
    let (issuer, key) = made(Profile::Authority { path_length: 0 }, "root", None);
    let (certificate, own) = made(Profile::Responder, "responder", Some((&issuer, &key)));
    let responder = Responder::new(AuthorityId(1), &issuer, certificate, Arc::new(own)).unwrap();
    (issuer, Responders::new(vec![responder]))
}

fn inventory() -> Known {
    let revocation = Revocation { at: NOW, reason: RevocationReason::KeyCompromise };
    Known(HashMap::from([(vec![1; 16], Status::Good), (vec![2; 16], Status::Revoked(revocation))]))
}

fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut out = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short @ 0..=127) => out.push(short),
        Ok(middle) => out.extend([0x81, middle]),
        Err(_long) => {
            out.push(0x82);
            out.extend(u16::try_from(content.len()).unwrap().to_be_bytes());
        }
    }
    out.extend(content);
    out
}

const SHA1: [u8; 11] = [0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00];

fn single(issuer: &Certificate, serial: &[u8]) -> Vec<u8> {
    let name = digest(&SHA1_FOR_LEGACY_USE_ONLY, issuer.subject().der());
    let key = digest(&SHA1_FOR_LEGACY_USE_ONLY, &key_bits(issuer).unwrap());
    let id = tlv(0x30, &[&SHA1, &tlv(4, &[name.as_ref()]), &tlv(4, &[key.as_ref()]), &tlv(2, &[serial])]);
    tlv(0x30, &[&id])
}

fn request(asked: &[Vec<u8>], nonce: Option<&[u8]>) -> Vec<u8> {
    let list = tlv(0x30, &asked.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let oid = [6, 9, 0x2b, 6, 1, 5, 5, 7, 0x30, 1, 2];
    let extensions =
        nonce.map(|nonce| tlv(0xa2, &[&tlv(0x30, &[&tlv(0x30, &[&oid, &tlv(4, &[&tlv(4, &[nonce])])])])]));
    tlv(0x30, &[&tlv(0x30, &[&list, &extensions.unwrap_or_default()])])
}

/// The status octet of a response that says of no certificate anything.
fn refused(answered: &Answered) -> Option<u8> {
    match answered.der[..] {
        [0x30, 3, 0x0a, 1, status] => Some(status),
        _ => None,
    }
}

/// The statuses in a successful response.
fn statuses(answered: &Answered) -> Vec<&'static str> {
    let bytes = OcspResponse::from_der(&answered.der).unwrap().bytes.unwrap();
    let basic = BasicResponse::from_der(bytes.response.as_bytes()).unwrap();
    let data = ResponseData::from_der(&basic.tbs.to_der().unwrap()).unwrap();
    data.responses
        .iter()
        .map(|one| match one.status {
            CertStatus::Good(_) => "good",
            CertStatus::Revoked(_) => "revoked",
            CertStatus::Unknown(_) => "unknown",
        })
        .collect()
}

#[test]
fn g7_only_what_was_issued_is_good() {
    let (issuer, responders) = responders();
    let asked: Vec<_> = [[1_u8; 16], [2; 16], [3; 16]].iter().map(|serial| single(&issuer, serial)).collect();
    let answered = responders.answer(&request(&asked, None), &inventory(), NOW);
    assert_eq!(statuses(&answered), ["good", "revoked", "unknown"]);
    assert_eq!(answered.cacheable, Some((NOW, NOW.plus_seconds(LIFE))));
    // A leading nought makes another number of it.
    let padded = [&[0_u8][..], &[1; 16]].concat();
    let answered = responders.answer(&request(&[single(&issuer, &padded)], None), &inventory(), NOW);
    assert_eq!(statuses(&answered), ["unknown"]);
}

#[test]
fn g7_for_another_authority_nothing_is_said() {
    let (issuer, responders) = responders();
    let (stranger, _) = made(Profile::Authority { path_length: 0 }, "root", None);
    let foreign = single(&stranger, &[1; 16]);
    let answered = responders.answer(&request(std::slice::from_ref(&foreign), None), &inventory(), NOW);
    assert_eq!(refused(&answered), Some(6), "unauthorized");
    let both = [foreign, single(&issuer, &[1; 16])];
    assert_eq!(statuses(&responders.answer(&request(&both, None), &inventory(), NOW)), ["unknown", "good"]);
    let later = NOW.plus_seconds(11 * 86_400);
    let answered = responders.answer(&request(&both, None), &inventory(), later);
    assert_eq!(refused(&answered), Some(6), "a responder whose time is over signs nothing");
}

#[test]
fn a_nonce_comes_back_and_its_answer_is_not_kept() {
    let (issuer, responders) = responders();
    let asked = [single(&issuer, &[1; 16])];
    for (length, status) in [(1_usize, None), (32, None), (128, None), (129, Some(1)), (1000, Some(1))] {
        let nonce = vec![7; length];
        let answered = responders.answer(&request(&asked, Some(&nonce)), &inventory(), NOW);
        assert_eq!(refused(&answered), status, "{length}");
        assert_eq!(answered.cacheable, None);
        let is_there = answered.der.windows(length).any(|part| part == nonce);
        assert_eq!(is_there, status.is_none(), "{length}");
    }
}

#[test]
fn too_many_at_a_time_none_at_all_and_a_critical_extension_are_refused() {
    let (issuer, responders) = responders();
    let many = |count| vec![single(&issuer, &[1; 16]); count];
    for (count, status) in [(0, Some(1)), (1, None), (32, None), (33, Some(1))] {
        let answered = responders.answer(&request(&many(count), None), &inventory(), NOW);
        assert_eq!(refused(&answered), status, "{count}");
    }
    let list = tlv(0x30, &[&single(&issuer, &[1; 16])]);
    let critical = |flag: &[u8]| {
        let extension = tlv(0x30, &[&[6, 3, 0x2a, 3, 4], flag, &tlv(4, &[&[5, 0]])]);
        tlv(0x30, &[&tlv(0x30, &[&list, &tlv(0xa2, &[&tlv(0x30, &[&extension])])])])
    };
    assert_eq!(refused(&responders.answer(&critical(&[1, 1, 0xff]), &inventory(), NOW)), Some(1));
    assert_eq!(refused(&responders.answer(&critical(&[]), &inventory(), NOW)), None);
    let long = single(&issuer, &[1; 22]);
    assert_eq!(refused(&responders.answer(&request(&[long], None), &inventory(), NOW)), Some(1));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn b9_any_bytes_are_answered_and_none_but_an_issued_number_is_good(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        thread_local! { static HERE: (Certificate, Responders) = responders(); }
        HERE.with(|(_, responders)| {
            let answered = responders.answer(&bytes, &inventory(), NOW);
            prop_assert_eq!(refused(&answered), Some(1));
            Ok(())
        })?;
    }

    #[test]
    fn b9_a_request_with_octets_changed_is_refused_or_answered_and_never_more_than_it_asks(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        thread_local! { static HERE: (Certificate, Responders) = responders(); }
        HERE.with(|(issuer, responders)| {
            let mut bytes = request(&[single(issuer, &[9; 16])], Some(&[7; 16]));
            for (place, octet) in &changes {
                let place = place.index(bytes.len());
                bytes[place] = *octet;
            }
            if is_cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            let answered = responders.answer(&bytes, &inventory(), NOW);
            if refused(&answered).is_none() {
                prop_assert_eq!(statuses(&answered), ["unknown"], "9…9 was never issued, nor any number near it");
            }
            Ok(())
        })?;
    }
}

#[test]
fn b9_a_request_cut_stretched_or_with_wrong_lengths_is_answered_with_no_more_than_the_truth() {
    let (issuer, responders) = responders();
    let asked = [single(&issuer, &[1; 16]), single(&issuer, &[2; 16]), single(&issuer, &[3; 16])];
    let original = request(&asked, Some(&[9; 32]));
    let config = ProptestConfig { cases: count(), failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(changes in changes())| {
        let answered = responders.answer(&changed(&original, &changes), &inventory(), NOW);
        if refused(&answered).is_none() {
            let good = statuses(&answered).into_iter().filter(|status| *status == "good");
            prop_assert!(good.count() <= 3);
        }
    });
}
