//! A device's story in sentences, to be read out on the telephone.

use std::io::{self, Write};

use super::{Dossier, happened};
use crate::audit::moment::Moment;
use crate::audit::query::{Change, DeviceStatus, PresentedCertificate, SightingKind};
use crate::commands::audit::words;
use crate::printer::Wrapped;

/// Certificates of strangers that are told of.
const MOST_CLAIMS: usize = 3;

pub(super) fn write(dossier: &Dossier, limit: usize, now: Moment, out: &mut dyn Write) -> io::Result<()> {
    for text in who(dossier, now) {
        writeln!(out, "{}", Wrapped { text: &text, indent: 0 })?;
    }
    let sections = [
        ("Certificate", certificate(dossier, now)),
        ("Firmware", firmware(dossier, now)),
        ("Last success", last_success(dossier, now)),
        ("Exceptions", exceptions(dossier, now)),
        ("Changes", changes(dossier)),
    ];
    for (title, sentences) in sections {
        section(title, &sentences, out)?;
    }
    writeln!(out, "\nWhat happened, newest first")?;
    if dossier.visits.is_empty() {
        writeln!(out, "  Its records are not kept any more, or none is of this time.")?;
    }
    happened::write(dossier, limit, now, out)
}

/// A title and its sentences; nothing where there are none.
fn section(title: &str, sentences: &[String], out: &mut dyn Write) -> io::Result<()> {
    if sentences.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{title}")?;
    for text in sentences {
        writeln!(out, "{}", Wrapped { text, indent: 2 })?;
    }
    Ok(())
}

fn who(dossier: &Dossier, now: Moment) -> Vec<String> {
    let mac = words::pairs(dossier.mac);
    let Some(status) = &dossier.status else {
        return vec![format!(
            "No certificate with the MAC address {mac} was ever presented. Clients without a certificate asked for paths that \
             name it, or syslog messages name it; anybody can write one, so nothing of this is proven."
        )];
    };
    let DeviceStatus { proven, product, serial, first_seen, last_seen, peer, host, records, .. } = status;
    let mut name = product.clone().map_or_else(|| "a device".to_owned(), |product| format!("a {product}"));
    if let Some(serial) = serial {
        name.push_str(&format!(", serial number {serial}"));
    }
    let identity = if *proven {
        format!("This is {name}, MAC address {mac}. It has proven that with its certificate.")
    } else {
        format!(
            "No device has proven to be the one with the MAC address {mac}. Certificates that name it were refused; anybody can \
             write such a certificate, so what follows is only claimed."
        )
    };
    let from = peer.as_ref().map(|peer| format!(" from {peer}")).unwrap_or_default();
    let asked = host.as_ref().map(|host| format!(", on {host}")).unwrap_or_default();
    let seen = format!(
        "First seen {} ({}), last seen {} ({}){from}{asked}; {} of it.",
        words::second(*first_seen),
        words::ago(*first_seen, now),
        words::second(*last_seen),
        words::ago(*last_seen, now),
        words::count(*records, "record tells", "records tell"),
    );
    vec![identity, seen]
}

fn certificate(dossier: &Dossier, now: Moment) -> Vec<String> {
    let Some(status) = &dossier.status else { return Vec::new() };
    let Some(current) = &status.certificate else {
        return vec!["It presented none that was recorded.".to_owned()];
    };
    let PresentedCertificate { issuer, serial, not_after, proven, first_seen, last_seen, count, .. } =
        current;
    let end = not_after.map_or_else(|| "has no readable end".to_owned(), |end| words::end(end, now));
    let mut sentences = vec![format!("Issuer {issuer}, serial number {serial}; it {end}.")];
    sentences.push(if *proven {
        "Proven: the gateway verified its chain, and the phone showed that it has the key.".to_owned()
    } else {
        "Only claimed: it was refused whenever it was presented.".to_owned()
    });
    let presented = match count {
        0 => String::new(),
        count => format!(" on {}", words::count(*count, "connection", "connections")),
    };
    sentences.push(format!(
        "Presented{presented} since {}, last {}.",
        words::second(*first_seen),
        words::second(*last_seen)
    ));
    let others: Vec<&PresentedCertificate> =
        dossier.certificates.iter().filter(|other| !other.proven && other.sha256 != current.sha256).collect();
    for other in others.iter().take(MOST_CLAIMS) {
        sentences.push(format!(
            "A certificate from {}, serial number {}, names this MAC address too; it was refused each time, last {}, and proves \
             nothing.",
            other.issuer,
            other.serial,
            words::second(other.last_seen)
        ));
    }
    if let Some(more) = others.len().checked_sub(MOST_CLAIMS).filter(|more| *more > 0) {
        sentences.push(format!("So were {more} more."));
    }
    sentences
}

fn firmware(dossier: &Dossier, now: Moment) -> Vec<String> {
    let Some(status) = &dossier.status else { return Vec::new() };
    let Some(current) = status.user_agent.as_deref() else {
        return vec!["No User-Agent of it is recorded.".to_owned()];
    };
    let agents = || dossier.sightings.iter().filter(|one| one.kind == SightingKind::UserAgent);
    let since = agents().find(|one| one.value == current);
    let since = since.map(|one| {
        format!(", since {} ({})", words::second(one.first_seen), words::ago(one.first_seen, now))
    });
    let mut sentences = vec![format!("Its User-Agent says \"{current}\"{}.", since.unwrap_or_default())];
    if let Some(before) = agents().find(|one| one.value != current) {
        sentences.push(format!(
            "Another one was \"{}\", last sent {}.",
            before.value,
            words::second(before.last_seen)
        ));
    }
    sentences
}

fn last_success(dossier: &Dossier, now: Moment) -> Vec<String> {
    let Some(status) = &dossier.status else { return Vec::new() };
    let Some(at) = status.last_success else {
        return vec!["It was never served anything.".to_owned()];
    };
    let when = format!("{} ({})", words::second(at), words::ago(at, now));
    let Some(entry) = &dossier.last_success else {
        return vec![format!("{when}; the record is not kept any more.")];
    };
    let peer = entry.peer_address().map(|peer| format!(", to {}", peer.to_canonical()));
    let status = entry.status.map(|status| format!(" with {status}"));
    let bytes = entry.bytes.map(|bytes| format!(" ({})", words::count(bytes, "byte", "bytes")));
    vec![format!(
        "{when}: {} {} was answered{}{}{}.",
        entry.method.as_deref().unwrap_or("a request for"),
        entry.path.as_deref().unwrap_or("something"),
        status.unwrap_or_default(),
        bytes.unwrap_or_default(),
        peer.unwrap_or_default(),
    )]
}

/// Those that its last connection with any needed.
fn exceptions(dossier: &Dossier, now: Moment) -> Vec<String> {
    use crate::audit::entry::MacSource::Device;
    let last = dossier.visits.iter().find(|visit| visit.source == Device);
    let Some(visit) = last.filter(|visit| !visit.exceptions.is_empty()) else { return Vec::new() };
    vec![format!(
        "Its certificate is let in by exception only: {} (last {}, {}). When the exception ends, the phone is refused.",
        words::series(&visit.exceptions),
        words::second(visit.last),
        words::ago(visit.last, now)
    )]
}

fn changes(dossier: &Dossier) -> Vec<String> {
    dossier.changes.iter().map(change).collect()
}

fn change(change: &Change) -> String {
    match change {
        Change::FirstSeen { mac: _, at } => {
            format!("It turned up for the first time {}.", words::second(*at))
        }
        Change::Certificate { mac: _, from, to } => {
            let of = |certificate: &PresentedCertificate| {
                let end = certificate.not_after.map(|end| format!(", ending {}", words::day(end)));
                format!(
                    "{} (serial number {}{})",
                    certificate.issuer,
                    certificate.serial,
                    end.unwrap_or_default()
                )
            };
            let key = match change.is_another_key() {
                Some(true) => "with another key",
                Some(false) => "with the same key",
                None => "whose key was not recorded",
            };
            let at = words::second(to.first_seen);
            let (from_text, to_text) = (of(from), of(to));
            if change.is_renewal() {
                return format!(
                    "Its certificate was renewed {at}, from {from_text} to {to_text}, {key}. That is normal."
                );
            }
            let mut text = format!(
                "Worth a look: since {at} it presents a certificate from {to_text} instead of {from_text}, {key}."
            );
            if change.is_either_in_use() {
                text.push_str(&format!(
                    " The one before was still presented {}: two devices may share this MAC address.",
                    words::second(from.last_seen)
                ));
            } else {
                text.push_str(" This is no renewal of its factory certificate.");
            }
            text
        }
        Change::Networks { mac: _, networks } => {
            let networks: Vec<String> = networks
                .iter()
                .map(|one| format!("{} (last {})", one.value, words::second(one.last_seen)))
                .collect();
            format!(
                "Worth a look: it came from {} networks within a day: {}. A copied certificate and key would look like this.",
                networks.len(),
                words::series(&networks)
            )
        }
        Change::UserAgent { mac: _, agreement, user_agent } => format!(
            "Worth a look: {} than its certificate: \"{}\", {}, last {}. The certificate was moved to another phone, or the \
             User-Agent was configured by hand.",
            agreement.contradiction().unwrap_or("the User-Agent names something else"),
            user_agent.value,
            words::count(user_agent.count, "time", "times"),
            words::second(user_agent.last_seen)
        ),
    }
}
