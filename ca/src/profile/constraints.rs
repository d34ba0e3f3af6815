//! What names an authority may sign (RFC 5280 §4.2.1.10; CA C5).

use der::asn1::{Ia5String, ObjectIdentifier, OctetString};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::constraints::name::{GeneralSubtree, NameConstraints};
use x509_cert::ext::pkix::name::GeneralName;

use super::extension;
use crate::server_name::ServerName;

/// The extension's identifier.
pub(crate) const NAME_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.30");

/// Octets of an address with its mask, of the two versions: all noughts is every address there is.
const ALL_ADDRESSES: [usize; 2] = [8, 32];

/// Hosts of these domains alone, and no addresses: what is not constrained would be allowed.
pub(crate) fn name_constraints(permitted: &[ServerName]) -> der::Result<Extension> {
    let subtree = |base| GeneralSubtree { base, minimum: 0, maximum: None };
    let domains = permitted
        .iter()
        .map(|name| Ok(subtree(GeneralName::DnsName(Ia5String::new(&name.to_string())?))))
        .collect::<der::Result<Vec<_>>>()?;
    let addresses = ALL_ADDRESSES
        .iter()
        .map(|length| Ok(subtree(GeneralName::IpAddress(OctetString::new(vec![0; *length])?))))
        .collect::<der::Result<Vec<_>>>()?;
    let constraints =
        NameConstraints { permitted_subtrees: Some(domains), excluded_subtrees: Some(addresses) };
    extension(NAME_CONSTRAINTS, true, &constraints)
}
