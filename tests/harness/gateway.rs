//! The gateway as a process, with a configuration that a test changes in one place.

use std::{
    fmt::Write as _,
    net::SocketAddr,
    process::{Command, ExitStatus},
};

use crate::{
    audit::AuditLog,
    binary,
    client::Client,
    pki::{Authority, Credentials, Name, Template},
    process::{self, Finished, Process},
    workdir::WorkDir,
};

/// The host every scene has.
pub const HOST: &str = "prov.example.com";
/// The phone of the guide's examples.
pub const PRODUCT: &str = "CP-8841-3PCC";
/// Its serial number, twelve hex digits too.
pub const SERIAL: &str = "88012BA01234";
/// Its MAC address.
pub const MAC: &str = "000e08abcdef";
/// Where its profile is.
pub const PROFILE: &str = "/000e08abcdef.cfg";

/// The environment variable that tells crypto libraries what the processor has, and a value that takes nothing away.
pub const PROCESSOR: &str = "OPENSSL_ia32cap";
/// See [`PROCESSOR`].
pub const AS_FOUND: &str = ":~0:~0:~0:~0";

/// The configuration file, part by part.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[[listener]]`s.
    pub listeners: Vec<Listener>,
    /// `[[host]]`s.
    pub hosts: Vec<Host>,
    /// Lines of `[limits]`.
    pub limits: Vec<String>,
    /// Further tables, as they stand.
    pub tables: Vec<String>,
    /// Lines of `[audit]` and the tables of its sinks; one file, `audit.jsonl`, unless a test asks for others;
    /// nothing is recorded where it is empty.
    pub audit: String,
}

/// A `[[listener]]`.
#[derive(Clone, Debug)]
pub struct Listener {
    /// `address`.
    pub address: String,
    /// `tls`.
    pub tls: String,
}

/// A `[[host]]`.
#[derive(Clone, Debug)]
pub struct Host {
    /// `names`.
    pub names: Vec<String>,
    /// `certificate`.
    pub certificate: String,
    /// `private-key`.
    pub private_key: String,
    /// `client-auth`.
    pub client_auth: String,
    /// `backend`.
    pub backend: String,
    /// `headers`.
    pub headers: Vec<String>,
    /// `rules`.
    pub rules: String,
    /// Further lines.
    pub lines: Vec<String>,
    /// `[[host.trust]]`s.
    pub trust: Vec<Trust>,
}

/// A `[[host.trust]]`.
#[derive(Clone, Debug)]
pub struct Trust {
    /// `anchors`.
    pub anchors: String,
    /// `identity`.
    pub identity: Vec<String>,
    /// Further lines.
    pub lines: Vec<String>,
}

impl Trust {
    /// An entry with these profiles.
    pub fn new(anchors: &str, identity: &[&str]) -> Self {
        Self { anchors: anchors.to_owned(), identity: owned(identity), lines: Vec::new() }
    }
}

/// The audit file that the tests read.
pub const AUDIT: &str = "file = \"audit.jsonl\"";

impl Config {
    /// The file's text.
    pub fn text(&self) -> String {
        let Self { listeners, hosts, limits, tables, audit } = self;
        let mut out = String::new();
        for Listener { address, tls } in listeners {
            let _ = writeln!(out, "[[listener]]\naddress = {address:?}\ntls = {tls:?}\n");
        }
        for host in hosts {
            host.write(&mut out);
        }
        let _ = writeln!(out, "[limits]\n{}\n", limits.join("\n"));
        for table in tables {
            let _ = writeln!(out, "{table}\n");
        }
        if !audit.is_empty() {
            let _ = writeln!(out, "[audit]\n{audit}");
        }
        out
    }

    /// The only host.
    ///
    /// # Panics
    /// There is none.
    pub fn host(&mut self) -> &mut Host {
        self.hosts.first_mut().unwrap()
    }

    /// The first trust entry of the only host.
    ///
    /// # Panics
    /// There is none.
    pub fn trust(&mut self) -> &mut Trust {
        self.host().trust.first_mut().unwrap()
    }

    /// Adds a line to the first trust entry.
    pub fn trust_line(&mut self, line: &str) {
        self.trust().lines.push(line.to_owned());
    }

    /// Adds a limit.
    pub fn limit(&mut self, line: &str) {
        self.limits.push(line.to_owned());
    }
}

impl Host {
    fn write(&self, out: &mut String) {
        let Self { names, certificate, private_key, client_auth, backend, headers, rules, lines, trust } =
            self;
        let _ = writeln!(out, "[[host]]\nnames = {names:?}\ncertificate = {certificate:?}");
        let _ = writeln!(out, "private-key = {private_key:?}\nclient-auth = {client_auth:?}");
        let _ = writeln!(out, "backend = {backend:?}\nheaders = {headers:?}\nrules = {rules:?}");
        let _ = writeln!(out, "{}\n", lines.join("\n"));
        for Trust { anchors, identity, lines } in trust {
            let _ = writeln!(out, "[[host.trust]]\nanchors = {anchors:?}\nidentity = {identity:?}");
            let _ = writeln!(out, "{}\n", lines.join("\n"));
        }
    }
}

/// A folder with authorities, a server certificate, profiles and a configuration for a gateway before them.
#[derive(Debug)]
pub struct Scene {
    /// The folder; the configuration is `gateway.toml`.
    pub folder: WorkDir,
    /// Issued the server's certificate.
    pub server_authority: Authority,
    /// Issued the phones'; it signs them directly, as the guide's figure has it.
    pub client_authority: Authority,
    /// What [`Scene::start`] writes.
    pub config: Config,
}

impl Scene {
    /// A folder of profiles served to each phone by the shipped rules `own-profile`.
    pub fn new() -> Self {
        let folder = WorkDir::new();
        let server_authority = Authority::root("Test Server Root");
        let client_authority = Authority::root("Test Client Root");
        server_authority.issue(&Template::server(&[HOST])).write(&folder, "server");
        folder.write("client-root.pem", client_authority.pem());
        folder.write(format!("profiles{PROFILE}"), profile(MAC));
        folder.write("profiles/000e08abcdf0.cfg", profile("000e08abcdf0"));
        folder.write("profiles/CP-8841-3PCC.cfg", profile("model"));
        let host = Host {
            names: owned(&[HOST, "*"]),
            certificate: "server-chain.pem".to_owned(),
            private_key: "server-key.pem".to_owned(),
            client_auth: "required".to_owned(),
            backend: "directory:profiles".to_owned(),
            headers: owned(&["guide"]),
            rules: "own-profile".to_owned(),
            lines: Vec::new(),
            trust: vec![Trust::new("client-root.pem", &["cisco-small-business"])],
        };
        let listener = Listener { address: "127.0.0.1:0".to_owned(), tls: "modern".to_owned() };
        let config = Config {
            listeners: vec![listener],
            hosts: vec![host],
            limits: Vec::new(),
            tables: Vec::new(),
            audit: AUDIT.to_owned(),
        };
        Self { folder, server_authority, client_authority, config }
    }

    /// The same before an HTTP backend, any path allowed to any device.
    pub fn before(backend: SocketAddr) -> Self {
        let mut scene = Self::new();
        scene.config.host().backend = format!("http://{backend}");
        scene.config.host().rules = "any-device".to_owned();
        scene
    }

    /// The guide's phone.
    pub fn phone(&self) -> Credentials {
        self.client_authority.issue(&phone_template())
    }

    /// A device with this subject.
    pub fn device(&self, subject: Name) -> Credentials {
        self.client_authority.issue(&Template::device(subject))
    }

    /// Writes the configuration and starts the gateway. It does not look for the faster way to sign, which takes time at each start.
    ///
    /// # Panics
    /// It does not come up.
    pub fn start(&self) -> Gateway {
        self.start_told(Some(AS_FOUND))
    }

    /// The same with this value of [`PROCESSOR`], or none.
    ///
    /// # Panics
    /// It does not come up.
    pub fn start_told(&self, processor: Option<&str>) -> Gateway {
        self.write_config();
        let mut command = Command::new(binary::gateway());
        command.arg("run").arg("--config").arg(self.folder.join("gateway.toml"));
        match processor {
            Some(value) => command.env(PROCESSOR, value),
            None => command.env_remove(PROCESSOR),
        };
        let mut process = Process::start(&mut command);
        // Where standard output is kept for records, these lines stand on standard error.
        process.wait_for_line_on_either("ready");
        let addresses: Vec<_> = [process.output(), process.log()]
            .concat()
            .iter()
            .filter_map(|line| line.strip_prefix("listening on "))
            .map(|address| address.parse().unwrap())
            .collect();
        assert_eq!(addresses.len(), self.config.listeners.len(), "one line per listener");
        let admin = process.output().iter().find_map(|line| line.strip_prefix("admin on ")?.parse().ok());
        Gateway { process, addresses, admin, audit: AuditLog::new(self.folder.join("audit.jsonl")) }
    }

    /// Writes `gateway.toml` as the configuration is now.
    pub fn write_config(&self) {
        self.folder.replace("gateway.toml", self.config.text());
    }

    /// Runs a command of the gateway on the configuration.
    pub fn run_command(&self, command: &str, arguments: &[&str]) -> Finished {
        self.write_config();
        let mut gateway = Command::new(binary::gateway());
        gateway.arg(command).arg("--config").arg(self.folder.join("gateway.toml")).args(arguments);
        process::run(&mut gateway, b"")
    }

    /// A client that presents no certificate.
    pub fn stranger(&self, gateway: &Gateway) -> Client {
        Client::new(gateway.address(), &self.server_authority, HOST)
    }

    /// A client with these credentials.
    pub fn client(&self, gateway: &Gateway, credentials: &Credentials) -> Client {
        self.stranger(gateway).presenting(credentials)
    }
}

impl Default for Scene {
    fn default() -> Self {
        Self::new()
    }
}

/// The certificate of the guide's phone, before it is issued.
pub fn phone_template() -> Template {
    Template::device(Name::phone(PRODUCT, SERIAL, MAC))
}

/// The contents of a profile in a scene's folder.
pub fn profile(name: &str) -> String {
    format!("<flat-profile><Display_Name_1_>{name}</Display_Name_1_></flat-profile>\n")
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    /// The process, with its log.
    pub process: Process,
    addresses: Vec<SocketAddr>,
    /// Where its admin listener is, if it has one.
    pub admin: Option<SocketAddr>,
    /// Its records.
    pub audit: AuditLog,
}

impl Gateway {
    /// Where its first listener is.
    ///
    /// # Panics
    /// Never: it has one.
    pub fn address(&self) -> SocketAddr {
        *self.addresses.first().unwrap()
    }

    /// Where its listeners are.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Has it read its configuration again, and waits until it has or has refused to.
    ///
    /// # Panics
    /// It says neither.
    pub fn reload(&mut self) {
        let before = self.reloads();
        self.process.signal("HUP");
        self.wait_for_reload_after(before);
    }

    /// How many times it has reloaded or refused to.
    pub fn reloads(&self) -> usize {
        let log = self.process.log();
        log.iter()
            .filter(|line| line.contains("configuration reloaded") || line.contains("not reloaded"))
            .count()
    }

    /// Waits until it has reloaded or refused to once more.
    ///
    /// # Panics
    /// It does not.
    pub fn wait_for_reload_after(&mut self, before: usize) {
        let end = std::time::Instant::now() + crate::expect::DEADLINE;
        while self.reloads() == before {
            assert!(std::time::Instant::now() < end, "the gateway did not reload: {:#?}", self.process.log());
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// Asks it to stop and waits for its end.
    pub fn stop(&mut self) -> ExitStatus {
        self.process.signal("TERM");
        self.process.wait()
    }
}
