//! Sets of HTTP methods.

/// The methods a rule may name. Methods are case-sensitive (RFC 9110 §9.1).
pub(super) const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];

/// A set of methods, one bit each in the order of [`KNOWN`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Methods(u8);

impl Methods {
    /// Adds a method; whether it is known and new.
    pub(super) fn insert(&mut self, method: &str) -> Result<(), InsertError> {
        let bit = bit(method).ok_or(InsertError::Unknown)?;
        if self.0 & bit != 0 {
            return Err(InsertError::Repeated);
        }
        self.0 |= bit;
        Ok(())
    }

    /// Whether the set has the method. An unknown method is in no set.
    pub(crate) fn contains(self, method: &str) -> bool {
        bit(method).is_some_and(|bit| self.0 & bit != 0)
    }

    /// The methods of the set, for people.
    pub(crate) fn list(self) -> String {
        let names: Vec<_> = KNOWN.into_iter().filter(|method| self.contains(method)).collect();
        names.join(", ")
    }
}

/// Why a method was not added.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum InsertError {
    Repeated,
    Unknown,
}

fn bit(method: &str) -> Option<u8> {
    KNOWN.iter().position(|known| *known == method).map(|index| 1 << index)
}
