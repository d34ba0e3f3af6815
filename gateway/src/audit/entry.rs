//! An audit record read back from its JSON line.
//!
//! What the database files away and what the commands show is read by this one type, so that both understand the same. It reads
//! records of earlier gateways too: what they did not write stays `None`.

use std::net::{IpAddr, SocketAddr};

use certs::Timestamp;
use policies::{MacAddress, Reason, Stage};
use serde::{Deserialize, Deserializer, de};

use crate::audit::moment::Moment;
use crate::audit::said::EntrySaid;

/// Defines an enum of words that stand in records and in the database.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$of_variant:meta])* $variant:ident $word:literal)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$of_variant])* $variant,)*
        }

        impl $name {
            /// Every one, in the order they are shown.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The word in records and in the database.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// The one with this word.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }
    };
}
pub(super) use words;

words! {
    /// What a record is of.
    EntryEvent {
        /// A connection that was refused, or ended before a request.
        Connection "connection"
        /// A request.
        Request "request"
        /// The end of a connection that had requests, with its totals.
        Closed "closed"
        /// Refusals that were counted instead of recorded one by one.
        Repeated "repeated"
        /// Records that were lost.
        Gap "gap"
        /// What a phone says of itself by syslog.
        Said "said"
    }
}

words! {
    /// How it ended, in one word.
    Outcome {
        /// The device got what the gateway or backend had for it.
        Served "served"
        /// The gateway refused.
        Refused "refused"
        /// It was permitted and failed: the backend, the network, or the client that went away.
        Failed "failed"
        /// Nobody knows: the record was lost.
        Lost "lost"
        /// Only what a phone says of itself: it proves nothing.
        Said "said"
    }
}

words! {
    /// What is counted: connections, or the requests on them.
    Subject {
        /// Connections, each counted once, when it ended.
        Connection "connection"
        /// Requests.
        Request "request"
        /// Lost records.
        Gap "gap"
        /// Messages of phones about themselves.
        Said "said"
    }
}

words! {
    /// How a record is known to belong to a MAC address.
    MacSource {
        /// The device proved it: certificate verified, key shown, admitted.
        Device "device"
        /// It stands in the certificate of a connection that was refused. Anybody can write such a certificate.
        Certificate "certificate"
        /// It stands in the path of a request without a certificate. Anybody can ask.
        Path "path"
        /// It stands in a syslog message. Anybody can send one.
        Syslog "syslog"
    }
}

/// One record. What it does not tell is `None`, or empty in a list.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[expect(missing_docs, reason = "the members are those of the table in `audit`, under the same names")]
pub struct Entry {
    #[serde(deserialize_with = "moment")]
    pub time: Moment,
    #[serde(deserialize_with = "event")]
    pub event: EntryEvent,
    pub connection: Option<String>,
    pub request: Option<String>,
    pub peer: Option<String>,
    pub listener: Option<String>,
    pub host: Option<String>,
    pub engine: Option<String>,
    pub hello: Option<EntryHello>,
    pub tls: Option<EntryTls>,
    pub alert: Option<String>,
    pub certificate: Option<EntryCertificate>,
    #[serde(default)]
    pub exceptions: Vec<String>,
    pub device: Option<EntryDevice>,
    pub method: Option<String>,
    pub path: Option<String>,
    pub user_agent: Option<String>,
    pub status: Option<u16>,
    pub bytes: Option<u64>,
    pub requests: Option<u64>,
    pub rule: Option<String>,
    pub decision: Option<String>,
    pub reason: Option<String>,
    pub detail: Option<String>,
    pub duration_us: Option<u64>,
    pub backend: Option<String>,
    pub ended: Option<String>,
    pub count: Option<u64>,
    #[serde(default, deserialize_with = "optional_moment")]
    pub since: Option<Moment>,
    #[serde(default, deserialize_with = "optional_moment")]
    pub first: Option<Moment>,
    #[serde(default, deserialize_with = "optional_moment")]
    pub last: Option<Moment>,
    pub said: Option<EntrySaid>,
}

/// What the client hello offered.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[expect(missing_docs, reason = "the members are those of the table in `audit`, under the same names")]
pub struct EntryHello {
    #[serde(default)]
    pub versions: Vec<String>,
    #[serde(default)]
    pub suites: Vec<String>,
    pub sni: Option<String>,
    pub format: Option<String>,
    pub ja3: Option<String>,
    pub ja4: Option<String>,
}

/// What was agreed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[expect(missing_docs, reason = "the members are those of the table in `audit`, under the same names")]
pub struct EntryTls {
    pub version: String,
    pub suite: String,
    #[serde(default)]
    pub resumed: bool,
}

/// The device's certificate.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[expect(missing_docs, reason = "the members are those of the table in `audit`, under the same names")]
pub struct EntryCertificate {
    pub subject: String,
    pub issuer: String,
    pub serial: String,
    pub sha256: String,
    pub key_sha256: Option<String>,
    pub not_after: String,
    pub depth: Option<u64>,
}

impl EntryCertificate {
    /// The end of its validity.
    #[must_use]
    pub fn expires(&self) -> Option<Timestamp> {
        Timestamp::parse_rfc3339(&self.not_after)
    }
}

/// Who the device is.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[expect(missing_docs, reason = "the members are those of the table in `audit`, under the same names")]
pub struct EntryDevice {
    pub kind: String,
    pub product: Option<String>,
    pub serial: Option<String>,
    pub mac: Option<String>,
    pub profile: Option<String>,
}

/// A line that is no audit record.
#[derive(Debug, thiserror::Error)]
#[error("not an audit record")]
pub struct NotAnEntry(#[from] serde_json::Error);

impl Entry {
    /// Reads one line, with or without its line feed.
    ///
    /// # Errors
    /// It is no JSON object with the time and event of a record.
    pub fn parse(line: &[u8]) -> Result<Self, NotAnEntry> {
        Ok(serde_json::from_slice(line)?)
    }

    /// The reason, where it is one this gateway knows.
    #[must_use]
    pub fn known_reason(&self) -> Option<Reason> {
        self.reason.as_deref().and_then(Reason::from_code)
    }

    /// What it counts towards.
    #[must_use]
    pub const fn subject(&self) -> Subject {
        match self.event {
            EntryEvent::Connection | EntryEvent::Closed | EntryEvent::Repeated => Subject::Connection,
            EntryEvent::Request => Subject::Request,
            EntryEvent::Gap => Subject::Gap,
            EntryEvent::Said => Subject::Said,
        }
    }

    /// For how many connections, requests or lost records it stands.
    #[must_use]
    pub fn weight(&self) -> u64 {
        match self.event {
            EntryEvent::Gap | EntryEvent::Repeated => self.count.unwrap_or(1),
            EntryEvent::Connection | EntryEvent::Closed | EntryEvent::Request | EntryEvent::Said => 1,
        }
    }

    /// How it ended.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self.event {
            EntryEvent::Gap => return Outcome::Lost,
            EntryEvent::Said => return Outcome::Said,
            EntryEvent::Connection | EntryEvent::Request | EntryEvent::Closed | EntryEvent::Repeated => {}
        }
        if self.decision.as_deref() == Some("deny") || self.event == EntryEvent::Repeated {
            return Outcome::Refused;
        }
        // What a rule would have refused was served all the same where it only observes.
        let waived = self.decision.as_deref() == Some("waived")
            && self.known_reason().is_some_and(|reason| reason.stage() == Stage::Authorisation);
        if self.reason.is_none() || waived { Outcome::Served } else { Outcome::Failed }
    }

    /// The peer's address without its port.
    #[must_use]
    pub fn peer_address(&self) -> Option<IpAddr> {
        let peer = self.peer.as_deref()?;
        peer.parse::<SocketAddr>().map(|peer| peer.ip()).or_else(|_| peer.parse()).ok()
    }

    /// The MAC address the record belongs to, and how that is known.
    #[must_use]
    pub fn mac(&self) -> Option<(MacAddress, MacSource)> {
        if self.event == EntryEvent::Said {
            let mac = self.said.as_ref().and_then(|said| MacAddress::parse(&said.mac).ok());
            return mac.map(|mac| (mac, MacSource::Syslog));
        }
        if let Some(device) = self.device.as_ref().filter(|device| device.kind != "anonymous") {
            let mac = device.mac.as_deref().and_then(|mac| MacAddress::parse(mac).ok());
            return mac.map(|mac| (mac, MacSource::Device));
        }
        if let Some(certificate) = &self.certificate {
            return find_mac(&certificate.subject).map(|mac| (mac, MacSource::Certificate));
        }
        let path = self.path.as_deref().and_then(find_mac);
        path.map(|mac| (mac, MacSource::Path))
    }
}

/// The first device address in a text, written as phones and their makers do: 12 hex digits, or six pairs with `:` or `-`,
/// with no letter or digit beside them; `SEP` may stand before.
fn find_mac(text: &str) -> Option<MacAddress> {
    let within = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '-');
    let words = text.split(move |c: char| !within(c));
    let digits = |word: &str| word.bytes().filter(u8::is_ascii_hexdigit).count();
    words
        .flat_map(|word| [Some(word), word.rsplit_once('-').map(|(_, last)| last)].into_iter().flatten())
        .map(|word| word.strip_prefix("SEP").unwrap_or(word))
        .filter(|word| digits(word) == 12)
        .find_map(|word| MacAddress::parse(word).ok().filter(|mac| mac.is_device()))
}

fn moment<'de, D: Deserializer<'de>>(from: D) -> Result<Moment, D::Error> {
    let text = std::borrow::Cow::<str>::deserialize(from)?;
    Moment::parse(&text).ok_or_else(|| de::Error::custom("not a time"))
}

fn optional_moment<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Moment>, D::Error> {
    moment(from).map(Some)
}

fn event<'de, D: Deserializer<'de>>(from: D) -> Result<EntryEvent, D::Error> {
    let text = std::borrow::Cow::<str>::deserialize(from)?;
    EntryEvent::from_word(&text).ok_or_else(|| de::Error::custom("an unknown event"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn entry(members: &str) -> Entry {
        let line = format!(r#"{{"v":1,"time":"2026-11-23T02:25:11.000042Z",{members}}}"#);
        Entry::parse(line.as_bytes()).unwrap()
    }

    fn mac(members: &str) -> Option<(String, MacSource)> {
        entry(members).mac().map(|(mac, source)| (mac.to_string(), source))
    }

    #[test]
    fn times_are_read_and_shown_to_the_microsecond() {
        let read = entry(r#""event":"gap","count":3,"since":"2026-11-23T03:25:10.5+01:00""#);
        assert_eq!(read.time.to_string(), "2026-11-23T02:25:11.000042Z");
        assert_eq!(read.since.unwrap().to_string(), "2026-11-23T02:25:10.500000Z");
        assert_eq!(read.time.before(Duration::from_secs(11)).to_string(), "2026-11-23T02:25:00.000042Z");
        assert_eq!((read.subject(), read.weight(), read.outcome()), (Subject::Gap, 3, Outcome::Lost));
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for line in ["", "{}", r#"{"time":"yesterday","event":"gap"}"#, "[1]", "\u{0}"] {
            assert!(Entry::parse(line.as_bytes()).is_err(), "{line:?}");
        }
        let unknown = r#"{"time":"2026-11-23T02:25:11Z","event":"party"}"#;
        assert!(Entry::parse(unknown.as_bytes()).is_err());
        assert!(Entry::parse(unknown.replace("party", "closed").as_bytes()).is_ok());
    }

    #[test]
    fn the_outcome_follows_decision_and_reason() {
        let outcome = |members: &str| entry(&format!(r#""event":"request",{members}"#)).outcome();
        assert_eq!(outcome(r#""decision":"permit","status":200"#), Outcome::Served);
        assert_eq!(
            outcome(r#""decision":"permit","status":404"#),
            Outcome::Served,
            "the backend's own answer"
        );
        assert_eq!(outcome(r#""decision":"permit","reason":"backend_timeout""#), Outcome::Failed);
        assert_eq!(outcome(r#""decision":"permit","reason":"client_gone""#), Outcome::Failed);
        assert_eq!(outcome(r#""decision":"waived","reason":"no_rule_matched""#), Outcome::Served);
        assert_eq!(outcome(r#""decision":"waived","reason":"backend_closed""#), Outcome::Failed);
        assert_eq!(outcome(r#""decision":"deny","reason":"no_rule_matched""#), Outcome::Refused);
    }

    #[test]
    fn a_mac_is_the_devices_own_or_else_what_a_refused_certificate_or_a_path_claims() {
        let certificate = |subject: &str| {
            format!(
                r#""event":"connection","certificate":{{"subject":"{subject}","issuer":"","serial":"1","sha256":"","not_after":""}}"#
            )
        };
        let claimed = Some(("000e08abcdef".to_owned(), MacSource::Certificate));
        for subject in [
            "SN=000e08abcdef,L=88012BA01234,OU=CP-8841-3PCC",
            "serialNumber=PID:CP-8841 SN:FCH1,CN=CP-8841-SEP000E08ABCDEF",
            "CN=00:0e:08:ab:cd:ef",
            "CN=000E08ABCDEF,O=Maker",
        ] {
            assert_eq!(mac(&certificate(subject)), claimed, "{subject}");
        }
        for subject in ["CN=phone", "CN=000e08abcdef0", "CN=000000000000", "CN=x000e08abcdef"] {
            assert_eq!(mac(&certificate(subject)), None, "{subject}");
        }
        let device = r#","device":{"kind":"device","mac":"000413aabbcc"}"#;
        let proven = Some(("000413aabbcc".to_owned(), MacSource::Device));
        assert_eq!(mac(&(certificate("CN=000e08abcdef") + device)), proven);
        let path = r#""event":"request","path":"/cisco/000e08abcdef.cfg?x=1","device":{"kind":"anonymous"}"#;
        assert_eq!(mac(path), Some(("000e08abcdef".to_owned(), MacSource::Path)));
        let operator = r#""event":"request","path":"/000e08abcdef.cfg","device":{"kind":"operator"}"#;
        assert_eq!(mac(operator), None, "an operator who looks at a profile is not the phone");
    }

    #[test]
    fn the_peer_is_an_address_with_or_without_port() {
        let peer = |text: &str| entry(&format!(r#""event":"connection","peer":"{text}""#)).peer_address();
        assert_eq!(peer("192.0.2.7:4000"), "192.0.2.7".parse().ok());
        assert_eq!(peer("[2001:db8::7]:40000"), "2001:db8::7".parse().ok());
        assert_eq!(peer("192.0.2.7"), "192.0.2.7".parse().ok());
        assert_eq!(peer("nobody"), None);
    }
}
