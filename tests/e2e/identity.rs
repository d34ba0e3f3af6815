//! Which device a certificate names, and which certificates name none.

use harness::{
    gateway::{Gateway, MAC, PRODUCT, SERIAL, Scene},
    pki::{Name, attribute::*},
};
use policies::Reason;

use crate::verdict::{admitted, answered, forbidden, judged};

/// This subject is refused; the guide's is accepted.
fn refuses(subject: Name, reason: Reason) {
    let scene = Scene::new();
    judged(&scene, &scene.device(subject), reason, &scene.phone());
}

fn with_mac(mac: &str) -> Name {
    Name::phone(PRODUCT, SERIAL, mac)
}

#[test]
fn takes_product_serial_and_mac_from_the_guides_subject() {
    let scene = Scene::new();
    let gateway = scene.start();
    let record = admitted(&gateway, &scene.client(&gateway, &scene.phone()));
    let device =
        ["kind", "product", "serial", "mac", "profile"].map(|name| record.text(&format!("device.{name}")));
    assert_eq!(device, ["device", PRODUCT, SERIAL, MAC, "cisco-small-business"]);
}

#[test]
fn takes_the_mac_from_state_or_province_too() {
    let scene = Scene::new();
    let gateway = scene.start();
    let subject = Name::new().with(ORGANIZATIONAL_UNIT, PRODUCT).with(LOCALITY, SERIAL).with(STATE, MAC);
    let record = admitted(&gateway, &scene.client(&gateway, &scene.device(subject)));
    assert_eq!(record.text("device.mac"), MAC);
}

fn profiled(profile: &str, subject: Name) -> (Gateway, harness::audit::Record) {
    let mut scene = Scene::new();
    scene.config.trust().identity = vec![profile.to_owned()];
    let gateway = scene.start();
    let record = admitted(&gateway, &scene.client(&gateway, &scene.device(subject)));
    (gateway, record)
}

#[test]
fn takes_the_parts_of_a_manufacturing_certificate() {
    let subject = Name::new()
        .with(SERIAL_NUMBER, "PID:CP-8861 SN:FCH2133E8B9")
        .with(ORGANIZATION, "Cisco Systems Inc.")
        .with(ORGANIZATIONAL_UNIT, "CTG")
        .with(COMMON_NAME, "CP-8861-SEP000E08ABCDEF");
    let (_gateway, record) = profiled("cisco-mic", subject);
    let device = ["product", "serial", "mac"].map(|name| record.text(&format!("device.{name}")));
    assert_eq!(device, ["CP-8861", "FCH2133E8B9", MAC]);
}

#[test]
fn takes_the_mac_from_a_common_name() {
    let (_gateway, record) = profiled("cn-mac", Name::common("000E08ABCDEF").with(ORGANIZATION, "snom"));
    assert_eq!((record.text("device.mac"), record.text("device.product")), (MAC, ""));
    assert!(record.at("device.product").is_none(), "absent facts are absent");
}

#[test]
fn an_operator_may_have_any_subject_but_no_devices_path() {
    let mut scene = Scene::new();
    scene.config.trust().identity = vec!["operator".to_owned()];
    let gateway = scene.start();
    let client = scene.client(&gateway, &scene.device(Name::common("Technician")));
    let record = forbidden(&gateway, &client, "/000e08abcdef.cfg", 403, Reason::NoRuleMatched);
    assert_eq!(record.text("device.kind"), "operator");
}

/// SEC-22: the certificate that thousands of units share names none of them.
#[test]
fn a_generic_certificate_gets_its_allowed_path_and_nobodys_profile() {
    let scene = Scene::new();
    scene.folder.write("profiles/init/start.cfg", "init");
    let gateway = scene.start();
    let generic = scene.device(Name::phone("cisco.com", "ciscogeneric", "ciscogeneric"));
    let client = scene.client(&gateway, &generic);
    let record = answered(&gateway, &client, "/init/start.cfg", 200);
    assert_eq!(record.text("device.kind"), "generic");
    forbidden(&gateway, &client, "/000e08abcdef.cfg", 403, Reason::NoRuleMatched);
    forbidden(&gateway, &client, "/ciscogeneric.cfg", 403, Reason::NoRuleMatched);
}

#[test]
fn refuses_a_subject_of_no_known_shape() {
    refuses(Name::common("phone"), Reason::IdentityNotRecognised);
}

#[test]
fn refuses_a_phones_subject_with_an_empty_part() {
    let subject = Name::new().with(ORGANIZATIONAL_UNIT, PRODUCT).with(LOCALITY, "").with(SURNAME, MAC);
    refuses(subject, Reason::IdentityMalformed);
}

#[test]
fn refuses_a_phones_subject_with_a_part_missing() {
    refuses(Name::new().with(ORGANIZATIONAL_UNIT, PRODUCT).with(SURNAME, MAC), Reason::IdentityNotRecognised);
}

/// SEC-15.
#[test]
fn refuses_a_nul_in_the_product() {
    let subject = Name::new()
        .with(ORGANIZATIONAL_UNIT, "CP-8841-3PCC\0.evil")
        .with(LOCALITY, SERIAL)
        .with(SURNAME, MAC);
    refuses(subject, Reason::NulInName);
}

/// SEC-16, in both orders.
#[test]
fn refuses_two_macs_in_one_subject() {
    let other = "000e08abcdf0";
    for (first, second) in [(MAC, other), (other, MAC)] {
        refuses(with_mac(first).with(SURNAME, second), Reason::RepeatedAttribute);
    }
}

/// SEC-16.
#[test]
fn refuses_a_relative_name_of_two_attributes() {
    let subject = Name::new()
        .with(LOCALITY, SERIAL)
        .with(SURNAME, MAC)
        .with(ORGANIZATIONAL_UNIT, PRODUCT)
        .joined(ORGANIZATION, "Acme");
    refuses(subject, Reason::RepeatedAttribute);
}

/// SEC-17.
#[test]
fn refuses_bytes_that_the_string_type_does_not_allow() {
    let subject = Name::new()
        .typed(ORGANIZATIONAL_UNIT, 0x0c, b"CP-8841-\xff\xfe")
        .with(LOCALITY, SERIAL)
        .with(SURNAME, MAC);
    refuses(subject, Reason::InvalidEncoding);
}

/// SEC-21: zero, broadcast and group addresses, thirteen digits, the letter O, digits of another script.
#[test]
fn refuses_what_is_no_devices_mac() {
    let scene = Scene::new();
    let gateway = scene.start();
    let macs =
        ["000000000000", "ffffffffffff", "010e08abcdef", "000e08abcdeff", "OOOEO8ABCDEF", "٠٠٠e08abcdef"];
    for mac in macs {
        let client = scene.client(&gateway, &scene.device(with_mac(mac)));
        crate::verdict::refused(&gateway, &client, Reason::InvalidMac);
    }
    admitted(&gateway, &scene.client(&gateway, &scene.device(with_mac("00:0E:08:AB:CD:EF"))));
}

#[test]
fn refuses_a_mac_of_another_manufacturer() {
    let mut scene = Scene::new();
    scene.config.trust_line("ouis = [\"00:0e:08\"]");
    judged(&scene, &scene.device(with_mac("00562b043615")), Reason::OuiNotAccepted, &scene.phone());
}

/// SEC-14: what a printed name would confuse, the encoding keeps apart.
#[test]
fn an_attribute_inside_anothers_text_is_only_text() {
    let scene = Scene::new();
    let gateway = scene.start();
    let subject = Name::new()
        .with(ORGANIZATIONAL_UNIT, "CP-8841-3PCC")
        .with(LOCALITY, "x,SN=000e08abcdf0")
        .with(SURNAME, MAC);
    let client = scene.client(&gateway, &scene.device(subject));
    let record = admitted(&gateway, &client);
    assert_eq!((record.text("device.serial"), record.text("device.mac")), ("x,SN=000e08abcdf0", MAC));
    forbidden(&gateway, &client, "/000e08abcdf0.cfg", 403, Reason::NoRuleMatched);
}

/// SEC-18 and SEC-19: an alternative name is no identity, and a star stands for itself.
#[test]
fn alternative_names_and_stars_identify_nobody() {
    let mut scene = Scene::new();
    scene.config.trust().identity = vec!["cn-mac".to_owned()];
    let gateway = scene.start();
    let subjects = [
        (Name::common("phone"), Reason::InvalidMac),
        (Name::common("*"), Reason::InvalidMac),
        (Name::new().with(ORGANIZATION, "Acme"), Reason::IdentityNotRecognised),
    ];
    for (subject, reason) in subjects {
        let names = harness::pki::Extension::dns_names(&[MAC, "*"]);
        let template = harness::pki::Template::device(subject).with(names);
        let client = scene.client(&gateway, &scene.client_authority.issue(&template));
        crate::verdict::refused(&gateway, &client, reason);
    }
    admitted(&gateway, &scene.client(&gateway, &scene.device(Name::common(MAC))));
}
