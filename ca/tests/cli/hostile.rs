//! Requests that ask for too much, lie, or are broken: refused, or reduced to the profile (CA group B).

use crate::support::{Said, Workplace, openssl_is_here};

fn workplace() -> Workplace {
    let here = Workplace::with_authorities(&[]);
    here.openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "good.key"])
        .done();
    here
}

/// Makes a request with OpenSSL and hands it in.
fn hand_in(here: &Workplace, key: &str, more: &[&str]) -> Said {
    let request = ["req", "-new", "-key", key, "-out", "hostile.csr", "-subj", "/CN=prov.example.com"];
    here.openssl(&[&request[..], more].concat()).done();
    here.run(&["server", "issue", "--csr", "hostile.csr"])
}

#[test]
fn b3_r11_what_a_request_asks_beyond_key_and_names_is_reported_and_left_out() {
    if !openssl_is_here("b3_r11_what_a_request_asks_beyond_key_and_names_is_reported_and_left_out") {
        return;
    }
    let here = workplace();
    let said = hand_in(
        &here,
        "good.key",
        &[
            "-addext",
            "basicConstraints=critical,CA:TRUE",
            "-addext",
            "keyUsage=keyCertSign",
            "-addext",
            "extendedKeyUsage=clientAuth,codeSigning",
            "-addext",
            "crlDistributionPoints=URI:http://evil.example/crl",
            "-addext",
            "subjectAltName=DNS:prov.example.com,DNS:second.example.com,IP:192.0.2.9,email:x@y.example",
        ],
    );
    for asked in
        ["basic constraints", "key usage", "extended key usage", "CRL distribution", "IP:192.0.2.9", "email:"]
    {
        assert!(said.stderr.contains(asked), "{asked} is not reported: {}", said.stderr);
    }
    said.done();
    let text = here
        .openssl(&["x509", "-in", "provision-ca/server/prov.example.com/cert.pem", "-noout", "-text"])
        .done();
    assert!(text.contains("CA:FALSE") && text.contains("TLS Web Server Authentication"));
    assert!(text.contains("DNS:prov.example.com, DNS:second.example.com"));
    for absent in
        ["CA:TRUE", "Certificate Sign", "Client Authentication", "Code Signing", "evil", "192.0.2.9", "x@y"]
    {
        assert!(!text.contains(absent), "{absent}");
    }
    assert!(!here.path("provision-ca/server/prov.example.com/key.pem").exists());
}

#[test]
fn b5_r1_the_key_stays_byte_for_byte_whatever_hash_signed_the_request() {
    if !openssl_is_here("b5_r1_the_key_stays_byte_for_byte_whatever_hash_signed_the_request") {
        return;
    }
    let here = workplace();
    hand_in(&here, "good.key", &["-sha384"]).done();
    let certified = here
        .openssl(&["x509", "-in", "provision-ca/server/prov.example.com/cert.pem", "-noout", "-pubkey"])
        .done();
    assert_eq!(certified, here.openssl(&["pkey", "-in", "good.key", "-pubout"]).done());
}

#[test]
fn b6_weak_keys_are_refused_and_a_good_one_is_not() {
    if !openssl_is_here("b6_weak_keys_are_refused_and_a_good_one_is_not") {
        return;
    }
    let here = workplace();
    for (file, options, reason) in [
        ("small.key", vec!["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"], "1024 bits"),
        (
            "three.key",
            vec!["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-pkeyopt", "rsa_keygen_pubexp:3"],
            "exponent is 3",
        ),
        ("ed.key", vec!["-algorithm", "ED25519"], "neither RSA nor ECDSA"),
        ("p521.key", vec!["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"], "P-521"),
    ] {
        here.openssl(&[&["genpkey", "-out", file][..], &options].concat()).done();
        let message = hand_in(&here, file, &[]).refused();
        assert!(message.contains(reason), "{file}: {message}");
    }
    hand_in(&here, "good.key", &[]).done();
}

#[test]
fn b5_a_request_signed_with_sha1_is_refused() {
    if !openssl_is_here("b5_a_request_signed_with_sha1_is_refused") {
        return;
    }
    let here = workplace();
    let message = hand_in(&here, "good.key", &["-sha1"]).refused();
    assert!(message.contains("SHA-1"), "{message}");
    hand_in(&here, "good.key", &["-sha256"]).done();
}

#[test]
fn b5_a_request_signed_with_rsa_pss_and_sha1_is_refused() {
    if !openssl_is_here("b5_a_request_signed_with_rsa_pss_and_sha1_is_refused") {
        return;
    }
    let here = workplace();
    here.openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "rsa.key"])
        .done();
    let pss = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"];
    let message = hand_in(&here, "rsa.key", &[&pss[..], &["-sha1"]].concat()).refused();
    assert!(message.contains("signed with SHA-1"), "{message}");
    assert!(!here.path("provision-ca/server").exists());
    hand_in(&here, "rsa.key", &[&pss[..], &["-sha256"]].concat()).done();
}

#[test]
fn b4_names_from_a_request_keep_the_same_rules() {
    if !openssl_is_here("b4_names_from_a_request_keep_the_same_rules") {
        return;
    }
    let here = workplace();
    let refused = |subject: &str, name: &str| {
        let request = ["req", "-new", "-key", "good.key", "-out", "hostile.csr", "-subj", subject];
        let names = format!("subjectAltName={name}");
        here.openssl(&[&request[..], &["-addext", &names]].concat()).done();
        here.run(&["server", "issue", "--csr", "hostile.csr"]).refused()
    };
    assert!(refused("/CN=*.example.com", "DNS:prov.example.com").contains("wildcard"));
    assert!(refused("/CN=prov.example.com", "DNS:*.example.com").contains("wildcard"));
    assert!(
        refused("/CN=prov.example.com", "DNS:under_score.example.com")
            .contains("letters, digits and hyphens")
    );
    assert!(refused("/O=nobody", "IP:192.0.2.1").contains("names no host"));
    let noted = ["req", "-new", "-key", "good.key", "-out", "hostile.csr", "-subj"];
    here.openssl(&[&noted[..], &["/CN=pv.telco.net\\/mailto:admin@telco.net"]].concat()).done();
    here.run(&["server", "issue", "--csr", "hostile.csr"]).done();
    assert!(here.path("provision-ca/server/pv.telco.net/cert.pem").exists());
}

#[test]
fn b1_b2_r12_broken_requests_are_refused() {
    if !openssl_is_here("b1_b2_r12_broken_requests_are_refused") {
        return;
    }
    let here = workplace();
    here.openssl(&[
        "req",
        "-new",
        "-key",
        "good.key",
        "-out",
        "good.der",
        "-outform",
        "DER",
        "-subj",
        "/CN=a.example.com",
    ])
    .done();
    let good = std::fs::read(here.path("good.der")).unwrap();
    let hand = |name: &str, content: Vec<u8>| {
        here.write(name, content);
        here.run(&["server", "issue", "--csr", name])
    };
    hand("trailing.csr", [&good[..], &[0]].concat()).refused();
    let mut tampered = good.clone();
    let position = tampered.windows(9).position(|window| window == b"a.example").unwrap();
    tampered[position] = b'b';
    assert!(hand("tampered.csr", tampered).refused().contains("changed after it was signed"));
    for cut in [0, 1, 10, good.len() - 1] {
        hand("cut.csr", good[..cut].to_vec()).refused();
    }
    let pem = here.openssl(&["req", "-in", "good.der", "-inform", "DER"]).done();
    hand("two.csr", pem.repeat(2).into_bytes()).refused();
    hand("label.csr", pem.replace("CERTIFICATE REQUEST", "CERTIFICATE").into_bytes()).refused();
    assert!(!here.path("provision-ca/server").exists(), "nothing was issued");
    hand("good.csr", pem.into_bytes()).done();
}

#[test]
fn b7_one_key_one_owner() {
    if !openssl_is_here("b7_one_key_one_owner") {
        return;
    }
    let here = workplace();
    hand_in(&here, "good.key", &[]).done();
    let other = ["req", "-new", "-key", "good.key", "-out", "other.csr", "-subj", "/CN=other.example.com"];
    here.openssl(&other).done();
    let message = here.run(&["server", "issue", "--csr", "other.csr"]).refused();
    assert!(message.contains("the public key is that of server prov.example.com"), "{message}");
    let authority =
        ["req", "-new", "-key", "provision-ca/authorities/client-root/key.pem", "-out", "authority.csr"];
    here.openssl(&[&authority[..], &["-subj", "/CN=other.example.com"]].concat()).done();
    let message = here.run(&["server", "issue", "--csr", "authority.csr"]).refused();
    assert!(message.contains("that of authority client-root"), "{message}");
    // The same owner may keep its key, until it was compromised.
    here.run(&["server", "issue", "--csr", "hostile.csr", "--force"]).done();
    here.run(&["revoke", "prov.example.com", "--reason", "keyCompromise"]).done();
    let message = here.run(&["server", "issue", "--csr", "hostile.csr", "--force"]).refused();
    assert!(message.contains("revoked for keyCompromise"), "{message}");
}

#[test]
fn i9_a_key_file_made_to_exhaust_memory_is_refused_and_the_others_are_explained() {
    if !openssl_is_here("i9_a_key_file_made_to_exhaust_memory_is_refused_and_the_others_are_explained") {
        return;
    }
    let here = workplace();
    here.write("pw", "correct horse battery\n");
    let encrypt = ["pkcs8", "-topk8", "-in", "good.key", "-passout", "file:pw", "-v2", "aes-256-cbc"];
    here.openssl(&[&encrypt[..], &["-scrypt", "-out", "modest.pem", "-outform", "PEM"]].concat()).done();
    here.openssl(&[&encrypt[..], &["-scrypt", "-out", "modest.der", "-outform", "DER"]].concat()).done();
    let mut greedy = std::fs::read(here.path("modest.der")).unwrap();
    let at = greedy.windows(7).position(|window| window == [2, 2, 0x40, 0, 2, 1, 8]).unwrap();
    (greedy[at + 2], greedy[at + 6]) = (0x7f, 0x7f); // 32512 × 127 blocks of 128 bytes: half a gigabyte, not 16 MB
    here.write("greedy.der", &greedy);
    let message = here.run(&["inspect", "greedy.der", "--passphrase-file", "pw"]).refused();
    assert!(message.contains("504 MiB of memory for scrypt"), "{message}");
    here.run(&["inspect", "modest.pem", "--passphrase-file", "pw"]).done();
}

#[test]
fn i9_a_file_without_end_is_read_to_a_bound() {
    let here = Workplace::with_authorities(&[]);
    let root = "provision-ca/trust/client-root.pem";
    for arguments in [&["inspect", "/dev/zero"][..], &["verify", "--trust", root, "/dev/zero"]] {
        let said = here.run(arguments).refused();
        assert!(said.contains("more than 268435456 octets"), "{arguments:?}: {said}");
    }
}
