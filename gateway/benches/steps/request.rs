//! The steps of one request, each by itself.

use std::hint::black_box;
use std::sync::Arc;

use gateway::authorize::authorize;
use gateway::request::{BodyLimits, Inbound};
use gateway::rewrite::{PeerFacts, PeerFields, rewrite};
use http::{HeaderValue, Request};
use policies::{CipherSuite, TlsVersion};

use crate::callgrind::counted;
use crate::fixture::{NAME, NOW};
use crate::scene::{self, Scene};
use crate::{Error, Step};

pub(crate) const STEPS: [Step; 4] = [
    Step::new("inbound", "one normalised target, host and framing checked"),
    Step::new("authorize", "rules `own-profile`, a permitted profile"),
    Step::new("rewrite", "foreign fields out, `guide` fields in, the head for the backend"),
    Step::new("peer-fields", "the fields of a connection, made once"),
];

/// Does a step so many times.
pub(crate) fn perform(step: &str, calls: u64) -> Result<(), Error> {
    let scene = Scene::new()?;
    let host = scene.host()?;
    let peer = scene::peer(&host)?;
    let (headers, rules) = (&host.config().headers, &host.config().rules);
    let facts = PeerFacts {
        chain: peer.chain(),
        principal: peer.principal(),
        version: TlsVersion(0x0304),
        suite: CipherSuite(0x1301),
        resumed: false,
        server_name: Some(NAME),
        client: [192, 0, 2, 7].into(),
        now: NOW,
    };
    let fields = Arc::new(PeerFields::new(headers, &facts)?);
    let limits = BodyLimits::default();
    let id = HeaderValue::from_static("06b03ae38258b291-1");
    let backend = HeaderValue::from_static("127.0.0.1:8080");
    let inbound = |request| Inbound::new(request, &limits, |_| true);
    for _ in 0..calls {
        let request = request();
        match step {
            "inbound" => drop(black_box(counted(|| inbound(request))?)),
            "authorize" => {
                let inbound = inbound(request)?;
                let permitted = counted(|| authorize(inbound, peer.principal(), rules));
                drop(black_box(permitted.map_err(|denial| denial.reason.as_str())?));
            }
            "rewrite" => {
                let permitted = authorize(inbound(request)?, peer.principal(), rules);
                let permitted = permitted.map_err(|denial| denial.reason.as_str())?;
                let outbound = counted(|| {
                    rewrite(permitted, &fields, id.clone()).map(|outbound| outbound.request(&backend))
                });
                drop(black_box(outbound?));
            }
            "peer-fields" => drop(black_box(counted(|| PeerFields::new(headers, &facts))?)),
            other => return Err(format!("no step {other}").into()),
        }
    }
    Ok(())
}

/// What a phone sends.
fn request() -> Request<()> {
    Request::get("/000e08abcdef.cfg")
        .header("Host", NAME)
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
