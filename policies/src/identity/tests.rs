//! What the files in `tests/cases` cannot say: encodings, odd string types, and mistakes in profile files. The decisions
//! themselves are tables there.

use certs::testing::{CertificateBuilder, Pki};
use certs::{Oid, oid};

use super::*;
use crate::mac::MacAddress;

const UTF8: u8 = 0x0c;
const BMP: u8 = 0x1e;
const T61: u8 = 0x14;
const PRINTABLE: u8 = 0x13;
const UNIVERSAL: u8 = 0x1c;

fn small_business() -> IdentityProfile {
    IdentityProfile::shipped("cisco-small-business").unwrap()
}

fn judge(profile: &IdentityProfile, leaf: CertificateBuilder) -> Result<Principal, Reason> {
    profile.identify(leaf.issue().certificate().subject()).map_err(|denial| denial.reason)
}

/// The guide's device with its MAC address written by the caller.
fn with_mac(tag: u8, contents: &[u8]) -> CertificateBuilder {
    Pki::new()
        .leaf()
        .attribute(oid::ORGANIZATIONAL_UNIT, "CP-8841-3PCC")
        .attribute(oid::LOCALITY, "88012BA01234")
        .raw_attribute(oid::SURNAME, tag, contents)
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

fn utf32(text: &str) -> Vec<u8> {
    text.chars().flat_map(|c| u32::from(c).to_be_bytes()).collect()
}

#[test]
fn every_shipped_profile_can_be_read() {
    for name in IdentityProfile::shipped_names() {
        let profile = IdentityProfile::shipped(name).unwrap();
        assert_eq!(&**profile.name(), name);
        assert!(!profile.description().is_empty());
        assert_eq!(profile.is_operator(), name == "operator");
    }
    assert_eq!(IdentityProfile::shipped("no-such-profile"), None);
}

#[test]
fn sec_17_every_string_type_gives_the_same_device() {
    let expected = judge(&small_business(), with_mac(UTF8, b"000e08abcdef")).unwrap();
    let device = expected.device().unwrap();
    assert_eq!(device.mac(), Some(MacAddress::new([0, 0x0e, 8, 0xab, 0xcd, 0xef])));
    assert_eq!(device.mac_attribute(), Some("surname"));
    for (tag, contents) in [
        (PRINTABLE, b"000e08abcdef".to_vec()),
        (T61, b"000e08abcdef".to_vec()),
        (BMP, utf16("000e08abcdef")),
        (UNIVERSAL, utf32("000e08abcdef")),
    ] {
        assert_eq!(judge(&small_business(), with_mac(tag, &contents)), Ok(expected.clone()), "{tag:#x}");
    }
}

#[test]
fn sec_17_bytes_that_are_no_text_of_their_type_are_refused() {
    for (tag, contents) in [
        (UTF8, b"000e08abcde\xff".as_slice()),
        (PRINTABLE, b"000e08abcde\xe9"),
        (BMP, b"\x00"),
        (BMP, b"\xd8\x00"),
        (0x04, b"000e08abcdef"), // an OCTET STRING is no text
    ] {
        let found = judge(&small_business(), with_mac(tag, contents));
        assert_eq!(found, Err(Reason::InvalidEncoding), "{tag:#x} {contents:02x?}");
    }
}

#[test]
fn sec_15_a_nul_anywhere_in_a_used_value_refuses() {
    for contents in [b"000e08abcdef\0".as_slice(), b"\x00000e08abcdef", b"000e08\0abcdef", b"\0"] {
        let found = judge(&small_business(), with_mac(UTF8, contents));
        assert_eq!(found, Err(Reason::NulInName), "{contents:02x?}");
    }
    let bmp = judge(&small_business(), with_mac(BMP, &utf16("000e08\0abcdef")));
    assert_eq!(bmp, Err(Reason::NulInName));
    // In an attribute that nobody uses it does no harm.
    let unused = with_mac(UTF8, b"000e08abcdef").raw_attribute(oid::TITLE, UTF8, b"a\0b");
    assert!(judge(&small_business(), unused).is_ok());
}

#[test]
fn sec_16_a_repeated_attribute_refuses_whichever_comes_first() {
    let pki = Pki::new();
    for (first, second) in [("000e08abcdef", "000e08abcdee"), ("000e08abcdee", "000e08abcdef")] {
        let leaf = pki.device_with("CP-8841-3PCC", "88012BA01234", first).attribute(oid::SURNAME, second);
        assert_eq!(judge(&small_business(), leaf), Err(Reason::RepeatedAttribute));
    }
    let twice_the_same = pki.device().attribute(oid::SURNAME, "000e08abcdef");
    assert_eq!(judge(&small_business(), twice_the_same), Err(Reason::RepeatedAttribute));
    assert!(
        judge(&small_business(), pki.device().attribute(oid::TITLE, "x").attribute(oid::TITLE, "y")).is_ok()
    );
}

#[test]
fn sec_16_a_used_attribute_in_a_multi_valued_rdn_refuses() {
    let pki = Pki::new();
    let base = || pki.leaf().attribute(oid::ORGANIZATIONAL_UNIT, "CP-8841-3PCC");
    let mixed = base()
        .multi_valued(&[(oid::LOCALITY, "88012BA01234"), (oid::TITLE, "x")])
        .attribute(oid::SURNAME, "000e08abcdef");
    assert_eq!(judge(&small_business(), mixed), Err(Reason::RepeatedAttribute));
    let apart = base()
        .attribute(oid::LOCALITY, "88012BA01234")
        .multi_valued(&[(oid::TITLE, "x"), (oid::DESCRIPTION, "y")])
        .attribute(oid::SURNAME, "000e08abcdef");
    assert!(judge(&small_business(), apart).is_ok());
}

#[test]
fn values_that_are_no_names_refuse() {
    let pki = Pki::new();
    for serial in ["", "a\nb", "a\u{7f}", "a\u{85}b", &"9".repeat(257)] {
        let leaf = pki
            .leaf()
            .attribute(oid::ORGANIZATIONAL_UNIT, "CP-8841-3PCC")
            .attribute(oid::LOCALITY, serial)
            .attribute(oid::SURNAME, "000e08abcdef");
        assert_eq!(judge(&small_business(), leaf), Err(Reason::IdentityMalformed), "{serial:?}");
    }
    let longest = "9".repeat(256);
    assert!(judge(&small_business(), pki.device_with("CP-8841-3PCC", &longest, "000e08abcdef")).is_ok());
}

#[test]
fn sec_14_values_are_taken_by_oid_and_not_from_a_printed_name() {
    // Printed, this subject reads as if it named another device too.
    let leaf = Pki::new().device_with("CP-8841-3PCC, L=999, S=000e08ffffff", "88012BA01234", "000e08abcdef");
    let principal = judge(&small_business(), leaf).unwrap();
    let device = principal.device().unwrap();
    assert_eq!(device.product(), Some("CP-8841-3PCC, L=999, S=000e08ffffff"));
    assert_eq!(device.serial(), Some("88012BA01234"));
    assert_eq!(device.mac().unwrap().to_string(), "000e08abcdef");
}

#[test]
fn sec_18_a_subject_alternative_name_is_never_an_identity() {
    let pki = Pki::new();
    let profile = IdentityProfile::shipped("cn-mac").unwrap();
    let beside = pki.leaf().attribute(oid::COMMON_NAME, "000413741767").dns_names(&["000413aaaaaa"]);
    let device = judge(&profile, beside).unwrap();
    assert_eq!(device.device().unwrap().mac().unwrap().to_string(), "000413741767");
    let alone = pki.leaf().dns_names(&["000413741767"]);
    assert_eq!(judge(&profile, alone), Err(Reason::IdentityNotRecognised));
}

#[test]
fn reports_every_mistake_of_a_profile_file() {
    let text = r#"principle = "operator"
[recognise]
present = ["S", "comonName", "1.2.x"]
[mac]
attributes = ["surname"]
word = "a"
after = "b"
[serial]
attribute = ["L"]
"#;
    let found = IdentityProfile::parse("p.toml", text).unwrap_err();
    let found: Vec<_> = found
        .iter()
        .map(|d| d.hint.as_ref().map_or_else(|| d.to_string(), |hint| format!("{d} | {hint}")))
        .collect();
    assert_eq!(
        found,
        [
            "p.toml:1:1: `principle`: unknown key | did you mean `principal`?",
            "p.toml:3:12: `recognise.present[0]`: unknown attribute \"S\" | programs disagree about it: write surname, stateOrProvinceName or serialNumber",
            "p.toml:3:17: `recognise.present[1]`: unknown attribute \"comonName\" | did you mean \"commonName\"?",
            "p.toml:3:30: `recognise.present[2]`: unknown attribute \"1.2.x\" | write a name such as commonName, or a dotted OID",
            "p.toml:6:8: `mac.word`: either `after` or `word` can be said, not both",
            "p.toml:8:1: `serial.attributes`: missing: a list of strings is needed here",
            "p.toml:9:1: `serial.attribute`: unknown key | did you mean `attributes`?",
        ]
    );
}

#[test]
fn a_profile_that_tells_no_device_from_another_is_a_mistake() {
    let text = "[recognise]\npresent = [\"CN\"]\n[product]\nattributes = [\"CN\"]\n";
    let found = IdentityProfile::parse("p.toml", text).unwrap_err();
    assert_eq!(
        found[0].to_string(),
        "p.toml:1:1: the profile has neither [mac] nor [serial], so it could tell no device from another"
    );
    let twin = text.replace("[product]", "[serial]");
    assert!(IdentityProfile::parse("p.toml", &twin).is_ok());
}

#[test]
fn an_operators_own_profile_may_name_any_attribute_by_oid() {
    let text = "[recognise]\npresent = [\"1.3.6.1.4.1.99999.1\"]\n[serial]\nattributes = [\"1.3.6.1.4.1.99999.1\"]\n\
                [mac]\nattributes = [\"CN\"]\noptional = true\n";
    let profile = IdentityProfile::parse("etc/own.toml", text).unwrap();
    let leaf = Pki::new().leaf().attribute(Oid::parse("1.3.6.1.4.1.99999.1").unwrap(), "42");
    let principal = judge(&profile, leaf).unwrap();
    let device = principal.device().unwrap();
    assert_eq!((device.serial(), device.mac(), &**device.profile()), (Some("42"), None, "own"));
}
