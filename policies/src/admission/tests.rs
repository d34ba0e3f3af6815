use certs::testing::{CertificateBuilder, Issued, Pki};
use certs::{ChainVerifier, Fingerprint, Serial, oid};

use super::*;
use crate::document::Diagnostic;
use crate::identity::IdentityProfile;

fn profiles(names: &[&str]) -> ProfileSet {
    ProfileSet::new(names.iter().map(|name| IdentityProfile::shipped(name).unwrap()).collect()).unwrap()
}

fn entry(deny: &str) -> AdmissionEntry {
    let deny = DenyList::parse("deny.txt", deny).unwrap_or_else(|found| panic!("{found:?}"));
    AdmissionEntry { profiles: profiles(&["cisco-small-business"]), ouis: Vec::new(), deny: Arc::new(deny) }
}

fn admit(entry: &AdmissionEntry, pki: &Pki, leaf: &Issued) -> Result<Principal, Reason> {
    entry.admit(leaf.certificate(), pki.root().certificate()).map_err(|denial| denial.reason)
}

fn kind(result: &Result<Principal, Reason>) -> Result<&'static str, Reason> {
    result.as_ref().map(Principal::kind).map_err(|reason| *reason)
}

const SNOM: &str = "000413741767";

fn snom(pki: &Pki) -> CertificateBuilder {
    pki.leaf().attribute(oid::COMMON_NAME, SNOM)
}

#[test]
fn sec_23_an_anchor_vouches_only_for_the_profiles_it_is_bound_to() {
    let pki = Pki::new();
    let chain = pki.verified(&snom(&pki).issue());
    let bound = |names: &[&str]| {
        let entry =
            AdmissionEntry { profiles: profiles(names), ouis: Vec::new(), deny: Arc::new(DenyList::empty()) };
        Admission::new(vec![entry]).admit(&chain).map_err(|denial| denial.reason)
    };
    assert_eq!(kind(&bound(&["cn-mac"])), Ok("device"));
    assert_eq!(kind(&bound(&["cisco-small-business", "cn-mac"])), Ok("device"));
    assert_eq!(kind(&bound(&["operator"])), Ok("operator"));
    assert_eq!(bound(&["cisco-small-business"]), Err(Reason::IdentityNotRecognised));
    assert_eq!(bound(&["cisco-mic"]), Err(Reason::IdentityNotRecognised));
}

#[test]
fn sec_23_the_same_subject_below_another_anchor_is_judged_by_that_anchors_entry() {
    let (ours, theirs) = (Pki::named("Ours"), Pki::named("Theirs"));
    let verifier = ChainVerifier::new(vec![ours.trust_entry(), theirs.trust_entry()]).unwrap();
    let bound = |names: &[&str]| AdmissionEntry { profiles: profiles(names), ..entry("# nobody\n") };
    let admission = Admission::new(vec![bound(&["cn-mac"]), bound(&["operator"])]);
    let judge = |pki: &Pki| {
        let chain = verifier.verify(&snom(pki).issue().presented(), Pki::NOW).unwrap();
        admission.admit(&chain).unwrap().kind()
    };
    assert_eq!((judge(&ours), judge(&theirs)), ("device", "operator"));
}

#[test]
fn a_chain_of_an_entry_that_admission_does_not_know_is_refused() {
    let pki = Pki::new();
    let chain = pki.verified(&pki.device().issue());
    assert!(Admission::new(vec![entry("# nobody\n")]).admit(&chain).is_ok());
    let denial = Admission::new(Vec::new()).admit(&chain).unwrap_err();
    assert_eq!(denial.reason, Reason::IdentityNotRecognised);
}

#[test]
fn a_profile_that_recognises_but_refuses_ends_the_search() {
    let pki = Pki::new();
    let malformed = pki.leaf().attribute(oid::COMMON_NAME, "00041374176O").issue();
    let both =
        AdmissionEntry { profiles: profiles(&["cn-mac", "cisco-small-business"]), ..entry("# nobody\n") };
    assert_eq!(admit(&both, &pki, &malformed), Err(Reason::InvalidMac));
    assert_eq!(kind(&admit(&both, &pki, &snom(&pki).issue())), Ok("device"));
}

#[test]
fn an_operator_profile_stands_alone() {
    let set = |names: &[&str]| {
        ProfileSet::new(names.iter().map(|name| IdentityProfile::shipped(name).unwrap()).collect())
    };
    assert!(set(&["operator"]).is_ok());
    assert!(set(&["cn-mac", "cisco-mic"]).is_ok());
    let alone = ProfileSetError::OperatorNotAlone { name: "operator".into() };
    assert_eq!(set(&["operator", "cn-mac"]), Err(alone.clone()));
    assert_eq!(set(&["cn-mac", "operator"]), Err(alone));
    assert_eq!(set(&[]), Err(ProfileSetError::Empty));
    assert_eq!(set(&["cn-mac", "cn-mac"]), Err(ProfileSetError::Repeated { name: "cn-mac".into() }));
}

#[test]
fn an_entry_can_be_limited_to_some_ouis() {
    let pki = Pki::new();
    let limited = |oui| AdmissionEntry { ouis: vec![[0x11, 0x22, 0x33], oui], ..entry("# nobody\n") };
    let device = pki.device().issue();
    assert_eq!(kind(&admit(&limited([0x00, 0x0e, 0x08]), &pki, &device)), Ok("device"));
    assert_eq!(admit(&limited([0x00, 0x0e, 0x09]), &pki, &device), Err(Reason::OuiNotAccepted));
    let generic = pki.device_with("cisco.com", "ciscogeneric", "ciscogeneric").issue();
    assert_eq!(admit(&limited([0x00, 0x0e, 0x08]), &pki, &generic), Err(Reason::OuiNotAccepted));
    assert_eq!(kind(&admit(&entry("# nobody\n"), &pki, &generic)), Ok("generic"));
}

#[test]
fn each_kind_of_entry_denies_its_device_and_no_other() {
    let pki = Pki::new();
    let device = pki.device().serial(&[0x0a, 0xbc]).issue();
    let own = device.certificate().fingerprint();
    let root = pki.root().certificate().fingerprint();
    let other = Fingerprint::of(b"another");
    for (denies, spares) in [
        ("mac 00:0E:08:AB:CD:EF\n".to_owned(), "mac 00:0E:08:AB:CD:EE\n".to_owned()),
        ("serial 88012ba01234\n".to_owned(), "serial 88012BA01235\n".to_owned()),
        (format!("sha256 {own}\n"), format!("sha256 {root}\n")),
        (format!("cert-serial {root} 0ABC\n"), format!("cert-serial {root} 0ABD\n")),
        (format!("cert-serial {root} abc # stolen\n"), format!("cert-serial {other} 0ABC\n")),
    ] {
        assert_eq!(admit(&entry(&denies), &pki, &device), Err(Reason::DeniedByList), "{denies}");
        assert_eq!(kind(&admit(&entry(&spares), &pki, &device)), Ok("device"), "{spares}");
    }
    assert_eq!(device.certificate().serial(), &Serial::parse_hex("0ABC").unwrap());
}

/// An authority's renewed or cross-signed certificate has the same name and key: its phones stay denied below it.
#[test]
fn a_denied_serial_number_stays_denied_below_another_certificate_of_the_same_authority() {
    let pki = Pki::new();
    let held = pki.intermediate();
    let other_name = pki.root().intermediate("Another").with_key(held.key()).issue();
    let other_key = pki.root().intermediate("Test Issuing CA").key_label("another").issue();
    let renewed = pki.root().intermediate("Test Issuing CA").with_key(held.key());
    let renewed = renewed.not_after(Pki::NOW.plus_seconds(1000)).issue();
    assert!(renewed.certificate().subject().equals(held.certificate().subject()));
    assert_ne!(renewed.certificate(), held.certificate());
    let device = held.leaf().serial(&[0x0a, 0xbc]);
    let device = device
        .attribute(oid::ORGANIZATIONAL_UNIT, "CP-8841-3PCC")
        .attribute(oid::LOCALITY, "88012BA01234")
        .attribute(oid::SURNAME, "000e08abcdef")
        .issue();
    let text = format!(
        "mac 000e08000001\ncert-serial {} 0ABC\ncert-serial {} 0ABC\n",
        held.certificate().fingerprint(),
        Fingerprint::of(b"nobody's")
    );
    let judge = |list: &DenyList, issuer: &Certificate| {
        let entry = AdmissionEntry { deny: Arc::new(list.clone()), ..entry("# nobody\n") };
        entry.admit(device.certificate(), issuer).map(drop).map_err(|denial| denial.reason)
    };
    let mut list = DenyList::parse("deny.txt", &text).unwrap();
    assert_eq!(judge(&list, renewed.certificate()), Ok(()), "a fingerprint alone does not know it");
    assert_eq!(
        list.bind([pki.root().certificate(), held.certificate()]),
        [3],
        "the line of nobody's authority"
    );
    for issuer in [held.certificate(), renewed.certificate()] {
        assert_eq!(judge(&list, issuer), Err(Reason::DeniedByList));
    }
    for issuer in [other_name.certificate(), other_key.certificate()] {
        assert_eq!(judge(&list, issuer), Ok(()), "another authority's serial number");
    }
}

#[test]
fn a_denied_certificate_stays_denied_with_its_other_signature() {
    let pki = Pki::new();
    let device = pki.device().issue();
    let rewritten = device.clone().with_twin_signature();
    let own = device.certificate().fingerprint();
    assert_ne!(rewritten.certificate().fingerprint(), own);
    pki.verified(&rewritten);
    let denying = entry(&format!("sha256 {own}\n"));
    for denied in [&device, &rewritten] {
        assert_eq!(admit(&denying, &pki, denied), Err(Reason::DeniedByList));
    }
    assert_eq!(kind(&admit(&denying, &pki, &pki.device().issue())), Ok("device"));
    assert_eq!(kind(&admit(&entry("# nobody\n"), &pki, &rewritten)), Ok("device"));
}

#[test]
fn a_denial_quotes_the_entry_that_made_it() {
    let pki = Pki::new();
    let device = pki.device().issue();
    let found = entry("mac 00-0e-08-ab-cd-ef # lost\n").admit(device.certificate(), pki.root().certificate());
    assert_eq!(found.unwrap_err().detail, "mac 000e08abcdef");
}

fn mistakes(text: &str) -> Vec<String> {
    let line = |d: &Diagnostic| match &d.hint {
        Some(hint) => format!("{d} | {hint}"),
        None => d.to_string(),
    };
    DenyList::parse("deny.txt", text).unwrap_err().iter().map(line).collect()
}

#[test]
fn reads_comments_blank_lines_and_either_line_end() {
    let list = DenyList::parse("deny.txt", "# a\r\n\r\n  # b\nmac 000e08abcdef\r\nserial x\t# c\nserial X\n")
        .unwrap();
    assert_eq!(list.len(), 2);
    assert!(!list.is_empty());
    assert!(DenyList::parse("deny.txt", "# nobody\n").unwrap().is_empty());
}

#[test]
fn reports_every_bad_line_of_a_deny_file() {
    let text = "mac 000e08abcde\nmac 000e08abcdef\nmca 000e08abcdef\nmac\nserial a b\nsha256 12\n\
                cert-serial 12\ncert-serial 12 34\nmac ffffffffffff\n000e08abcdef\n";
    assert_eq!(
        mistakes(text),
        [
            "deny.txt:1: \"000e08abcde\" is no MAC address: not 12 hex digits",
            "deny.txt:3: unknown entry \"mca\" | did you mean \"mac\"?",
            "deny.txt:4: `mac` is followed by one word",
            "deny.txt:5: `serial` is followed by one word",
            "deny.txt:6: \"12\" is no SHA-256: a SHA-256 fingerprint has 64 hexadecimal digits",
            "deny.txt:7: `cert-serial` is followed by two words: the issuer's SHA-256 and the serial number",
            "deny.txt:8: \"12\" is no SHA-256: a SHA-256 fingerprint has 64 hexadecimal digits",
            "deny.txt:9: ffffffffffff is no address that a device can have",
            "deny.txt:10: unknown entry \"000e08abcdef\" | a line begins with one of: mac, serial, cert-serial, sha256, #",
        ]
    );
}

#[test]
fn a_file_that_does_not_end_in_a_newline_may_be_half_written() {
    let hint = "end the last line; a list that denies nobody is one line: # nobody";
    let message = "the file does not end in a newline, so it may be half written";
    assert_eq!(mistakes("# a\nmac 000e08abcdef"), [format!("deny.txt:2: {message} | {hint}")]);
    assert_eq!(mistakes(""), [format!("deny.txt: {message} | {hint}")]);
    assert!(DenyList::parse("deny.txt", "# a\nmac 000e08abcdef\n").is_ok());
}
