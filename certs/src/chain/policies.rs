//! Certificate policies (RFC 5280 §4.2.1.4, 4.2.1.5, 4.2.1.11, 4.2.1.14).

use crate::der::{self, Reader, tag};
use crate::extension::Extension;
use crate::oid::{self, Oid};

/// Most policies and mappings of a certificate: comparing them takes time that grows with the square.
const MAX_POLICIES: usize = 256;

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
        if policies.len() == MAX_POLICIES {
            return identifier.invalid("list of very many policies");
        }
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
        if mappings.len() == MAX_POLICIES {
            return reader.fail(der::DerProblem::Invalid("list of very many mappings"));
        }
        let mut pair = reader.sequence("a mapping")?;
        let issuer = Oid::from_element(&pair.expect(tag::OBJECT_IDENTIFIER, "a policy")?)?;
        let subject = Oid::from_element(&pair.expect(tag::OBJECT_IDENTIFIER, "a policy")?)?;
        pair.finish()?;
        mappings.push((issuer, subject));
    }
    Ok(mappings.into())
}

/// The policy state of a path that is walked from the anchor down (RFC 5280 §6.1).
///
/// Only the lowest level of the policy tree is kept: nobody asks for its paths, only whether it is empty, and so it
/// cannot grow exponentially (RFC 9618).
#[derive(Debug)]
pub(super) struct PolicyState {
    /// Valid policies with the policies expected of the next certificate. `None` is the empty tree.
    level: Option<Vec<Node>>,
    explicit: usize,
    mapping: usize,
    any: usize,
}

#[derive(Debug, Clone)]
struct Node {
    valid: Oid,
    expected: Vec<Oid>,
}

/// No acceptable policy is left, and one is required.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoPolicy;

impl PolicyState {
    /// Any policy is acceptable, and none is required, for a path of so many certificates below the anchor.
    pub(super) fn new(certificates: usize) -> Self {
        let count = certificates + 1;
        let any = Node { valid: oid::ANY_POLICY, expected: vec![oid::ANY_POLICY] };
        Self { level: Some(vec![any]), explicit: count, mapping: count, any: count }
    }

    /// Processes one certificate (RFC 5280 §6.1.3 d–f).
    pub(super) fn process(
        &mut self,
        facts: &PolicyFacts,
        self_issued: bool,
        leaf: bool,
    ) -> Result<(), NoPolicy> {
        self.level = match (self.level.take(), &facts.policies) {
            (Some(level), Some(policies)) => {
                let any_allowed = self.any > 0 || (self_issued && !leaf);
                Some(next_level(&level, policies, any_allowed)).filter(|level| !level.is_empty())
            }
            (_, _) => None,
        };
        if self.explicit == 0 && self.level.is_none() { Err(NoPolicy) } else { Ok(()) }
    }

    /// Prepares for the certificate below (RFC 5280 §6.1.4 a, b, h–j).
    pub(super) fn prepare(&mut self, facts: &PolicyFacts, self_issued: bool) -> Result<(), NoPolicy> {
        let names_any = |(issuer, subject): &(Oid, Oid)| [issuer, subject].contains(&&oid::ANY_POLICY);
        if facts.mappings.iter().any(names_any) {
            return Err(NoPolicy);
        }
        if let Some(level) = &mut self.level {
            map_policies(level, &facts.mappings, self.mapping > 0);
        }
        self.level.take_if(|level| level.is_empty());
        if !self_issued {
            for count in [&mut self.explicit, &mut self.mapping, &mut self.any] {
                *count = count.saturating_sub(1);
            }
        }
        lower(&mut self.explicit, facts.require_explicit);
        lower(&mut self.mapping, facts.inhibit_mapping);
        lower(&mut self.any, facts.inhibit_any);
        Ok(())
    }

    /// Wraps up after the leaf (RFC 5280 §6.1.5 a, b, g).
    pub(super) fn finish(mut self, leaf: &PolicyFacts) -> Result<(), NoPolicy> {
        self.explicit = self.explicit.saturating_sub(1);
        if leaf.require_explicit == Some(0) {
            self.explicit = 0;
        }
        if self.explicit == 0 && self.level.is_none() { Err(NoPolicy) } else { Ok(()) }
    }
}

fn lower(count: &mut usize, limit: Option<u32>) {
    if let Some(limit) = limit {
        *count = (*count).min(usize::try_from(limit).unwrap_or(usize::MAX));
    }
}

fn next_level(level: &[Node], policies: &[Oid], any_allowed: bool) -> Vec<Node> {
    let node = |policy: Oid| Node { valid: policy, expected: vec![policy] };
    let expected = |policy: &Oid| level.iter().any(|node| node.expected.contains(policy));
    let any_above = level.iter().any(|node| node.valid == oid::ANY_POLICY);
    let named = policies.iter().filter(|policy| **policy != oid::ANY_POLICY);
    let mut next: Vec<Node> =
        named.filter(|policy| any_above || expected(policy)).map(|policy| node(*policy)).collect();
    if any_allowed && policies.contains(&oid::ANY_POLICY) {
        for policy in level.iter().flat_map(|node| &node.expected) {
            if !next.iter().any(|node| node.valid == *policy) {
                next.push(node(*policy));
            }
        }
    }
    next
}

fn map_policies(level: &mut Vec<Node>, mappings: &[(Oid, Oid)], allowed: bool) {
    if !allowed {
        level.retain(|node| !mappings.iter().any(|(issuer, _)| *issuer == node.valid));
        return;
    }
    for (issuer, _) in mappings {
        let expected =
            || mappings.iter().filter(|(other, _)| other == issuer).map(|(_, subject)| *subject).collect();
        if let Some(node) = level.iter_mut().find(|node| node.valid == *issuer) {
            node.expected = expected();
        } else if level.iter().any(|node| node.valid == oid::ANY_POLICY) {
            level.push(Node { valid: *issuer, expected: expected() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(number: u8) -> Oid {
        Oid::parse(&format!("1.2.{number}")).unwrap()
    }

    fn facts(policies: &[u8]) -> PolicyFacts {
        let policies =
            policies.iter().map(|number| if *number == 0 { oid::ANY_POLICY } else { policy(*number) });
        PolicyFacts { policies: Some(policies.collect()), ..PolicyFacts::default() }
    }

    /// Walks authorities and a leaf, requiring a policy from the first.
    fn walk(authorities: &[PolicyFacts], leaf: &PolicyFacts) -> Result<(), NoPolicy> {
        let mut state = PolicyState::new(authorities.len() + 1);
        state.explicit = 0;
        for facts in authorities {
            state.process(facts, false, false)?;
            state.prepare(facts, false)?;
        }
        state.process(leaf, false, true)?;
        state.finish(leaf)
    }

    #[test]
    fn a_policy_must_stand_in_every_certificate() {
        assert_eq!(walk(&[facts(&[1, 2])], &facts(&[2])), Ok(()));
        assert_eq!(walk(&[facts(&[1])], &facts(&[2])), Err(NoPolicy));
        assert_eq!(walk(&[facts(&[0])], &facts(&[2])), Ok(()), "anyPolicy stands for all");
        assert_eq!(walk(&[facts(&[1])], &facts(&[0])), Ok(()));
        assert_eq!(walk(&[facts(&[1])], &PolicyFacts::default()), Err(NoPolicy));
    }

    #[test]
    fn policies_are_mapped_unless_that_is_inhibited() {
        let mapped = PolicyFacts { mappings: [(policy(1), policy(2))].into(), ..facts(&[1]) };
        assert_eq!(walk(std::slice::from_ref(&mapped), &facts(&[2])), Ok(()));
        assert_eq!(walk(std::slice::from_ref(&mapped), &facts(&[1])), Err(NoPolicy));
        let inhibited = PolicyFacts { inhibit_mapping: Some(0), ..facts(&[1]) };
        assert_eq!(walk(&[inhibited, mapped], &facts(&[2])), Err(NoPolicy));
        let to_any = PolicyFacts { mappings: [(policy(1), oid::ANY_POLICY)].into(), ..facts(&[1]) };
        assert_eq!(walk(&[to_any], &facts(&[1])), Err(NoPolicy));
    }

    #[test]
    fn any_policy_can_be_inhibited() {
        let inhibiting = PolicyFacts { inhibit_any: Some(0), ..facts(&[1]) };
        assert_eq!(walk(std::slice::from_ref(&inhibiting), &facts(&[0])), Err(NoPolicy));
        assert_eq!(walk(&[inhibiting], &facts(&[1])), Ok(()));
    }

    #[test]
    fn without_policies_none_is_required() {
        let mut state = PolicyState::new(1);
        assert_eq!(state.process(&PolicyFacts::default(), false, true), Ok(()));
        assert_eq!(state.finish(&PolicyFacts::default()), Ok(()));
        let mut state = PolicyState::new(1);
        assert_eq!(state.process(&PolicyFacts::default(), false, true), Ok(()));
        let requiring = PolicyFacts { require_explicit: Some(0), ..PolicyFacts::default() };
        assert_eq!(state.finish(&requiring), Err(NoPolicy));
    }
}
