//! What can be wrong with bytes that should be a certificate, request, CRL or key.

use crate::der::DerError;
use crate::oid::Oid;

/// Why bytes are not the object they were offered as. No input panics.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// The signature algorithm inside the signed part is not the one outside it (RFC 5280 §4.1.1.2).
    #[error("the {what} names two different signature algorithms")]
    AlgorithmMismatch {
        /// What was being read.
        what: &'static str,
    },
    /// Not DER, or not of the right structure.
    #[error("malformed {what}")]
    Der {
        /// What was being read.
        what: &'static str,
        /// Where it broke, and how.
        #[source]
        source: DerError,
    },
    /// An extension stands twice (RFC 5280 §4.2).
    #[error("extension {oid} is repeated")]
    DuplicateExtension {
        /// The extension.
        oid: Oid,
    },
    /// Extensions in a certificate that is not of version 3.
    #[error("extensions in a version {version} certificate")]
    ExtensionsInOldVersion {
        /// 1 or 2.
        version: u8,
    },
    /// The PEM armour is broken.
    #[error("line {line}: {problem}")]
    Pem {
        /// Counted from 1.
        line: usize,
        /// What was found.
        problem: &'static str,
    },
    /// A certification request whose signature does not verify with its own key (RFC 2986 §4.2).
    #[error("proof of possession failed: the request is not signed by the key it holds")]
    ProofOfPossession,
    /// More bytes than any honest object has.
    #[error("{what} of {size} bytes, more than the {limit} allowed")]
    TooLarge {
        /// What was being read.
        what: &'static str,
        /// Bytes offered.
        size: usize,
        /// Most bytes allowed.
        limit: usize,
    },
    /// A signature or key algorithm that the product does not verify.
    #[error("unsupported algorithm {oid}")]
    UnsupportedAlgorithm {
        /// The algorithm.
        oid: Oid,
    },
    /// A version number that no standard defines for this object.
    #[error("unsupported {what} version {version}")]
    UnsupportedVersion {
        /// What was being read.
        what: &'static str,
        /// The number as encoded, from 0.
        version: u32,
    },
    /// A text with another number of blocks of this kind than one.
    #[error("expected one {label} block, found {found}")]
    WrongBlockCount {
        /// The PEM label.
        label: &'static str,
        /// How many there are.
        found: usize,
    },
    /// A PEM block of another kind.
    #[error("line {line}: expected a {expected} block, found {found}")]
    WrongLabel {
        /// Counted from 1.
        line: usize,
        /// The label that was needed.
        expected: &'static str,
        /// The label that was found.
        found: String,
    },
}

impl ParseError {
    /// Names what was being read when DER broke.
    pub(crate) fn der(what: &'static str) -> impl Fn(DerError) -> Self + Copy {
        move |source| Self::Der { what, source }
    }
}
