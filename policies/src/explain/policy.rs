//! What a policy says, in lines for a person.

use crate::identity::IdentityProfile;
use crate::requests::{Effect, Mode, RequestRules, UserAgentRule};
use crate::tls::TlsRules;

/// What request rules say.
pub fn request_rules(rules: &RequestRules) -> Vec<String> {
    let mode = match rules.mode() {
        Mode::Enforce => "denied requests are refused",
        Mode::Observe => {
            "denied requests of devices and operators are let through and recorded (observe mode)"
        }
    };
    let user_agent = match rules.user_agent() {
        UserAgentRule::Ignored => "the User-Agent is not looked at",
        UserAgentRule::MustNotContradict => {
            "the User-Agent must not name another device than the certificate"
        }
        UserAgentRule::MustAgree => "the User-Agent must name the device of the certificate",
    };
    let mut lines = vec![format!("request rules {}: {mode}; {user_agent}", rules.name())];
    for (index, rule) in rules.rules().iter().enumerate() {
        let effect = match rule.effect {
            Effect::Allow => "allows",
            Effect::Deny => "denies",
        };
        let roles: Vec<_> = rule.roles.iter().map(|role| role.as_str()).collect();
        lines.push(format!(
            "{}. \"{}\" {effect} {} for {}:",
            index + 1,
            rule.name.escape_debug(),
            rule.methods.list(),
            roles.join(", ")
        ));
        lines.extend(rule.templates.iter().map(|template| format!("   {}", template.text())));
    }
    lines.push(format!("{}. everything else is denied", rules.len() + 1));
    lines
}

/// What a TLS policy says.
pub fn tls_rules(rules: &TlsRules) -> Vec<String> {
    let list =
        |what: &str, names: Vec<String>| std::iter::once(format!("{what}:")).chain(names).collect::<Vec<_>>();
    let indented = |name: std::borrow::Cow<'static, str>| format!("  {name}");
    let engines =
        if rules.needs_legacy_engine() { "modern and legacy engine" } else { "modern engine alone" };
    let versions: Vec<_> = rules.versions().iter().map(|version| version.name()).collect();
    let mut lines = vec![format!("TLS policy {}: {} ({engines})", rules.name(), versions.join(", "))];
    lines.extend(list(
        "cipher suites, the preferred first",
        rules.suites().iter().map(|s| indented(s.name())).collect(),
    ));
    lines.extend(list("groups", rules.groups().iter().map(|g| indented(g.name())).collect()));
    lines.extend(list(
        "signature algorithms",
        rules.signature_algorithms().iter().map(|s| indented(s.name())).collect(),
    ));
    if rules.suites().iter().any(|suite| suite.uses_dhe()) {
        lines.push(format!("Diffie-Hellman: {} bits", rules.dh_bits()));
    }
    lines
}

/// What an identity profile says.
pub fn identity_profile(profile: &IdentityProfile) -> Vec<String> {
    let mut lines = vec![format!("identity profile {}: {}", profile.name(), profile.description())];
    lines.extend(profile.steps());
    lines
}
