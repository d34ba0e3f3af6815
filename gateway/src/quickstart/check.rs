//! `quickstart --check`: plays the phones against the gateway and says whether each got what it should.

use std::{
    fs,
    io::{self, Write},
    net::SocketAddr,
    sync::mpsc::{Receiver, Sender, channel},
    time::Duration,
};

use serde_json::Value;

use super::{
    QuickstartError,
    device::{Device, Fetched},
    folder::{DENY, Demonstration, EXPIRED, GENERIC, PHONES, Places, REVOKED, config, write},
    reflect,
};
use crate::{
    audit::{AuditSink, Auditor},
    clock,
    commands::Outcome,
    config::Config,
    run::RunError,
    server::Server,
};

/// How long a record may take; it is there after some milliseconds.
const RECORD: Duration = Duration::from_secs(5);
const QUEUE: usize = 1 << 20;

/// Plays every phone; done when each answer was as it should be.
pub(super) async fn check(
    demonstration: &Demonstration,
    out: &mut dyn Write,
) -> Result<Outcome, QuickstartError> {
    let (port, reflecting) = reflect::on_port().await.map_err(QuickstartError::System)?;
    let deny = demonstration.folder.join("check-deny.txt");
    write(&deny, DENY)?;
    let text = config(
        "127.0.0.1:0",
        &Places {
            deny: "check-deny.txt",
            audit: "check-audit.jsonl",
            reflect: &format!("http://127.0.0.1:{port}"),
        },
    );
    let load = || {
        let source = demonstration.folder.join("check.toml");
        Config::parse(&source, &text, clock::now()).map_err(QuickstartError::Config)
    };
    let (records, received) = channel();
    let auditor = Auditor::to_sink(Told(records), QUEUE, clock::system).map_err(QuickstartError::System)?;
    let mut server = Server::start(&load()?, auditor.clone()).map_err(RunError::from)?;
    let gateway = server.addresses().next().unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));

    let mut play = Play { demonstration, gateway, received, rows: Vec::new() };
    play.profiles().await?;
    play.strangers().await?;
    play.forgeries().await?;
    let [first, _] = PHONES;
    let phone = play.device(Some(first.mac))?;
    play.resumed(&phone).await;
    write(&deny, &format!("mac {}\n", first.mac))?;
    server.reload(&load()?).map_err(RunError::from)?;
    play.denied(&phone).await;

    server.stop(Duration::from_secs(5)).await;
    reflecting.abort();
    let _ = auditor.close(Duration::from_secs(5));
    fs::remove_file(&deny).map_err(QuickstartError::file(&deny))?;
    let all_hold = print(out, &play.rows).map_err(QuickstartError::System)?;
    Ok(if all_hold { Outcome::Done } else { Outcome::Refused })
}

/// Hands audit lines to whoever plays.
struct Told(Sender<Value>);

impl AuditSink for Told {
    fn append(&mut self, lines: &[u8]) -> io::Result<usize> {
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let record: Value = serde_json::from_slice(line).unwrap_or(Value::Null);
            // The end of a connection whose requests were told of comes whenever it comes.
            if record["event"] != "closed" {
                // When nobody listens any more, the play is over.
                let _ = self.0.send(record);
            }
        }
        Ok(lines.len())
    }

    fn reopen(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One line of the table.
struct Row {
    what: &'static str,
    expected: String,
    found: String,
}

struct Play<'a> {
    demonstration: &'a Demonstration,
    gateway: SocketAddr,
    received: Receiver<Value>,
    rows: Vec<Row>,
}

impl Play<'_> {
    /// Phones at the profile folder.
    async fn profiles(&mut self) -> Result<(), QuickstartError> {
        let [first, second] = PHONES;
        let own = format!("/{}.cfg", first.mac);
        let phone = self.device(Some(first.mac))?;
        let profile = self.demonstration.profile(&format!("{}.cfg", first.mac));
        let profile = fs::read_to_string(&profile).map_err(QuickstartError::file(&profile))?;
        let fetched = phone.fetch("localhost", &own, &[]).await;
        let whole = matches!(&fetched, Fetched::Answer { body, .. } if *body == profile);
        let found = self.outcome(&fetched);
        let found = if whole { format!("{found}, the whole profile") } else { found };
        self.row("its own profile", "200, the whole profile", found);
        let old = Device::over_tls_1_2(
            self.gateway,
            &self.demonstration.server_root(),
            Some(&self.demonstration.device(first.mac)),
        )?;
        self.expect("its own profile over TLS 1.2", &old, "localhost", &own, "200").await;
        let others = format!("/{}.cfg", second.mac);
        self.expect("another phone's profile", &phone, "localhost", &others, "403 no_rule_matched").await;
        let phone = self.device(Some(second.mac))?;
        self.expect("the other phone its own, with a P-256 key", &phone, "localhost", &others, "200").await;
        let generic = self.device(Some(GENERIC))?;
        self.expect("shared certificate, first contact", &generic, "localhost", "/init/start.cfg", "200")
            .await;
        self.expect(
            "shared certificate, a phone's profile",
            &generic,
            "localhost",
            &own,
            "403 no_rule_matched",
        )
        .await;
        Ok(())
    }

    /// Those who do not get past the handshake.
    async fn strangers(&mut self) -> Result<(), QuickstartError> {
        let [first, _] = PHONES;
        let own = format!("/{}.cfg", first.mac);
        let nobody = self.device(None)?;
        self.expect("no certificate", &nobody, "localhost", &own, "CertificateRequired no_certificate").await;
        let foreign = self.demonstration.foreign();
        let foreign = Device::new(self.gateway, &self.demonstration.server_root(), Some(&foreign))?;
        self.expect(
            "certificate of a foreign authority",
            &foreign,
            "localhost",
            &own,
            "UnknownCA unknown_issuer",
        )
        .await;
        let expired = self.device(Some(EXPIRED.mac))?;
        let path = format!("/{}.cfg", EXPIRED.mac);
        self.expect("expired certificate", &expired, "localhost", &path, "CertificateExpired expired").await;
        let revoked = self.device(Some(REVOKED.mac))?;
        let path = format!("/{}.cfg", REVOKED.mac);
        self.expect("revoked certificate", &revoked, "localhost", &path, "CertificateRevoked revoked").await;
        Ok(())
    }

    /// Requests that claim to come from another phone.
    async fn forgeries(&mut self) -> Result<(), QuickstartError> {
        let [first, second] = PHONES;
        let phone = self.device(Some(first.mac))?;
        let told = format!("<!-- ssl-client-s-dn-s: {} -->", first.mac);
        let (replaced, gone) = ("200, the backend got the certificate's", "200, gone");
        for (what, field, value, expected) in [
            ("forged SSL-Client-S-DN-S", "SSL-Client-S-DN-S", second.mac, replaced),
            ("forged ssl_client_s_dn_s", "ssl_client_s_dn_s", second.mac, replaced),
            ("forged SSL-Client-SAN-DNS-0", "SSL-Client-SAN-DNS-0", "admin.example.com", gone),
        ] {
            let fetched = phone.fetch("reflect.localhost", "/reflect.pl", &[(field, value)]).await;
            let found = self.outcome(&fetched);
            let found = match &fetched {
                Fetched::Answer { body, .. } if body.contains(value) => {
                    format!("{found}, the backend got it")
                }
                Fetched::Answer { body, .. }
                    if expected == gone && !body.to_ascii_lowercase().contains("san-dns") =>
                {
                    format!("{found}, gone")
                }
                Fetched::Answer { body, .. } if body.matches(&told).count() == 1 => {
                    format!("{found}, the backend got the certificate's")
                }
                Fetched::Answer { .. } => format!("{found}, the backend got nothing"),
                Fetched::Refused(_) => found,
            };
            self.row(what, expected, found);
        }
        Ok(())
    }

    /// A phone that comes back with the session it has.
    async fn resumed(&mut self, phone: &Device) {
        let [first, _] = PHONES;
        let own = format!("/{}.cfg", first.mac);
        let before = phone.fetch("localhost", &own, &[]).await;
        let before = self.outcome(&before);
        let fetched = phone.fetch("localhost", &own, &[]).await;
        let resumed = matches!(fetched, Fetched::Answer { resumed: true, .. });
        let found = self.outcome(&fetched);
        let found = format!("{before}, then {found}{}", if resumed { ", resumed" } else { "" });
        self.row("comes back with its session", "200, then 200, resumed", found);
    }

    /// The same phone, shut out meanwhile: the session it has does not help it.
    async fn denied(&mut self, phone: &Device) {
        let [first, _] = PHONES;
        let fetched = phone.fetch("localhost", &format!("/{}.cfg", first.mac), &[]).await;
        let (reason, resumed) = self.record();
        let refused = matches!(fetched, Fetched::Refused(_));
        let found = format!(
            "{} {reason}{}",
            if refused { "refused" } else { "served" },
            if resumed { ", resumed" } else { "" }
        );
        self.row("comes back after it was denied", "refused denied_by_list, resumed", found);
    }

    fn device(&self, name: Option<&str>) -> Result<Device, QuickstartError> {
        let folder = name.map(|name| self.demonstration.device(name));
        Device::new(self.gateway, &self.demonstration.server_root(), folder.as_deref())
    }

    async fn expect(
        &mut self,
        what: &'static str,
        phone: &Device,
        host: &'static str,
        path: &str,
        expected: &'static str,
    ) {
        let fetched = phone.fetch(host, path, &[]).await;
        let found = self.outcome(&fetched);
        self.row(what, expected, found);
    }

    fn row(&mut self, what: &'static str, expected: &str, found: String) {
        self.rows.push(Row { what, expected: expected.to_owned(), found });
    }

    /// Status or alert, and the reason the record gives.
    fn outcome(&self, fetched: &Fetched) -> String {
        let got = match fetched {
            Fetched::Answer { status, .. } => status.as_u16().to_string(),
            Fetched::Refused(alert) => alert.clone(),
        };
        let (reason, _) = self.record();
        if reason.is_empty() { got } else { format!("{got} {reason}") }
    }

    /// The reason in the next audit record, and whether it was a resumed session.
    fn record(&self) -> (String, bool) {
        match self.received.recv_timeout(RECORD) {
            Ok(record) => {
                let reason = record["reason"].as_str().unwrap_or_default().to_owned();
                (reason, record["tls"]["resumed"].as_bool().unwrap_or_default())
            }
            Err(_) => ("(no audit record)".to_owned(), false),
        }
    }
}

/// Prints the table; whether all holds.
fn print(out: &mut dyn Write, rows: &[Row]) -> io::Result<bool> {
    let width = rows.iter().map(|row| row.what.len()).max().unwrap_or_default();
    let mut failed = 0;
    for Row { what, expected, found } in rows {
        if found == expected {
            writeln!(out, "ok      {what:<width$}  {found}")?;
        } else {
            failed += 1;
            writeln!(out, "FAILED  {what:<width$}  {found}")?;
            writeln!(out, "        {:<width$}  expected {expected}", "")?;
        }
    }
    writeln!(out)?;
    match failed {
        0 => writeln!(out, "all {} answers are as they should be", rows.len())?,
        failed => writeln!(out, "{failed} of {} answers are not as they should be", rows.len())?,
    }
    Ok(failed == 0)
}
