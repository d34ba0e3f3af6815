//! What a phone says of itself by syslog, as a record.
//!
//! Anybody can send such a message: it is kept as what the phone says, and changes nothing that is known of the device.

use std::{fmt, net::SocketAddr, time::SystemTime};

use policies::MacAddress;
use serde::Deserialize;

use crate::audit::{
    Auditor,
    entry::words,
    json::Object,
    record::{Rfc3339, VERSION},
};

words! {
    /// What a phone is about.
    Task {
        /// Its profile.
        Resync "resync"
        /// Its firmware.
        Upgrade "upgrade"
    }
}

words! {
    /// How far it has come.
    Progress {
        /// It asks for it.
        Requesting "requesting"
        /// It has it.
        Successful "successful"
        /// It does not get it.
        Failed "failed"
    }
}

/// What one message says. The texts have no secrets in them any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The address it names.
    pub mac: MacAddress,
    /// The product it names.
    pub product: Option<String>,
    /// What it is about.
    pub task: Task,
    /// How far that has come.
    pub progress: Progress,
    /// From where.
    pub url: Option<String>,
    /// What else it says, mostly why it failed.
    pub error: Option<String>,
}

impl Auditor {
    /// Records what a phone says, which came from `peer` to `listener`. Never waits.
    pub fn record_said(&self, said: &Said, peer: SocketAddr, listener: SocketAddr) {
        self.write(|time, out| write(said, peer, listener, time, out));
    }
}

/// Appends the record's line, its line feed included.
fn write(said: &Said, peer: SocketAddr, listener: SocketAddr, time: SystemTime, out: &mut Vec<u8>) {
    let Said { mac, product, task, progress, url, error } = said;
    let mut object = Object::open(out);
    object.number("v", VERSION);
    object.display("time", Rfc3339(time));
    object.text("event", "said");
    object.display("peer", peer);
    object.display("listener", listener);
    object.object("said", |said| {
        said.display("mac", mac);
        if let Some(product) = product {
            said.text("product", product);
        }
        said.text("task", task.as_str());
        said.text("progress", progress.as_str());
        if let Some(url) = url {
            said.text("url", url);
        }
        if let Some(error) = error {
            said.text("error", error);
        }
    });
    object.close();
    out.push(b'\n');
}

/// The same, read back.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[expect(missing_docs, reason = "the members are those of `Said`")]
pub struct EntrySaid {
    pub mac: String,
    pub product: Option<String>,
    pub task: String,
    pub progress: String,
    pub url: Option<String>,
    pub error: Option<String>,
}

impl EntrySaid {
    /// How far it says to have come, where this gateway knows the word.
    #[must_use]
    pub fn known_progress(&self) -> Option<Progress> {
        Progress::from_word(&self.progress)
    }
}

/// In words: `the resync from https://… failed: TCP connection timeout`.
impl fmt::Display for EntrySaid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mac: _, product: _, task, progress, url, error } = self;
        let from = |formatter: &mut fmt::Formatter<'_>| match url {
            Some(url) => write!(formatter, " from {url}"),
            None => Ok(()),
        };
        match self.known_progress() {
            Some(Progress::Requesting) => {
                write!(formatter, "it asks for the {task}")?;
                from(formatter)?;
            }
            Some(Progress::Successful) => {
                write!(formatter, "the {task}")?;
                from(formatter)?;
                formatter.write_str(" succeeded")?;
            }
            Some(Progress::Failed) => {
                write!(formatter, "the {task}")?;
                from(formatter)?;
                formatter.write_str(" failed")?;
            }
            None => {
                write!(formatter, "{progress} {task}")?;
                from(formatter)?;
            }
        }
        match error {
            Some(error) => write!(formatter, ": {error}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::audit::entry::{Entry, EntryEvent, MacSource, Outcome, Subject};

    fn said(progress: Progress, error: Option<&str>) -> Said {
        Said {
            mac: MacAddress::parse("000e08abcdef").unwrap(),
            product: Some("CP-8841-3PCC".to_owned()),
            task: Task::Resync,
            progress,
            url: (progress != Progress::Failed)
                .then(|| "https://prov.example.com:443/000e08abcdef.cfg".to_owned()),
            error: error.map(str::to_owned),
        }
    }

    fn read_back(said: &Said) -> Entry {
        let mut line = Vec::new();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_400_000);
        let (peer, listener) = ("192.0.2.7:5060".parse().unwrap(), "192.0.2.1:514".parse().unwrap());
        write(said, peer, listener, time, &mut line);
        Entry::parse(&line).unwrap()
    }

    #[test]
    fn it_is_a_kind_of_record_that_is_neither_a_success_nor_a_proof() {
        let entry = read_back(&said(Progress::Successful, None));
        assert_eq!((entry.event, entry.subject(), entry.weight()), (EntryEvent::Said, Subject::Said, 1));
        assert_eq!(entry.outcome(), Outcome::Said);
        let mac = MacAddress::parse("000e08abcdef").unwrap();
        assert_eq!(entry.mac(), Some((mac, MacSource::Syslog)));
        assert_eq!(entry.peer_address(), "192.0.2.7".parse().ok());
        assert!(entry.device.is_none() && entry.certificate.is_none() && entry.reason.is_none());
    }

    #[test]
    fn it_is_told_in_words() {
        let told = |said: &Said| read_back(said).said.unwrap().to_string();
        assert_eq!(
            told(&said(Progress::Requesting, None)),
            "it asks for the resync from https://prov.example.com:443/000e08abcdef.cfg"
        );
        assert_eq!(
            told(&said(Progress::Successful, None)),
            "the resync from https://prov.example.com:443/000e08abcdef.cfg succeeded"
        );
        assert_eq!(told(&said(Progress::Failed, Some("bad \"cert\""))), "the resync failed: bad \"cert\"");
    }
}
