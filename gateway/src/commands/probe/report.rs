//! What was found, as data and for a person.

use std::io::{self, Write};

use certs::{Certificate, DistinguishedName, Timestamp};
use policies::Reason;
use serde::Serialize;

use super::family::{Mark, Verdict};
use super::http::Answer;
use super::name::NameFacts;
use super::scan::{Flight, Spoken, TABLE, Target};
use super::session::{Credentials, Session};
use crate::printer::{Field, Printable, Wrapped};
use crate::respond::phone;
use crate::wire::certificate::CertificateFacts;
use crate::wire::message::CertificateRequest;
use crate::wire::{describe, names};

/// Everything the report is made of.
pub(super) struct Findings<'a> {
    pub(super) target: &'a Target,
    pub(super) spoken: &'a [Spoken],
    pub(super) flights: &'a [Flight],
    pub(super) chains: &'a [Vec<Vec<u8>>],
    pub(super) session: Option<&'a Session>,
    pub(super) credentials: Option<&'a Credentials>,
    pub(super) asked_for_family: bool,
    pub(super) names: NameFacts,
    pub(super) verdicts: Vec<Verdict>,
    pub(super) not_probed: Vec<String>,
    pub(super) now: Timestamp,
}

/// What was found.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    server: String,
    server_name: Option<String>,
    versions: Vec<VersionFacts>,
    table: Vec<TableRow>,
    chains: Vec<Vec<CertificateFacts>>,
    client_certificate: ClientCertificate,
    resumption: ResumptionFacts,
    name: NameFacts,
    handshake: Option<HandshakeFacts>,
    families: Vec<Verdict>,
    not_probed: Vec<String>,
    good: bool,
}

#[derive(Debug, Serialize)]
struct VersionFacts {
    version: String,
    offered: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    suites: Vec<String>,
    /// `server`, `client`, or unknown.
    order: Option<&'static str>,
}

/// One suite of the guide's table.
#[derive(Debug, Serialize)]
struct TableRow {
    number: String,
    suite: String,
    versions: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ClientCertificate {
    /// Whether one is asked for in the first handshake; unknown where that could not be seen.
    asked_for: Option<bool>,
    kinds: Vec<String>,
    signature_algorithms: Vec<String>,
    authorities: Vec<String>,
    /// Bytes of the list of authorities.
    authorities_size: usize,
    /// Whether the issuer of the certificate that was given is among them.
    issuer_is_named: Option<bool>,
}

#[derive(Debug, Serialize)]
struct ResumptionFacts {
    session_id: bool,
    ticket: bool,
    resumed: Option<bool>,
}

#[derive(Debug, Serialize)]
struct HandshakeFacts {
    library: &'static str,
    version: Option<String>,
    suite: Option<String>,
    with_certificate: bool,
    /// The server's alert.
    alert: Option<String>,
    failure: Option<String>,
    answer: Option<Answer>,
    /// Reasons of this gateway that come with such an alert or status.
    may_be: Vec<MayBe>,
}

#[derive(Debug, Serialize)]
struct MayBe {
    reason: &'static str,
    meaning: &'static str,
    remedy: &'static str,
}

/// More reasons than this say nothing.
const MOST_REASONS: usize = 6;

impl Report {
    pub(super) fn new(findings: Findings<'_>) -> Self {
        let Findings { target, spoken, flights, chains, session, credentials, asked_for_family, .. } =
            findings;
        let Findings { names, verdicts, not_probed, now, .. } = findings;
        let versions: Vec<VersionFacts> = spoken.iter().map(VersionFacts::of).collect();
        let table = TABLE
            .iter()
            .map(|suite| TableRow {
                number: format!("{:#06x}", suite.0),
                suite: suite.to_string(),
                versions: spoken
                    .iter()
                    .filter(|spoken| spoken.suites.as_ref().is_ok_and(|suites| suites.contains(suite)))
                    .map(|spoken| spoken.version.to_string())
                    .collect(),
            })
            .collect();
        let request = flights
            .iter()
            .find_map(|flight| flight.request.as_ref())
            .or_else(|| session.and_then(|session| session.request.as_ref()));
        let seen = !flights.is_empty() || session.is_some_and(|session| !session.chain.is_empty());
        let handshake = session.map(|session| HandshakeFacts::of(session, credentials.is_some()));
        let speaks = versions.iter().any(|version| version.offered);
        let let_in = credentials.is_none() || handshake.as_ref().is_some_and(HandshakeFacts::is_good);
        let suits = !asked_for_family || verdicts.iter().all(|verdict| verdict.mark != Mark::Bad);
        Self {
            server: target.address.to_string(),
            server_name: target.server_name.clone(),
            chains: chains
                .iter()
                .map(|chain| chain.iter().map(|der| CertificateFacts::of(der, now)).collect())
                .collect(),
            client_certificate: ClientCertificate::of(request, seen, credentials),
            resumption: ResumptionFacts {
                session_id: flights.iter().any(|flight| !flight.hello.session_id.is_empty()),
                ticket: flights.iter().any(|flight| flight.hello.has(35))
                    || session.is_some_and(|session| session.ticket),
                resumed: session.and_then(|session| session.resumed),
            },
            good: speaks && let_in && suits,
            versions,
            table,
            name: names,
            handshake,
            families: verdicts,
            not_probed,
        }
    }

    /// Whether the exit status is 0.
    pub(super) const fn is_good(&self) -> bool {
        self.good
    }

    /// Writes the report for a person.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self { server, server_name, versions, table, chains, client_certificate, .. } = self;
        let Self { resumption, name, handshake, families, not_probed, good: _, .. } = self;
        match server_name {
            Some(name) => writeln!(out, "{server}, as {}", Printable(name))?,
            None => writeln!(out, "{server}, without a server name")?,
        }
        writeln!(out, "\nversions, and the suites in the order in which the server takes them")?;
        for version in versions {
            version.write(out)?;
        }
        writeln!(out, "\nsuites of the phones' guide")?;
        for TableRow { number, suite, versions } in table {
            let taken = if versions.is_empty() { "no".to_owned() } else { versions.join(", ") };
            writeln!(out, "  {number}  {suite:<37}{taken}")?;
        }
        for (index, chain) in chains.iter().enumerate() {
            let which =
                if index == 0 { "server's certificate" } else { "another certificate of the server's" };
            writeln!(out, "\n{which}")?;
            for (depth, certificate) in chain.iter().enumerate() {
                field(out, "certificate", &depth.to_string())?;
                for (name, value) in certificate.lines() {
                    field(out, name, &value)?;
                }
            }
        }
        client_certificate.write(out)?;
        resumption.write(out)?;
        write_name(out, name)?;
        if let Some(handshake) = handshake {
            handshake.write(out)?;
        }
        for verdict in families {
            write_verdict(out, verdict)?;
        }
        for missing in not_probed {
            writeln!(out, "\nnot probed\n{}", Wrapped { text: missing, indent: 2 })?;
        }
        Ok(())
    }
}

impl VersionFacts {
    fn of(spoken: &Spoken) -> Self {
        let Spoken { version, suites, servers_order } = spoken;
        let (names, refused) = match suites {
            Ok(suites) => (suites.iter().map(ToString::to_string).collect(), None),
            Err(why) => (Vec::new(), Some(why.to_string())),
        };
        Self {
            version: version.to_string(),
            offered: refused.is_none(),
            refused,
            suites: names,
            order: servers_order.map(|servers| if servers { "server" } else { "client" }),
        }
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self { version, offered, refused, suites, order } = self;
        let value = match (offered, refused) {
            (true, _) => {
                let order = match *order {
                    Some("server") => " (its own order)",
                    Some(_) => " (the client's order)",
                    None => "",
                };
                format!("{}{order}", suites.join(", "))
            }
            (false, Some(why)) => format!("no: {why}"),
            (false, None) => "no".to_owned(),
        };
        writeln!(out, "{}", Field { indent: 2, name: version, width: 10, value: &value })
    }
}

impl ClientCertificate {
    fn of(request: Option<&CertificateRequest>, seen: bool, credentials: Option<&Credentials>) -> Self {
        let Some(request) = request else {
            return Self {
                asked_for: seen.then_some(false),
                kinds: Vec::new(),
                signature_algorithms: Vec::new(),
                authorities: Vec::new(),
                authorities_size: 0,
                issuer_is_named: None,
            };
        };
        let leaf = credentials.and_then(|credentials| Certificate::parse(credentials.chain.first()?).ok());
        Self {
            asked_for: Some(true),
            kinds: request.types.iter().map(|kind| names::certificate_type(*kind)).collect(),
            signature_algorithms: request.schemes.iter().map(ToString::to_string).collect(),
            authorities: request.authorities.iter().map(|name| describe::authority(name)).collect(),
            authorities_size: request.authorities_size,
            issuer_is_named: leaf.map(|leaf| {
                let named = |der: &Vec<u8>| {
                    DistinguishedName::parse(der).is_ok_and(|name| name.equals(leaf.issuer()))
                };
                request.authorities.iter().any(named)
            }),
        }
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self { asked_for, kinds, signature_algorithms, authorities, authorities_size, issuer_is_named } =
            self;
        writeln!(out, "\nclient certificate")?;
        let asked = match asked_for {
            Some(true) => "in the first handshake",
            Some(false) => "not in the first handshake",
            None => "could not be seen",
        };
        field(out, "asked for", asked)?;
        if *asked_for != Some(true) {
            return Ok(());
        }
        if !kinds.is_empty() {
            field(out, "kinds", &kinds.join(", "))?;
        }
        if !signature_algorithms.is_empty() {
            field(out, "signatures", &signature_algorithms.join(", "))?;
        }
        let count = match authorities.len() {
            0 => "none is named: a phone presents what it has".to_owned(),
            count => format!("{count} named, {}", describe::bytes(*authorities_size)),
        };
        field(out, "authorities", &count)?;
        for name in authorities {
            field(out, "", name)?;
        }
        match issuer_is_named {
            Some(true) => field(out, "yours", "the issuer of your certificate is among them"),
            Some(false) if authorities.is_empty() => Ok(()),
            Some(false) => field(
                out,
                "yours",
                "the issuer of your certificate is NOT among them: many clients then present none",
            ),
            None => Ok(()),
        }
    }
}

impl ResumptionFacts {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self { session_id, ticket, resumed } = self;
        writeln!(out, "\nresumption")?;
        let offered = match (session_id, ticket) {
            (true, true) => "session identifiers and tickets",
            (true, false) => "session identifiers",
            (false, true) => "tickets",
            (false, false) => "nothing was seen",
        };
        field(out, "offered", offered)?;
        let tried = match resumed {
            Some(true) => "a second connection resumed the first one's session",
            Some(false) => "a second connection had to begin anew",
            None => "not tried: no handshake was complete",
        };
        field(out, "tried", tried)
    }
}

fn write_name(out: &mut dyn Write, name: &NameFacts) -> io::Result<()> {
    let NameFacts {
        name,
        common_names,
        dns_names,
        wildcard,
        in_common_name,
        in_dns_names,
        addresses,
        leads_here,
        ..
    } = name;
    writeln!(out, "\nname")?;
    field(
        out,
        "asked for",
        name.as_deref().unwrap_or("none: say --server-name, the host in the Profile_Rule"),
    )?;
    field(out, "CN", &common_names.join(", "))?;
    field(out, "DNS names", &dns_names.join(", "))?;
    if name.is_none() {
        return Ok(());
    }
    let named = match (in_common_name, in_dns_names) {
        (true, true) => "the CN and the DNS names have it",
        (true, false) => "the CN has it, the DNS names have not",
        (false, true) => "the DNS names have it, the CN has not",
        (false, false) => "neither has it",
    };
    let star = if *wildcard { "; a wildcard names nobody to Cisco's phones" } else { "" };
    field(out, "certificate", &format!("{named}{star}"))?;
    let found: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let leads = match (addresses.is_empty(), leads_here) {
        (true, _) => "no address, by this machine's resolver".to_owned(),
        (false, true) => format!("{}: this server is among them", found.join(", ")),
        (false, false) => format!("{}: this server is NOT among them", found.join(", ")),
    };
    field(out, "leads to", &leads)
}

impl HandshakeFacts {
    fn of(session: &Session, with_certificate: bool) -> Self {
        let Session { library, version, suite, failure, answer, .. } = session;
        let alert = failure.as_ref().and_then(|failure| failure.alert);
        let reasons: Vec<Reason> = match (alert, answer) {
            (Some(alert), _) => phone::reasons_of_alert(alert),
            (None, Some(answer)) if answer.status >= 400 => phone::reasons_of_status(answer.status),
            (None, _) => Vec::new(),
        };
        let may_be = reasons.into_iter().map(|reason| MayBe {
            reason: reason.as_str(),
            meaning: reason.meaning(),
            remedy: reason.remedy(),
        });
        Self {
            library,
            version: version.map(|version| version.to_string()),
            suite: suite.map(|suite| suite.to_string()),
            with_certificate,
            alert: alert.map(|alert| format!("{}: {}", names::alert(alert), names::alert_meaning(alert))),
            failure: failure.as_ref().map(|failure| failure.text.clone()),
            answer: answer.clone(),
            may_be: may_be.collect(),
        }
    }

    /// The phone was let in, and its request, if there was one, not refused.
    fn is_good(&self) -> bool {
        self.failure.is_none() && self.answer.as_ref().is_none_or(|answer| answer.status < 400)
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self { library, version, suite, with_certificate, alert, failure, answer, may_be } = self;
        let how = if *with_certificate { "with the certificate" } else { "without a certificate" };
        writeln!(out, "\nwhole handshake {how}, by {library}")?;
        if let (Some(version), Some(suite)) = (version, suite) {
            field(out, "agreed", &format!("{version} {suite}"))?;
        }
        match (alert, failure) {
            (Some(alert), _) => field(out, "REFUSED", &format!("alert {alert}"))?,
            (None, Some(failure)) => field(out, "FAILED", failure)?,
            (None, None) => field(out, "complete", "the server let it in")?,
        }
        if let Some(Answer { status, phrase, bytes }) = answer {
            field(out, "answer", &format!("{status} {phrase}, {}", describe::bytes(*bytes)))?;
        }
        if may_be.is_empty() {
            return Ok(());
        }
        field(
            out,
            "",
            "if the server is this gateway, its record has the reason; with this alert or status it is one of:",
        )?;
        for MayBe { reason, meaning, remedy } in may_be.iter().take(MOST_REASONS) {
            field(out, "", &format!("{reason}: {meaning} {remedy}"))?;
        }
        if may_be.len() > MOST_REASONS {
            let rest: Vec<&str> = may_be.iter().skip(MOST_REASONS).map(|one| one.reason).collect();
            field(out, "", &format!("or {}", rest.join(", ")))?;
        }
        Ok(())
    }
}

fn write_verdict(out: &mut dyn Write, verdict: &Verdict) -> io::Result<()> {
    let Verdict { family, phones, mark, points } = verdict;
    writeln!(out, "\n{family} ({phones}): {}", mark.verdict())?;
    for point in points {
        let sign = match point.mark {
            Mark::Good => "+",
            Mark::If => "~",
            Mark::Unknown => "?",
            Mark::Bad => "-",
        };
        writeln!(
            out,
            "{}",
            Field { indent: 2, name: &format!("{sign} {}", point.about), width: 21, value: &point.text }
        )?;
    }
    Ok(())
}

fn field(out: &mut dyn Write, name: &str, value: &str) -> io::Result<()> {
    writeln!(out, "{}", Field { indent: 2, name, width: 14, value })
}
