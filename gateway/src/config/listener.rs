//! `[[listener]]`: where phones connect, and which TLS they may speak.

use std::{net::SocketAddr, sync::Arc};

use policies::{
    TlsRules,
    document::{Located, Table},
};

use super::files::Files;

/// One address that phones connect to. Every host is served on every listener.
#[derive(Debug, Clone)]
pub struct ListenerConfig {
    /// Address and port; port 0 lets the system choose.
    pub address: SocketAddr,
    /// What may be agreed in the handshake.
    pub tls: Arc<TlsRules>,
}

impl ListenerConfig {
    /// Reads one `[[listener]]`.
    pub(super) fn read(table: &Table<'_, '_>, files: &Files<'_, '_>) -> Option<Self> {
        let address = table.string("address").and_then(|text| address(&text, files));
        let text = table.string("tls");
        let tls = text.as_ref().and_then(|text| tls(text, files));
        if let (Some(text), Some(rules)) = (&text, &tls) {
            report_unserved(text, rules, files);
        }
        Some(Self { address: address?, tls: tls? })
    }
}

fn address(text: &Located<String>, files: &Files<'_, '_>) -> Option<SocketAddr> {
    let read = text.value.parse();
    if read.is_err() {
        files.document().error_with_hint(
            &text.place,
            format!("\"{}\" is no address with a port", text.value.escape_debug()),
            "such as \"0.0.0.0:8443\", \"192.0.2.7:443\" or \"[::]:443\"",
        );
    }
    read.ok()
}

fn tls(text: &Located<String>, files: &Files<'_, '_>) -> Option<Arc<TlsRules>> {
    files
        .shipped_or_file(text, "TLS policy", TlsRules::shipped_names(), TlsRules::shipped, TlsRules::parse)
        .map(Arc::new)
}

/// A policy may list what only an engine for older phones could serve; without a word here they would seem to be served.
fn report_unserved(text: &Located<String>, rules: &TlsRules, files: &Files<'_, '_>) {
    let versions =
        rules.versions().iter().filter(|version| !version.is_modern()).map(|version| version.name());
    let suites = rules.suites().iter().filter(|suite| !suite.is_modern()).map(|suite| suite.name());
    let names: Vec<_> = versions.chain(suites).collect();
    if names.is_empty() {
        return;
    }
    let message = format!("TLS policy \"{}\" lists what is not served: {}", rules.name(), names.join(", "));
    let hint = "phones that offer nothing else are refused; TLS 1.2 and 1.3 with modern suites are served";
    let something_is_left = rules.versions().iter().any(|version| version.is_modern())
        && rules.suites().iter().any(|suite| suite.is_modern());
    if something_is_left {
        files.document().warning(&text.place, message, Some(hint.to_owned()));
    } else {
        files.document().error_with_hint(&text.place, format!("{message}, and nothing else"), hint);
    }
}
