//! Resumed connections: as fast, and not a bit more trusting (SEC-38 to SEC-45).

use harness::{
    client::{Client, Outcome},
    expect::{eventually, now},
    gateway::{Gateway, MAC, PROFILE, Scene, phone_template},
    origin::Origin,
    pki::{Authority, DAY, Key, KeyKind, Template},
};
use policies::Reason;

use crate::verdict::{admitted, answered};

/// Both versions' ways to resume.
const VERSIONS: [fn(Client) -> Client; 2] = [Client::tls12, Client::tls13];

/// A client with a session to resume.
fn with_session(
    scene: &Scene,
    gateway: &Gateway,
    credentials: &harness::pki::Credentials,
    version: fn(Client) -> Client,
) -> Client {
    let client = version(scene.client(gateway, credentials));
    let record = admitted(gateway, &client);
    assert_eq!(record.boolean("tls.resumed"), Some(false));
    client
}

#[test]
fn a_resumed_connection_is_served_and_recorded_as_such() {
    let scene = Scene::new();
    let gateway = scene.start();
    for version in VERSIONS {
        let client = with_session(&scene, &gateway, &scene.phone(), version);
        for _ in 0..3 {
            let record = admitted(&gateway, &client);
            assert_eq!(record.boolean("tls.resumed"), Some(true));
        }
    }
}

/// SEC-10, SEC-42: the same identity, byte for byte.
#[test]
fn a_resumed_connection_carries_the_same_identity_fields() {
    let origin = Origin::start();
    let mut scene = Scene::before(origin.address());
    let presets = ["guide", "broadworks", "rfc9440", "xfcc", "device"];
    scene.config.host().headers = presets.map(str::to_owned).to_vec();
    let gateway = scene.start();
    let phone = scene.client_authority.intermediate("Test Issuing").issue(&phone_template());
    for (at, version) in VERSIONS.into_iter().enumerate() {
        let client = with_session(&scene, &gateway, &phone, version);
        assert_eq!(admitted(&gateway, &client).boolean("tls.resumed"), Some(true));
        let fields = |at: usize| {
            let received = origin.wait_for(at);
            let mut fields = received.head.fields;
            fields.retain(|(name, _)| name != "x-request-id" && name != "ssl-session-resumed");
            fields.sort();
            fields
        };
        assert_eq!(fields(2 * at + 1), fields(2 * at + 2));
        assert_eq!(origin.wait_for(2 * at + 2).field("ssl-client-s-dn-s"), Some(MAC));
    }
}

/// What changes while the device is away; the resumed handshake succeeds, its first request does not.
fn refused_on_resumption(reason: Reason, prepare: impl Fn(&mut Scene), change: impl Fn(&Scene, &[u8])) {
    for version in VERSIONS {
        let mut scene = Scene::new();
        prepare(&mut scene);
        let mut gateway = scene.start();
        let (phone, other) = (scene.phone(), scene.phone());
        let client = with_session(&scene, &gateway, &phone, version);
        let twin = with_session(&scene, &gateway, &other, version);
        change(&scene, &phone.serial);
        gateway.reload();
        let outcome = client.get(PROFILE);
        assert!(!matches!(outcome, Outcome::Answer(_)), "{outcome:?}");
        let record = gateway.audit.next();
        assert_eq!(record.text("reason"), reason.as_str(), "{record:?}");
        assert_eq!(record.text("certificate.sha256"), phone.fingerprint());
        if reason != Reason::UnknownIssuer {
            let record = admitted(&gateway, &twin);
            assert_eq!(record.boolean("tls.resumed"), Some(true), "the twin's session lives on");
        }
    }
}

/// SEC-41.
#[test]
fn a_device_revoked_since_is_refused_on_resumption() {
    refused_on_resumption(
        Reason::Revoked,
        |scene| {
            scene.config.trust_line("crls = \"root.crl\"");
            scene.folder.write("root.crl", scene.client_authority.crl(&[]).pem());
        },
        |scene, serial| scene.folder.replace("root.crl", scene.client_authority.crl(&[serial]).pem()),
    );
}

/// SEC-41.
#[test]
fn a_device_denied_since_is_refused_on_resumption() {
    refused_on_resumption(
        Reason::DeniedByList,
        |scene| {
            scene.config.trust_line("deny = \"deny.txt\"");
            scene.folder.write("deny.txt", "# nobody\n");
        },
        |scene, serial| {
            let issuer = harness::pki::fingerprint(scene.client_authority.certificate());
            scene.folder.replace("deny.txt", format!("cert-serial {issuer} {}\n", harness::pki::hex(serial)));
        },
    );
}

/// SEC-41, SEC-40: time itself is a change.
#[test]
fn a_certificate_expired_since_is_refused_on_resumption() {
    let scene = Scene::new();
    let gateway = scene.start();
    for version in VERSIONS {
        let short = Template { not_after: now() + 2, ..phone_template() };
        let short = scene.client_authority.issue(&short);
        let end = now() + 2;
        let client = with_session(&scene, &gateway, &short, version);
        eventually("the certificate's end", || (now() > end).then_some(()));
        let outcome = client.get(PROFILE);
        assert!(!matches!(outcome, Outcome::Answer(_)), "{outcome:?}");
        assert_eq!(gateway.audit.next().text("reason"), Reason::Expired.as_str());
        let long = with_session(&scene, &gateway, &scene.phone(), version);
        assert_eq!(admitted(&gateway, &long).boolean("tls.resumed"), Some(true));
    }
}

/// SEC-39: a session made under other anchors is not resumed: a full handshake judges anew.
#[test]
fn a_session_made_under_other_anchors_is_not_resumed() {
    for version in VERSIONS {
        let mut scene = Scene::new();
        let mut gateway = scene.start();
        let client = with_session(&scene, &gateway, &scene.phone(), version);
        let more = Authority::root("Another Root");
        scene.folder.write("more.pem", scene.client_authority.pem() + &more.pem());
        scene.config.trust().anchors = "more.pem".to_owned();
        scene.write_config();
        gateway.reload();
        let record = admitted(&gateway, &client);
        assert_eq!(record.boolean("tls.resumed"), Some(false), "a full handshake, not a failure");
        assert_eq!(admitted(&gateway, &client).boolean("tls.resumed"), Some(true));
    }
}

/// SEC-39, SEC-43: tickets survive a reload that changes nothing of a host's trust.
#[test]
fn a_session_survives_a_reload_of_the_same_trust() {
    for version in VERSIONS {
        let mut scene = Scene::new();
        let mut gateway = scene.start();
        let client = with_session(&scene, &gateway, &scene.phone(), version);
        scene.config.limit("idle-timeout = \"30s\"");
        scene.write_config();
        gateway.reload();
        assert_eq!(admitted(&gateway, &client).boolean("tls.resumed"), Some(true));
    }
}

/// SEC-43: ticket keys are a gateway's own and are never on disk; another with the same files knows nothing of them.
#[test]
fn a_session_of_one_gateway_is_not_resumed_at_another() {
    let scene = Scene::new();
    let other = Scene { folder: copy_of(&scene), config: scene.config.clone(), ..Scene::new() };
    let (gateway, elsewhere) = (scene.start(), other.start());
    for version in VERSIONS {
        let client = with_session(&scene, &gateway, &scene.phone(), version);
        let record = admitted(&elsewhere, &client.at(elsewhere.address()));
        assert_eq!(record.boolean("tls.resumed"), Some(false), "a full handshake, not a failure");
    }
}

fn copy_of(scene: &Scene) -> harness::workdir::WorkDir {
    let folder = harness::workdir::WorkDir::new();
    for name in ["server-chain.pem", "client-root.pem", "profiles/000e08abcdef.cfg"] {
        folder.write(name, std::fs::read(scene.folder.join(name)).unwrap());
    }
    folder.write_private("server-key.pem", std::fs::read(scene.folder.join("server-key.pem")).unwrap());
    folder
}

/// A resumed connection of a client that had no certificate has none.
#[test]
fn a_session_without_a_certificate_is_no_way_around_one() {
    let mut scene = Scene::new();
    scene.config.host().client_auth = "optional".to_owned();
    scene.config.host().rules = "rules.toml".to_owned();
    scene.folder.write(
        "rules.toml",
        "[[rule]]\nname = \"any\"\nallow = [\"GET\"]\npath = [\"/{*}\"]\nfor = [\"anonymous\", \"device\"]\n",
    );
    for version in VERSIONS {
        scene.config.host().client_auth = "optional".to_owned();
        let mut gateway = scene.start();
        gateway.audit.skip_to_end();
        let client = version(scene.stranger(&gateway));
        answered(&gateway, &client, PROFILE, 200);
        let record = answered(&gateway, &client, PROFILE, 200);
        assert_eq!(record.text("device.kind"), "anonymous");
        scene.config.host().client_auth = "required".to_owned();
        scene.write_config();
        gateway.reload();
        let outcome = client.get(PROFILE);
        assert!(!matches!(outcome, Outcome::Answer(_)), "{outcome:?}");
        assert_eq!(gateway.audit.next().text("reason"), Reason::NoCertificate.as_str());
    }
}

/// SEC-45: a chain of three large certificates resumes, or does not, and is served either way.
#[test]
fn a_large_chain_is_served_again() {
    let mut scene = Scene::new();
    let root = Authority::root_with(Key::new(KeyKind::Rsa2048), Template::authority("Large Root"));
    scene.folder.write("client-root.pem", root.pem());
    scene.config.host().rules = "own-profile".to_owned();
    let filler =
        harness::pki::Extension::new("1.3.6.1.4.1.99999.10", false, harness::der::octets(&vec![0; 3000]));
    let first = root.intermediate_with(Template::authority("One").with(filler.clone()));
    let second = first.intermediate_with(Template::authority("Two").with(filler.clone()));
    let phone = second.issue(&phone_template().with(filler));
    let gateway = scene.start();
    for version in VERSIONS {
        let client = version(scene.client(&gateway, &phone));
        for _ in 0..3 {
            admitted(&gateway, &client);
        }
    }
}

/// SEC-44: no early data is ever accepted.
#[test]
fn tickets_allow_no_early_data() {
    use harness::{
        expect::{Peer, all_present},
        openssl::SClient,
    };
    if !all_present("tickets_allow_no_early_data", &[Peer::Openssl]) {
        return;
    }
    let scene = Scene::new();
    let gateway = scene.start();
    let client = SClient::new(gateway.address(), &scene.server_authority).presenting(&scene.phone());
    let session = client.file("session.pem");
    let got = client.with(&["-tls1_3", "-sess_out", &session]).get(PROFILE);
    assert!(got.out.contains("HTTP/1.1 200"), "{got:?}");
    assert!(got.out.contains("Max Early Data: 0"), "{}", got.out);
}

/// SEC-40: a session lives no longer than the certificate, and renewals do not lengthen it.
#[test]
fn a_session_does_not_outlive_a_day_by_being_renewed() {
    // The clock of a process cannot be turned from outside; the unit tests of the tickets turn it. Here: each resumption
    // gives a new ticket, and that one is good too.
    let scene = Scene::new();
    let gateway = scene.start();
    let long = Template { not_after: now() + DAY, ..phone_template() };
    let client = with_session(&scene, &gateway, &scene.client_authority.issue(&long), Client::tls13);
    for _ in 0..5 {
        assert_eq!(admitted(&gateway, &client).boolean("tls.resumed"), Some(true));
    }
}
