//! Debian's rsyslog as an ordinary process, which writes what it received into a file, field by field.

use std::{fs, net::UdpSocket, path::PathBuf};

use crate::{
    expect::{Peer, eventually},
    pki::Credentials,
    process::Process,
    workdir::WorkDir,
};

/// A running rsyslog with one input of each kind; the local socket is `log` and `log-5424` in its folder.
#[derive(Debug)]
pub struct Rsyslog {
    process: Process,
    folder: PathBuf,
    udp: u16,
}

/// A message as rsyslog understood it.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "as RFC 5424 calls them")]
pub struct Received {
    pub facility: String,
    pub severity: String,
    pub host_name: String,
    pub app_name: String,
    pub message_id: String,
    pub time: String,
    pub structured_data: String,
    pub message: String,
}

impl Rsyslog {
    /// Starts one that takes UDP, TCP and the local socket.
    ///
    /// # Panics
    /// It does not come up.
    pub fn start(folder: &WorkDir, name: &str) -> Self {
        Self::start_with(folder, name, "", "module(load=\"imtcp\")\n")
    }

    /// Starts one whose TCP input is TLS, with this certificate, for clients certified by the authorities in `ca`.
    ///
    /// # Panics
    /// It does not come up.
    pub fn start_tls(folder: &WorkDir, name: &str, server: &Credentials, ca: &str) -> Self {
        let ca = folder.write(format!("{name}-ca.pem"), ca);
        let (chain, key) = server.write(folder, name);
        let global = format!(
            "defaultNetstreamDriverCAFile=\"{}\" defaultNetstreamDriverCertFile=\"{}\" \
             defaultNetstreamDriverKeyFile=\"{}\"",
            ca.display(),
            chain.display(),
            key.display()
        );
        let module = "module(load=\"imtcp\" streamDriver.name=\"gtls\" streamDriver.mode=\"1\" \
                      streamDriver.authMode=\"x509/certvalid\")\n";
        Self::start_with(folder, name, &global, module)
    }

    fn start_with(folder: &WorkDir, name: &str, global: &str, tcp: &str) -> Self {
        let folder = folder.join(name);
        fs::create_dir_all(&folder).unwrap();
        let at = folder.display();
        // The port may be taken between our look and rsyslog's; then the test's messages do not arrive, and it says so.
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let configuration = format!(
            r#"global(workDirectory="{at}" maxMessageSize="64k" {global})
module(load="imuxsock" sysSock.use="off")
module(load="imudp")
{tcp}template(name="fields" type="list" option.jsonf="on") {{
  property(outname="facility" name="syslogfacility-text" format="jsonf")
  property(outname="severity" name="syslogseverity-text" format="jsonf")
  property(outname="host" name="hostname" format="jsonf")
  property(outname="app" name="app-name" format="jsonf")
  property(outname="id" name="msgid" format="jsonf")
  property(outname="time" name="timestamp" dateFormat="rfc3339" format="jsonf")
  property(outname="data" name="structured-data" format="jsonf")
  property(outname="msg" name="msg" format="jsonf")
}}
input(type="imuxsock" Socket="{at}/log")
input(type="imuxsock" Socket="{at}/log-5424" useSpecialParser="off" parseHostname="on" ignoreTimestamp="off")
input(type="imudp" address="127.0.0.1" port="{udp}")
input(type="imtcp" address="127.0.0.1" port="0" listenPortFileName="{at}/tcp-port")
action(type="omfile" file="{at}/received" template="fields")
"#
        );
        let file = folder.join("rsyslog.conf");
        #[expect(clippy::disallowed_methods, reason = "a test's own file")]
        fs::write(&file, configuration).unwrap();
        let mut command = Peer::Rsyslog.command();
        command.arg("-n").arg("-f").arg(file).arg("-i").arg(folder.join("pid"));
        let mut process = Process::start(&mut command);
        let listens = || folder.join("tcp-port").exists() && folder.join("log").exists();
        process.wait_for("rsyslog to listen", listens);
        Self { process, folder, udp }
    }

    /// The UDP port.
    pub fn udp_port(&self) -> u16 {
        self.udp
    }

    /// The TCP or TLS port.
    ///
    /// # Panics
    /// It is not there any more.
    pub fn tcp_port(&self) -> u16 {
        eventually("rsyslog's port", || {
            fs::read_to_string(self.folder.join("tcp-port")).ok()?.trim().parse().ok()
        })
    }

    /// What it received so far.
    ///
    /// # Panics
    /// It wrote what it should not.
    pub fn received(&self) -> Vec<Received> {
        let text = fs::read_to_string(self.folder.join("received")).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let field = |line: &serde_json::Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
        whole
            .lines()
            .map(|line| {
                let line: serde_json::Value = serde_json::from_str(line).expect("rsyslog writes JSON");
                Received {
                    facility: field(&line, "facility"),
                    severity: field(&line, "severity"),
                    host_name: field(&line, "host"),
                    app_name: field(&line, "app"),
                    message_id: field(&line, "id"),
                    time: field(&line, "time"),
                    structured_data: field(&line, "data"),
                    message: field(&line, "msg"),
                }
            })
            .collect()
    }

    /// Waits until it received so many messages.
    ///
    /// # Panics
    /// They do not come.
    pub fn wait_for(&mut self, count: usize) -> Vec<Received> {
        let mut received = Vec::new();
        let folder = self.folder.clone();
        let probe = Self::received;
        eventually(&format!("{count} messages in {}", folder.display()), || {
            received = probe(self);
            (received.len() >= count).then_some(())
        });
        received
    }

    /// Ends it.
    pub fn stop(mut self) {
        self.process.signal("TERM");
        self.process.wait();
    }
}
