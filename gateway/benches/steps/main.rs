//! Instructions per call of the steps of one connection and one request, counted by callgrind: the same on a busy
//! machine as on an idle one.
//!
//! ```text
//! cargo bench -p provision-gateway --bench steps
//! ```
//!
//! Each step is run a number of times and then twice as often; the difference, divided, is one call. A step
//! includes the ones before it where it consumes their result, so their cost is taken off. The steps of [`hello`] are
//! counted by themselves.

use std::env;
use std::hint::black_box;
use std::io::{self, Write as _};
use std::sync::Arc;

use certs::oid;
use certs::testing::{KeyKind, Pki};
use gateway::authorize::authorize;
use gateway::config::ClientAuth;
use gateway::peer::Judge;
use gateway::request::{BodyLimits, Inbound};
use gateway::rewrite::{HeaderConfig, IssuerFields, PeerFacts, PeerFields, Preset, rewrite};
use http::{HeaderValue, Request};
use policies::{
    Admission, AdmissionEntry, CipherSuite, DenyList, IdentityProfile, Principal, ProfileSet, RequestRules,
    TlsVersion,
};

mod callgrind;
mod hello;

const CALLS: u64 = 2_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = env::args().skip(1).filter(|argument| argument != "--bench");
    if let Some(step) = arguments.next() {
        let calls = arguments.next().ok_or("how often?")?.parse()?;
        return perform(&step, calls);
    }
    let difference = |step| callgrind::difference(step, CALLS);
    let mut out = io::stdout().lock();
    writeln!(out, "| step | instructions per call |\n| --- | ---: |")?;
    let inbound = difference("inbound")?;
    let permitted = difference("authorize")?;
    let outbound = difference("rewrite")?;
    for (name, figure) in [
        ("`Inbound::new`, the request made from text included", inbound),
        ("`authorize`, own-profile rules, a permitted profile", permitted.saturating_sub(inbound)),
        (
            "`rewrite` and the head for the backend, `guide` fields, nine request fields",
            outbound.saturating_sub(permitted),
        ),
        ("`PeerFields::new`, once per connection", difference("fields")?),
        ("verify and admit a chain of three (P-256)", difference("judge")?),
        ("recheck it", difference("recheck")?),
    ] {
        writeln!(out, "| {name} | {figure} |")?;
    }
    for (name, figure) in hello::rows()? {
        writeln!(out, "| {name} | {figure} |")?;
    }
    Ok(())
}

fn perform(step: &str, calls: u64) -> Result<(), Box<dyn std::error::Error>> {
    if hello::perform(step, calls)? {
        return Ok(());
    }
    let pki = Pki::with_key("Bench", KeyKind::P256);
    let device = pki
        .intermediate()
        .leaf()
        .attribute(oid::ORGANIZATIONAL_UNIT, "CP-8841-3PCC")
        .attribute(oid::LOCALITY, "88012BA01234")
        .attribute(oid::SURNAME, "000e08abcdef")
        .issue();
    let presented = device.presented();
    let profile = IdentityProfile::shipped("cisco-small-business").ok_or("no such profile")?;
    let admission = Admission::new(vec![AdmissionEntry {
        profiles: ProfileSet::new(vec![profile])?,
        ouis: Vec::new(),
        deny: Arc::new(DenyList::empty()),
    }]);
    let judge = Judge::new(Arc::new(pki.verifier()), Arc::new(admission), ClientAuth::Required);
    let peer = judge.judge(&presented, Pki::NOW).map_err(|refusal| refusal.detail)?;
    let rules = RequestRules::shipped("own-profile").ok_or("no such rules")?;
    let Principal::Device(_) = peer.principal() else { return Err("not a device".into()) };
    let config = HeaderConfig {
        presets: vec![Preset::Guide],
        issuer_fields: IssuerFields::Guide,
        ..HeaderConfig::default()
    };
    let facts = PeerFacts {
        chain: peer.chain(),
        principal: peer.principal(),
        version: TlsVersion(0x0304),
        suite: CipherSuite(0x1301),
        resumed: false,
        server_name: Some("prov.example.com"),
        client: [192, 0, 2, 7].into(),
        now: Pki::NOW,
    };
    let fields = Arc::new(PeerFields::new(&config, &facts)?);
    let limits = BodyLimits::default();
    let id = HeaderValue::from_static("06b03ae38258b291-1");
    let backend = HeaderValue::from_static("127.0.0.1:8080");
    let inbound = || Inbound::new(request(), &limits, |_| true);
    for _ in 0..calls {
        match step {
            "inbound" => drop(black_box(inbound()?)),
            "authorize" => {
                let permitted = authorize(inbound()?, peer.principal(), &rules);
                drop(black_box(permitted.map_err(|denial| denial.reason.as_str())?));
            }
            "rewrite" => {
                let permitted = authorize(inbound()?, peer.principal(), &rules);
                let permitted = permitted.map_err(|denial| denial.reason.as_str())?;
                let outbound = rewrite(permitted, &fields, id.clone())?;
                drop(black_box(outbound.request(&backend)));
            }
            "fields" => drop(black_box(PeerFields::new(&config, &facts)?)),
            "judge" => {
                drop(black_box(judge.judge(&presented, Pki::NOW).map_err(|refusal| refusal.detail)?));
            }
            "recheck" => black_box(judge.recheck(&peer, Pki::NOW)).map_err(|refusal| refusal.detail)?,
            other => return Err(format!("no step {other}").into()),
        }
    }
    Ok(())
}

/// What a phone sends.
fn request() -> Request<()> {
    Request::get("/000e08abcdef.cfg")
        .header("Host", "prov.example.com")
        .header("User-Agent", "Cisco-CP-8841-3PCC/11.0 (000e08abcdef)")
        .header("Accept", "*/*")
        .header("Accept-Encoding", "gzip")
        .header("Cache-Control", "no-cache")
        .header("X-CiscoIPPhoneModelName", "CP-8841-3PCC")
        .header("If-Modified-Since", "Mon, 23 Nov 2026 00:00:00 GMT")
        .header("SSL-Client-S-DN-S", "000e08ffffff")
        .header("Connection", "keep-alive")
        .body(())
        .expect("these fields are sound")
}
