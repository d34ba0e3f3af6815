//! The passphrase of the authorities' keys: asked for, read from a file or a named variable, never from the command line.

use std::fmt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// The fewest characters a new passphrase may have.
const SHORTEST: usize = 8;

/// A secret that does not print and is wiped when dropped (CA H2).
#[derive(Clone, PartialEq, Eq)]
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Takes `text` as it is.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(hidden)")
    }
}

/// Where a passphrase comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PassphraseSource {
    /// The variable of this name in the environment.
    Environment(String),
    /// The first line of this file.
    File(PathBuf),
    /// The person at the terminal.
    Prompt,
}

/// Which keys a new passphrase is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The authorities', which stay here.
    Authorities,
    /// Those of servers and phones, which go elsewhere.
    Leaves,
}

impl Whose {
    fn prompt(self) -> &'static str {
        match self {
            Self::Authorities => "New passphrase of the authorities' keys: ",
            Self::Leaves => "New passphrase of the certificates' keys: ",
        }
    }
}

/// No passphrase could be had.
#[derive(Debug, thiserror::Error)]
pub enum PassphraseError {
    /// The two entries at the prompt differ.
    #[error("the two passphrases differ")]
    Mismatch,
    /// One passphrase for the authorities' keys and for keys that leave this machine.
    #[error("this passphrase opens the authorities' keys; keys that leave this machine need another one")]
    Shared,
    /// There is no terminal to ask at.
    #[error("a passphrase is needed, and there is no terminal to ask for it")]
    NoTerminal,
    /// A new passphrase is too short.
    #[error("the passphrase has {length} characters, at least {SHORTEST} are needed")]
    TooShort {
        /// How many it has.
        length: usize,
    },
    /// The file cannot be read.
    #[error("cannot read the passphrase file {}", path.display())]
    UnreadableFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The variable is not set.
    #[error("the environment variable {name} is not set or not text")]
    VariableUnset {
        /// Its name.
        name: String,
    },
}

impl PassphraseSource {
    /// The passphrase of existing keys.
    pub fn existing(&self) -> Result<Passphrase, PassphraseError> {
        match self {
            Self::Environment(name) => from_environment(name),
            Self::File(path) => from_file(path),
            Self::Prompt => ask("Passphrase of the authorities' keys: "),
        }
    }

    /// The passphrase of a key that was made elsewhere.
    pub(crate) fn of_key(&self, key: &Path) -> Result<Passphrase, PassphraseError> {
        match self {
            Self::Environment(name) => from_environment(name),
            Self::File(path) => from_file(path),
            Self::Prompt => ask(&format!("Passphrase of {}: ", key.display())),
        }
    }

    /// The file if there is one, else the variable, else the terminal.
    pub(crate) fn of(file: Option<&Path>, variable: Option<&str>) -> Self {
        match (file, variable) {
            (Some(path), _) => Self::File(path.to_owned()),
            (None, Some(name)) => Self::Environment(name.to_owned()),
            (None, None) => Self::Prompt,
        }
    }

    /// A passphrase for new keys: at a prompt asked for twice, everywhere held to a least length.
    pub fn fresh(&self, whose: Whose) -> Result<Passphrase, PassphraseError> {
        let passphrase = match self {
            Self::Environment(name) => from_environment(name)?,
            Self::File(path) => from_file(path)?,
            Self::Prompt => {
                let first = ask(whose.prompt())?;
                let second = ask("The same once more: ")?;
                if *first.0 != *second.0 {
                    return Err(PassphraseError::Mismatch);
                }
                first
            }
        };
        let length = passphrase.0.chars().count();
        if length < SHORTEST {
            return Err(PassphraseError::TooShort { length });
        }
        Ok(passphrase)
    }
}

fn from_environment(name: &str) -> Result<Passphrase, PassphraseError> {
    std::env::var(name)
        .map(Passphrase::new)
        .map_err(|_absent| PassphraseError::VariableUnset { name: name.to_owned() })
}

fn from_file(path: &Path) -> Result<Passphrase, PassphraseError> {
    let text = std::fs::read_to_string(path)
        .map(Zeroizing::new)
        .map_err(|source| PassphraseError::UnreadableFile { path: path.to_owned(), source })?;
    Ok(Passphrase::new(text.lines().next().unwrap_or_default()))
}

fn ask(prompt: &str) -> Result<Passphrase, PassphraseError> {
    rpassword::prompt_password(prompt)
        .map(Passphrase::new)
        .map_err(|_no_terminal| PassphraseError::NoTerminal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h2_a_passphrase_does_not_print() {
        assert_eq!(format!("{:?}", Passphrase::new("correct horse")), "Passphrase(hidden)");
    }

    #[test]
    fn reads_only_the_first_line_of_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file.as_file(), b"correct horse\r\nsecond\n").unwrap();
        let source = PassphraseSource::File(file.path().to_owned());
        assert_eq!(source.fresh(Whose::Authorities).unwrap().as_bytes(), b"correct horse");
    }

    #[test]
    fn refuses_a_new_passphrase_of_seven_characters() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file.as_file(), b"1234567\n").unwrap();
        let source = PassphraseSource::File(file.path().to_owned());
        assert!(matches!(source.fresh(Whose::Authorities), Err(PassphraseError::TooShort { length: 7 })));
        assert!(source.existing().is_ok(), "an existing key may have any passphrase");
    }
}
