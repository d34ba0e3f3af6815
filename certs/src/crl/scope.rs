//! Which certificates a list covers (RFC 5280 §5.2.5).

use super::Unusable;
use crate::certificate::Certificate;
use crate::der::{self, Reader, tag};
use crate::extension::DistributionPointName;
use crate::general_name::GeneralName;
use crate::name::DistinguishedName;

/// The issuingDistributionPoint of a list; without one it covers everything its issuer issued.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Scope {
    point: Option<DistributionPointName>,
    only_user: bool,
    only_ca: bool,
}

impl Scope {
    /// Reads the extension, and says when the product cannot rely on a list of this kind.
    pub(super) fn parse(value: &[u8]) -> der::Result<(Self, Option<Unusable>)> {
        let mut outer = Reader::new(value);
        let mut fields = outer.sequence("an issuing distribution point")?;
        outer.finish()?;
        let point = match fields.optional(tag::context_constructed(0))? {
            Some(name) => Some(DistributionPointName::read(&name)?),
            None => None,
        };
        let flag = |number, fields: &mut Reader<'_>| {
            fields.optional(tag::context(number))?.map_or(Ok(false), |element| Reader::boolean(&element))
        };
        let only_user = flag(1, &mut fields)?;
        let only_ca = flag(2, &mut fields)?;
        let some_reasons = fields.optional(tag::context(3))?.is_some();
        let indirect = flag(4, &mut fields)?;
        let only_attribute = flag(5, &mut fields)?;
        fields.finish()?;
        let unusable = if indirect {
            Some(Unusable::Indirect)
        } else if some_reasons {
            Some(Unusable::SomeReasons)
        } else if only_attribute {
            Some(Unusable::AttributeCertificates)
        } else {
            (only_user && only_ca).then_some(Unusable::ContradictoryScope)
        };
        Ok((Self { point, only_user, only_ca }, unusable))
    }

    pub(super) fn point(&self) -> Option<&DistributionPointName> {
        self.point.as_ref()
    }

    /// Whether a certificate of the list's issuer falls within the list (RFC 5280 §6.3.3 b).
    pub(crate) fn covers(&self, certificate: &Certificate, issuer: &DistinguishedName) -> bool {
        let is_authority = certificate.basic_constraints().is_some_and(|constraints| constraints.ca);
        if (self.only_user && is_authority) || (self.only_ca && !is_authority) {
            return false;
        }
        let Some(point) = &self.point else { return true };
        let own = point.names(issuer);
        let points = certificate.crl_distribution_points();
        if points.is_empty() {
            // RFC 5280 §6.3.3: without the extension, the issuer's name stands for the distribution point.
            return own
                .iter()
                .any(|name| matches!(name, GeneralName::Directory(name) if name.equals(issuer)));
        }
        points.iter().filter(|point| !point.only_some_reasons && point.crl_issuer.is_empty()).any(|point| {
            let names = point.name.as_ref().map(|name| name.names(issuer)).unwrap_or_default();
            names.iter().any(|name| own.iter().any(|other| same_name(name, other)))
        })
    }
}

fn same_name(left: &GeneralName, right: &GeneralName) -> bool {
    match (left, right) {
        (GeneralName::Directory(left), GeneralName::Directory(right)) => left.equals(right),
        (left, right) => left == right,
    }
}
