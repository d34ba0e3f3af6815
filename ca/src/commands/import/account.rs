//! What became of everything, for the operator: told as it happens, counted, and in a report.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::authority::{Adopted, Arrival, Authority, CertificateImport, ImportContent, ImportOutcome};
use crate::cli::ImportArgs;
use crate::commands::bulk::cell;
use crate::commands::{CommandError, Context, check_output};
use crate::import::{Remark, printable};
use crate::store::{FileError, write_replacing};

/// The first line of every report.
const HEADING: &str = "file,line,serial,subject,status,what,remedy\n";

/// Remarks that are printed; the report has all.
const PRINTED: u64 = 100;

/// Remarks that JSON has.
const KEPT: usize = 10_000;

/// How many there were of each.
#[derive(Debug, Default)]
struct Counts {
    imported: u64,
    completed: u64,
    revoked: u64,
    already: u64,
    refused: u64,
    warnings: u64,
}

/// The account while the work goes on.
pub(super) struct Account {
    counts: Counts,
    revoked_among: u64,
    authorities: Vec<Adopted>,
    remarks: Vec<Value>,
    hints: HashSet<String>,
    report: Option<(PathBuf, BufWriter<File>)>,
}

/// A remark, as an error's text.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Told(String);

impl Account {
    pub(super) fn begin(context: &Context<'_>, arguments: &ImportArgs) -> Result<Self, CommandError> {
        let report = match &arguments.report {
            None => None,
            Some(path) => {
                check_output(path, |earlier| earlier.starts_with(HEADING.as_bytes()))?;
                write_replacing(path, HEADING.as_bytes(), 0o644)?;
                let file = OpenOptions::new().append(true).open(path);
                let file = file.map_err(|source| FileError::new("write", path, source))?;
                Some((path.clone(), BufWriter::new(file)))
            }
        };
        let _printer = context.printer;
        Ok(Self {
            counts: Counts::default(),
            revoked_among: 0,
            authorities: Vec::new(),
            remarks: Vec::new(),
            hints: HashSet::new(),
            report,
        })
    }

    pub(super) fn authority(&mut self, adopted: &Adopted) {
        self.authorities.push(adopted.clone());
    }

    pub(super) fn tell_all(&mut self, context: &Context<'_>, remarks: Vec<Remark>) {
        for remark in remarks {
            self.tell(context, remark);
        }
    }

    pub(super) fn tell(&mut self, context: &Context<'_>, remark: Remark) {
        let Remark { place, what, remedy, refused } = remark;
        let status = if refused { "refused" } else { "warning" };
        if refused {
            self.counts.refused += 1;
        } else {
            self.counts.warnings += 1;
        }
        let told = self.counts.refused + self.counts.warnings;
        if told <= PRINTED {
            let text = format!("{place}: {what}");
            if refused {
                context.printer.error(&Told(text));
            } else {
                context.printer.warning(text);
            }
            if let Some(remedy) = remedy.as_ref().filter(|remedy| self.hints.insert((*remedy).clone())) {
                context.printer.hint(remedy);
            }
        } else if told == PRINTED + 1 {
            context.printer.note("more was found; `--report FILE` has everything");
        }
        let line = place.line.map(|line| line.to_string()).unwrap_or_default();
        let file = place.path.display().to_string();
        let remedy = remedy.unwrap_or_default();
        // A report that cannot be written is told when it is flushed.
        self.write(&[&file, &line, "", "", status, &what, &remedy]);
        if self.remarks.len() < KEPT {
            self.remarks.push(json!({
                "file": file, "line": place.line, "status": status, "what": what, "remedy": remedy,
            }));
        }
    }

    pub(super) fn count(
        &mut self,
        context: &Context<'_>,
        item: &CertificateImport,
        outcome: &ImportOutcome,
    ) -> Result<(), CommandError> {
        let status = match outcome {
            ImportOutcome::Already => {
                self.counts.already += 1;
                "already"
            }
            ImportOutcome::Completed => {
                self.counts.completed += 1;
                "completed"
            }
            ImportOutcome::Imported => {
                self.counts.imported += 1;
                self.revoked_among += u64::from(item.revocation.is_some());
                "imported"
            }
            ImportOutcome::Revoked => {
                self.counts.revoked += 1;
                "revoked"
            }
            ImportOutcome::Refused(error) => {
                self.tell(context, Remark::refused(item.place.clone(), error.to_string(), error.remedy()));
                return Ok(());
            }
        };
        let subject = match &item.content {
            ImportContent::SerialAlone { subject, .. } => printable(subject),
            ImportContent::Whole(certificate) => printable(&certificate.subject().to_rfc4514()),
        };
        let line = item.place.line.map(|line| line.to_string()).unwrap_or_default();
        let file = item.place.path.display().to_string();
        let what = item.revocation.map(|one| format!("revoked {} ({})", one.at, one.reason.as_str()));
        let serial = item.content.serial().to_string();
        self.write(&[&file, &line, &serial, &subject, status, what.as_deref().unwrap_or_default(), ""]);
        Ok(())
    }

    fn write(&mut self, cells: &[&str; 7]) {
        if let Some((_, file)) = &mut self.report {
            let _told_at_the_flush = file.write_all((cells.map(cell).join(",") + "\n").as_bytes());
        }
    }

    pub(super) fn flush(&mut self) -> Result<(), CommandError> {
        match &mut self.report {
            None => Ok(()),
            Some((path, file)) => file.flush().map_err(|source| FileError::new("write", path, source).into()),
        }
    }

    /// The sum of it. Whatever was refused makes the command fail, though the rest is done.
    pub(super) fn end(
        mut self,
        context: &Context<'_>,
        authority: &Authority,
        dry_run: bool,
    ) -> Result<(), CommandError> {
        self.flush()?;
        let Counts { imported, completed, revoked, already, refused, warnings } = self.counts;
        let authorities: Vec<Value> = self
            .authorities
            .iter()
            .map(
                |one| json!({ "name": one.name, "arrival": one.arrival.as_str(), "foreign": one.is_foreign }),
            )
            .collect();
        let value = json!({
            "dry_run": dry_run,
            "authorities": authorities,
            "imported": imported,
            "imported_revoked": self.revoked_among,
            "completed": completed,
            "revoked": revoked,
            "already": already,
            "refused": refused,
            "warnings": warnings,
            "remarks": self.remarks,
        });
        context.printer.result(&value, || {
            let mut text = String::new();
            if dry_run {
                text.push_str("this would be done:\n");
            }
            for one in &self.authorities {
                let how = match (one.arrival, one.is_foreign) {
                    (Arrival::Already, _) => "is there already",
                    (Arrival::Key, _) => "its key has come",
                    (Arrival::New, true) => "new, its key is elsewhere",
                    (Arrival::New, false) => "new, with its key",
                };
                text.push_str(&format!("authority  {}: {how}\n", one.name));
            }
            text.push_str(&format!("imported   {imported}"));
            if self.revoked_among > 0 {
                text.push_str(&format!(", {} of them revoked", self.revoked_among));
            }
            text.push('\n');
            for (word, count) in
                [("completed", completed), ("revoked", revoked), ("already", already), ("refused", refused)]
            {
                if count > 0 || word == "already" || word == "refused" {
                    text.push_str(&format!("{word:<10} {count}\n"));
                }
            }
            text
        });
        if !dry_run {
            let came = |one: &&Adopted| !one.is_foreign && one.arrival != Arrival::Already;
            let publishes = self.authorities.iter().any(|one| {
                authority.issuers().iter().any(|issuer| issuer.name() == one.name && !issuer.is_foreign())
            });
            if publishes && (imported > 0 || revoked > 0 || self.authorities.iter().any(|one| came(&one))) {
                context.printer.hint("next: provision-ca crl publish");
            }
            for one in self.authorities.iter().filter(came) {
                context.printer.hint(format!(
                    "to let it sign: provision-ca authority use {}; then let its old place sign nothing more",
                    one.name
                ));
            }
        }
        if refused == 0 {
            return Ok(());
        }
        Err(CommandError::failed(
            format!("{refused} {} left out", if refused == 1 { "thing was" } else { "things were" }),
            Some("the lines above say why; the same command once more takes in what was put right"),
        ))
    }
}
