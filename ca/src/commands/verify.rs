//! `verify`

use std::path::Path;
use std::sync::Arc;

use certs::{
    Certificate, ChainVerifier, OnExpired, OnUnknown, PresentedChain, Purpose, Revocation, RevocationList,
    Timestamp, Tolerances, TrustAnchor, TrustEntry, pem,
};
use policies::Reason;
use serde_json::json;

use super::{CommandError, Context, facts};
use crate::cli::VerifyArgs;
use crate::legacy::LegacyTrait;

pub(super) fn run(context: &Context<'_>, arguments: &VerifyArgs) -> Result<(), CommandError> {
    let VerifyArgs { file, trust, intermediate, crl, purpose, allow, allow_expired, at } = arguments;
    let now = match at {
        Some(text) => time(text)?,
        None => context.clock.now(),
    };
    let mut entry = TrustEntry::new("trust", Vec::<TrustAnchor>::new());
    for path in trust {
        entry.anchors.extend(certificates(path)?.into_iter().map(TrustAnchor::new));
    }
    for path in intermediate {
        entry.intermediates.extend(certificates(path)?);
    }
    if !crl.is_empty() {
        let lists = crl.iter().map(|path| revocation_list(path)).collect::<Result<_, _>>()?;
        entry.revocation = Revocation::Checked { lists, unknown: OnUnknown::Deny, expired: OnExpired::Deny };
    }
    entry.purpose = match purpose.as_str() {
        "client" => Purpose::ClientAuth,
        "server" => Purpose::ServerAuth,
        _ => Purpose::Any,
    };
    entry.tolerances = tolerances(allow, *allow_expired);
    let presented = certificates(file)?;
    let verifier =
        ChainVerifier::new(vec![entry]).map_err(|error| CommandError::failed(error.to_string(), None))?;
    let verdict = PresentedChain::parse(presented.iter().map(Certificate::der))
        .and_then(|chain| verifier.verify(&chain, now));
    match verdict {
        Ok(chain) => {
            let path: Vec<_> = chain.path().iter().map(facts).collect();
            let exceptions: Vec<_> = chain.exceptions().iter().map(|one| one.as_str()).collect();
            let value = json!({
                "file": file.display().to_string(),
                "verified": true,
                "exceptions": exceptions,
                "path": path,
            });
            context.printer.result(&value, || {
                let last = chain.path().len().saturating_sub(1);
                let mut text = format!("{}: verified\n", file.display());
                for (depth, certificate) in chain.path().iter().enumerate() {
                    let role = if depth == last { "anchor" } else { "" };
                    let subject = certificate.subject().to_rfc4514();
                    let until = certificate.validity().not_after;
                    text.push_str(&format!("  {depth}  {role:<6}  {subject}  until {until}\n"));
                }
                if !exceptions.is_empty() {
                    text.push_str(&format!("  let pass: {}\n", exceptions.join(", ")));
                }
                text
            });
            Ok(())
        }
        Err(error) => {
            let reason = Reason::from(&error);
            let value = json!({
                "file": file.display().to_string(),
                "verified": false,
                "reason": reason.as_str(),
                "detail": error.to_string(),
            });
            context.printer.json_only(&value);
            Err(CommandError::failed(
                format!("{}: {error} ({})", file.display(), reason.as_str()),
                Some(reason.remedy()),
            ))
        }
    }
}

/// What a trust entry of the gateway with these exceptions lets pass.
fn tolerances(allow: &[LegacyTrait], expired_days: Option<u32>) -> Tolerances {
    let allows = |one| allow.contains(&one);
    Tolerances {
        sha1: allows(LegacyTrait::Sha1),
        md5: allows(LegacyTrait::Md5),
        rsa_1024: allows(LegacyTrait::Rsa1024),
        x509_v1: allows(LegacyTrait::X509V1),
        expired: expired_days.map(|days| days.saturating_mul(86_400)),
        ..Tolerances::default()
    }
}

fn time(text: &str) -> Result<Timestamp, CommandError> {
    Timestamp::parse_rfc3339(text).ok_or_else(|| {
        CommandError::misuse(format!("{text:?} is no time"), Some("write it as 2030-01-31T00:00:00Z"))
    })
}

/// Every certificate of a file, PEM or DER; at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<Certificate>, CommandError> {
    let contents = read(path)?;
    let found = if let Ok(one) = Certificate::parse(&contents) {
        vec![one]
    } else {
        let all = pem::certificates(&contents).map_err(|error| {
            CommandError::failed(format!("{}: {error}: {}", path.display(), error.source), None)
        })?;
        all.into_iter().map(|(certificate, _line)| certificate).collect()
    };
    if found.is_empty() {
        return Err(CommandError::failed(format!("{} holds no certificate", path.display()), None));
    }
    Ok(found)
}

fn revocation_list(path: &Path) -> Result<Arc<RevocationList>, CommandError> {
    RevocationList::parse(&read(path)?)
        .map(Arc::new)
        .map_err(|error| CommandError::failed(format!("{}: {error}", path.display()), None))
}

fn read(path: &Path) -> Result<Vec<u8>, CommandError> {
    super::read_input(path)
        .map_err(|error| CommandError::failed(format!("cannot read {}: {error}", path.display()), None))
}
