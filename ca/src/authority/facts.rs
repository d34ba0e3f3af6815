//! What the audit log says of a certificate that was issued: enough to make its row anew when the inventory is lost and its
//! file was handed over (CA I8).

use certs::Certificate;
use serde_json::{Value, json};

use super::{Authority, Issuer};
use crate::serial::hex;
use crate::store::{AuthorityId, Intent};

impl Authority {
    pub(super) fn facts_of(&self, intent: &Intent, certificate: &Certificate) -> Value {
        facts(&self.issuers, intent, certificate)
    }
}

/// The same where there are only the authorities.
pub(super) fn facts(issuers: &[Issuer], intent: &Intent, certificate: &Certificate) -> Value {
    let mut facts = json!({
        "kind": intent.kind.as_str(),
        "name": intent.name,
        "serial": hex(&intent.serial),
        "sha256": certificate.fingerprint().to_string(),
        "not_before": intent.validity.not_before.to_string(),
        "not_after": intent.validity.not_after.to_string(),
        "issuer": name_of(issuers, intent.authority),
        "public_key": hex(&intent.public_key),
    });
    for (key, value) in [("product", &intent.product), ("device_serial", &intent.device_serial)] {
        if let Some(value) = value {
            facts[key] = json!(value);
        }
    }
    if let Some(shard) = intent.shard {
        facts["shard"] = json!(shard.0);
    }
    facts
}

fn name_of(issuers: &[Issuer], id: AuthorityId) -> &str {
    issuers.iter().find(|issuer| issuer.id() == id).map(Issuer::name).unwrap_or_default()
}
