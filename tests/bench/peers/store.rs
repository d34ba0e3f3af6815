//! The profile store behind every server: nginx with files, which also takes reports.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use harness::port;

use super::{Addresses, nginx, put};
use crate::error::BenchError;
use crate::request::{END_OF_REPORT, LARGE_PROFILE, PROFILE};
use crate::server::Server;

/// The running store.
pub(crate) struct Store {
    server: Server,
    profiles: PathBuf,
}

impl Store {
    /// A store below `folder` with the profiles of one device.
    pub(super) fn start(folder: &Path, model: &str, mac: &str) -> Result<Self, BenchError> {
        let (own, profiles) = (folder.join("store"), folder.join("profiles"));
        for folder in [&own, &profiles] {
            fs::create_dir(folder).map_err(BenchError::io(folder.display().to_string()))?;
        }
        put(&profiles.join(format!("{mac}.cfg")), &[b'x'; PROFILE])?;
        put(&profiles.join(format!("{model}_{mac}.cfg")), &vec![b'y'; LARGE_PROFILE])?;
        let address = port::free().map_err(BenchError::io("no free port"))?;
        let addresses = Addresses { modern: address, legacy: None };
        let text = configuration(&own, &profiles, address);
        Ok(Self { server: nginx::start_with("store", &own, &text, addresses)?, profiles })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Puts a profile there for a further device.
    pub(crate) fn add(&self, mac: &str) -> Result<(), BenchError> {
        put(&self.profiles.join(format!("{mac}.cfg")), &[b'x'; PROFILE])
    }
}

/// A report is read to its end before it is answered: 201 if that is how a report ends. The answer itself comes from a
/// second address, because nginx decides about statuses before it reads a body.
fn configuration(own: &Path, profiles: &Path, address: SocketAddr) -> String {
    let (head, own, profiles) = (nginx::head(own), own.display(), profiles.display());
    format!(
        r#"{head}
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000;
  map $request_body $complete {{ "~{END_OF_REPORT}$" yes; default no; }}
  upstream judge {{ server unix:{own}/judge; keepalive 16; }}
  server {{
    listen {address} backlog=4096;
    root {profiles};
    location /report/ {{
      client_body_buffer_size 16k;
      client_body_in_single_buffer on;
      proxy_pass http://judge;
      proxy_http_version 1.1;
      proxy_pass_request_body off;
      proxy_set_header Connection "";
      proxy_set_header Content-Length "";
      proxy_set_header Complete $complete;
    }}
  }}
  server {{
    listen unix:{own}/judge;
    location / {{
      if ($http_complete = yes) {{ return 201; }}
      return 400;
    }}
  }}
}}
"#
    )
}
