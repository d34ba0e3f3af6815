//! The counts on record, and how far from them a count may be.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use serde::{Deserialize, Serialize};

use crate::{Error, fixture};

/// Percent up or down. Less is not worth a look, and the last few digits change with the C compiler that built aws-lc.
const TOLERANCE: f64 = 3.0;

/// To be run after a change that is meant to move a count.
const RECORD: &str = "cargo bench -p provision-gateway --no-default-features --bench steps -- --record";

/// What is on record, with where it was counted.
#[derive(Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Baselines {
    /// Another compiler makes other code.
    rustc: String,
    /// So does another processor, and which instructions it has decides what the C libraries and aws-lc call.
    target: String,
    /// The gateway's features.
    features: String,
    /// By step.
    instructions: BTreeMap<String, u64>,
}

impl Baselines {
    /// What was counted here and now.
    pub(crate) fn new(instructions: BTreeMap<String, u64>) -> Result<Self, Error> {
        let features = match cfg!(feature = "legacy-tls") {
            true => "legacy-tls",
            false => "none",
        };
        Ok(Self { rustc: rustc()?, target: target(), features: features.to_owned(), instructions })
    }

    /// What is on record.
    pub(crate) fn load() -> Result<Self, Error> {
        let path = path();
        let text = fs::read_to_string(&path)
            .map_err(|error| format!("{} cannot be read ({error}); to make it: {RECORD}", path.display()))?;
        Ok(toml::from_str(&text)?)
    }

    /// Puts these on record.
    pub(crate) fn store(&self, out: &mut impl Write) -> Result<(), Error> {
        let text = format!(
            "# Instructions per call, by callgrind. Made by:\n# {RECORD}\n{}",
            toml::to_string(self)?
        );
        fixture::put(&path(), &text)?;
        Ok(writeln!(out, "recorded in {}", path().display())?)
    }

    /// Why these cannot be compared with what would be counted here.
    pub(crate) fn incomparable(&self) -> Result<Option<String>, Error> {
        let Self { rustc, target, features, instructions: _ } = Self::new(BTreeMap::new())?;
        let pairs = [
            ("compiled by", &self.rustc, rustc),
            ("counted on", &self.target, target),
            ("counted with the gateway's features", &self.features, features),
        ];
        let other = pairs.into_iter().find(|(_, recorded, here)| *recorded != here);
        Ok(other
            .map(|(what, recorded, here)| format!("the baselines were {what} {recorded}, this is {here}")))
    }

    /// Compares `now` with these and says whether all of it is within bounds.
    pub(crate) fn check(&self, now: &BTreeMap<String, u64>, out: &mut impl Write) -> io::Result<bool> {
        let mut steps: Vec<_> = self.instructions.keys().chain(now.keys()).collect();
        steps.sort();
        steps.dedup();
        let mut wrong = Vec::new();
        writeln!(out, "| step | on record | now | change |\n| --- | ---: | ---: | ---: |")?;
        for step in steps {
            match (self.instructions.get(step), now.get(step)) {
                (Some(recorded), Some(counted)) => {
                    let change = change(*recorded, *counted);
                    writeln!(out, "| {step} | {recorded} | {counted} | {change:+.1} % |")?;
                    if change.abs() > TOLERANCE {
                        wrong.push(format!("{step}: {recorded} on record, {counted} now ({change:+.1} %)"));
                    }
                }
                (Some(_), None) => wrong.push(format!("{step}: on record, but not counted any more")),
                (None, Some(counted)) => wrong.push(format!("{step}: {counted} now, but not on record")),
                (None, None) => {}
            }
        }
        if wrong.is_empty() {
            writeln!(out, "all within {TOLERANCE} % of {}", path().display())?;
            return Ok(true);
        }
        writeln!(out, "error: {} steps are not within {TOLERANCE} % of {}", wrong.len(), path().display())?;
        for line in wrong {
            writeln!(out, "  {line}")?;
        }
        writeln!(out, "hint: if this is meant, record it and say why in the commit: {RECORD}")?;
        Ok(false)
    }
}

/// In percent.
fn change(recorded: u64, counted: u64) -> f64 {
    let float = |count: u64| u32::try_from(count).map_or(f64::INFINITY, f64::from);
    (float(counted) / float(recorded.max(1)) - 1.0) * 100.0
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/baselines.toml")
}

/// The compiler beside the cargo that runs this.
fn rustc() -> Result<String, Error> {
    let program = env::var_os("CARGO").map(|cargo| Path::new(&cargo).with_file_name("rustc"));
    let program = program.filter(|program| program.exists()).unwrap_or_else(|| "rustc".into());
    let output = Command::new(program).arg("--version").output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn target() -> String {
    #[cfg(target_arch = "x86_64")]
    let features = match std::arch::is_x86_feature_detected!("avx2") {
        true => " with AVX2",
        false => " without AVX2",
    };
    #[cfg(not(target_arch = "x86_64"))]
    let features = "";
    format!("{} {}{features}", env::consts::ARCH, env::consts::OS)
}
