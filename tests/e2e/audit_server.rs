//! The audit database on a PostgreSQL server that is somewhere else: encrypted, and only with the server that is meant.

use std::process::Command;

use harness::{
    binary,
    expect::{Peer, all_present},
    gateway::{AUDIT, MAC, Scene},
    pki::{Authority, Template},
    postgres::Postgres,
    process,
};

use crate::verdict::admitted;

fn audit(url: &str) -> String {
    format!("gateway = \"gw-1\"\n{AUDIT}\n\n[[audit.sink]]\nkind = \"database\"\nurl = {url:?}\n")
}

#[test]
fn records_go_to_the_server_over_tls_and_an_impostor_gets_none() {
    if !all_present("PostgreSQL", &[Peer::Postgres]) {
        return;
    }
    let authority = Authority::root("Database Root");
    let server = Postgres::start_tls(&authority.issue(&Template::server(&["localhost"])));
    let mut scene = Scene::new();
    scene.folder.write("db-ca.pem", authority.pem());
    scene.config.audit = audit(&server.tls_url("db-ca.pem"));
    let mut gateway = scene.start();
    admitted(&gateway, &scene.client(&gateway, &scene.phone()));
    let encrypted = "SELECT s.ssl, s.version FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) \
                     WHERE a.application_name = 'provision-gateway'";
    assert_eq!(server.ask(encrypted), ["t|TLSv1.3"]);
    gateway.stop();
    let lines = String::from_utf8(gateway.audit.bytes()).unwrap();
    let expected: Vec<&str> = lines.lines().collect();
    assert_eq!(server.ask("SELECT line FROM audit_line ORDER BY id"), expected);

    // The commands ask it in the same way.
    let mut command = Command::new(binary::gateway());
    command.args(["audit", "device", MAC, "--config", "gateway.toml"]).current_dir(scene.folder.path());
    let told = process::run(&mut command, b"").success();
    assert!(told.contains("Proven: the gateway verified its chain"), "{told}");

    // Another authority's server, and one of another name, get nothing; phones are served all the same.
    let foreign = Authority::root("Impostor").issue(&Template::server(&["localhost"]));
    let misnamed = authority.issue(&Template::server(&["db.example.com"]));
    for (credentials, why) in [(foreign, "UnknownIssuer"), (misnamed, "not valid for name")] {
        let impostor = Postgres::start_tls(&credentials);
        scene.config.audit = audit(&impostor.tls_url("db-ca.pem"));
        let mut gateway = scene.start();
        admitted(&gateway, &scene.client(&gateway, &scene.phone()));
        gateway.process.wait_for_log("audit records cannot be written and are kept back");
        let log = gateway.process.log().join("\n");
        assert!(log.contains("cannot be reached yet") && log.contains(why), "{log}");
        assert_eq!(impostor.ask("SELECT to_regclass('audit_line')"), [""], "not even a table");
    }
}
