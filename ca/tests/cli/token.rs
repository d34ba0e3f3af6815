//! Keys in a PKCS #11 token, SoftHSM's (CA H4).

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Said, Workplace, openssl_is_here};

const LABEL: &str = "Example Telco";
const PIN: &str = "correct-horse";

/// Where Debian and others put SoftHSM's module, and OpenSC's that writes down what is called.
const SOFTHSM: [&str; 4] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
];
const SPY: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/pkcs11-spy.so",
    "/usr/lib/aarch64-linux-gnu/pkcs11-spy.so",
    "/usr/lib64/pkcs11/pkcs11-spy.so",
];

/// A module that is here; with `REQUIRE_PEERS=1` it must be.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn module(test: &str, name: &str, places: &[&str]) -> Option<PathBuf> {
    let found = places.iter().map(PathBuf::from).find(|path| path.exists());
    let required = std::env::var("REQUIRE_PEERS").is_ok_and(|value| value == "1");
    assert!(found.is_some() || !required, "{test} needs {name}, and REQUIRE_PEERS=1 is set");
    if found.is_none() {
        eprintln!("skipped: {test} needs {name}");
    }
    found
}

/// A workplace with a token of its own.
struct Place {
    here: Workplace,
}

impl Place {
    fn new() -> Self {
        let here = Workplace::new();
        std::fs::create_dir(here.path("tokens")).unwrap();
        let folder = here.path("tokens").display().to_string();
        here.write("softhsm.conf", format!("directories.tokendir = {folder}\nlog.level = ERROR\n"));
        here.write("pin", format!("{PIN}\n"));
        here.write("wrong", "battery-staple\n");
        let place = Self { here };
        let made = Command::new("softhsm2-util")
            .args(["--init-token", "--free", "--label", LABEL, "--pin", PIN, "--so-pin", "security-officer"])
            .env("SOFTHSM2_CONF", place.here.path("softhsm.conf"))
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        place
    }

    fn founded(module: &Path, more: &[&str]) -> Self {
        let place = Self::new();
        let module = module.display().to_string();
        let init = ["init", "--name", LABEL, "--pkcs11-module", &module, "--pkcs11-token", LABEL];
        place.run(&[&init[..], more, &["--passphrase-file", "pin"]].concat()).done();
        place
    }

    fn run_with(&self, arguments: &[&str], environment: &[(&str, String)]) -> Said {
        self.here
            .command(arguments)
            .env("SOFTHSM2_CONF", self.here.path("softhsm.conf"))
            .envs(environment.iter().map(|(name, value)| (*name, value.as_str())))
            .output()
            .unwrap()
            .into()
    }

    fn run(&self, arguments: &[&str]) -> Said {
        self.run_with(arguments, &[])
    }

    fn publish(&self) -> Said {
        self.run(&["crl", "publish", "--passphrase-file", "pin"])
    }

    fn uri(&self, authority: &str) -> String {
        self.here.read(&format!("provision-ca/authorities/{authority}/key.uri"))
    }

    fn set_uri(&self, authority: &str, text: impl AsRef<[u8]>) {
        self.here.write(&format!("provision-ca/authorities/{authority}/key.uri"), text);
    }
}

#[test]
fn h4_authorities_sign_with_keys_that_never_leave_the_token() {
    let test = "h4_authorities_sign_with_keys_that_never_leave_the_token";
    let Some(module) = module(test, "SoftHSM", &SOFTHSM) else { return };
    if !openssl_is_here(test) {
        return;
    }
    for more in [&["--key", "p256"][..], &["--key", "rsa2048", "--shape", "issuing"]] {
        let place = Place::founded(&module, more);
        let here = &place.here;
        let kept = here.files("provision-ca/authorities");
        assert!(kept.iter().all(|file| !file.ends_with("key.pem")), "{kept:?}");
        let mode = std::fs::metadata(here.path("provision-ca/authorities/client-root/key.uri")).unwrap();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o777, 0o600);
        for (mac, attribute) in [("000e08abcd00", "surname"), ("000e08abcd01", "state")] {
            let phone =
                ["device", "issue", "--model", "CP-8841-3PCC", "--key", "p256", "--passphrase-file", "pin"];
            let own = ["--serial", mac, "--mac", mac, "--mac-attribute", attribute];
            place.run(&[&phone[..], &own].concat()).done();
        }
        place
            .run(&["server", "issue", "prov.example.com", "--key", "p256", "--passphrase-file", "pin"])
            .done();
        place.run(&["revoke", "000e08abcd00", "--reason", "keyCompromise"]).done();
        place.publish().done();
        place.run(&["ocsp", "issue", "--passphrase-file", "pin"]).done();
        let lists: String =
            here.files("provision-ca/trust/crls").iter().map(|file| here.read(file)).collect();
        here.write("crls.pem", lists);
        let judge = |mac: &str| {
            let chain = format!("provision-ca/devices/{mac}/chain.pem");
            let options = ["verify", "-x509_strict", "-crl_check_all", "-CRLfile", "crls.pem"];
            let trust = ["-CAfile", "provision-ca/trust/client-root.pem", "-untrusted", &chain, &chain];
            here.openssl(&[&options[..], &trust].concat())
        };
        assert!(judge("000e08abcd00").stderr.contains("certificate revoked"));
        judge("000e08abcd01").done();
    }
}

#[test]
fn h4_a_wrong_pin_is_tried_once_though_several_keys_are_wanted() {
    let test = "h4_a_wrong_pin_is_tried_once_though_several_keys_are_wanted";
    let spied = module(test, "OpenSC's pkcs11-spy", &SPY);
    let Some(module) = module(test, "SoftHSM", &SOFTHSM) else { return };
    let Some(spy) = spied else { return };
    let place = Place::founded(&module, &["--key", "p256", "--shape", "issuing"]);
    for authority in ["server-root", "client-root", "server-issuing", "client-issuing"] {
        let text = place.uri(authority);
        let spied = text.replace(&module.display().to_string(), &spy.display().to_string());
        assert_ne!(text, spied);
        place.set_uri(authority, spied);
    }
    let watched = |arguments: &[&str], log: &str| {
        let environment = [
            ("PKCS11SPY", module.display().to_string()),
            ("PKCS11SPY_OUTPUT", place.here.path(log).display().to_string()),
        ];
        let said = place.run_with(arguments, &environment);
        let logged = place.here.read(log);
        (said, logged.matches("C_Login\n").count(), logged.matches("C_Sign\n").count())
    };
    let (said, logins, signatures) = watched(&["crl", "publish", "--passphrase-file", "wrong"], "wrong.log");
    let said = said.refused();
    assert!(said.contains("the PIN of the token Example Telco is wrong; it is not tried again"), "{said}");
    assert!(said.contains("hint: tokens count wrong PINs"), "{said}");
    assert_eq!((logins, signatures), (1, 0));
    assert!(!said.contains("battery"), "H2: {said}");
    // The twin: the right one signs a list of each authority.
    let (said, _, signatures) = watched(&["crl", "publish", "--passphrase-file", "pin"], "right.log");
    said.done();
    assert!(signatures >= 8, "four lists, each signature asked for its length first: {signatures}");
}

#[test]
fn h4_label_and_id_must_both_fit_and_the_key_must_be_the_certificates() {
    let test = "h4_label_and_id_must_both_fit_and_the_key_must_be_the_certificates";
    let Some(module) = module(test, "SoftHSM", &SOFTHSM) else { return };
    let place = Place::founded(&module, &["--key", "p256"]);
    let (own, other) = (place.uri("client-root"), place.uri("server-root"));
    let id = |uri: &str| uri.split("id=").nth(1).unwrap().split(';').next().unwrap().to_owned();
    for (text, complaint) in [
        (own.replace(&id(&own), &id(&other)), "holds no key called client-root with that id"),
        (
            own.replace("object=client-root", "object=server-root"),
            "holds no key called server-root with that id",
        ),
        (own.replace("token=Example%20Telco", "token=Other"), "no token called Other is there"),
        (own.replace("libsofthsm2.so", "libnothing.so"), "cannot load the PKCS #11 module"),
        (other, "does not belong to the certificate of client-root"),
        ("hello\n".to_owned(), "does not name a key in a token"),
    ] {
        place.set_uri("client-root", &text);
        let refused = place.publish().refused();
        assert!(refused.contains(complaint), "{text}{refused}");
    }
    place.set_uri("client-root", &own);
    place.publish().done();
}

#[test]
fn a_store_cannot_be_founded_in_a_token_that_is_not_there() {
    let test = "a_store_cannot_be_founded_in_a_token_that_is_not_there";
    let Some(module) = module(test, "SoftHSM", &SOFTHSM) else { return };
    let place = Place::new();
    let path = module.display().to_string();
    let init = |module: &str, label: &str, pin: &str| {
        let arguments = ["init", "--key", "p256", "--pkcs11-module", module, "--pkcs11-token", label];
        place.run(&[&arguments[..], &["--passphrase-file", pin]].concat())
    };
    for (module, label, pin, complaint) in [
        (path.as_str(), "Nobody", "pin", "no token called Nobody is there"),
        (path.as_str(), LABEL, "wrong", "is wrong; it is not tried again"),
        ("softhsm.conf", LABEL, "pin", "cannot load the PKCS #11 module softhsm.conf"),
        (path.as_str(), " x", "pin", "cannot be the label of a token"),
    ] {
        let refused = init(module, label, pin).refused();
        assert!(refused.contains(complaint), "{refused}");
        assert!(!place.here.path("provision-ca/ca.sqlite").exists());
    }
    init(&path, LABEL, "pin").done();
}

/// What OpenSC's tool says of the private keys in the token.
fn private_keys(place: &Place, module: &Path) -> String {
    let list = ["--list-objects", "--type", "privkey", "--login", "--pin", PIN, "--token-label", LABEL];
    let said = Command::new("pkcs11-tool")
        .args(["--module", &module.display().to_string()])
        .args(list)
        .env("SOFTHSM2_CONF", place.here.path("softhsm.conf"))
        .output()
        .unwrap();
    assert!(said.status.success(), "{said:?}");
    String::from_utf8(said.stdout).unwrap()
}

#[test]
fn h4_i1_the_key_of_an_imported_authority_goes_into_the_token_and_stays_there() {
    let test = "h4_i1_the_key_of_an_imported_authority_goes_into_the_token_and_stays_there";
    let Some(module) = module(test, "SoftHSM", &SOFTHSM) else { return };
    if !openssl_is_here(test) {
        return;
    }
    let place = Place::founded(&module, &["--key", "p256"]);
    let here = &place.here;
    let kinds = [
        ("rsa", "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048"),
        ("p256", "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256"),
    ];
    for (number, (name, make_key)) in (2..).zip(kinds) {
        crate::foreign_keys::authority(here, name, make_key, number);
        let (file, key, phone) = (format!("{name}.pem"), format!("{name}.key"), format!("{name}-phone.pem"));
        let import =
            ["import", &file, &phone, "--side", "client", "--ca-key", &key, "--passphrase-file", "pin"];
        let own = format!("client-root-{number}");
        let before = private_keys(&place, &module);
        let foretold = place.run(&[&import[..], &["--dry-run"]].concat()).done();
        assert!(foretold.contains(&own), "{foretold}");
        assert_eq!(private_keys(&place, &module), before, "a dry run puts nothing in");
        // As if it had been killed before the store had it: what was put in is found again, and not put in twice. (SoftHSM's own
        // files do not survive a kill while they are written.)
        crate::database::copy(&here.path("provision-ca"), &here.path("before"));
        place.run(&import).done();
        std::fs::remove_dir_all(here.path("provision-ca")).unwrap();
        std::fs::rename(here.path("before"), here.path("provision-ca")).unwrap();
        place.run(&import).done();
        let kept = here.files(&format!("provision-ca/authorities/{own}"));
        assert_eq!(
            kept,
            ["cert.pem", "key.uri"].map(|file| format!("provision-ca/authorities/{own}/{file}"))
        );
        let keys = private_keys(&place, &module);
        assert_eq!(keys.matches(&format!("label:      {own}\n")).count(), 1, "{keys}");
        let its = keys.split("Private Key Object").find(|one| one.contains(&own)).unwrap();
        assert!(its.contains("sensitive") && !its.contains("extractable,"), "{its}");
        place.run(&["revoke", &format!("000e0800000{number}"), "--reason", "superseded"]).done();
        place.publish().done();
        let list = format!("provision-ca/trust/crls/{own}.crl");
        let said = here.openssl(&["verify", "-crl_check", "-CRLfile", &list, "-CAfile", &file, &phone]);
        assert!(said.stderr.contains("certificate revoked"), "{}", said.stderr);
    }
    // Its certificate first, and its key later, is the same in the end.
    crate::foreign_keys::authority(here, "later", kinds[1].1, 4);
    place.run(&["import", "later.pem", "--side", "client"]).done();
    place.publish().done();
    assert!(!here.path("provision-ca/trust/crls/client-root-4.crl").exists());
    let said =
        place.run(&["import", "later.pem", "--ca-key", "later.key", "--passphrase-file", "pin"]).done();
    assert!(said.contains("client-root-4: its key has come"), "{said}");
    place.publish().done();
    assert!(here.path("provision-ca/trust/crls/client-root-4.crl").exists());
    // A kind that tokens are not given, a wrong PIN, and what waits in files for a root's answer.
    crate::foreign_keys::authority(here, "ed", "genpkey -algorithm ED25519", 5);
    let before = private_keys(&place, &module);
    let import = |pin: &str, more: &[&str]| {
        place.run(&[&["import", "--side", "client", "--passphrase-file", pin][..], more].concat())
    };
    let told = import("pin", &["ed.pem", "--ca-key", "ed.key"]).refused();
    assert!(told.contains("this one is Ed25519") && told.contains("--certificate-only"), "{told}");
    crate::foreign_keys::authority(here, "more", kinds[1].1, 6);
    let told = import("wrong", &["more.pem", "--ca-key", "more.key"]).refused();
    assert!(told.contains("it is not tried again"), "{told}");
    assert_eq!(private_keys(&place, &module), before);
    import("pin", &["ed.pem", "--certificate-only"]).done();
    let ask =
        ["root", "request", "to-root", "--root", "client-root", "--issuing", "--passphrase-file", "pin"];
    let told = place.run(&ask).refused();
    assert!(told.contains("those that wait for a root's answer are files"), "{told}");
    assert!(!here.path("to-root").exists());
    place.run(&["store", "check"]).done();
    place.run(&["audit", "verify"]).done();
}

#[test]
fn h4_the_last_try_of_a_pin_is_refused_and_not_burnt() {
    let test = "h4_the_last_try_of_a_pin_is_refused_and_not_burnt";
    let Some(module) = module(test, "SoftHSM", &SOFTHSM) else { return };
    let place = Place::founded(&module, &["--key", "p256"]);
    let shim = crate::last_try::build(&place.here.path(""));
    for authority in ["server-root", "client-root"] {
        let text = place.uri(authority);
        let shimmed = text.replace(&module.display().to_string(), &shim.display().to_string());
        assert_ne!(text, shimmed);
        place.set_uri(authority, shimmed);
    }
    let publish = |flags: Option<&str>, log: &str| {
        place.here.write(log, "");
        let mut environment = vec![
            ("TOKEN_MODULE", module.display().to_string()),
            ("TOKEN_LOG", place.here.path(log).display().to_string()),
        ];
        environment.extend(flags.map(|flags| ("TOKEN_FLAGS", flags.to_owned())));
        let said = place.run_with(&["crl", "publish", "--passphrase-file", "pin"], &environment);
        (said, place.here.read(log).lines().count())
    };
    // CKF_USER_PIN_FINAL_TRY, and CKF_USER_PIN_LOCKED: even the right PIN is not sent.
    for (flags, complaint, remedy) in
        [("20000", "allows one more try", "pkcs11-tool --login"), ("40000", "is locked", "security officer")]
    {
        let (said, logins) = publish(Some(flags), "refused.log");
        let said = said.refused();
        assert!(said.contains(complaint) && said.contains(remedy), "{said}");
        assert_eq!(logins, 0, "{said}");
    }
    // CKF_USER_PIN_COUNT_LOW is no reason to stop: a wrong PIN was typed some time.
    let (said, logins) = publish(Some("10000"), "low.log");
    said.done();
    assert!(logins >= 1);
    let (said, logins) = publish(None, "right.log");
    said.done();
    assert!(logins >= 1);
}
