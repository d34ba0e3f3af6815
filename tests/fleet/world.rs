//! Everything a run needs: authorities, certificates, profile store, gateway, phones.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use harness::authority::{Authority, Kind};
use harness::cpu;
use harness::gateway::{AUDIT, Config, Host, Listener, Trust as TrustEntry};
use harness::port;
use tempfile::TempDir;

use crate::HOST;
use crate::backend::Backend;
use crate::call::Log;
use crate::cli::{Common, DeviceKey, Scenario};
use crate::device::{Age, Device};
use crate::error::FleetError;
use crate::gateway::Gateway;
use crate::phone::Phone;
use crate::refusals::Records;
use crate::schedule::{At, Schedule};
use crate::tls::Trust;

/// How long the gateway waits for the profile store's answer where the store is to fail: short, so that a silent one is
/// seen in a short run. Otherwise it waits as usual: a store that shares two cores with thousands of phones is slow.
pub(crate) const BACKEND_PATIENCE: Duration = Duration::from_secs(1);

/// The gateway of a run, or one that runs already.
#[derive(Debug)]
pub(crate) enum Target {
    Own(Box<Gateway>),
    Other(SocketAddr),
}

impl Target {
    pub(crate) fn address(&self) -> SocketAddr {
        match self {
            Self::Own(gateway) => gateway.address(),
            Self::Other(address) => *address,
        }
    }

    /// CPU time so far, where it can be known.
    pub(crate) fn cpu(&self) -> Option<Duration> {
        match self {
            Self::Own(gateway) => Some(gateway.cpu()),
            Self::Other(_) => None,
        }
    }
}

/// Everything a run needs. What it started ends when it is dropped.
pub(crate) struct World {
    // Dropped in this order: the gateway before the store behind it, the folder last.
    pub(crate) target: Target,
    pub(crate) backend: Backend,
    pub(crate) phones: Vec<Arc<Phone>>,
    pub(crate) schedule: Arc<Schedule>,
    pub(crate) seed: u64,
    pub(crate) log: Arc<Log>,
    pub(crate) config: Config,
    /// Issued the server's certificate and those of today's phones.
    pub(crate) authority: Authority,
    /// Issued the old phones' certificates.
    pub(crate) old_authority: Option<Authority>,
    pub(crate) trust: Trust,
    pub(crate) device_key: DeviceKey,
    pub(crate) binaries: PathBuf,
    began: Beginning,
    folder: TempDir,
}

/// The figures at the beginning of a run, which do not count.
#[derive(Clone, Debug)]
struct Beginning {
    gateway: Option<Duration>,
    generator: Duration,
    records: Records,
}

/// What a run cost so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// CPU time of the gateway, where it can be known.
    pub(crate) gateway: Option<Duration>,
    /// CPU time of this program: the phones, and the profile store.
    pub(crate) generator: Duration,
}

impl Beginning {
    fn now(target: &Target) -> Self {
        let file = match target {
            Target::Own(gateway) => Some(gateway.audit_file()),
            Target::Other(_) => None,
        };
        Self {
            gateway: target.cpu(),
            generator: cpu::of_process(std::process::id()),
            records: Records::from_now(file),
        }
    }
}

impl World {
    /// Makes everything and starts the gateway.
    pub(crate) async fn prepare(scenario: &Scenario, binaries: &Path) -> Result<Self, FleetError> {
        let common = scenario.common();
        let folder = tempfile::tempdir().map_err(FleetError::io("no temporary folder"))?;
        let stores = common.store.clone().unwrap_or_else(|| folder.path().join("pki"));
        // Given a gateway that runs already, the store is the one it trusts.
        let main = if scenario.connect().is_some() { stores.clone() } else { stores.join("main") };
        let devices = Device::fleet(size(common.phones), usize::from(common.old));
        let of = |age| Device::list(devices.iter().filter(|device| device.product.age == age));
        let (modern, old) = (of(Age::Modern), of(Age::Old));

        let authority = Authority::open(binaries, &main, HOST, "Fleet", Kind::Modern)?;
        authority.issue_devices(&modern, common.device_key.as_str(), Kind::Modern)?;
        if scenario.connect().is_none() {
            authority.issue_server()?;
            authority.publish()?;
        }
        let old_authority = if old.is_empty() {
            None
        } else {
            let authority = Authority::open(binaries, &stores.join("old"), HOST, "Fleet", Kind::Old)?;
            authority.issue_devices(&old, "rsa2048", Kind::Old)?;
            authority.publish()?;
            Some(authority)
        };
        let backend = Backend::start(size(common.profile_size))?;
        let (target, config) = match scenario.connect() {
            Some(address) => (
                Target::Other(address),
                Config {
                    listeners: Vec::new(),
                    hosts: Vec::new(),
                    limits: Vec::new(),
                    tables: Vec::new(),
                    audit: AUDIT.to_owned(),
                },
            ),
            None => {
                let mut config = configuration(&authority, old_authority.as_ref(), backend.address())?;
                if let Scenario::Backend(_) = scenario {
                    let patience = BACKEND_PATIENCE.as_secs();
                    config.limit(&format!("backend-response-timeout = \"{patience}s\""));
                }
                let gateway = start(binaries, folder.path(), &config).await?;
                let config = at(&config, gateway.address());
                (Target::Own(Box::new(gateway)), config)
            }
        };
        let trust = Trust::new(&authority.server_root())?;
        let mut phones = Vec::with_capacity(devices.len());
        for device in devices {
            let issuer = match device.product.age {
                Age::Modern => &authority,
                Age::Old => old_authority.as_ref().unwrap_or(&authority),
            };
            let stack = trust.stack(device.product.age, &issuer.device(&device.mac))?;
            let checks_profile = scenario.connect().is_none();
            phones.push(Arc::new(Phone::new(device, stack, target.address(), checks_profile)));
        }
        Ok(Self {
            began: Beginning::now(&target),
            target,
            backend,
            phones,
            schedule: Arc::new(schedule(common, scenario.speed())),
            seed: common.seed,
            log: Arc::new(Log::begin()),
            config,
            authority,
            old_authority,
            trust,
            device_key: common.device_key,
            binaries: binaries.to_owned(),
            folder,
        })
    }

    /// The gateway, which only a scenario without `--connect` asks for.
    pub(crate) fn gateway(&mut self) -> Result<&mut Gateway, FleetError> {
        match &mut self.target {
            Target::Own(gateway) => Ok(gateway),
            Target::Other(_) => {
                Err(FleetError::Gateway { what: "is not ours to command", log: String::new() })
            }
        }
    }

    /// The run begins now: what was before does not count.
    pub(crate) fn begin(&mut self) {
        self.log = Arc::new(Log::begin());
        self.began = Beginning::now(&self.target);
    }

    /// What the run cost so far.
    pub(crate) fn usage(&self) -> Usage {
        let now = Beginning::now(&self.target);
        Usage {
            gateway: now.gateway.zip(self.began.gateway).map(|(now, then)| now.saturating_sub(then)),
            generator: now.generator.saturating_sub(self.began.generator),
        }
    }

    /// The gateway's records of the run.
    pub(crate) fn records(&self) -> &Records {
        &self.began.records
    }

    /// A further store of `provision-ca` for this run alone.
    pub(crate) fn further_authority(&self, folder: &str, name: &str) -> Result<Authority, FleetError> {
        let store = self.folder.path().join(folder);
        Ok(Authority::open(&self.binaries, &store, HOST, name, Kind::Modern)?)
    }
}

/// The gateway at a port it can take again; one that somebody took meanwhile is passed over.
async fn start(binaries: &Path, folder: &Path, config: &Config) -> Result<Gateway, FleetError> {
    let mut attempts = 0;
    loop {
        let address = port::free().map_err(FleetError::io("the gateway finds no port"))?;
        match Gateway::start(binaries, folder, address, &at(config, address)).await {
            Err(FleetError::Gateway { log, .. }) if log.contains("cannot listen") && attempts < 3 => {
                attempts += 1
            }
            started => return started,
        }
    }
}

fn at(config: &Config, address: SocketAddr) -> Config {
    let listener = Listener { address: address.to_string(), tls: "guide".to_owned() };
    Config { listeners: vec![listener], ..config.clone() }
}

fn configuration(
    authority: &Authority,
    old: Option<&Authority>,
    backend: SocketAddr,
) -> Result<Config, FleetError> {
    let server = absolute(&authority.server())?;
    let mut trust = vec![trust_entry(authority, &[])?];
    if let Some(old) = old {
        trust.push(trust_entry(old, &["allow = [\"sha1\", \"rsa-1024\"]"])?);
    }
    Ok(Config {
        listeners: Vec::new(),
        hosts: vec![Host {
            names: vec![HOST.to_owned(), "*".to_owned()],
            certificate: format!("{server}/chain.pem"),
            private_key: format!("{server}/key.pem"),
            client_auth: "required".to_owned(),
            backend: format!("http://{backend}"),
            headers: vec!["guide".to_owned()],
            rules: "own-profile".to_owned(),
            lines: Vec::new(),
            trust,
        }],
        limits: Vec::new(),
        tables: Vec::new(),
        audit: AUDIT.to_owned(),
    })
}

/// A trust entry for the phones of an authority, with its revocation lists.
pub(crate) fn trust_entry(authority: &Authority, lines: &[&str]) -> Result<TrustEntry, FleetError> {
    let folder = absolute(authority.store())?;
    let mut entry = TrustEntry::new(&format!("{folder}/trust/client-root.pem"), &["cisco-small-business"]);
    entry.lines.push(format!("crls = \"{folder}/trust/crls\""));
    entry.lines.extend(lines.iter().map(|line| (*line).to_owned()));
    Ok(entry)
}

fn absolute(path: &Path) -> Result<String, FleetError> {
    let found = path.canonicalize().map_err(FleetError::io(path.display().to_string()))?;
    Ok(found.display().to_string())
}

fn schedule(common: &Common, speed: f64) -> Schedule {
    let seconds = |count: u32| Duration::from_secs(u64::from(count));
    Schedule {
        random_delay: seconds(common.random_delay),
        periodic: seconds(common.periodic),
        at: common.at.map(|time| At::new(time, seconds(common.at_random_delay))),
        error_retry_delay: seconds(common.retry_delay),
        fails_on_not_found: !common.not_found_is_success,
        speed,
    }
}

fn size(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
