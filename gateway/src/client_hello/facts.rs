//! What records say of a hello: everything it offers, by name, bounded.

use std::borrow::Cow;

use super::message::is_grease;
use super::{ClientHello, Format, fingerprint};
use crate::audit::HelloFacts;

/// What the record of a connection says of its hello.
pub fn of(hello: &ClientHello) -> HelloFacts {
    HelloFacts {
        versions: bounded(hello.versions().iter().map(|version| version.name())),
        suites: bounded(hello.suites.iter().filter(|suite| !is_grease(suite.0)).map(|suite| suite.name())),
        sni: hello.server_name.as_ref().map(|name| name.as_bytes().to_vec()),
        format: (hello.format == Format::Sslv2).then_some("sslv2"),
        extensions: hello.extensions.iter().copied().filter(|number| !is_grease(*number)).collect(),
        groups: bounded(hello.groups.iter().filter(|group| !is_grease(group.0)).map(|group| group.name())),
        signature_algorithms: bounded(
            hello.signature_algorithms.iter().flatten().map(|scheme| scheme.name()),
        ),
        alpn: hello.alpn.iter().take(MOST_NAMES).cloned().collect(),
        ja3: Some(fingerprint::ja3(hello)),
        ja4: Some(fingerprint::ja4(hello)),
    }
}

/// The longest honest list has some eighty suites; a hostile one has 32 000, and would make a record of a megabyte out
/// of every hello.
const MOST_NAMES: usize = 96;

/// At most [`MOST_NAMES`], and how many more there were.
fn bounded(mut names: impl Iterator<Item = Cow<'static, str>>) -> Vec<Cow<'static, str>> {
    let mut kept: Vec<Cow<'static, str>> = names.by_ref().take(MOST_NAMES).collect();
    let more = names.count();
    if more > 0 {
        kept.push(format!("… {more} more").into());
    }
    kept
}
