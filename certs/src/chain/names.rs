//! Name constraints (RFC 5280 §4.2.1.10).

use crate::der::{self, Element, Reader, tag};
use crate::general_name::GeneralName;

/// The subtrees that a certificate authority may, and may not, name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NameConstraints {
    permitted: Box<[GeneralName]>,
    excluded: Box<[GeneralName]>,
}

impl NameConstraints {
    pub(crate) fn parse(value: &[u8]) -> der::Result<Self> {
        let mut outer = Reader::new(value);
        let mut fields = outer.sequence("name constraints")?;
        outer.finish()?;
        if fields.is_empty() {
            return fields.fail(der::DerProblem::Invalid("empty name constraints"));
        }
        let permitted = fields.optional(tag::context_constructed(0))?;
        let excluded = fields.optional(tag::context_constructed(1))?;
        fields.finish()?;
        Ok(Self { permitted: read_subtrees(permitted)?, excluded: read_subtrees(excluded)? })
    }
}

/// Subtrees with the only distances that RFC 5280 allows: from 0, without end.
fn read_subtrees(outer: Option<Element<'_>>) -> der::Result<Box<[GeneralName]>> {
    let Some(outer) = outer else { return Ok(Box::default()) };
    let mut reader = outer.reader();
    let mut subtrees = Vec::new();
    if reader.is_empty() {
        return outer.invalid("empty list of subtrees");
    }
    while !reader.is_empty() {
        let mut fields = reader.sequence("a subtree")?;
        let base = fields.any()?;
        fields.finish()?;
        subtrees.push(GeneralName::from_element(&base)?);
    }
    Ok(subtrees.into())
}
