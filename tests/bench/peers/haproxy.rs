//! HAProxy from Debian.

use std::fs;
use std::net::SocketAddr;

use super::{Work, installed, put};
use crate::error::BenchError;
use crate::server::{Ready, Recipe, Server};
use crate::server_key::Pair;

/// Its program, which is its package too.
pub(super) const PROGRAM: &str = "haproxy";
/// Its name in the tables.
pub(crate) const NAME: &str = "HAProxy";

pub(super) fn start(work: &Work<'_>) -> Result<Server, BenchError> {
    let own = work.folder_of("haproxy")?;
    let addresses = work.addresses()?;
    // It takes chain and key in one file; of several files with one name, each with the kind of key behind it, it finds
    // the one for a client.
    for Pair { kind, chain, key } in work.pairs {
        let read = |path| fs::read(path).map_err(BenchError::io(format!("{path:?}")));
        let both = [read(chain)?, read(key)?].concat();
        let kind = match (work.pairs.len(), *kind) {
            (1, _) => "",
            (_, "p256") => ".ecdsa",
            (_, _) => ".rsa",
        };
        put(&own.join(format!("both.pem{kind}")), &both)?;
    }
    let (root, crls, folder) = (work.authority.client_root(), work.crls_in(&own)?, own.display());
    let (root, crls) = (root.display(), crls.display());
    let bind = |address: SocketAddr, tls: &str| {
        format!(
            "  bind {address} backlog 4096 ssl crt {folder}/both.pem ca-file {root} crl-file {crls} verify required \
             alpn http/1.1 {tls}\n"
        )
    };
    let mut binds = bind(addresses.modern, "ssl-min-ver TLSv1.2");
    if let Some(address) = addresses.legacy {
        binds.push_str(&bind(
            address,
            "ssl-min-ver TLSv1.0 ssl-max-ver TLSv1.2 ciphers AES128-SHA:@SECLEVEL=0",
        ));
    }
    let store = work.store;
    // With its usual buffers of 16 KiB a large answer takes a quarter more. Without `http-reuse always` it opens a
    // connection to the store for every phone's first request.
    let text = format!(
        "global
  nbthread 2
  tune.bufsize 65536
  log stderr format raw local0
defaults
  mode http
  log global
  option httplog
  timeout connect 5s
  timeout client 60s
  timeout http-request 60s
  timeout http-keep-alive 75s
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
  http-reuse always
  server store {store}
"
    );
    let config = own.join("haproxy.cfg");
    put(&config, text.as_bytes())?;
    Server::start(Recipe {
        name: NAME,
        program: installed(PROGRAM)?,
        arguments: vec!["-f".into(), config.into()],
        addresses,
        log: own.join("access.log"),
        ready: Ready::Listens,
    })
}
