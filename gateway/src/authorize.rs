//! The step that decides whether this principal may ask for this: only it makes a [`Permitted`].

use policies::{Denial, Permit, Principal, RequestRules};

use crate::request::Inbound;

/// Something the request rules permitted, with the rule that did.
#[derive(Debug)]
pub struct Permitted<T> {
    inner: T,
    permit: Permit,
}

impl<T> Permitted<T> {
    /// The rule that permitted it, and in `observe` mode the denial it waived.
    #[must_use]
    pub const fn permit(&self) -> &Permit {
        &self.permit
    }

    pub(crate) fn into_inner(self) -> T {
        self.inner
    }
}

/// Asks `rules` whether `principal` may have what `inbound` asks for.
///
/// # Errors
///
/// The denial of the first rule that matches, or of none.
pub fn authorize<B>(
    inbound: Inbound<B>,
    principal: &Principal,
    rules: &RequestRules,
) -> Result<Permitted<Inbound<B>>, Denial> {
    let permit = rules.authorize(principal, &inbound.facts())?;
    Ok(Permitted { inner: inbound, permit })
}
