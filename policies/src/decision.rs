//! What a judgement gives: a permit, or a denial with its reason.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::reason::Reason;

/// A request may be forwarded.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Permit {
    /// The name of the rule that decided.
    pub rule: Arc<str>,
    /// In `observe` mode: the denial that would have been.
    pub waived: Option<Denial>,
}

/// A refusal. It is a decision, not a malfunction.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Denial {
    /// The stable reason.
    pub reason: Reason,
    /// The name of the rule that decided, where one did.
    pub rule: Option<Arc<str>>,
    /// What exactly, for the audit record: lower case, no full stop. May hold text from a certificate or a request.
    pub detail: Cow<'static, str>,
}

impl Denial {
    /// A denial that no rule made.
    pub fn new(reason: Reason, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { reason, rule: None, detail: detail.into() }
    }

    /// The same, made by the rule of that name.
    #[must_use]
    pub fn by_rule(mut self, rule: Arc<str>) -> Self {
        self.rule = Some(rule);
        self
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.detail)
    }
}

impl std::error::Error for Denial {}
