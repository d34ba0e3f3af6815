//! Certificate policies (RFC 5280 §4.2.1.4, 4.2.1.5, 4.2.1.11, 4.2.1.14).

use crate::der::{self, Reader, tag};
use crate::extension::Extension;
use crate::oid::{self, Oid};

/// What the four policy extensions of a certificate say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PolicyFacts {
    /// Without the extension `None`.
    pub(crate) policies: Option<Box<[Oid]>>,
    /// Pairs of issuer's and subject's policy.
    pub(crate) mappings: Box<[(Oid, Oid)]>,
    pub(crate) require_explicit: Option<u32>,
    pub(crate) inhibit_mapping: Option<u32>,
    pub(crate) inhibit_any: Option<u32>,
}

impl PolicyFacts {
    /// Reads a policy extension. `false` when it is none.
    pub(crate) fn read(&mut self, extension: &Extension) -> der::Result<bool> {
        let mut outer = Reader::new(&extension.value);
        match extension.oid {
            oid::CERTIFICATE_POLICIES => self.policies = Some(read_policies(&mut outer)?),
            oid::POLICY_MAPPINGS => self.mappings = read_mappings(&mut outer)?,
            oid::POLICY_CONSTRAINTS => {
                let mut fields = outer.sequence("policy constraints")?;
                if fields.is_empty() {
                    return fields.fail(der::DerProblem::Invalid("empty policy constraints"));
                }
                let mut count = |number| match fields.optional(tag::context(number))? {
                    Some(element) => der::small_integer(&element).map(Some),
                    None => Ok(None),
                };
                self.require_explicit = count(0)?;
                self.inhibit_mapping = count(1)?;
                fields.finish()?;
            }
            oid::INHIBIT_ANY_POLICY => self.inhibit_any = Some(outer.small_integer("inhibitAnyPolicy")?),
            _ => return Ok(false),
        }
        outer.finish().map(|()| true)
    }
}

fn read_policies(outer: &mut Reader<'_>) -> der::Result<Box<[Oid]>> {
    let mut reader = outer.sequence("certificate policies")?;
    let mut policies = Vec::new();
    if reader.is_empty() {
        return reader.fail(der::DerProblem::Invalid("empty list of policies"));
    }
    while !reader.is_empty() {
        let mut fields = reader.sequence("a policy")?;
        let identifier = fields.expect(tag::OBJECT_IDENTIFIER, "a policy")?;
        let policy = Oid::from_element(&identifier)?;
        if policies.contains(&policy) {
            return identifier.invalid("repeated policy");
        }
        policies.push(policy);
        if !fields.is_empty() {
            fields.expect(tag::SEQUENCE, "policy qualifiers")?;
        }
        fields.finish()?;
    }
    Ok(policies.into())
}

fn read_mappings(outer: &mut Reader<'_>) -> der::Result<Box<[(Oid, Oid)]>> {
    let mut reader = outer.sequence("policy mappings")?;
    let mut mappings = Vec::new();
    if reader.is_empty() {
        return reader.fail(der::DerProblem::Invalid("empty list of mappings"));
    }
    while !reader.is_empty() {
        let mut pair = reader.sequence("a mapping")?;
        let issuer = Oid::from_element(&pair.expect(tag::OBJECT_IDENTIFIER, "a policy")?)?;
        let subject = Oid::from_element(&pair.expect(tag::OBJECT_IDENTIFIER, "a policy")?)?;
        pair.finish()?;
        mappings.push((issuer, subject));
    }
    Ok(mappings.into())
}
