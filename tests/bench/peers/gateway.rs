//! The gateway, with everything on.

use std::net::SocketAddr;

use super::{HOST, Work, put};
use crate::error::BenchError;
use crate::server::{Ready, Recipe, Server};
use crate::server_key::Pair;

/// What a phone may have by the rules that come with the gateway; and, in the same folder, what it may report.
const RULES: &str = concat!(
    include_str!("../../../policies/shipped/requests/own-profile.toml"),
    "
[[rule]]
name  = \"report\"
allow = [\"POST\"]
path  = [\"/report/{mac}\"]
"
);

pub(super) fn start(work: &Work<'_>) -> Result<Server, BenchError> {
    let own = work.folder_of("gateway")?;
    let addresses = work.addresses()?;
    let listener =
        |address: SocketAddr, tls| format!("[[listener]]\naddress = \"{address}\"\ntls = \"{tls}\"\n");
    let mut listeners = listener(addresses.modern, "modern");
    if let Some(address) = addresses.legacy {
        listeners.push_str(&listener(address, "guide"));
    }
    let lines = work.pairs.iter().map(|Pair { chain, key, .. }| {
        format!("certificate = \"{}\"\nprivate-key = \"{}\"\n", chain.display(), key.display())
    });
    let mut certificates: Vec<String> = lines.collect();
    let further = certificates.split_off(1);
    let first = certificates.concat();
    let further: String =
        further.iter().map(|pair| format!("[[host.further-certificate]]\n{pair}")).collect();
    let (root, crls) = (work.authority.client_root(), work.authority.crls());
    let (root, crls, store) = (root.display(), crls.display(), work.store);
    let text = format!(
        r#"
{listeners}
[[host]]
names = ["{HOST}"]
{first}client-auth = "required"
backend = "http://{store}"
headers = ["guide"]
rules = "rules.toml"

{further}
[[host.trust]]
anchors = "{root}"
identity = ["cisco-small-business"]
crls = "{crls}"

[audit]
file = "audit.jsonl"
"#
    );
    let config = own.join("gateway.toml");
    put(&own.join("rules.toml"), RULES.as_bytes())?;
    put(&config, text.as_bytes())?;
    Server::start(Recipe {
        name: "gateway",
        program: work.binaries.join("provision-gateway"),
        arguments: vec!["run".into(), "--config".into(), config.into()],
        addresses,
        log: own.join("stderr.log"),
        ready: Ready::Says("ready"),
    })
}
