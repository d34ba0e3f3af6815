//! Certificates and devices that are no longer welcome.

use harness::{
    expect::now,
    gateway::{MAC, Scene, phone_template},
    pki::{Authority, Credentials, DAY, Extension, Name, hex},
};
use policies::Reason;

use crate::verdict::{admitted, judged, refused};

/// A scene whose trust entry checks the lists in `crls/`.
fn checking() -> Scene {
    let mut scene = Scene::new();
    scene.config.trust_line("crls = \"crls\"");
    std::fs::create_dir(scene.folder.join("crls")).unwrap();
    scene
}

#[test]
fn refuses_a_revoked_leaf_by_a_folder_or_a_file_in_pem_or_der() {
    for (name, config) in [("crls/root.crl", "crls"), ("root.crl", "root.crl")] {
        for der in [false, true] {
            let mut scene = Scene::new();
            scene.config.trust_line(&format!("crls = {config:?}"));
            let (bad, good) = (scene.phone(), scene.phone());
            let list = scene.client_authority.crl(&[&bad.serial]);
            scene.folder.write(name, if der { list.der() } else { list.pem().into_bytes() });
            judged(&scene, &bad, Reason::Revoked, &good);
        }
    }
}

#[test]
fn refuses_a_leaf_below_a_revoked_intermediate() {
    let scene = checking();
    let bad = scene.client_authority.intermediate("Revoked Issuing");
    let good = scene.client_authority.intermediate("Good Issuing");
    scene.folder.write("crls/root.crl", scene.client_authority.crl(&[bad.serial()]).pem());
    scene.folder.write("crls/bad.crl", bad.crl(&[]).pem());
    scene.folder.write("crls/good.crl", good.crl(&[]).pem());
    judged(&scene, &bad.issue(&phone_template()), Reason::Revoked, &good.issue(&phone_template()));
}

/// SEC-46, SEC-48: an empty list is a list; none is not.
#[test]
fn refuses_a_chain_that_no_list_covers_unless_allowed() {
    let mut scene = checking();
    let covered = scene.phone();
    let uncovered = scene.client_authority.intermediate("Uncovered").issue(&phone_template());
    scene.folder.write("crls/root.crl", scene.client_authority.crl(&[]).pem());
    judged(&scene, &uncovered, Reason::RevocationUnknown, &covered);
    scene.config.trust_line("crl-unknown = \"allow\"");
    let gateway = scene.start();
    gateway.audit.skip_to_end();
    admitted(&gateway, &scene.client(&gateway, &uncovered));
}

/// SEC-47.
#[test]
fn refuses_by_a_list_that_is_out_of_date_unless_allowed() {
    let mut scene = checking();
    let phone = scene.phone();
    let list = |age: i64| {
        let mut list = scene.client_authority.crl(&[]);
        list.this_update = now() - age - DAY;
        list.next_update = Some(now() - age);
        list.pem()
    };
    scene.folder.write("crls/root.crl", list(60));
    let gateway = scene.start();
    refused(&gateway, &scene.client(&gateway, &phone), Reason::CrlExpired);
    drop(gateway);
    scene.folder.write("crls/root.crl", list(-60));
    let gateway = scene.start();
    gateway.audit.skip_to_end();
    admitted(&gateway, &scene.client(&gateway, &phone));
    drop(gateway);
    scene.folder.write("crls/root.crl", list(60));
    scene.config.trust_line("crl-expired = \"allow\"");
    let gateway = scene.start();
    gateway.audit.skip_to_end();
    admitted(&gateway, &scene.client(&gateway, &phone));
}

/// A list that cannot be used counts as none, and `check` names it; it does not stop the start.
#[test]
fn a_list_with_an_unknown_critical_extension_counts_as_none() {
    let scene = checking();
    let phone = scene.phone();
    let mut list = scene.client_authority.crl(&[]);
    list.extensions.push(Extension::new("1.3.6.1.4.1.99999.8", true, harness::der::null()));
    scene.folder.write("crls/root.crl", list.pem());
    let gateway = scene.start();
    refused(&gateway, &scene.client(&gateway, &phone), Reason::RevocationUnknown);
    let checked = scene.run_command("check", &[]);
    assert!(format!("{}{}", checked.out, checked.err).contains("root.crl"), "{checked:?}");
}

/// A list signed by somebody else of the same name says nothing.
#[test]
fn a_list_signed_by_an_impostor_counts_as_none() {
    let scene = checking();
    let phone = scene.phone();
    scene.folder.write("crls/root.crl", Authority::root("Test Client Root").crl(&[]).pem());
    let gateway = scene.start();
    refused(&gateway, &scene.client(&gateway, &phone), Reason::RevocationUnknown);
    drop(gateway);
    scene.folder.write("crls/true.crl", scene.client_authority.crl(&[]).pem());
    let gateway = scene.start();
    gateway.audit.skip_to_end();
    admitted(&gateway, &scene.client(&gateway, &phone));
}

/// SEC-51: two authorities of one name and two keys each have their own list.
#[test]
fn two_authorities_of_one_name_have_a_list_each() {
    let scene = checking();
    let twin = Authority::root("Test Client Root");
    scene.folder.write("client-root.pem", scene.client_authority.pem() + &twin.pem());
    let (first, second) = (scene.phone(), twin.issue(&phone_template()));
    scene.folder.write("crls/first.crl", scene.client_authority.crl(&[&second.serial]).pem());
    scene.folder.write("crls/second.crl", twin.crl(&[]).pem());
    let gateway = scene.start();
    admitted(&gateway, &scene.client(&gateway, &first));
    admitted(&gateway, &scene.client(&gateway, &second));
    drop(gateway);
    scene.folder.write("crls/second.crl", twin.crl(&[&second.serial]).pem());
    let gateway = scene.start();
    gateway.audit.skip_to_end();
    admitted(&gateway, &scene.client(&gateway, &first));
    refused(&gateway, &scene.client(&gateway, &second), Reason::Revoked);
}

#[test]
fn the_deny_file_refuses_by_mac_serial_certificate_and_fingerprint() {
    let other = |scene: &Scene| scene.device(Name::phone("CP-8841-3PCC", "88012BA01235", "000e08abcdf0"));
    let lines: [fn(&Scene, &Credentials) -> String; 5] = [
        |_, _| format!("mac {MAC}"),
        |_, _| "mac 00:0E:08:AB:CD:EF".to_owned(),
        |_, _| "serial 88012BA01234".to_owned(),
        |scene, phone| {
            use harness::pki::fingerprint;
            format!(
                "cert-serial {} {}",
                fingerprint(scene.client_authority.certificate()),
                hex(&phone.serial)
            )
        },
        |_, phone| format!("sha256 {}", phone.fingerprint()),
    ];
    for line in lines {
        let mut scene = Scene::new();
        scene.config.trust_line("deny = \"deny.txt\"");
        let (bad, good) = (scene.phone(), other(&scene));
        scene.folder.write("deny.txt", format!("# lost\n\n{}  # since May\n", line(&scene, &bad)));
        let gateway = scene.start();
        let record = refused(&gateway, &scene.client(&gateway, &bad), Reason::DeniedByList);
        assert_eq!(record.text("certificate.sha256"), bad.fingerprint());
        let answer = scene.client(&gateway, &good).get("/000e08abcdf0.cfg");
        assert_eq!(answer.status(), 200);
    }
}
