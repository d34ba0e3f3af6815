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
        #[cfg(not(feature = "legacy-tls"))]
        if let (Some(text), Some(rules)) = (&text, &tls) {
            report_unserved(text, rules, files);
        }
        Some(Self { address: address?, tls: tls? })
    }
}

pub(super) fn address(text: &Located<String>, files: &Files<'_, '_>) -> Option<SocketAddr> {
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

/// A policy that needs the legacy engine is a mistake in a gateway that was built without it: phones would be refused
/// that the policy seems to let in.
#[cfg(not(feature = "legacy-tls"))]
fn report_unserved(text: &Located<String>, rules: &TlsRules, files: &Files<'_, '_>) {
    if !rules.needs_legacy_engine() {
        return;
    }
    let versions =
        rules.versions().iter().filter(|version| !version.is_modern()).map(|version| version.name());
    let suites = rules.suites().iter().filter(|suite| !suite.is_modern()).map(|suite| suite.name());
    let schemes = rules.signature_algorithms().iter().filter(|scheme| scheme.is_weak());
    let names: Vec<_> = versions.chain(suites).chain(schemes.map(|scheme| scheme.name())).collect();
    files.document().error_with_hint(
        &text.place,
        format!("TLS policy \"{}\" lists what is not served: {}", rules.name(), names.join(", ")),
        "this gateway was built without the engine for old phones (feature legacy-tls); use \"modern\"",
    );
}
