//! nginx from Debian.

use std::net::SocketAddr;
use std::path::Path;

use super::{Addresses, Work, installed, put};
use crate::error::BenchError;
use crate::server::{Ready, Recipe, Server};
use crate::server_key::Pair;

/// Its program, which is its package too.
pub(super) const PROGRAM: &str = "nginx";
/// Its name in the tables.
pub(crate) const NAME: &str = "nginx";

pub(super) fn start(work: &Work<'_>) -> Result<Server, BenchError> {
    let own = work.folder_of("nginx")?;
    let addresses = work.addresses()?;
    let crls = work.crls_in(&own)?;
    let (root, crls) = (work.authority.client_root(), crls.display());
    let root = root.display();
    let lines = work.pairs.iter().map(|Pair { chain, key, .. }| {
        format!("    ssl_certificate {};\n    ssl_certificate_key {};\n", chain.display(), key.display())
    });
    let certificates: String = lines.collect();
    let server = |address: SocketAddr, tls: &str| {
        format!(
            r#"
  server {{
    listen {address} ssl reuseport backlog=4096;
    server_name localhost;
{certificates}
    ssl_client_certificate {root};
    ssl_crl {crls};
    ssl_verify_client on;
    {tls}
    ssl_session_cache shared:tls:10m;
    keepalive_requests 1000000;
    location / {{
      proxy_pass http://store;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
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
"#
        )
    };
    let mut servers = server(addresses.modern, "ssl_protocols TLSv1.2 TLSv1.3;");
    if let Some(address) = addresses.legacy {
        servers.push_str(&server(
            address,
            "ssl_protocols TLSv1 TLSv1.1 TLSv1.2; ssl_ciphers AES128-SHA:@SECLEVEL=0;",
        ));
    }
    let (head, own_text, store) = (head(&own), own.display(), work.store);
    // A large answer fits into memory, else nginx writes it to a file first.
    let text = format!(
        "{head}
  access_log {own_text}/access.log;
  keepalive_timeout 75s;
  proxy_buffers 16 32k;
  proxy_busy_buffers_size 64k;
  upstream store {{ server {store}; keepalive 64; keepalive_requests 1000000; }}{servers}}}
"
    );
    start_with(NAME, &own, &text, addresses)
}

/// What every configuration here begins with.
pub(super) fn head(own: &Path) -> String {
    let own = own.display();
    format!(
        "daemon off; user root; worker_processes 2; pid {own}/pid; error_log {own}/error.log;
events {{ worker_connections 16384; }}
http {{
  client_body_temp_path {own}/t1; proxy_temp_path {own}/t2; fastcgi_temp_path {own}/t3;
  uwsgi_temp_path {own}/t4; scgi_temp_path {own}/t5;"
    )
}

pub(super) fn start_with(
    name: &'static str,
    own: &Path,
    text: &str,
    addresses: Addresses,
) -> Result<Server, BenchError> {
    let config = own.join("nginx.conf");
    put(&config, text.as_bytes())?;
    Server::start(Recipe {
        name,
        program: installed(PROGRAM)?,
        arguments: vec!["-c".into(), config.into(), "-p".into(), own.into()],
        addresses,
        log: own.join("stderr.log"),
        ready: Ready::Listens,
    })
}
