use super::*;

/// Made with `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256` and friends would need a program; these are the
/// same key in the forms that the program writes.
fn in_forms(fixture: &Fixture, kind: KeyKind, traditional: &str) -> Option<String> {
    let issued = fixture.server.server("prov.example.com").key(kind).issue();
    fixture.write("server/chain.pem", issued.chain_pem());
    fixture.write_key("server/key.pem", issued.key_pem());
    let output = std::process::Command::new("openssl")
        .args([traditional, "-in"])
        .arg(fixture.path("server/key.pem"))
        .args(if traditional == "rsa" { &["-traditional"][..] } else { &[] })
        .output()
        .ok()?;
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

#[test]
fn keys_in_pkcs_8_pkcs_1_and_sec_1_are_read() {
    for (kind, program, label) in
        [(KeyKind::Rsa2048, "rsa", "BEGIN RSA PRIVATE KEY"), (KeyKind::P256, "ec", "BEGIN EC PRIVATE KEY")]
    {
        let fixture = Fixture::new();
        let Some(pem) = in_forms(&fixture, kind, program) else { return };
        assert!(fixture.load(SOUND).is_ok(), "PKCS #8");
        assert!(pem.contains(label), "{pem}");
        fixture.write_key("server/key.pem", pem);
        assert!(fixture.load(SOUND).is_ok(), "{label}");
    }
}

#[test]
fn an_encrypted_key_is_opened_with_the_first_line_of_its_passphrase_file() {
    let fixture = Fixture::new();
    let issued = fixture.server.server("prov.example.com").issue();
    fixture.write("server/chain.pem", issued.chain_pem());
    let info = pkcs8::PrivateKeyInfoRef::try_from(issued.key_der()).unwrap();
    let parameters =
        pkcs8::pkcs5::pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(1000, &[7; 16], [9; 16]).unwrap();
    let encrypted = info.encrypt_with_params(parameters, "correct horse").unwrap();
    fixture.write_key(
        "server/key.pem",
        pem::encode(&pem::Pem::new("ENCRYPTED PRIVATE KEY", encrypted.as_bytes())),
    );
    fixture.write("server/passphrase", "correct horse\nnot this line\n");
    let with =
        SOUND.replace("client-auth", "private-key-passphrase-file = \"server/passphrase\"\nclient-auth");
    assert!(fixture.load(&with).is_ok());
    assert_eq!(
        fixture.only_mistake(SOUND),
        "8:15: `host[0].private-key`: private key ~/server/key.pem: it is encrypted, and no passphrase is given \
         | private-key-passphrase-file names the file that holds it"
    );
    fixture.write("server/passphrase", "wrong horse\n");
    let found = fixture.only_mistake(&with);
    assert!(found.contains("the passphrase does not open it"), "{found}");
}

#[test]
fn a_key_encrypted_as_openssl_once_did_is_refused_with_the_way_to_convert_it() {
    let fixture = Fixture::new();
    fixture.write_key(
        "server/key.pem",
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: DES-EDE3-CBC,0102030405060708\n\nAAAA\n-----END RSA PRIVATE KEY-----\n",
    );
    let found = fixture.only_mistake(SOUND);
    assert!(found.contains("old way of OpenSSL") && found.contains("openssl pkcs8 -topk8"), "{found}");
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let fixture = Fixture::new();
    let other = fixture.server.server("prov.example.com").key_label("another").issue();
    fixture.write_key("server/key.pem", other.key_pem());
    let found = fixture.only_mistake(SOUND);
    let expected = "8:15: `host[0].private-key`: private key ~/server/key.pem does not belong to the certificate of CN=prov.example.com";
    assert!(found.starts_with(expected), "{found}");
}

#[test]
fn an_rsa_key_of_1024_bits_cannot_serve() {
    let fixture = Fixture::new();
    let small = fixture.server.server("prov.example.com").key(KeyKind::Rsa1024).issue();
    fixture.write("server/chain.pem", small.chain_pem());
    fixture.write_key("server/key.pem", small.key_pem());
    let found = fixture.only_mistake(SOUND);
    assert!(found.contains("cannot be used") && found.contains("RSA keys of 2048 to 8192 bits"), "{found}");
}

#[test]
fn a_chain_that_does_not_begin_with_the_servers_certificate_is_refused() {
    let fixture = Fixture::new();
    let leaf = fixture.server.intermediate().leaf().purposes(&[certs::oid::SERVER_AUTH]);
    let server = leaf.dns_names(&["prov.example.com"]).issue();
    let (leaf, issuer) =
        (server.certificate().to_pem(), fixture.server.intermediate().certificate().to_pem());
    fixture.write_key("server/key.pem", server.key_pem());
    fixture.write("server/chain.pem", format!("{leaf}{issuer}"));
    assert_eq!(fixture.warnings(SOUND), Vec::<String>::new());
    fixture.write("server/chain.pem", format!("{issuer}{leaf}"));
    let found = fixture.only_mistake(SOUND);
    assert!(
        found
            .contains("the server's own certificate is number 2 in ~/server/chain.pem; it must be the first"),
        "{found}"
    );
}

#[test]
fn a_key_never_shows_in_debug_output() {
    let fixture = Fixture::new();
    let config = fixture.load(SOUND).expect("it is sound");
    assert!(format!("{config:?}").contains("PrivateKey(..)"));
}

#[test]
fn a_key_that_every_user_can_read_is_a_warning() {
    let fixture = Fixture::new();
    assert_eq!(fixture.warnings(SOUND), Vec::<String>::new());
    fixture.set_mode("server/key.pem", 0o644);
    assert_eq!(
        fixture.warnings(SOUND),
        [
            "8:15: `host[0].private-key`: private key ~/server/key.pem can be read or changed by every user | chmod o= ~/server/key.pem"
        ]
    );
    assert_eq!(
        fixture.path("server/key.pem").metadata().unwrap().permissions().mode() & 0o777,
        0o644,
        "we change nothing"
    );
}
