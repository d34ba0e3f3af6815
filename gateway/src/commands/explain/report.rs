//! The answer: steps, a verdict, and the request that the backend would get.

use std::io::{self, Write};

use policies::Reason;
use serde::Serialize;

use crate::printer::Printable;

/// How a request fares.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) steps: Vec<Step>,
    #[serde(flatten)]
    pub(super) verdict: Verdict,
}

/// One step of the way.
#[derive(Debug, Serialize)]
pub(super) struct Step {
    pub(super) step: &'static str,
    pub(super) lines: Vec<String>,
}

/// Where it ends.
#[derive(Debug, Serialize)]
#[serde(tag = "decision", rename_all = "lowercase")]
pub(super) enum Verdict {
    /// The backend gets it.
    Permit {
        /// The rule that permits it.
        rule: String,
        /// In observe mode: the reason for which it would have been refused.
        #[serde(skip_serializing_if = "Option::is_none")]
        waived: Option<&'static str>,
        /// Where it goes.
        backend: String,
        /// The header fields the backend sees; none for a folder of files.
        fields: Vec<(String, String)>,
    },
    /// The phone is refused.
    Deny {
        /// The reason code.
        reason: &'static str,
        /// What exactly.
        detail: String,
        /// What the code means.
        meaning: &'static str,
        /// What to do about it.
        remedy: &'static str,
        /// What the phone gets: an alert or a status.
        phone_gets: String,
    },
}

impl Verdict {
    /// A refusal.
    pub(super) fn deny(reason: Reason, detail: impl Into<String>, phone_gets: String) -> Self {
        Self::Deny {
            reason: reason.as_str(),
            detail: detail.into(),
            meaning: reason.meaning(),
            remedy: reason.remedy(),
            phone_gets,
        }
    }
}

impl Report {
    pub(super) const fn permitted(&self) -> bool {
        matches!(self.verdict, Verdict::Permit { .. })
    }

    /// Writes the report for a person.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        for Step { step, lines } in &self.steps {
            writeln!(out, "{step}")?;
            for line in lines {
                writeln!(out, "  {}", Printable(line))?;
            }
        }
        match &self.verdict {
            Verdict::Permit { rule, waived, backend, fields } => {
                if !fields.is_empty() {
                    writeln!(out, "the backend sees")?;
                    for (name, value) in fields {
                        writeln!(out, "  {name}: {}", Printable(value))?;
                    }
                }
                writeln!(out)?;
                match waived {
                    None => writeln!(out, "PERMITTED by rule \"{}\"", Printable(rule))?,
                    Some(reason) => {
                        writeln!(
                            out,
                            "PERMITTED, because the rules only observe; they would refuse it: {reason}"
                        )?;
                    }
                }
                writeln!(out, "  goes to      {}", Printable(backend))
            }
            Verdict::Deny { reason, detail, meaning, remedy, phone_gets } => {
                writeln!(out)?;
                writeln!(out, "REFUSED: {reason}")?;
                writeln!(out, "  found        {}", Printable(detail))?;
                writeln!(out, "  meaning      {meaning}")?;
                writeln!(out, "  remedy       {remedy}")?;
                writeln!(out, "  phone gets   {phone_gets}")
            }
        }
    }
}
