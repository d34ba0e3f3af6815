//! The path cases of C2SP/x509-limbo, judged by `ChainVerifier`.
//!
//! Left out are the rules of the web's CAs (`webpki::*`), `pedantic-*` features, and cases that differ only in the
//! peer's name, which a gateway for devices does not compare. Every other divergence stands in `divergences.toml` with
//! its reason; one that no longer diverges fails the run.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use certs::{
    Certificate, ChainError, ChainVerifier, OnExpired, OnUnknown, PresentedChain, Purpose, Revocation,
    RevocationList, Timestamp, TrustAnchor, TrustEntry, pem,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Limbo {
    testcases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    id: String,
    features: Vec<String>,
    validation_kind: String,
    trusted_certs: Vec<String>,
    untrusted_intermediates: Vec<String>,
    peer_certificate: String,
    validation_time: Option<String>,
    max_chain_depth: Option<usize>,
    expected_result: String,
    #[serde(default)]
    crls: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Divergences {
    /// Cases in which only the peer's name matters.
    peer_name: Vec<String>,
    /// Reasons by case.
    accepted: BTreeMap<String, String>,
    refused: BTreeMap<String, String>,
}

/// When a case gives no time. Its certificates are valid for centuries around it.
const DEFAULT_TIME: &str = "2024-06-01T00:00:00Z";

#[test]
fn agrees_with_limbo_but_for_listed_divergences() {
    let Some(path) =
        shared().map(|shared| shared.join("x509-limbo/limbo.json.xz")).filter(|path| path.exists())
    else {
        println!(
            "skipped: agrees_with_limbo_but_for_listed_divergences needs x509-limbo/limbo.json.xz in PROVISION_SHARED"
        );
        return;
    };
    let mut json = String::new();
    xz2::read::XzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut json).unwrap();
    let limbo: Limbo = serde_json::from_str(&json).unwrap();
    let listed: Divergences = toml::from_str(include_str!("divergences.toml")).unwrap();
    let is_judged = |case: &&Case| {
        !case.id.starts_with("webpki::")
            && !case.features.iter().any(|feature| feature.starts_with("pedantic-"))
            && !listed.peer_name.contains(&case.id)
    };
    let judged: Vec<&Case> = limbo.testcases.iter().filter(is_judged).collect();
    let (mut accepted, mut refused) = (Vec::new(), Vec::new());
    for case in &judged {
        let result = verify(case);
        match (&result, case.expected_result.as_str()) {
            (Ok(()), "FAILURE") => accepted.push(case.id.as_str()),
            (Err(error), "SUCCESS") => {
                println!("{}: {error:?}", case.id);
                refused.push(case.id.as_str());
            }
            (Ok(()), "SUCCESS") | (Err(_), "FAILURE") => {}
            (_, other) => panic!("{}: unknown result {other}", case.id),
        }
    }
    accepted.sort_unstable();
    refused.sort_unstable();
    let right = judged.len() - accepted.len() - refused.len();
    let hundredths = right * 10_000 / judged.len();
    println!(
        "limbo: {right} of {} cases agree, {}.{:02} per cent; {} accepted and {} refused against it",
        judged.len(),
        hundredths / 100,
        hundredths % 100,
        accepted.len(),
        refused.len()
    );
    assert_eq!(
        accepted,
        listed.accepted.keys().collect::<Vec<_>>(),
        "accepted against limbo, and listed as such"
    );
    assert_eq!(
        refused,
        listed.refused.keys().collect::<Vec<_>>(),
        "refused against limbo, and listed as such"
    );
    assert!(listed.accepted.values().chain(listed.refused.values()).all(|reason| reason.len() > 20));
    assert!(hundredths > 8_772, "no better than webpki's 185 of 211");
}

fn verify(case: &Case) -> Result<(), ChainError> {
    let parse = |text: &String| Certificate::parse_pem(text);
    let certificate =
        |text: &String| pem::blocks(text.as_bytes()).expect("limbo holds PEM").remove(0).contents;
    // An anchor that cannot be read cannot be trusted.
    let anchors = case.trusted_certs.iter().filter_map(|text| parse(text).ok()).map(TrustAnchor::new);
    let lists: Vec<_> = case
        .crls
        .iter()
        .filter_map(|text| RevocationList::parse(text.as_bytes()).ok())
        .map(Arc::new)
        .collect();
    let revocation = if case.crls.is_empty() {
        Revocation::NotChecked
    } else {
        Revocation::Checked { lists, unknown: OnUnknown::Deny, expired: OnExpired::Deny }
    };
    let purpose = match case.validation_kind.as_str() {
        "CLIENT" => Purpose::ClientAuth,
        _ => Purpose::ServerAuth,
    };
    // A peer may present ten certificates; limbo's come from anywhere, so the rest are held.
    let (presented, held) = split(&case.untrusted_intermediates, PresentedChain::MAX_CERTIFICATES - 1);
    let intermediates = held.iter().filter_map(|text| parse(text).ok()).collect();
    let entry = TrustEntry { revocation, purpose, intermediates, ..TrustEntry::new("limbo", anchors) };
    let now = Timestamp::parse_rfc3339(case.validation_time.as_deref().unwrap_or(DEFAULT_TIME))
        .expect("limbo holds RFC 3339 times");
    let presented = std::iter::once(&case.peer_certificate).chain(presented).map(certificate);
    let presented = PresentedChain::parse(presented)?;
    let mut verifier = ChainVerifier::new(vec![entry]).expect("one entry cannot contradict itself");
    if let Some(limit) = case.max_chain_depth {
        verifier = verifier.with_max_intermediates(limit);
    }
    verifier.verify(&presented, now).map(|_| ())
}

fn split(certificates: &[String], count: usize) -> (&[String], &[String]) {
    certificates.split_at(count.min(certificates.len()))
}

/// The folder of vectors: `PROVISION_SHARED`, or `shared` beside the workspace.
fn shared() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    std::env::var_os("PROVISION_SHARED").map(PathBuf::from).or_else(|| beside.exists().then_some(beside))
}
