//! `revoke`

use certs::Fingerprint;
use serde_json::json;

use super::crl::{text as crl_text, value as crl_value};
use super::mass::{Chunks, Item, Items, choose, foretell, nothing};
use super::{CommandError, Context};
use crate::authority::{Authority, ListDays};
use crate::cli::RevokeArgs;
use crate::error::IssueError;
use crate::selector::{Pattern, Selector, SerialPattern, Status, Term};
use crate::serial::hex;
use crate::store::{CertificateRecord, State};

pub(super) fn run(context: &Context<'_>, arguments: &RevokeArgs) -> Result<(), CommandError> {
    let RevokeArgs { selector: words, reason, publish, mass } = arguments;
    let mut authority =
        if *publish && !mass.dry_run { context.open_to_publish(None)? } else { context.open()? };
    let chosen = choose(&authority, words)?;
    let Some(selector) = chosen.word().filter(|_| !mass.dry_run && mass.report.is_none()) else {
        return many(context, authority, chosen, arguments);
    };
    let issued = meant(&authority, selector)?;
    let mut values = Vec::new();
    let mut text = String::new();
    for record in issued {
        let serial = hex(&record.intent.serial);
        let revoked = authority.revoke(record.id, *reason)?;
        if revoked.already {
            context.printer.note(format!("{serial} was revoked before; the first date stays"));
        }
        let (at, reason) = (revoked.revocation.at, revoked.revocation.reason.as_str());
        text.push_str(&format!("{}\n  serial  {serial}\n  revoked {at} ({reason})\n", record.intent.name));
        values.push(json!({
            "name": record.intent.name,
            "serial": serial,
            "revoked_at": at.to_string(),
            "reason": reason,
            "already": revoked.already,
        }));
    }
    let mut value = json!({ "revoked": values });
    if *publish {
        let published = authority.publish_crls(None, ListDays::default())?;
        value["lists"] = json!(published.iter().map(crl_value).collect::<Vec<_>>());
        text.push_str(&crl_text(&published));
    }
    context.printer.result(&value, || text);
    if !publish {
        context.printer.hint("nobody knows of it yet: provision-ca crl publish");
    }
    Ok(())
}

/// The certificates that a word alone means. A renewed device has several: the valid ones are meant; if none is, the last one.
fn meant(authority: &Authority, word: &str) -> Result<Vec<CertificateRecord>, CommandError> {
    let now = authority.now();
    let mut issued: Vec<CertificateRecord> =
        authority.select(word)?.into_iter().filter(|record| record.state == State::Issued).collect();
    if issued.iter().any(|record| record.is_active(now)) {
        issued.retain(|record| record.is_active(now));
    } else {
        issued = issued.pop().into_iter().collect();
    }
    let Some(first) = issued.first() else {
        return Err(IssueError::NotFound { selector: word.to_owned() }.into());
    };
    if issued.iter().any(|record| record.intent.name != first.intent.name) {
        let serials: Vec<_> = issued.iter().map(|record| hex(&record.intent.serial)).collect();
        return Err(CommandError::failed(
            format!("{word:?} is several certificates: {}", serials.join(", ")),
            Some("name the one you mean by its certificate serial number"),
        ));
    }
    Ok(issued)
}

/// Those and no others as a selector, whatever they are: foretold is what would be done.
fn exactly(records: &[CertificateRecord]) -> Selector {
    let prints: Option<Vec<[u8; 32]>> = records
        .iter()
        .map(|record| record.certificate.as_deref().map(|der| *Fingerprint::of(der).as_bytes()))
        .collect();
    // What is known by its number alone has no fingerprint.
    let term = prints.map(Term::Fingerprint).unwrap_or_else(|| {
        let serial = |record: &CertificateRecord| SerialPattern {
            device: Pattern(hex(&record.intent.serial)),
            certificate: Some(record.intent.serial.clone()),
        };
        Term::Serial(records.iter().map(serial).collect())
    });
    Selector::default().and(term)
}

/// Revokes what a selector means, some hundred in a transaction. Interrupted, the same command does the rest.
fn many(
    context: &Context<'_>,
    mut authority: Authority,
    chosen: Selector,
    arguments: &RevokeArgs,
) -> Result<(), CommandError> {
    let RevokeArgs { selector: words, reason, publish, mass } = arguments;
    let meant = chosen.word().map(|word| meant(&authority, word)).transpose()?;
    let selector = meant.map_or_else(|| chosen.leaves(), |records| exactly(&records));
    let selector = selector.and_by_default(Term::Status(vec![Status::Valid]));
    if mass.dry_run {
        let lists = authority.touched_lists(&selector, *reason)?;
        return foretell(context, &authority, "revoke", &selector, &lists);
    }
    let until = authority.last_row()?;
    let mut items = Items::begin(context, mass)?;
    let mut chunks = Chunks::new(&selector, until);
    loop {
        let records = chunks.next(&authority)?;
        if records.is_empty() {
            break;
        }
        for revoked in authority.revoke_all(records, *reason)? {
            let status = if revoked.already { "revoked before" } else { "revoked" };
            let item = Item { record: &revoked.record, status, successor: None, until: None, error: None };
            items.add(context, &item)?;
        }
    }
    if items.count() == 0 {
        return Err(nothing(words));
    }
    let mut more = Vec::new();
    if *publish {
        let published = authority.publish_crls(None, ListDays::default())?;
        context.printer.text_only(&crl_text(&published));
        more.push(("lists", json!(published.iter().map(crl_value).collect::<Vec<_>>())));
    }
    items.end(context, &more)?;
    if !publish {
        context.printer.hint("nobody knows of it yet: provision-ca crl publish");
    }
    Ok(())
}
