//! What lies in the demonstration's folder. Made once; what is there already is used again.

use std::{
    fs::{self, File},
    io::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use ca::{
    Authority, DeviceIdentity, DeviceRequest, FoundOptions, GenericRequest, KeyType, ListDays, MacAttribute,
    OperatingSystem, RevocationReason, ServerName, ServerRequest, SubjectKey, SystemClock,
};
use certs::{Certificate, Validity};

use super::{QuickstartError, profile};

/// A phone of the demonstration.
#[derive(Debug, Clone, Copy)]
pub(super) struct Phone {
    pub(super) product: &'static str,
    pub(super) serial: &'static str,
    pub(super) mac: &'static str,
}

/// Two phones in good standing, the first the one of the guide.
pub(super) const PHONES: [Phone; 2] = [
    Phone { product: "CP-8841-3PCC", serial: "88012BA01234", mac: "000e08abcdef" },
    Phone { product: "CP-7841-3PCC", serial: "FCH2112DABC", mac: "000e08000002" },
];

/// Its certificate ran out.
pub(super) const EXPIRED: Phone =
    Phone { product: "CP-8841-3PCC", serial: "88012BA00003", mac: "000e08000003" };

/// It was stolen, and its certificate revoked.
pub(super) const REVOKED: Phone =
    Phone { product: "CP-8841-3PCC", serial: "88012BA00004", mac: "000e08000004" };

/// The folder of the certificate that units without their own share.
pub(super) const GENERIC: &str = "ciscogeneric";

const DAY: i64 = 86_400;

/// The folder, with everything in place.
#[derive(Debug)]
pub(super) struct Demonstration {
    pub(super) folder: PathBuf,
    pub(super) config: PathBuf,
}

impl Demonstration {
    /// Makes what is missing.
    pub(super) fn prepare(folder: &Path, listen: SocketAddr) -> Result<Self, QuickstartError> {
        let demonstration = Self { folder: folder.to_owned(), config: folder.join("gateway.toml") };
        fs::create_dir_all(folder).map_err(QuickstartError::file(folder))?;
        demonstration.certify()?;
        demonstration.certify_foreign()?;
        demonstration.write_profiles()?;
        if !folder.join("deny.txt").exists() {
            write(&folder.join("deny.txt"), DENY)?;
        }
        demonstration.write_config(listen)?;
        Ok(demonstration)
    }

    /// The authorities' store.
    pub(super) fn store(&self) -> PathBuf {
        self.folder.join("ca")
    }

    /// Where the reflecting backend listens.
    pub(super) fn socket(&self) -> PathBuf {
        self.folder.join("reflect.sock")
    }

    /// The root that phones trust.
    pub(super) fn server_root(&self) -> PathBuf {
        self.store().join("trust").join("server-root.pem")
    }

    /// The folder with a phone's `chain.pem` and `key.pem`.
    pub(super) fn device(&self, name: &str) -> PathBuf {
        self.store().join("devices").join(name)
    }

    /// A profile as it lies on the disk.
    pub(super) fn profile(&self, path: &str) -> PathBuf {
        self.folder.join("profiles").join(path)
    }

    /// The folder of a phone whose certificate is of a store beside, which nobody here trusts.
    pub(super) fn foreign(&self) -> PathBuf {
        let [first, _] = PHONES;
        self.folder.join("foreign-ca").join("devices").join(first.mac)
    }

    fn certify_foreign(&self) -> Result<(), QuickstartError> {
        let mut foreign = open(&self.folder.join("foreign-ca"), "Foreign", KeyType::P256)?;
        let [first, _] = PHONES;
        issue(&mut foreign, first, KeyType::P256, None)
    }

    fn certify(&self) -> Result<(), QuickstartError> {
        let mut authority = open(&self.store(), "Quickstart", KeyType::Rsa2048)?;
        issue_server(&mut authority)?;
        let [first, second] = PHONES;
        issue(&mut authority, first, KeyType::Rsa2048, None)?;
        issue(&mut authority, second, KeyType::P256, None)?;
        let now = authority.now();
        let past = Validity { not_before: now.plus_seconds(-30 * DAY), not_after: now.plus_seconds(-DAY) };
        issue(&mut authority, EXPIRED, KeyType::P256, Some(past))?;
        issue(&mut authority, REVOKED, KeyType::P256, None)?;
        if !self.device(GENERIC).exists() {
            let key = key(KeyType::Rsa2048)?;
            let mac_attribute = MacAttribute::Surname;
            authority.issue_generic(GenericRequest { mac_attribute, key, validity: None, replace: false })?;
        }
        for record in authority.select(REVOKED.mac)? {
            authority.revoke(record.id, RevocationReason::KeyCompromise)?;
        }
        authority.publish_crls(None, ListDays::default())?;
        Ok(())
    }

    fn write_profiles(&self) -> Result<(), QuickstartError> {
        let init = self.profile("init");
        fs::create_dir_all(&init).map_err(QuickstartError::file(&init))?;
        let mut files = vec![("init/start.cfg".to_owned(), profile::start())];
        for (index, phone) in PHONES.iter().enumerate() {
            files.push((format!("{}.cfg", phone.mac), profile::own(phone, 2001 + index)));
            files.push((format!("{}.cfg", phone.product), profile::model(phone.product)));
        }
        for (name, text) in files {
            let path = self.profile(&name);
            if !path.exists() {
                write(&path, &text)?;
            }
        }
        Ok(())
    }

    /// Writes the configuration, unless there is one that somebody changed.
    fn write_config(&self, listen: SocketAddr) -> Result<(), QuickstartError> {
        if let Ok(present) = fs::read_to_string(&self.config) {
            let address =
                present.lines().find_map(|line| line.strip_prefix("address = ")).unwrap_or_default();
            let generated = config(address.trim_matches('"'), &Places::SERVING);
            if present != generated {
                return Ok(());
            }
        }
        write(&self.config, &config(&listen.to_string(), &Places::SERVING))
    }
}

/// What differs between serving and checking.
pub(super) struct Places<'a> {
    pub(super) deny: &'a str,
    pub(super) audit: &'a str,
    pub(super) reflect: &'a str,
}

impl Places<'static> {
    const SERVING: Self = Self { deny: "deny.txt", audit: "audit.jsonl", reflect: "unix:reflect.sock" };
}

/// The configuration's text.
pub(super) fn config(address: &str, places: &Places<'_>) -> String {
    let Places { deny, audit, reflect } = places;
    let trust = format!(
        r#"[[host.trust]]
anchors  = "ca/trust/client-root.pem"
identity = ["cisco-small-business"]
crls     = "ca/trust/crls"
deny     = "{deny}"
"#
    );
    format!(
        r#"# Made by: provision-gateway quickstart. Paths begin at this file's folder.
# See what it comes to: provision-gateway check --config gateway.toml

[[listener]]
address = "{address}"
tls     = "modern"

# Profiles from a folder; each phone gets its own.
[[host]]
names       = ["localhost", "*"]
certificate = "ca/server/localhost/chain.pem"
private-key = "ca/server/localhost/key.pem"
client-auth = "required"
backend     = "directory:profiles"
rules       = "own-profile"

{trust}
# A backend that shows what it is told of the phone.
[[host]]
names       = ["reflect.localhost"]
certificate = "ca/server/localhost/chain.pem"
private-key = "ca/server/localhost/key.pem"
client-auth = "required"
backend     = "{reflect}"
headers     = ["guide", "device"]
rules       = "any-device"

{trust}
[audit]
file = "{audit}"
"#
    )
}

pub(super) const DENY: &str = "\
# Phones that are shut out, one a line:
#   mac 000e08abcdef
#   serial 88012BA01234
#   sha256 FINGERPRINT-OF-THE-CERTIFICATE
";

fn open(root: &Path, name: &str, key: KeyType) -> Result<Authority, QuickstartError> {
    let clock = Arc::new(SystemClock);
    if root.join("ca.sqlite").is_file() {
        return Ok(Authority::open(root, clock)?);
    }
    let options = FoundOptions { name: name.to_owned(), key, ..FoundOptions::default() };
    Ok(Authority::found(root, &options, None, clock)?)
}

fn issue_server(authority: &mut Authority) -> Result<(), QuickstartError> {
    let folder = authority.layout().server("localhost");
    let now = authority.now();
    let present = fs::read_to_string(folder.join("cert.pem")).ok();
    let present = present.and_then(|text| Certificate::parse_pem(text).ok());
    // A demonstration that was put aside for a year is renewed when it is taken up again.
    if present.is_some_and(|certificate| certificate.validity().not_after > now.plus_seconds(30 * DAY)) {
        return Ok(());
    }
    let host = |name: &str| ServerName::host(name).map_err(ca::IssueError::from);
    let request = ServerRequest {
        names: vec![host("localhost")?, host("reflect.localhost")?],
        key: key(KeyType::Rsa2048)?,
        validity: None,
        replace: folder.exists(),
    };
    authority.issue_server(request)?;
    Ok(())
}

fn issue(
    authority: &mut Authority,
    phone: Phone,
    key_type: KeyType,
    validity: Option<Validity>,
) -> Result<(), QuickstartError> {
    if authority.layout().device(phone.mac).exists() {
        return Ok(());
    }
    let identity =
        DeviceIdentity::parse(phone.product, phone.serial, phone.mac).map_err(ca::IssueError::from)?;
    let mac_attribute = MacAttribute::Surname;
    let key = key(key_type)?;
    authority.issue_device(DeviceRequest { identity, mac_attribute, key, validity, replace: false })?;
    Ok(())
}

fn key(key_type: KeyType) -> Result<SubjectKey, QuickstartError> {
    Ok(SubjectKey::generate(key_type, None, &OperatingSystem).map_err(ca::IssueError::from)?)
}

/// Puts a whole file in place in one step.
pub(super) fn write(path: &Path, text: &str) -> Result<(), QuickstartError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = path.with_file_name(name);
    File::create(&beside)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| fs::rename(&beside, path))
        .map_err(QuickstartError::file(path))
}
