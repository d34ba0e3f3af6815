//! Apache 2.4 from Debian, with the event MPM and a configuration of its own.

use std::net::SocketAddr;

use super::{Work, installed, open_to_all, put};
use crate::error::BenchError;
use crate::server::{Ready, Recipe, Server};
use crate::server_key::Pair;

/// Its program, which is its package too.
pub(super) const PROGRAM: &str = "apache2";

const MODULES: [&str; 8] =
    ["mpm_event", "authz_core", "headers", "proxy", "proxy_http", "reqtimeout", "socache_shmcb", "ssl"];

/// Its threads in each of two processes. A handshake keeps one busy until it ends, so there must be many more than cores;
/// one that has nothing to do costs next to nothing.
const THREADS: usize = 256;

pub(super) fn start(work: &Work<'_>) -> Result<Server, BenchError> {
    let own = work.folder_of("apache")?;
    let addresses = work.addresses()?;
    let (crls, folder, root) = (work.crls_in(&own)?, own.display(), work.authority.client_root());
    let (crls, root) = (crls.display(), root.display());
    let lines = work.pairs.iter().map(|Pair { chain, key, .. }| {
        format!(
            "  SSLCertificateFile \"{}\"\n  SSLCertificateKeyFile \"{}\"\n",
            chain.display(),
            key.display()
        )
    });
    let (certificates, store): (String, _) = (lines.collect(), work.store);
    let site = |address: SocketAddr, tls: &str| {
        format!(
            r#"
Listen {address}
<VirtualHost {address}>
  SSLEngine on
{certificates}  SSLCACertificateFile "{root}"
  SSLCARevocationFile "{crls}"
  SSLCARevocationCheck chain
  SSLVerifyClient require
  SSLVerifyDepth 3
  {tls}
  RequestHeader set SSL-Client-Verify "%{{SSL_CLIENT_VERIFY}}s"
  RequestHeader set SSL-Client-S-DN "%{{SSL_CLIENT_S_DN}}s"
  RequestHeader set SSL-Client-I-DN "%{{SSL_CLIENT_I_DN}}s"
  RequestHeader set SSL-Client-M-Serial "%{{SSL_CLIENT_M_SERIAL}}s"
  RequestHeader set SSL-Client-V-Start "%{{SSL_CLIENT_V_START}}s"
  RequestHeader set SSL-Client-V-End "%{{SSL_CLIENT_V_END}}s"
  ProxyPreserveHost On
  ProxyPass "/" "http://{store}/" enablereuse=on
</VirtualHost>
"#
        )
    };
    let mut sites = site(addresses.modern, "SSLProtocol -all +TLSv1.2 +TLSv1.3");
    if let Some(address) = addresses.legacy {
        sites.push_str(&site(
            address,
            "SSLProtocol -all +TLSv1 +TLSv1.1 +TLSv1.2\n  SSLCipherSuite AES128-SHA:@SECLEVEL=0",
        ));
    }
    let modules: String = MODULES
        .iter()
        .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
        .collect();
    let workers = 2 * THREADS;
    // With its usual buffers of 8 KiB a large answer takes a third more. `AsyncRequestWorkerFactor` bounds how many
    // connections wait for their next request without a thread: here more than will ever come.
    let text = format!(
        r#"ServerRoot "{folder}"
ServerName localhost
PidFile "{folder}/pid"
ErrorLog "{folder}/error.log"
LogLevel warn
User www-data
Group www-data
{modules}
StartServers 2
ServerLimit 2
ThreadLimit {THREADS}
ThreadsPerChild {THREADS}
MaxRequestWorkers {workers}
MinSpareThreads 1
MaxSpareThreads {workers}
MaxConnectionsPerChild 0
AsyncRequestWorkerFactor 64
ListenBacklog 4096
Timeout 60
ProxyIOBufferSize 65536
KeepAlive On
KeepAliveTimeout 75
MaxKeepAliveRequests 0
RequestReadTimeout handshake=60 header=60 body=10,minrate=500
LogFormat "%h %l %u %t \"%r\" %>s %b" common
CustomLog "{folder}/access.log" common
SSLSessionCache "shmcb:{folder}/sessions(10485760)"
SSLSessionTickets on
{sites}
"#
    );
    let config = own.join("apache.conf");
    put(&config, text.as_bytes())?;
    // Its workers are another user's, and go to work in this folder.
    open_to_all(&own).map_err(BenchError::io(own.display().to_string()))?;
    Server::start(Recipe {
        name: "Apache",
        program: installed(PROGRAM)?,
        arguments: vec!["-DFOREGROUND".into(), "-f".into(), config.into()],
        addresses,
        log: own.join("stderr.log"),
        ready: Ready::Listens,
    })
}
