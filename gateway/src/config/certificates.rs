//! Certificates from files: PEM, any number, or one in DER. Nothing that is broken is passed over (SEC-26).

use certs::{Certificate, ParseError, pem};
use policies::document::Located;

use super::files::{Contents, Files};

/// Reads every certificate of the file named in the configuration. `None` when there is a mistake, which is then noted.
pub(super) fn read(files: &Files<'_, '_>, what: &str, path: &Located<String>) -> Option<Vec<Certificate>> {
    let contents = files.read_watched(what, path)?;
    match parse(&contents.bytes) {
        Ok(certificates) => Some(certificates),
        Err((line, problem)) => {
            files.document().error(&path.place, format!("{what} {}: {problem}", position(&contents, line)));
            None
        }
    }
}

/// A file's name, and the line in it when there is one.
pub(super) fn position(contents: &Contents, line: Option<usize>) -> String {
    match line {
        Some(line) => format!("{}, line {line}", contents.path.display()),
        None => contents.path.display().to_string(),
    }
}

fn parse(bytes: &[u8]) -> Result<Vec<Certificate>, (Option<usize>, String)> {
    if !looks_like_pem(bytes) {
        return match Certificate::parse(bytes) {
            Ok(certificate) => Ok(vec![certificate]),
            Err(error) => Err((None, format!("no certificate: {}", Causes(&error)))),
        };
    }
    broken_armour(bytes)?;
    let found =
        pem::certificates(bytes).map_err(|error| (Some(error.line), Causes(&error.source).to_string()))?;
    if found.is_empty() {
        return Err((None, "there is no certificate in it".to_owned()));
    }
    Ok(found.into_iter().map(|(certificate, _)| certificate).collect())
}

/// Whether there is anything like a PEM boundary, even a misspelt one.
pub(crate) fn looks_like_pem(bytes: &[u8]) -> bool {
    bytes.windows(6).any(|window| window == b"-BEGIN" || window == b"--END ")
}

/// A line that begins like a boundary and is none would hide its whole block.
pub(super) fn broken_armour(bytes: &[u8]) -> Result<(), (Option<usize>, String)> {
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        let sound =
            (line.starts_with(b"-----BEGIN ") || line.starts_with(b"-----END ")) && line.ends_with(b"-----");
        let meant = line.starts_with(b"--")
            || line.windows(6).any(|window| window == b"-BEGIN" || window == b"--END ");
        if meant && !sound {
            return Err((Some(index + 1), "broken BEGIN or END line".to_owned()));
        }
    }
    Ok(())
}

/// An error and its causes in one line.
pub(crate) struct Causes<'a>(pub(crate) &'a dyn std::error::Error);

impl std::fmt::Display for Causes<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(formatter, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// The line a PEM error names.
pub(super) const fn line_of(error: &ParseError) -> Option<usize> {
    if let ParseError::Pem { line, .. } = error { Some(*line) } else { None }
}
