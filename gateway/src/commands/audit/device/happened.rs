//! What happened, in sentences: each visit, and each reason explained the first time it comes up.

use std::collections::BTreeSet;
use std::io::{self, Write};

use policies::Reason;

use super::Dossier;
use super::visit::{Step, Visit};
use crate::audit::entry::{EntryCertificate, MacSource, Outcome};
use crate::audit::moment::Moment;
use crate::commands::audit::words;
use crate::printer::{Field, Wrapped};
use crate::respond::phone;

/// Steps that are told of one visit.
const MOST_STEPS: usize = 8;

/// Tells the newest `limit` visits.
pub(super) fn write(dossier: &Dossier, limit: usize, now: Moment, out: &mut dyn Write) -> io::Result<()> {
    let mut explained = BTreeSet::new();
    for visit in dossier.visits.iter().take(limit) {
        let text = sentence(visit, dossier, now);
        writeln!(out, "{}", Field { indent: 2, name: "- ", width: 2, value: &text })?;
        for reason in visit.steps.iter().filter_map(|step| step.reason.as_deref()) {
            let Some(reason) = Reason::from_code(reason).filter(|reason| explained.insert(*reason)) else {
                continue;
            };
            let meaning = format!("{reason} means: {}", reason.meaning());
            writeln!(out, "{}", Wrapped { text: &meaning, indent: 6 })?;
            let shows = format!("What the phone shows: {}", phone::shows(reason).join(" "));
            writeln!(out, "{}", Wrapped { text: &shows, indent: 6 })?;
            let remedy = format!("What to do: {}", reason.remedy());
            writeln!(out, "{}", Wrapped { text: &remedy, indent: 6 })?;
        }
    }
    Ok(())
}

fn sentence(visit: &Visit, dossier: &Dossier, now: Moment) -> String {
    let Visit { times, first, last, source, peers, version, claim, exceptions, steps } = visit;
    let mut text = match times {
        1 => format!("{} ({})", words::second(*last), words::ago(*last, now)),
        _ => format!(
            "{times} times between {} and {} ({})",
            words::second(*first),
            words::second(*last),
            words::ago(*last, now)
        ),
    };
    if !peers.is_empty() {
        text.push_str(&format!(", from {}", words::series(peers)));
    }
    if let Some(version) = version {
        text.push_str(&format!(", over {version}"));
    }
    text.push_str(": ");
    text.push_str(match source {
        MacSource::Device => "",
        MacSource::Certificate => "somebody showed a certificate that names this MAC address; ",
        MacSource::Path => "a client without a certificate asked for a path that names this MAC address; ",
        MacSource::Syslog => "the phone says by syslog: ",
    });
    let told: Vec<String> = steps.iter().take(MOST_STEPS).map(|step| happened(step, *times)).collect();
    text.push_str(&told.join("; "));
    if let Some(more) = steps.len().checked_sub(MOST_STEPS).filter(|more| *more > 0) {
        text.push_str(&format!("; and {more} more"));
    }
    text.push('.');
    if let Some(claim) = claim {
        text.push_str(&claimed(claim, dossier, now));
    }
    if *source == MacSource::Syslog {
        text.push_str(" Anybody can send that: it proves nothing.");
    }
    if *source == MacSource::Path {
        text.push_str(" Anybody can ask for a path: it proves nothing.");
    }
    if !exceptions.is_empty() && *source == MacSource::Device {
        text.push_str(&format!(" Let in by exception: {}.", words::series(exceptions)));
    }
    text
}

/// How one thing ended, as a part of a sentence.
fn happened(step: &Step, times: u64) -> String {
    let Step { outcome, asked, said, status, reason, detail, bytes, alert, count } = step;
    let mut text = match (said, asked) {
        (Some(said), _) => said.clone(),
        (None, Some((method, path))) => format!("{method} {path} "),
        (None, None) => "the connection ".to_owned(),
    };
    text.push_str(match (outcome, asked) {
        (Outcome::Served, Some(_)) => "was answered",
        (Outcome::Served, None) => "was served",
        (Outcome::Refused, _) => "was refused",
        (Outcome::Failed, _) => "failed",
        (Outcome::Lost, _) => "is not known of: its record was lost",
        (Outcome::Said, _) => "",
    });
    if let Some(status) = status {
        text.push_str(&format!(" with {status}"));
        match (outcome, *status) {
            (Outcome::Served, 404) => text.push_str(" (the profile store has no such file)"),
            (Outcome::Served, 400..) => text.push_str(" (the profile store's own answer)"),
            (Outcome::Served | Outcome::Refused | Outcome::Failed | Outcome::Lost | Outcome::Said, _) => {
                let size = bytes.filter(|_| *outcome == Outcome::Served);
                let size = size.map(|bytes| format!(" ({})", words::count(bytes, "byte", "bytes")));
                text.push_str(&size.unwrap_or_default());
            }
        }
    }
    if let Some(reason) = reason {
        text.push_str(&format!(": {reason}"));
    }
    if let Some(detail) = detail {
        text.push_str(&format!(" ({detail})"));
    }
    if let Some(alert) = alert {
        text.push_str(&match alert.split_once(' ') {
            Some(("sent", alert)) => format!(", with the alert {alert}"),
            Some(("received", alert)) => format!(", by the phone's own alert {alert}"),
            Some(_) | None => format!(" [{alert}]"),
        });
    }
    if *count > times {
        text.push_str(&format!(", {count} times in all"));
    }
    text
}

fn claimed(claim: &EntryCertificate, dossier: &Dossier, now: Moment) -> String {
    let is_known = dossier.certificates.iter().any(|known| known.proven && known.sha256 == claim.sha256);
    if is_known {
        return " It is the certificate that this phone has proven to hold before; that it was this phone is only claimed."
            .to_owned();
    }
    let EntryCertificate { issuer, serial, .. } = claim;
    let end = claim.expires().map(|end| format!("; it {}", words::end(end, now))).unwrap_or_default();
    format!(
        " Its issuer is {issuer}, its serial number {serial}{end}. That it was this phone is only claimed."
    )
}
