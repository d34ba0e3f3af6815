//! Which certificates are meant: `model=CP-88* expires<90d status=valid`.
//!
//! A selector is read once into [`Condition`]s, all of which must hold; the store turns them into SQL with the values kept apart
//! from it. A word alone names one thing: a MAC address, a device serial number, a host name, a certificate serial number or a
//! fingerprint, in any usual spelling.

mod parse;

pub(crate) use parse::span;

use certs::Timestamp;

use crate::store::{Kind, RevocationReason};

/// What a selector is made of, for help texts and error messages.
pub(crate) const KEYS: &str = "model, mac, serial, name, kind, status, reason, issuer, fingerprint, latest, expires, starts, issued, revoked";

/// Conditions, all of which must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selector {
    pub(crate) conditions: Vec<Condition>,
}

/// A term, or that it does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    pub(crate) negated: bool,
    pub(crate) term: Term,
}

/// What can be asked of a certificate. Where there are several values, one of them must fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Term {
    /// SHA-256 of the certificate.
    Fingerprint(Vec<[u8; 32]>),
    /// The name of the authority that signed.
    Issuer(Vec<Pattern>),
    Kind(Vec<Kind>),
    /// Whether none was issued to the same name since.
    Latest,
    /// A device's MAC address: twelve lower-case digits, or how they begin and end.
    Mac(Vec<Pattern>),
    Model(Vec<Pattern>),
    /// Host name, MAC address, `ciscogeneric`, an authority's name.
    Name(Vec<Pattern>),
    Reason(Vec<RevocationReason>),
    /// A certificate's serial number or a device's.
    Serial(Vec<SerialPattern>),
    Status(Vec<Status>),
    /// A date before, or after, a time.
    Time(DateField, Order, Timestamp),
    /// A word without a key.
    Word(Word),
}

/// Text with `*` for anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern(pub(crate) String);

impl Pattern {
    /// What it is when nothing is left open.
    pub(crate) fn exact(&self) -> Option<&str> {
        (!self.0.contains('*')).then_some(self.0.as_str())
    }

    /// How it begins, when only its end is open.
    pub(crate) fn prefix(&self) -> Option<&str> {
        self.0.strip_suffix('*').filter(|prefix| !prefix.contains('*'))
    }
}

/// A serial number as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SerialPattern {
    /// As a device's.
    pub(crate) device: Pattern,
    /// As a certificate's, content octets.
    pub(crate) certificate: Option<Vec<u8>>,
}

/// What a word alone may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) text: String,
    pub(crate) mac: Option<String>,
    pub(crate) serial: Option<Vec<u8>>,
    pub(crate) fingerprint: Option<[u8; 32]>,
}

/// Which date of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DateField {
    Expires,
    Issued,
    Revoked,
    Starts,
}

/// Which side of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    AtOrAfter,
    AtOrBefore,
}

/// What became of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Abandoned,
    Expired,
    /// Revoked for the time being (`certificateHold`).
    Held,
    Revoked,
    Valid,
}

/// A selector that says nothing that can be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// A quotation mark without its other one.
    #[error("a quotation mark is missing in {term:?}")]
    Quotation {
        /// The argument.
        term: String,
    },
    /// Nothing is said at all.
    #[error("which certificates? a selector is needed")]
    Empty,
    /// There is no such key.
    #[error("there is no key {key:?}; the keys are {KEYS}")]
    Key {
        /// What was written.
        key: String,
    },
    /// The key does not go with this sign.
    #[error("{key} cannot be compared with {sign:?}: {expected}")]
    Sign {
        /// The key.
        key: String,
        /// The sign between key and value.
        sign: String,
        /// What goes.
        expected: &'static str,
    },
    /// The value makes no sense.
    #[error("{key} cannot be {value:?}: {expected}")]
    Value {
        /// The key.
        key: String,
        /// What was written.
        value: String,
        /// What goes.
        expected: String,
    },
}

impl SelectorError {
    /// What the operator can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Empty
            | Self::Key { .. }
            | Self::Quotation { .. }
            | Self::Sign { .. }
            | Self::Value { .. } => {
                "for example: model=CP-88* status=valid \"expires<90d\"; or a MAC address or serial number alone"
            }
        }
    }
}

impl Selector {
    /// Reads a selector, given in one argument or several. `now` is what days are counted from.
    ///
    /// # Errors
    /// An unknown key, or a value that does not go with its key.
    pub fn parse<S: AsRef<str>>(arguments: &[S], now: Timestamp) -> Result<Self, SelectorError> {
        parse::selector(arguments, now)
    }

    /// The same for one that must not be left out.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), and when it is empty.
    pub fn parse_some<S: AsRef<str>>(arguments: &[S], now: Timestamp) -> Result<Self, SelectorError> {
        let selector = Self::parse(arguments, now)?;
        if selector.conditions.is_empty() { Err(SelectorError::Empty) } else { Ok(selector) }
    }

    /// The word, when it is one word and nothing else.
    pub(crate) fn word(&self) -> Option<&str> {
        match self.conditions.as_slice() {
            [Condition { negated: false, term: Term::Word(word) }] => Some(&word.text),
            _ => None,
        }
    }

    /// The fingerprint, when it is one and nothing else.
    pub(crate) fn fingerprint(&self) -> Option<[u8; 32]> {
        match self.conditions.as_slice() {
            [Condition { negated: false, term: Term::Word(word) }] => word.fingerprint,
            _ => None,
        }
    }

    /// With one more condition.
    #[must_use]
    pub(crate) fn and(mut self, term: Term) -> Self {
        self.conditions.push(Condition { negated: false, term });
        self
    }

    /// With one more condition, unless the selector says something about the same already.
    #[must_use]
    pub(crate) fn and_by_default(self, term: Term) -> Self {
        let speaks =
            |condition: &Condition| std::mem::discriminant(&condition.term) == std::mem::discriminant(&term);
        if self.conditions.iter().any(speaks) { self } else { self.and(term) }
    }

    /// Only what devices and servers have, unless the selector asks for authorities.
    #[must_use]
    pub(crate) fn leaves(self) -> Self {
        self.and_by_default(Term::Kind(vec![Kind::Device, Kind::Generic, Kind::Server]))
    }
}
