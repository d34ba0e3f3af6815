//! The families, by name: what of the gateway is exposed.

use std::collections::BTreeMap;
use std::sync::Arc;

use policies::Reason;

use super::exposition::{Exposition, Format, Kind};
use super::{Counts, Handshake, process};
use crate::audit::SinkStatus;
use crate::clock;
use crate::config::HostConfig;
use crate::server::Gateway;

/// Everything, as a monitoring system reads it.
pub fn write(gateway: &Gateway, format: Format) -> String {
    let mut out = Exposition::new(format);
    build(&mut out);
    let counts = gateway.metrics().counts();
    handshakes(&mut out, &counts);
    requests(&mut out, &counts);
    exceptions(&mut out, gateway);
    expiry(&mut out, gateway);
    load(&mut out, gateway);
    phone_syslog(&mut out, gateway);
    process::write(&mut out);
    out.finish()
}

fn build(out: &mut Exposition) {
    out.family("provision_gateway_build_info", Kind::Gauge, "Always 1; the version is in the label.");
    out.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
}

fn handshakes(out: &mut Exposition, counts: &Counts) {
    out.family(
        "provision_gateway_handshakes_total",
        Kind::Counter,
        "Handshakes by engine, version, suite, whether resumed, outcome and reason.",
    );
    for (Handshake { engine, version, suite, resumed, reason }, count) in counts.handshakes() {
        out.sample(
            &[
                ("engine", engine.unwrap_or_default()),
                ("version", version.as_deref().unwrap_or_default()),
                ("suite", suite.as_deref().unwrap_or_default()),
                ("resumed", if *resumed { "true" } else { "false" }),
                ("outcome", if reason.is_none() { "accepted" } else { "refused" }),
                ("reason", word(*reason)),
            ],
            count,
        );
    }
    out.family(
        "provision_gateway_handshake_duration_seconds",
        Kind::Histogram,
        "From a connection's first moment to the end of a good handshake.",
    );
    for (engine, resumed, times) in counts.handshake_times() {
        let resumed = if resumed { "true" } else { "false" };
        out.histogram(&[("engine", engine.unwrap_or_default()), ("resumed", resumed)], times);
    }
    out.family(
        "provision_gateway_clients_total",
        Kind::Counter,
        "Connections let in, by host, trust entry and kind of client.",
    );
    for (client, count) in counts.clients() {
        let trust = client.trust.as_deref().unwrap_or_default();
        out.sample(&[("host", &client.host), ("trust", trust), ("kind", client.kind)], count);
    }
}

fn requests(out: &mut Exposition, counts: &Counts) {
    out.family(
        "provision_gateway_requests_total",
        Kind::Counter,
        "Requests by host, rule, status and reason; no status where there was no answer.",
    );
    for (request, count) in counts.requests() {
        let status = request.status.map(|status| status.to_string()).unwrap_or_default();
        out.sample(
            &[
                ("host", &request.host),
                ("rule", request.rule.as_deref().unwrap_or_default()),
                ("status", &status),
                ("reason", word(request.reason)),
            ],
            count,
        );
    }
    out.family(
        "provision_gateway_request_duration_seconds",
        Kind::Histogram,
        "From a request's head to the last octet of its answer.",
    );
    for (host, times) in counts.request_times() {
        out.histogram(&[("host", host)], times);
    }
    out.family(
        "provision_gateway_response_body_bytes_total",
        Kind::Counter,
        "Octets of answers' bodies that were sent.",
    );
    for (host, octets) in counts.octets() {
        out.sample(&[("host", host)], octets);
    }
}

fn exceptions(out: &mut Exposition, gateway: &Gateway) {
    out.family(
        "provision_gateway_exceptions_total",
        Kind::Counter,
        "Connections that needed an exception of `allow`, by host, trust entry and exception.",
    );
    for (host, trust, exception, count) in gateway.exceptions().all() {
        out.sample(&[("host", &host), ("trust", &trust), ("exception", exception.as_str())], count);
    }
}

fn expiry(out: &mut Exposition, gateway: &Gateway) {
    let now = clock::now().unix();
    let site = gateway.site_now();
    out.family(
        "provision_gateway_certificate_expiry_seconds",
        Kind::Gauge,
        "Until a host's own certificate expires; negative when it has.",
    );
    for host in site.hosts() {
        for pair in &host.credentials {
            let Some(leaf) = pair.chain.first() else { continue };
            let serial = leaf.serial().to_string();
            let left = leaf.validity().not_after.unix().saturating_sub(now);
            out.sample(&[("host", host.first_name()), ("serial", &serial)], left);
        }
    }
    revocation_lists(out, site.hosts(), now);
}

/// What is told of revocation lists. Two trust entries of a host may have one name, and two lists of an issuer stand in one file:
/// they are one sample, since two of the same labels would make the whole answer unreadable.
fn revocation_lists(out: &mut Exposition, hosts: &[Arc<HostConfig>], now: i64) {
    let mut left = BTreeMap::<[String; 4], i64>::new();
    let mut entries = BTreeMap::<[String; 2], usize>::new();
    for host in hosts {
        for trust in &host.trust {
            let Some(lists) = &trust.lists else { continue };
            let of_entry = [host.first_name().to_string(), trust.name.to_string()];
            let all: usize = lists.iter().map(|loaded| loaded.list.len()).sum();
            *entries.entry(of_entry.clone()).or_default() += all;
            for loaded in lists {
                let Some(next) = loaded.list.next_update() else { continue };
                let file = loaded.file.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
                let [host, trust] = of_entry.clone();
                let labels = [host, trust, file.into_owned(), loaded.list.issuer().to_string()];
                let seconds = next.unix().saturating_sub(now);
                left.entry(labels).and_modify(|least| *least = seconds.min(*least)).or_insert(seconds);
            }
        }
    }
    out.family(
        "provision_gateway_crl_next_update_seconds",
        Kind::Gauge,
        "Until a certificate revocation list is due to be replaced, the first of several; negative when it is overdue.",
    );
    for ([host, trust, file, issuer], seconds) in &left {
        out.sample(&[("host", host), ("trust", trust), ("file", file), ("issuer", issuer)], seconds);
    }
    out.family(
        "provision_gateway_crl_entries",
        Kind::Gauge,
        "Certificates that the loaded revocation lists of a trust entry name.",
    );
    for ([host, trust], count) in &entries {
        out.sample(&[("host", host), ("trust", trust)], count);
    }
}

fn load(out: &mut Exposition, gateway: &Gateway) {
    out.family("provision_gateway_connections", Kind::Gauge, "Connections open now.");
    out.sample(&[], gateway.open_connections());
    let site = gateway.site_now();
    out.family("provision_gateway_connections_limit", Kind::Gauge, "Connections that may be open at once.");
    out.sample(&[], site.limits().connections);
    out.family(
        "provision_gateway_handshakes_running",
        Kind::Gauge,
        "Places for handshakes that are taken now.",
    );
    out.sample(&[], site.limits().handshakes.saturating_sub(site.places().available_permits()));
    out.family("provision_gateway_handshakes_limit", Kind::Gauge, "Handshakes that are worked on at once.");
    out.sample(&[], site.limits().handshakes);
    let auditor = gateway.auditor();
    out.family(
        "provision_gateway_audit_records_lost_total",
        Kind::Counter,
        "Audit records that found the queue full.",
    );
    out.sample(&[], auditor.dropped());
    out.family("provision_gateway_audit_failing", Kind::Gauge, "1 while audit records cannot be written.");
    out.sample(&[], u8::from(auditor.failing()));
    sinks(out, &auditor.sinks());
}

/// What is read of a sink.
type OfSink = fn(&SinkStatus) -> u64;

/// Each sink by its name, in which no password stands.
fn sinks(out: &mut Exposition, sinks: &[SinkStatus]) {
    let families: [(&'static str, Kind, &'static str, OfSink); 4] = [
        (
            "provision_gateway_audit_sink_queue_bytes",
            Kind::Gauge,
            "Octets of audit records that wait for a sink or are being written to it.",
            |sink| u64::try_from(sink.queued).unwrap_or(u64::MAX),
        ),
        (
            "provision_gateway_audit_sink_queue_limit_bytes",
            Kind::Gauge,
            "Octets of audit records that may wait for a sink.",
            |sink| u64::try_from(sink.limit).unwrap_or(u64::MAX),
        ),
        (
            "provision_gateway_audit_sink_records_lost_total",
            Kind::Counter,
            "Audit records that a sink lost: its queue was full, or it did not take them before the end.",
            |sink| sink.dropped,
        ),
        (
            "provision_gateway_audit_sink_failing",
            Kind::Gauge,
            "1 while audit records cannot be written to a sink.",
            |sink| u64::from(sink.failing),
        ),
    ];
    for (name, kind, help, value) in families {
        out.family(name, kind, help);
        for sink in sinks {
            out.sample(&[("sink", &sink.name)], value(sink));
        }
    }
}

fn phone_syslog(out: &mut Exposition, gateway: &Gateway) {
    out.family(
        "provision_gateway_phone_syslog_messages_total",
        Kind::Counter,
        "Datagrams of phones' syslog, by what became of them.",
    );
    for (fate, count) in gateway.phone_syslog().all() {
        out.sample(&[("outcome", fate.as_str())], count);
    }
}

fn word(reason: Option<Reason>) -> &'static str {
    reason.map(Reason::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::tests::{Fixture, SOUND};

    #[test]
    fn entries_of_one_name_and_lists_of_one_file_are_one_sample() {
        let fixture = Fixture::new();
        let other = certs::testing::Pki::named("Other");
        fixture.write("other.pem", other.root().certificate().to_pem());
        let lists =
            fixture.pki.root().crl().number(7).to_pem() + &fixture.pki.root().crl().number(8).to_pem();
        fixture.write("trust/crls/root.crl", lists);
        let second = "name = \"root\"\nidentity = [\"cisco-small-business\"]\ncrls = \"trust/crls\"\n";
        let text =
            SOUND.replace("[audit]", &format!("[[host.trust]]\nanchors = \"other.pem\"\n{second}\n[audit]"));
        let config = fixture.load(&text).unwrap();
        let mut out = Exposition::new(Format::Prometheus);
        revocation_lists(&mut out, &config.hosts, Fixture::NOW.unix());
        let text = out.finish();
        let samples: Vec<&str> = text.lines().filter_map(|line| Some(line.rsplit_once(' ')?.0)).collect();
        let samples: Vec<&str> = samples.into_iter().filter(|name| name.contains('{')).collect();
        assert_eq!(samples.iter().collect::<BTreeSet<_>>().len(), samples.len(), "{text}");
        assert_eq!(samples.len(), 2, "{text}");
    }
}
