//! A folder with everything that a sound configuration names.

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
};

use certs::{Timestamp, testing::Pki};
use policies::document::Diagnostic;
use tempfile::TempDir;

use crate::config::Config;

/// Line numbers are asserted by the tests: change nothing lightly.
pub(crate) const SOUND: &str = r#"[[listener]]
address = "127.0.0.1:8443"
tls = "modern"

[[host]]
names = ["prov.example.com"]
certificate = "server/chain.pem"
private-key = "server/key.pem"
client-auth = "required"
backend = "http://127.0.0.1:8080"
headers = ["guide"]
rules = "own-profile"

[[host.trust]]
anchors = "trust/root.pem"
identity = ["cisco-small-business"]
crls = "trust/crls"
deny = "deny.txt"

[audit]
file = "audit.jsonl"
"#;

pub(crate) struct Fixture {
    folder: TempDir,
    pub(crate) pki: Pki,
    pub(crate) server: Pki,
}

impl Fixture {
    pub(crate) const NOW: Timestamp = Pki::NOW;

    pub(crate) fn new() -> Self {
        let (pki, server) = (Pki::new(), Pki::named("Server"));
        let fixture = Self { folder: tempfile::tempdir().unwrap(), pki, server };
        for folder in ["server", "trust", "trust/crls"] {
            fs::create_dir(fixture.path(folder)).unwrap();
        }
        let server = fixture.server.server("prov.example.com").issue();
        fixture.write("server/chain.pem", server.chain_pem());
        fixture.write_key("server/key.pem", server.key_pem());
        fixture.write("trust/root.pem", fixture.pki.root().certificate().to_pem());
        fixture.write("trust/crls/root.crl", fixture.pki.root().crl().number(7).to_pem());
        fixture.write("deny.txt", "# stolen\nmac 000e08ffffff\n");
        fixture
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        File::create(self.path(name)).unwrap().write_all(contents.as_ref()).unwrap();
    }

    pub(crate) fn write_key(&self, name: &str, contents: impl AsRef<[u8]>) {
        self.write(name, contents);
        self.set_mode(name, 0o600);
    }

    pub(crate) fn set_mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    pub(crate) fn load(&self, text: &str) -> Result<Config, Vec<Diagnostic>> {
        self.write("gateway.toml", text);
        Config::load(&self.path("gateway.toml"), Self::NOW)
    }

    pub(crate) fn mistakes(&self, text: &str) -> Vec<Diagnostic> {
        self.load(text).expect_err("there is a mistake in it")
    }

    /// The one mistake in `text`: ``LINE `key`: message | hint``, with the fixture's folder as `~`.
    pub(crate) fn only_mistake(&self, text: &str) -> String {
        let found = self.mistakes(text);
        let errors: Vec<_> = found.iter().filter(|one| one.is_error()).collect();
        assert_eq!(errors.len(), 1, "{found:#?}");
        self.short(errors[0])
    }

    /// The warnings of a sound configuration, in the same form.
    pub(crate) fn warnings(&self, text: &str) -> Vec<String> {
        self.load(text).expect("it is sound").warnings.iter().map(|one| self.short(one)).collect()
    }

    fn short(&self, one: &Diagnostic) -> String {
        let text = one.to_string().replace(&format!("{}/", self.folder.path().display()), "~/");
        let hint = one.hint.as_ref().map(|hint| format!(" | {hint}")).unwrap_or_default();
        let text = text.strip_prefix("~/gateway.toml:").map(str::to_owned).unwrap_or(text);
        format!("{text}{hint}").replace(&format!("{}/", self.folder.path().display()), "~/")
    }
}
