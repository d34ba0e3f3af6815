//! The servers of the measurement, each with its own configuration for the same work.

use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::bare::Bare;
use crate::client::{Credentials, Phone};
use crate::server_key::{Pair, ServerKey};

const MODEL: &str = "CP-8841-3PCC";
const SERIAL: &str = "88012BA01234";
const MAC: &str = "000e08abcdef";

/// One running server.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    address: SocketAddr,
    /// Where old phones are served too.
    legacy: Option<SocketAddr>,
    process: Child,
}

impl Server {
    /// Where phones of this kind call.
    pub(crate) fn address_for(&self, phone: Phone) -> io::Result<SocketAddr> {
        match phone {
            Phone::Legacy(_) => {
                self.legacy.ok_or_else(|| io::Error::other("no RSA certificate for old phones"))
            }
            Phone::Modern(_) => Ok(self.address),
        }
    }

    /// The process whose tree does the work.
    pub(crate) fn process(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGTERM through the shell's own kill, so that nginx ends its workers; then make sure.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}

/// The gateway, its peers, the backend they share and a device to call them.
pub(crate) struct Fleet {
    servers: Vec<Server>,
    credentials: Arc<Credentials>,
    bare: Bare,
    _backend: Server,
}

impl Fleet {
    /// Makes authorities and certificates with `provision-ca` and starts everything below `folder`.
    pub(crate) fn start(folder: &Path, binaries: &Path, server_key: ServerKey) -> io::Result<Self> {
        let pki = folder.join("pki");
        let ca = |arguments: &[&str]| -> io::Result<()> {
            let output = Command::new(binaries.join("provision-ca"))
                .args(arguments)
                .arg("--store")
                .arg(&pki)
                .output()?;
            if output.status.success() {
                return Ok(());
            }
            Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()))
        };
        ca(&["init", "--name", "Load", "--no-passphrase", "--key", "rsa2048"])?;
        let pairs = server_key.issue(ca, &pki, folder)?;
        ca(&["device", "issue", "--model", MODEL, "--serial", SERIAL, "--mac", MAC])?;
        let device = pki.join("devices").join(MAC);
        let profiles = folder.join("profiles");
        fs::create_dir(&profiles)?;
        put(&profiles.join(format!("{MAC}.cfg")), &vec![b'x'; 8 * 1024])?;

        let backend = nginx_backend(folder, &profiles)?;
        let legacy = server_key.serves_legacy();
        let work = Work { folder, pki: &pki, pairs: &pairs, legacy, backend: backend.address };
        let servers = vec![gateway(&work, binaries)?, nginx(&work)?, haproxy(&work)?];
        let root = |file| CertificateDer::from_pem_file(pki.join(file)).map_err(io::Error::other);
        let server_root = root("trust/server-root.pem")?;
        let mut roots = RootCertStore::empty();
        roots.add(server_root.clone()).map_err(io::Error::other)?;
        let chain: Result<Vec<_>, _> =
            CertificateDer::pem_file_iter(device.join("chain.pem")).map_err(io::Error::other)?.collect();
        let credentials = Credentials {
            chain: chain.map_err(io::Error::other)?,
            key: PrivateKeyDer::from_pem_file(device.join("key.pem")).map_err(io::Error::other)?,
            roots: Arc::new(roots),
            server_root,
            client_root: root("trust/client-root.pem")?,
            path: format!("/{MAC}.cfg"),
        };
        let bare = Bare::start(&pki, &device, backend.address, &credentials.path)?;
        Ok(Self { servers, credentials: Arc::new(credentials), bare, _backend: backend })
    }

    /// The gateway first, then its peers.
    pub(crate) fn servers(&self) -> &[Server] {
        &self.servers
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.servers.iter().map(|server| server.name).collect()
    }

    pub(crate) fn bare(&self) -> &Bare {
        &self.bare
    }

    pub(crate) fn credentials(&self) -> &Arc<Credentials> {
        &self.credentials
    }
}

/// What every server is set up for.
struct Work<'a> {
    folder: &'a Path,
    pki: &'a Path,
    /// The certificates to show, all of them for the same name.
    pairs: &'a [Pair],
    /// Whether old phones are served too, at an address of their own: only there are their version and suite spoken.
    legacy: bool,
    backend: SocketAddr,
}

impl Work<'_> {
    fn legacy_address(&self) -> io::Result<Option<SocketAddr>> {
        self.legacy.then(free_address).transpose()
    }
}

fn gateway(work: &Work<'_>, binaries: &Path) -> io::Result<Server> {
    let Work { folder, pki, pairs, backend, .. } = *work;
    let config = folder.join("gateway.toml");
    let pki = pki.display();
    let (address, legacy) = (free_address()?, work.legacy_address()?);
    let listener = |address, tls| format!("[[listener]]\naddress = \"{address}\"\ntls = \"{tls}\"\n");
    let mut listeners = listener(address, "modern");
    if let Some(address) = legacy {
        listeners.push_str(&listener(address, "guide"));
    }
    let lines = pairs.iter().map(|Pair { chain, key, .. }| {
        format!("certificate = \"{}\"\nprivate-key = \"{}\"\n", chain.display(), key.display())
    });
    let mut certificates: Vec<String> = lines.collect();
    let further = certificates.split_off(1);
    let first = certificates.concat();
    let further: String =
        further.iter().map(|pair| format!("[[host.further-certificate]]\n{pair}")).collect();
    put(
        &config,
        format!(
            r#"
{listeners}
[[host]]
names = ["localhost"]
{first}client-auth = "required"
backend = "http://{backend}"
headers = ["guide"]
rules = "own-profile"

{further}
[[host.trust]]
anchors = "{pki}/trust/client-root.pem"
identity = ["cisco-small-business"]
crls = "{pki}/trust/crls"

[audit]
file = "audit.jsonl"
"#
        )
        .as_bytes(),
    )?;
    let mut process = Command::new(binaries.join("provision-gateway"))
        .args(["run", "--config"])
        .arg(&config)
        .stdout(Stdio::piped())
        .stderr(log(folder, "gateway")?)
        .spawn()?;
    let out = process.stdout.take().ok_or_else(|| io::Error::other("no standard output"))?;
    for line in BufReader::new(out).lines() {
        if line? == "ready" {
            return Ok(Server { name: "gateway", address, legacy, process });
        }
    }
    Err(io::Error::other(fs::read_to_string(folder.join("gateway.log")).unwrap_or_default()))
}

fn nginx(work: &Work<'_>) -> io::Result<Server> {
    let Work { folder, pki, pairs, backend, .. } = *work;
    let (address, legacy) = (free_address()?, work.legacy_address()?);
    let own = folder.join("nginx");
    fs::create_dir(&own)?;
    let crls = concatenated(&pki.join("trust/crls"))?;
    put(&own.join("crls.pem"), &crls)?;
    let (head, pki, crls) = (nginx_head(&own), pki.display(), own.join("crls.pem"));
    let crls = crls.display();
    let lines = pairs.iter().map(|Pair { chain, key, .. }| {
        format!("    ssl_certificate {};\n    ssl_certificate_key {};\n", chain.display(), key.display())
    });
    let certificates: String = lines.collect();
    let server = |address: SocketAddr, tls: &str| {
        format!(
            "
  server {{
    listen {address} ssl reuseport backlog=4096;
    server_name localhost;
{certificates}
    ssl_client_certificate {pki}/trust/client-root.pem;
    ssl_crl {crls};
    ssl_verify_client on;
    {tls}
    ssl_session_cache shared:tls:10m;
    keepalive_requests 1000000;
    location / {{
      proxy_pass http://store;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
      proxy_set_header Host $host;
      proxy_set_header SSL-Client-Verify $ssl_client_verify;
      proxy_set_header SSL-Client-S-DN $ssl_client_s_dn;
      proxy_set_header SSL-Client-I-DN $ssl_client_i_dn;
      proxy_set_header SSL-Client-M-Serial $ssl_client_serial;
      proxy_set_header SSL-Client-V-Start $ssl_client_v_start;
      proxy_set_header SSL-Client-V-End $ssl_client_v_end;
      proxy_set_header X-Forwarded-For $remote_addr;
    }}
  }}
"
        )
    };
    let mut servers = server(address, "ssl_protocols TLSv1.2 TLSv1.3;");
    if let Some(address) = legacy {
        servers.push_str(&server(
            address,
            "ssl_protocols TLSv1 TLSv1.1 TLSv1.2; ssl_ciphers AES128-SHA:@SECLEVEL=0;",
        ));
    }
    let text = format!("{head}\n  upstream store {{ server {backend}; keepalive 64; }}{servers}}}\n");
    start_nginx("nginx", folder, &own, &text, (address, legacy))
}

fn nginx_backend(folder: &Path, profiles: &Path) -> io::Result<Server> {
    let address = free_address()?;
    let own = folder.join("backend");
    fs::create_dir(&own)?;
    let text = format!(
        "{}
  keepalive_requests 1000000;
  access_log off;
  server {{ listen {address}; root {}; }}
}}
",
        nginx_head(&own),
        profiles.display()
    );
    start_nginx("backend", folder, &own, &text, (address, None))
}

fn nginx_head(own: &Path) -> String {
    let own = own.display();
    format!(
        "daemon off; user root; worker_processes 2; pid {own}/pid; error_log {own}/error.log;
events {{ worker_connections 8192; }}
http {{
  access_log {own}/access.log;
  client_body_temp_path {own}/t1; proxy_temp_path {own}/t2; fastcgi_temp_path {own}/t3;
  uwsgi_temp_path {own}/t4; scgi_temp_path {own}/t5;"
    )
}

fn start_nginx(
    name: &'static str,
    folder: &Path,
    own: &Path,
    text: &str,
    (address, legacy): (SocketAddr, Option<SocketAddr>),
) -> io::Result<Server> {
    let config = own.join("nginx.conf");
    put(&config, text.as_bytes())?;
    let process =
        Command::new("nginx").arg("-c").arg(&config).arg("-p").arg(own).stderr(log(folder, name)?).spawn()?;
    wait_for(Server { name, address, legacy, process })
}

fn haproxy(work: &Work<'_>) -> io::Result<Server> {
    let Work { folder, pki, pairs, backend, .. } = *work;
    let (address, legacy) = (free_address()?, work.legacy_address()?);
    // It takes chain and key in one file; of several files with one name, each with the kind of key behind it, it finds
    // the one for a client.
    for Pair { kind, chain, key } in pairs {
        let mut both = fs::read(chain)?;
        both.extend(fs::read(key)?);
        let kind = match (pairs.len(), *kind) {
            (1, _) => "",
            (_, "p256") => ".ecdsa",
            (_, _) => ".rsa",
        };
        put(&folder.join(format!("both.pem{kind}")), &both)?;
    }
    let config = folder.join("haproxy.cfg");
    let crls = concatenated(&pki.join("trust/crls"))?;
    put(&folder.join("haproxy-crls.pem"), &crls)?;
    let (folder_text, pki) = (folder.display(), pki.display());
    let bind = |address: SocketAddr, tls: &str| {
        format!(
            "  bind {address} ssl crt {folder_text}/both.pem ca-file {pki}/trust/client-root.pem crl-file \
{folder_text}/haproxy-crls.pem verify required alpn http/1.1 {tls}\n"
        )
    };
    let mut binds = bind(address, "ssl-min-ver TLSv1.2");
    if let Some(address) = legacy {
        binds.push_str(&bind(
            address,
            "ssl-min-ver TLSv1.0 ssl-max-ver TLSv1.2 ciphers AES128-SHA:@SECLEVEL=0",
        ));
    }
    let text = format!(
        "global
  nbthread 2
  log stderr format raw local0
defaults
  mode http
  log global
  option httplog
  timeout connect 5s
  timeout client 75s
  timeout server 60s
frontend phones
{binds}  http-request set-header SSL-Client-Verify %[ssl_c_verify]
  http-request set-header SSL-Client-S-DN %[ssl_c_s_dn]
  http-request set-header SSL-Client-I-DN %[ssl_c_i_dn]
  http-request set-header SSL-Client-M-Serial %[ssl_c_serial,hex]
  http-request set-header SSL-Client-V-Start %[ssl_c_notbefore]
  http-request set-header SSL-Client-V-End %[ssl_c_notafter]
  option forwardfor
  default_backend store
backend store
  server store {backend}
"
    );
    put(&config, text.as_bytes())?;
    let process = Command::new("haproxy").arg("-f").arg(&config).stderr(log(folder, "haproxy")?).spawn()?;
    wait_for(Server { name: "HAProxy", address, legacy, process })
}

/// The revocation lists of the client side in one file, as nginx and HAProxy want them.
fn concatenated(folder: &Path) -> io::Result<Vec<u8>> {
    let mut whole = Vec::new();
    for file in fs::read_dir(folder)? {
        whole.extend(fs::read(file?.path())?);
    }
    Ok(whole)
}

fn wait_for(server: Server) -> io::Result<Server> {
    let deadline = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(server.address).is_err() {
        if Instant::now() > deadline {
            return Err(io::Error::other(format!("{} does not answer on {}", server.name, server.address)));
        }
        std::thread::yield_now();
    }
    Ok(server)
}

fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

fn log(folder: &Path, name: &str) -> io::Result<Stdio> {
    Ok(fs::File::create(folder.join(format!("{name}.log")))?.into())
}

#[expect(
    clippy::disallowed_methods,
    reason = "files of this measurement alone, written before anyone reads them"
)]
fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::write(path, bytes)
}
