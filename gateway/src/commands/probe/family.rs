//! What a family of phones would say to a server: its own hello is tried where it is documented, and the rest judged by what
//! is documented of it. What is not documented is called unknown, never guessed.

use certs::{Certificate, Timestamp};
use clap::ValueEnum;
use policies::{CipherSuite, TlsVersion};
use serde::Serialize;

use super::hello::{Extensions, Offer};
use super::name::NameFacts;
use super::scan::{Flight, Refused, Spoken, TABLE, Target, Until};

/// Families of phones of which something is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Family {
    /// Sipura, Linksys and Cisco SPA, and others of the guide's suite table: TLS 1.0, nine suites, no extensions.
    Spa,
    /// Cisco multiplatform phones with firmware 11.3 and later.
    Mpp,
    /// Cisco ATA 191 and 192.
    Ata,
    /// Poly, Polycom.
    Poly,
    /// Yealink.
    Yealink,
    /// Snom.
    Snom,
}

/// What one point comes to.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Mark {
    /// It is as the phone wants it.
    Good,
    /// It is if something holds that cannot be seen from here.
    If,
    /// Nothing is documented.
    Unknown,
    /// The phone refuses.
    Bad,
}

/// One point of a verdict.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Point {
    pub(super) mark: Mark,
    pub(super) about: &'static str,
    pub(super) text: String,
}

/// What a family would say.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Verdict {
    pub(super) family: &'static str,
    pub(super) phones: &'static str,
    /// The worst mark of its points.
    pub(super) mark: Mark,
    pub(super) points: Vec<Point>,
}

impl Mark {
    /// In words, of a whole verdict.
    pub(super) const fn verdict(self) -> &'static str {
        match self {
            Self::Good => "would connect",
            Self::If => "would connect, if what is said below holds",
            Self::Unknown => "unknown",
            Self::Bad => "WOULD REFUSE",
        }
    }
}

/// What a family is judged by.
#[derive(Debug)]
pub(super) struct Evidence<'a> {
    pub(super) target: &'a Target,
    pub(super) spoken: &'a [Spoken],
    pub(super) names: &'a NameFacts,
    /// The chain shown to clients of today.
    pub(super) chain: &'a [Certificate],
    pub(super) now: Timestamp,
}

/// GUIDE, table 3-2, in its order.
fn of_the_table() -> Vec<CipherSuite> {
    TABLE.iter().copied().filter(|suite| suite.0 != 0x0064).collect()
}

/// GUIDE: ECDHE with AES-GCM and ChaCha20 at TLS 1.2.
const NEWER: [CipherSuite; 6] = [
    CipherSuite(0xc02f),
    CipherSuite(0xc030),
    CipherSuite(0xcca8),
    CipherSuite(0xc02b),
    CipherSuite(0xc02c),
    CipherSuite(0xcca9),
];

impl Family {
    /// All of them.
    pub(super) const ALL: [Self; 6] =
        [Self::Spa, Self::Mpp, Self::Ata, Self::Poly, Self::Yealink, Self::Snom];

    const fn name(self) -> &'static str {
        match self {
            Self::Spa => "spa",
            Self::Mpp => "mpp",
            Self::Ata => "ata",
            Self::Poly => "poly",
            Self::Yealink => "yealink",
            Self::Snom => "snom",
        }
    }

    const fn phones(self) -> &'static str {
        match self {
            Self::Spa => "Sipura, Linksys, Cisco SPA and others of the guide's suite table",
            Self::Mpp => "Cisco multiplatform phones, firmware 11.3 and later",
            Self::Ata => "Cisco ATA 191 and 192",
            Self::Poly => "Poly, Polycom",
            Self::Yealink => "Yealink",
            Self::Snom => "Snom",
        }
    }

    /// Judges a server.
    pub(super) fn judge(self, evidence: &Evidence<'_>) -> Verdict {
        let mut points = Vec::new();
        match self {
            Self::Spa => {
                let leaf = of_the_tables_hello(evidence, &mut points);
                let chain = leaf.as_deref().unwrap_or(evidence.chain);
                self.judge_certificate(evidence, chain, &mut points);
            }
            Self::Mpp => {
                of_the_newer_hello(evidence, &mut points);
                self.judge_certificate(evidence, evidence.chain, &mut points);
            }
            Self::Ata => {
                let any = evidence.spoken.iter().any(|spoken| spoken.suites.is_ok());
                points.push(match any {
                    true => unknown("TLS", "it speaks up to TLS 1.3; which suites is not documented"),
                    false => bad("TLS", "the server speaks no version of TLS"),
                });
                self.judge_certificate(evidence, evidence.chain, &mut points);
            }
            Self::Poly | Self::Yealink | Self::Snom => {
                points.push(unknown("TLS", "its versions and suites are not documented"));
                self.judge_certificate(evidence, evidence.chain, &mut points);
            }
        }
        let mark = points.iter().map(|point| point.mark).max().unwrap_or(Mark::Unknown);
        Verdict { family: self.name(), phones: self.phones(), mark, points }
    }

    fn judge_certificate(self, evidence: &Evidence<'_>, chain: &[Certificate], points: &mut Vec<Point>) {
        let Some(leaf) = chain.first() else {
            points.push(unknown("certificate", "the server showed none that could be read"));
            return;
        };
        let validity = leaf.validity();
        points.push(match validity.contains(evidence.now) {
            true => good("dates", format!("valid until {}", validity.not_after)),
            false if evidence.now < validity.not_before => {
                bad("dates", format!("not valid before {}; phones look at the dates", validity.not_before))
            }
            false => bad("dates", format!("expired {}; phones look at the dates", validity.not_after)),
        });
        match self {
            Self::Spa | Self::Mpp => {
                name_of_the_guide(evidence.names, points);
                points.push(self.authority(chain, leaf));
            }
            Self::Ata => points.push(unknown(
                "name, authority",
                "its rules are not documented; Custom_CA_URL names an authority to load",
            )),
            Self::Poly => points.push(of_named(
                evidence.names,
                "the name is looked at strictly unless the phone is told otherwise; push the root with the configuration",
            )),
            Self::Yealink => points.push(condition(
                "name, authority",
                "it looks at the name only where it is told to; up to 10 certificates to trust can be loaded",
            )),
            Self::Snom => points.push(unknown("name, authority", "its rules are not documented")),
        }
    }

    /// Who issued the certificate, against the authorities that are known to be in these phones, by name.
    fn authority(self, chain: &[Certificate], leaf: &Certificate) -> Point {
        // DEVICES: the server-side authorities of firmware, by family.
        let known: &[&str] = match self {
            Self::Spa => &["Cisco Small Business", "Cisco 2k Small Business", "Sipura", "Linksys"],
            Self::Mpp => &[
                "Cisco Small Business",
                "Cisco 2k Small Business",
                "Sipura",
                "Linksys",
                "Verisign",
                "Cybertrust",
            ],
            Self::Ata | Self::Poly | Self::Snom | Self::Yealink => &[],
        };
        let top = chain.last().unwrap_or(leaf).issuer().to_rfc4514();
        let lower = top.to_lowercase();
        let found = known.iter().find(|name| lower.contains(&name.to_lowercase()));
        let by_rule = if self == Self::Mpp { " (Custom_CA_Rule)" } else { "" };
        match found {
            Some(name) => condition(
                "authority",
                format!(
                    "issued by {top}: firmware holds authorities of {name}; that it is the same key cannot be seen"
                ),
            ),
            None => condition(
                "authority",
                format!(
                    "issued by {top}, which is none of those known to be in the firmware ({}): the phone must have \
                     loaded it{by_rule}",
                    known.join(", ")
                ),
            ),
        }
    }
}

/// The guide: CN is the host of the URL, no star, and the server's address is one of the name's.
fn name_of_the_guide(names: &NameFacts, points: &mut Vec<Point>) {
    let NameFacts {
        name,
        common_name_host,
        wildcard,
        in_common_name,
        in_dns_names,
        addresses,
        leads_here,
        ..
    } = names;
    let Some(name) = name else {
        points.push(unknown("name", "say --server-name: the host in the phone's Profile_Rule"));
        return;
    };
    let shown = common_name_host.as_deref().unwrap_or("nobody");
    points.push(match (in_common_name, wildcard) {
        (true, _) => good("name", format!("the certificate's CN is {name}")),
        (false, true) => bad("name", format!("the CN is {shown}: these phones take no wildcards")),
        (false, false) if *in_dns_names => unknown(
            "name",
            format!("the CN is {shown}; {name} stands in the subjectAltName alone, of which the guide says nothing"),
        ),
        (false, false) => bad("name", format!("the CN is {shown}, and the phone asks for {name}")),
    });
    points.push(match (leads_here, addresses.is_empty()) {
        (true, _) => good("DNS", format!("{name} leads to this server")),
        (false, true) => {
            bad("DNS", format!("{name} has no address here; the server's must be among its A records"))
        }
        (false, false) => {
            let found: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            bad("DNS", format!("{name} leads to {}, not to this server's address", found.join(", ")))
        }
    });
}

fn of_named(names: &NameFacts, rule: &str) -> Point {
    match (&names.name, names.in_common_name || names.in_dns_names) {
        (None, _) => unknown("name, authority", format!("say --server-name; {rule}")),
        (Some(_), true) => condition("name, authority", rule),
        (Some(name), false) if names.wildcard => {
            unknown("name, authority", format!("{name} could only be meant by a wildcard; {rule}"))
        }
        (Some(name), false) => {
            condition("name, authority", format!("{name} is not in the certificate; {rule}"))
        }
    }
}

/// What a phone of the table sends, sent: its nine suites over TLS 1.0, no extensions. The chain it is shown.
fn of_the_tables_hello(evidence: &Evidence<'_>, points: &mut Vec<Point>) -> Option<Vec<Certificate>> {
    let suites = of_the_table();
    let offer = Offer {
        version: TlsVersion::TLS1_0,
        suites: &suites,
        server_name: None,
        extensions: Extensions::None,
    };
    let flight = match evidence.target.ask(&offer, Until::Done) {
        Ok(flight) => flight,
        Err(why) => {
            points.push(bad(
                "TLS",
                format!("its hello (TLS 1.0, the nine suites, no server name) is refused: {why}"),
            ));
            return None;
        }
    };
    points.push(agreed(&flight));
    points.push(match &flight.request {
        Some(_) => good("client certificate", "asked for in the first handshake"),
        None => condition(
            "client certificate",
            "not asked for in the first handshake: a server that asks later cannot have it, since the phone refuses \
             renegotiation",
        ),
    });
    Some(flight.chain.iter().filter_map(|der| Certificate::parse(der).ok()).collect())
}

/// What newer firmware is documented to offer, sent with and without a server name, of which nothing is documented.
fn of_the_newer_hello(evidence: &Evidence<'_>, points: &mut Vec<Point>) {
    let ask = |server_name: Option<&str>| {
        let offer =
            Offer { version: TlsVersion::TLS1_2, suites: &NEWER, server_name, extensions: Extensions::Usual };
        evidence.target.ask(&offer, Until::Hello)
    };
    let bare = ask(None);
    let named = match evidence.target.server_name.as_deref() {
        Some(name) => ask(Some(name)),
        None => bare.clone(),
    };
    let refused = |why: &Refused| format!("ECDHE with AES-GCM or ChaCha20 at TLS 1.2 is refused: {why}");
    points.push(match (&named, &bare) {
        (Ok(flight), Ok(_)) => agreed(flight),
        (Err(why), Err(_)) => bad("TLS", refused(why)),
        (Ok(_), Err(why)) => unknown(
            "TLS",
            format!("served with a server name, refused without one ({why}); which of them it sends is not documented"),
        ),
        (Err(why), Ok(_)) => unknown(
            "TLS",
            format!("served without a server name, refused with it ({why}); which of them it sends is not documented"),
        ),
    });
}

fn agreed(flight: &Flight) -> Point {
    let group = flight.exchange.as_ref().and_then(|exchange| exchange.dh_bits);
    let size = group.map(|bits| format!(", a prime of {bits} bits")).unwrap_or_default();
    good("TLS", format!("its hello is taken: {} {}{size}", flight.hello.version, flight.hello.suite))
}

fn point(mark: Mark, about: &'static str, text: impl Into<String>) -> Point {
    Point { mark, about, text: text.into() }
}

fn good(about: &'static str, text: impl Into<String>) -> Point {
    point(Mark::Good, about, text)
}

fn condition(about: &'static str, text: impl Into<String>) -> Point {
    point(Mark::If, about, text)
}

fn unknown(about: &'static str, text: impl Into<String>) -> Point {
    point(Mark::Unknown, about, text)
}

fn bad(about: &'static str, text: impl Into<String>) -> Point {
    point(Mark::Bad, about, text)
}
