//! Where a certificate says that its revocation list, its issuer and an OCSP responder are found (RFC 5280 §4.2.1.13,
//! §4.2.2.1; CA F4, F5).

use der::asn1::{Ia5String, ObjectIdentifier};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::crl::dp::DistributionPoint;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::ext::pkix::{AccessDescription, AuthorityInfoAccessSyntax, CrlDistributionPoints};

use super::extension;

/// What a certificate says. All are http URIs: fetching over TLS would need a certificate checked first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pointers {
    /// Its revocation list; the same URI stands in that list.
    pub(crate) list: Option<String>,
    /// Its issuer's certificate, DER.
    pub(crate) issuer: Option<String>,
    /// The OCSP responder.
    pub(crate) ocsp: Option<String>,
}

impl Pointers {
    /// The extensions that say it; none when there is nothing to say.
    pub(crate) fn extensions(&self) -> der::Result<Vec<Extension>> {
        let mut extensions = Vec::new();
        if let Some(uri) = &self.list {
            // One point with one name: some verifiers look no further than the first (CA F4).
            let point = DistributionPoint {
                distribution_point: Some(full_name(uri)?),
                reasons: None,
                crl_issuer: None,
            };
            extensions.push(extension(CRL_DISTRIBUTION_POINTS, false, &CrlDistributionPoints(vec![point]))?);
        }
        let mut access = Vec::new();
        for (method, uri) in [(OCSP, &self.ocsp), (CA_ISSUERS, &self.issuer)] {
            if let Some(uri) = uri {
                access.push(AccessDescription { access_method: method, access_location: name(uri)? });
            }
        }
        if !access.is_empty() {
            extensions.push(extension(
                AUTHORITY_INFORMATION_ACCESS,
                false,
                &AuthorityInfoAccessSyntax(access),
            )?);
        }
        Ok(extensions)
    }
}

fn name(uri: &str) -> der::Result<GeneralName> {
    Ok(GeneralName::UniformResourceIdentifier(Ia5String::new(uri)?))
}

/// The name of a distribution point: one URI.
pub(crate) fn full_name(uri: &str) -> der::Result<DistributionPointName> {
    Ok(DistributionPointName::FullName(vec![name(uri)?]))
}

const CRL_DISTRIBUTION_POINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.31");
const AUTHORITY_INFORMATION_ACCESS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.1");
const OCSP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1");
const CA_ISSUERS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.2");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f4_f5_nothing_configured_writes_nothing_and_each_pointer_stands_in_its_place() {
        assert!(Pointers::default().extensions().unwrap().is_empty());
        let all = Pointers {
            list: Some("http://pki.example.com/crl/client-root.1.crl".to_owned()),
            issuer: Some("http://pki.example.com/ca/client-root.der".to_owned()),
            ocsp: Some("http://pki.example.com/ocsp".to_owned()),
        };
        let written = all.extensions().unwrap();
        let oids: Vec<_> = written.iter().map(|one| (one.extn_id.to_string(), one.critical)).collect();
        assert_eq!(oids, [("2.5.29.31".to_owned(), false), ("1.3.6.1.5.5.7.1.1".to_owned(), false)]);
        let without_ocsp = Pointers { ocsp: None, ..all };
        let written = without_ocsp.extensions().unwrap();
        assert!(!written[1].extn_value.as_bytes().windows(4).any(|part| part == b"ocsp"));
    }

    #[test]
    fn a_uri_that_is_not_ascii_is_an_error() {
        let pointers =
            Pointers { list: Some("http://blåbær.example/1.crl".to_owned()), ..Pointers::default() };
        assert!(pointers.extensions().is_err());
    }
}
