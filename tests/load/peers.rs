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

use crate::client::Credentials;

const MODEL: &str = "CP-8841-3PCC";
const SERIAL: &str = "88012BA01234";
const MAC: &str = "000e08abcdef";

/// One running server.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    process: Child,
}

impl Server {
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
    _backend: Server,
}

impl Fleet {
    /// Makes authorities and certificates with `provision-ca` and starts everything below `folder`.
    pub(crate) fn start(folder: &Path, binaries: &Path, server_key: &str) -> io::Result<Self> {
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
        ca(&["server", "issue", "localhost", "--key", server_key])?;
        ca(&["device", "issue", "--model", MODEL, "--serial", SERIAL, "--mac", MAC])?;
        let server = pki.join("server/localhost");
        let device = pki.join("devices").join(MAC);
        // HAProxy takes chain and key in one file.
        let mut both = fs::read(server.join("chain.pem"))?;
        both.extend(fs::read(server.join("key.pem"))?);
        put(&folder.join("both.pem"), &both)?;
        let profiles = folder.join("profiles");
        fs::create_dir(&profiles)?;
        put(&profiles.join(format!("{MAC}.cfg")), &vec![b'x'; 8 * 1024])?;

        let backend = nginx_backend(folder, &profiles)?;
        let servers = vec![
            gateway(folder, binaries, &pki, backend.address)?,
            nginx(folder, &pki, backend.address)?,
            haproxy(folder, &pki, backend.address)?,
        ];
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(pki.join("trust/server-root.pem")).map_err(io::Error::other)?)
            .map_err(io::Error::other)?;
        let chain: Result<Vec<_>, _> =
            CertificateDer::pem_file_iter(device.join("chain.pem")).map_err(io::Error::other)?.collect();
        let credentials = Credentials {
            chain: chain.map_err(io::Error::other)?,
            key: PrivateKeyDer::from_pem_file(device.join("key.pem")).map_err(io::Error::other)?,
            roots: Arc::new(roots),
            client_root: CertificateDer::from_pem_file(pki.join("trust/client-root.pem"))
                .map_err(io::Error::other)?,
            path: format!("/{MAC}.cfg"),
        };
        Ok(Self { servers, credentials: Arc::new(credentials), _backend: backend })
    }

    /// The gateway first, then its peers.
    pub(crate) fn servers(&self) -> &[Server] {
        &self.servers
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.servers.iter().map(|server| server.name).collect()
    }

    pub(crate) fn credentials(&self) -> &Arc<Credentials> {
        &self.credentials
    }
}

fn gateway(folder: &Path, binaries: &Path, pki: &Path, backend: SocketAddr) -> io::Result<Server> {
    let config = folder.join("gateway.toml");
    let pki = pki.display();
    put(
        &config,
        format!(
            r#"
[[listener]]
address = "127.0.0.1:0"
tls = "modern"

[[host]]
names = ["localhost"]
certificate = "{pki}/server/localhost/chain.pem"
private-key = "{pki}/server/localhost/key.pem"
client-auth = "required"
backend = "http://{backend}"
headers = ["guide"]
rules = "own-profile"

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
    let mut address = None;
    for line in BufReader::new(out).lines() {
        let line = line?;
        if let Some(text) = line.strip_prefix("listening on ") {
            address = text.parse().ok();
        }
        if line == "ready" {
            break;
        }
    }
    let address = address.ok_or_else(|| {
        io::Error::other(fs::read_to_string(folder.join("gateway.log")).unwrap_or_default())
    })?;
    Ok(Server { name: "gateway", address, process })
}

fn nginx(folder: &Path, pki: &Path, backend: SocketAddr) -> io::Result<Server> {
    let address = free_address()?;
    let own = folder.join("nginx");
    fs::create_dir(&own)?;
    let crls = concatenated(&pki.join("trust/crls"))?;
    put(&own.join("crls.pem"), &crls)?;
    let (head, pki, crls) = (nginx_head(&own), pki.display(), own.join("crls.pem"));
    let crls = crls.display();
    let text = format!(
        "{head}
  upstream store {{ server {backend}; keepalive 64; }}
  server {{
    listen {address} ssl reuseport backlog=4096;
    server_name localhost;
    ssl_certificate {pki}/server/localhost/chain.pem;
    ssl_certificate_key {pki}/server/localhost/key.pem;
    ssl_client_certificate {pki}/trust/client-root.pem;
    ssl_crl {crls};
    ssl_verify_client on;
    ssl_protocols TLSv1.2 TLSv1.3;
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
}}
"
    );
    start_nginx("nginx", folder, &own, &text, address)
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
    start_nginx("backend", folder, &own, &text, address)
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
    address: SocketAddr,
) -> io::Result<Server> {
    let config = own.join("nginx.conf");
    put(&config, text.as_bytes())?;
    let process =
        Command::new("nginx").arg("-c").arg(&config).arg("-p").arg(own).stderr(log(folder, name)?).spawn()?;
    wait_for(Server { name, address, process })
}

fn haproxy(folder: &Path, pki: &Path, backend: SocketAddr) -> io::Result<Server> {
    let address = free_address()?;
    let config = folder.join("haproxy.cfg");
    let crls = concatenated(&pki.join("trust/crls"))?;
    put(&folder.join("haproxy-crls.pem"), &crls)?;
    let (folder_text, pki) = (folder.display(), pki.display());
    let text = format!(
        "global
  nbthread 2
  log stderr format raw local0
  ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
  mode http
  log global
  option httplog
  timeout connect 5s
  timeout client 75s
  timeout server 60s
frontend phones
  bind {address} ssl crt {folder_text}/both.pem ca-file {pki}/trust/client-root.pem \
crl-file {folder_text}/haproxy-crls.pem verify required alpn http/1.1
  http-request set-header SSL-Client-Verify %[ssl_c_verify]
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
    wait_for(Server { name: "HAProxy", address, process })
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
