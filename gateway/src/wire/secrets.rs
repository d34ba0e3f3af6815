//! The secrets of one connection, as a TLS library hands them to a key log: kept in memory, never written (SEC-65).

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use zeroize::Zeroizing;

/// More than any connection has; a key log that goes on for ever keeps no more.
const MOST: usize = 64;

/// Takes a library's secrets and gives them to the decoder. Wiped when it goes, or is [cleared](Self::clear).
#[derive(Default)]
pub struct Secrets(Mutex<HashMap<String, Zeroizing<Vec<u8>>>>);

impl Secrets {
    /// The secret under this label of the key log format (RFC 9850).
    #[must_use]
    pub fn find(&self, label: &str) -> Option<Zeroizing<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(label).cloned()
    }

    /// Forgets them, before the next connection.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secrets(..)")
    }
}

impl rustls::KeyLog for Secrets {
    fn log(&self, label: &str, _client_random: &[u8], secret: &[u8]) {
        let mut secrets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if secrets.len() < MOST {
            secrets.insert(label.to_owned(), Zeroizing::new(secret.to_vec()));
        }
    }
}

#[cfg(test)]
mod tests {
    use rustls::KeyLog as _;

    use super::*;

    #[test]
    fn sec_65_secrets_are_shown_to_nobody_and_forgotten_when_told() {
        let secrets = Secrets::default();
        secrets.log("CLIENT_RANDOM", &[1; 32], &[0xab; 48]);
        assert_eq!(secrets.find("CLIENT_RANDOM").unwrap().as_slice(), [0xab; 48]);
        assert_eq!(format!("{secrets:?}"), "Secrets(..)");
        secrets.clear();
        assert!(secrets.find("CLIENT_RANDOM").is_none());
    }
}
