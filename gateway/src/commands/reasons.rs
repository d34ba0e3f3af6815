//! `reasons`: what each reason code means, what the phone shows, and what to do.
//!
//! Nothing is written twice: meaning and remedy are [`Reason`]'s own, as in the README's table, and what the phone gets is
//! asked of [`phone`], by the functions that serve.

use std::io::{self, Write};

use policies::document::nearest;
use policies::{Reason, Stage};
use serde::Serialize;

use super::{Outcome, Streams};
use crate::printer::{self, Wrapped};
use crate::{cli, respond::phone};

/// There is no such reason.
#[derive(Debug, thiserror::Error)]
#[error("there is no reason \"{0}\"")]
struct UnknownReason(String);

/// One reason, for programs.
#[derive(Debug, Serialize)]
struct Page {
    reason: &'static str,
    step: &'static str,
    fault: &'static str,
    meaning: &'static str,
    phone_shows: String,
    remedy: &'static str,
}

impl Page {
    fn of(reason: Reason) -> Self {
        Self {
            reason: reason.as_str(),
            step: reason.stage().as_str(),
            fault: reason.fault().as_str(),
            meaning: reason.meaning(),
            phone_shows: phone::shows(reason).join(" "),
            remedy: reason.remedy(),
        }
    }
}

/// Explains one reason, or lists them all.
///
/// # Errors
/// When a stream is closed.
pub fn reasons(arguments: &cli::Reasons, streams: &mut Streams<'_>) -> io::Result<Outcome> {
    let cli::Reasons { reason, json } = arguments;
    let Some(wanted) = reason else {
        if *json {
            let pages: Vec<_> = Reason::ALL.iter().copied().map(Page::of).collect();
            serde_json::to_writer_pretty(&mut *streams.out, &pages)?;
            writeln!(streams.out)?;
        } else {
            list(streams.out)?;
        }
        return Ok(Outcome::Done);
    };
    let Some(found) = Reason::from_code(&wanted.to_ascii_lowercase().replace('-', "_")) else {
        let near = nearest(wanted, Reason::ALL.iter().map(|reason| reason.as_str()));
        let hint = match near {
            Some(near) => format!("did you mean {near}?"),
            None => "provision-gateway reasons lists them all".to_owned(),
        };
        printer::error(streams.err, &UnknownReason(wanted.clone()), Some(&hint))?;
        return Ok(Outcome::Misuse);
    };
    let page = Page::of(found);
    if *json {
        serde_json::to_writer_pretty(&mut *streams.out, &page)?;
        writeln!(streams.out)?;
    } else {
        write_page(streams.out, &page)?;
    }
    Ok(Outcome::Done)
}

fn list(out: &mut dyn Write) -> io::Result<()> {
    for stage in Stage::ALL {
        writeln!(out, "{}", stage.as_str())?;
        for reason in Reason::ALL.iter().filter(|reason| reason.stage() == *stage) {
            writeln!(out, "  {:<35}{}", reason.as_str(), reason.meaning())?;
        }
        writeln!(out)?;
    }
    writeln!(out, "More of one: provision-gateway reasons expired")
}

fn write_page(out: &mut dyn Write, page: &Page) -> io::Result<()> {
    let Page { reason, step, fault, meaning, phone_shows, remedy } = page;
    writeln!(out, "{reason}")?;
    writeln!(out, "  step               {step}")?;
    writeln!(out, "  look first at      the {fault}")?;
    for (title, text) in
        [("what it means", *meaning), ("what the phone shows", phone_shows), ("what to do", remedy)]
    {
        writeln!(out, "\n{title}")?;
        writeln!(out, "{}", Wrapped { text, indent: 2 })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(reason: Option<&str>, json: bool) -> (Outcome, String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let arguments = cli::Reasons { reason: reason.map(str::to_owned), json };
        let outcome = reasons(&arguments, &mut Streams { out: &mut out, err: &mut err }).unwrap();
        (outcome, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    #[test]
    fn the_list_has_every_reason_below_its_step() {
        let (outcome, out, _) = ask(None, false);
        assert_eq!(outcome, Outcome::Done);
        for stage in Stage::ALL {
            let (_, part) = out.split_once(&format!("{}\n  ", stage.as_str())).unwrap();
            let part = part.split("\n\n").next().unwrap();
            for reason in Reason::ALL {
                let listed = part.lines().any(|line| line.split_whitespace().next() == Some(reason.as_str()));
                assert_eq!(listed, reason.stage() == *stage, "{reason} {}", stage.as_str());
            }
        }
    }

    #[test]
    fn each_page_has_meaning_symptom_and_remedy() {
        for reason in Reason::ALL {
            let (outcome, out, err) = ask(Some(reason.as_str()), false);
            assert_eq!((outcome, err.as_str()), (Outcome::Done, ""));
            let words: Vec<_> = out.split_whitespace().collect();
            let flat = words.join(" ");
            for text in [reason.meaning(), reason.remedy(), &phone::shows(*reason).join(" ")] {
                assert!(flat.contains(text), "{reason}: {text}\n{out}");
            }
            assert!(out.lines().all(|line| line.chars().count() <= 100), "{out}");
        }
    }

    #[test]
    fn json_is_one_page_or_all_of_them() {
        let (_, out, _) = ask(Some("EXPIRED"), true);
        let page: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!((&page["reason"], &page["step"]), (&"expired".into(), &"certificate".into()));
        let (_, out, _) = ask(None, true);
        let pages: Vec<serde_json::Value> = serde_json::from_str(&out).unwrap();
        assert_eq!(pages.len(), Reason::ALL.len());
    }

    #[test]
    fn a_mistyped_reason_is_misuse_with_the_nearest_as_a_hint() {
        let (outcome, out, err) = ask(Some("expierd"), false);
        assert_eq!((outcome, out.as_str()), (Outcome::Misuse, ""));
        assert_eq!(err, "error: there is no reason \"expierd\"\nhint: did you mean expired?\n");
        let (outcome, _, err) = ask(Some("colour"), false);
        assert_eq!(outcome, Outcome::Misuse);
        assert!(err.contains("lists them all"), "{err}");
        assert_eq!(ask(Some("no-rule-matched"), false).0, Outcome::Done, "the twin: hyphens are no mistake");
    }
}
