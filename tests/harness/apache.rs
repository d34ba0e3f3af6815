//! Debian's Apache 2.4 as an ordinary process, with a configuration of its own.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use crate::{expect::Peer, process::Process, workdir::WorkDir};

/// What the tests need, beyond what Debian builds in.
const MODULES: [&str; 13] = [
    "mpm_prefork",
    "authn_core",
    "authz_core",
    "authz_host",
    "alias",
    "cgi",
    "dir",
    "env",
    "headers",
    "mime",
    "setenvif",
    "socache_shmcb",
    "ssl",
];

/// A running Apache.
#[derive(Debug)]
pub struct Apache {
    process: Process,
    address: SocketAddr,
}

impl Apache {
    /// Starts Apache with these further lines; `htdocs/` of the folder is its document root and `cgi-bin/` its scripts.
    ///
    /// # Panics
    /// It does not come up.
    pub fn start(folder: &WorkDir, lines: &str) -> Self {
        for name in ["htdocs", "cgi-bin", "apache"] {
            fs::create_dir_all(folder.join(name)).unwrap();
        }
        // The port may be taken between our look and Apache's: then another is tried.
        for _ in 0..5 {
            let address = free_address();
            let file = folder.write("apache/apache.conf", configuration(folder.path(), address, lines));
            let mut process = Process::start(Peer::Apache.command().arg("-DFOREGROUND").arg("-f").arg(file));
            if process.wait_unless_ended("Apache to listen", || TcpStream::connect(address).is_ok()) {
                return Self { process, address };
            }
        }
        panic!(
            "Apache does not start: {}",
            fs::read_to_string(folder.join("apache/error.log")).unwrap_or_default()
        );
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn configuration(folder: &Path, address: SocketAddr, lines: &str) -> String {
    let folder = folder.display();
    let modules: String = MODULES
        .iter()
        .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
        .collect();
    format!(
        r#"ServerRoot "{folder}"
ServerName localhost
Listen {address}
PidFile "{folder}/apache/pid"
Mutex fcntl:{folder}/apache
ErrorLog "{folder}/apache/error.log"
LogLevel warn
User www-data
Group www-data
StartServers 2
{modules}
TypesConfig /dev/null
DocumentRoot "{folder}/htdocs"
<Directory "{folder}/htdocs">
  Require all granted
</Directory>
ScriptAlias "/cgi-bin/" "{folder}/cgi-bin/"
<Directory "{folder}/cgi-bin">
  Require all granted
</Directory>
{lines}
"#
    )
}

/// Writes a CGI script.
///
/// # Panics
/// The system refuses.
pub fn script(folder: &WorkDir, name: &str, text: &str) {
    let path = folder.write(format!("cgi-bin/{name}"), text);
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}
