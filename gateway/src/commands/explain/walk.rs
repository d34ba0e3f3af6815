//! The way of a request, as `connection` has it, told instead of served.

use std::{net::IpAddr, net::Ipv4Addr, sync::Arc};

use certs::{PresentedChain, VerifiedChain};
use http::{
    HeaderValue, Request,
    header::{HOST, USER_AGENT},
};
use policies::{CipherSuite, Principal, Reason, TlsVersion, explain};

use super::{
    Question,
    report::{Report, Step, Verdict},
};
use crate::{
    authorize::{Permitted, authorize},
    backend::{Backend, BackendTarget},
    config::{ClientAuth, Config, HostConfig, certificates::Causes},
    handshake,
    request::Inbound,
    respond,
    rewrite::{PeerFacts, PeerFields, rewrite},
    tls::client_verifier::alert_for,
};

/// Walks until the verdict.
pub(super) fn walk(config: &Config, question: &Question) -> Report {
    let mut steps = Vec::new();
    let verdict = match select(config, question, &mut steps) {
        Ok(index) => match config.hosts.get(index) {
            Some(host) => serve(config, index, host, question, &mut steps),
            None => unknown_name(),
        },
        Err(verdict) => verdict,
    };
    Report { steps, verdict }
}

/// A request that reached a host.
fn serve(
    config: &Config,
    index: usize,
    host: &HostConfig,
    question: &Question,
    steps: &mut Vec<Step>,
) -> Verdict {
    let (chain, principal) = match identify(host, question, steps) {
        Ok(peer) => peer,
        Err(verdict) => return verdict,
    };
    let permitted = match permit(config, index, host, &principal, question, steps) {
        Ok(permitted) => permitted,
        Err(verdict) => return verdict,
    };
    hand_over(config, host, chain.as_ref(), &principal, question, permitted)
}

/// Which host the server name selects.
fn select(config: &Config, question: &Question, steps: &mut Vec<Step>) -> Result<usize, Verdict> {
    let name = question.server_name.as_deref();
    let sent = match name {
        Some(name) => format!("the phone asks for the server name {name}"),
        None => "the URL has an address, so the phone sends no server name".to_owned(),
    };
    let selected = config.names.select(name);
    let found = selected.and_then(|index| config.hosts.get(index));
    let chosen = match found {
        Some(host) => {
            let names: Vec<_> = host.names.iter().map(ToString::to_string).collect();
            format!("that selects the host with the names {}", names.join(", "))
        }
        None => "no host has that name, and none has \"*\"".to_owned(),
    };
    steps.push(Step { step: "host", lines: vec![sent, chosen] });
    selected.ok_or_else(unknown_name)
}

fn unknown_name() -> Verdict {
    Verdict::deny(
        Reason::UnknownServerName,
        "no host serves that name",
        in_handshake(rustls::AlertDescription::UnrecognisedName),
    )
}

/// Verification and admission of what the phone presents.
fn identify(
    host: &HostConfig,
    question: &Question,
    steps: &mut Vec<Step>,
) -> Result<(Option<VerifiedChain>, Principal), Verdict> {
    let refused = |reason, detail: String| Verdict::deny(reason, detail, in_handshake(alert_for(reason)));
    let Some(presented) = &question.presented else {
        let line = format!("none is presented; client-auth is {}", host.client_auth.as_str());
        steps.push(Step { step: "certificate", lines: vec![line] });
        return match host.client_auth {
            ClientAuth::Optional => Ok((None, Principal::Anonymous)),
            ClientAuth::Required => Err(Verdict::deny(
                Reason::NoCertificate,
                "the host requires a certificate",
                in_handshake(rustls::AlertDescription::CertificateRequired),
            )),
        };
    };
    let presented = match PresentedChain::parse(presented) {
        Ok(presented) => presented,
        Err(error) => {
            steps.push(Step {
                step: "certificate",
                lines: vec!["what is presented cannot be read".to_owned()],
            });
            return Err(refused(Reason::from(&error), Causes(&error).to_string()));
        }
    };
    let mut lines: Vec<_> = presented
        .certificates()
        .iter()
        .enumerate()
        .map(|(depth, certificate)| {
            let (subject, validity) = (certificate.subject().to_rfc4514(), certificate.validity());
            format!(
                "presented {depth}: {subject}, serial {}, valid until {}",
                certificate.serial(),
                validity.not_after
            )
        })
        .collect();
    let verified = host.verifier.verify(&presented, question.at);
    if let Ok(chain) = &verified {
        lines.push(format!("anchor: {}", chain.anchor().subject().to_rfc4514()));
        if let Some(entry) = host.trust.get(chain.entry()) {
            lines.push(format!("trust entry: {}", entry.name));
            if entry.lists.is_none() {
                lines.push("no revocation is checked".to_owned());
            }
        }
        let exceptions: Vec<_> = chain.exceptions().iter().map(|exception| exception.as_str()).collect();
        if !exceptions.is_empty() {
            lines.push(format!("only accepted because the entry allows {}", exceptions.join(", ")));
        }
    }
    steps.push(Step { step: "certificate", lines });
    let chain = verified.map_err(|error| refused(Reason::from(&error), error.to_string()))?;
    let admission = explain::admission(&host.admission, &chain);
    steps.push(Step { step: "identity", lines: admission.lines });
    let principal = admission.verdict.map_err(|denial| refused(denial.reason, denial.detail.into_owned()))?;
    Ok((Some(chain), principal))
}

/// Normalisation and rules.
fn permit(
    config: &Config,
    index: usize,
    host: &HostConfig,
    principal: &Principal,
    question: &Question,
    steps: &mut Vec<Step>,
) -> Result<Permitted<Inbound<()>>, Verdict> {
    let answered = |reason, detail: String| {
        let status = respond::status(reason);
        Verdict::deny(reason, detail, format!("the answer {status}"))
    };
    let mut request = Request::new(());
    *request.method_mut() = question.method.clone();
    *request.uri_mut() = question.target.clone().into();
    let field = HeaderValue::from_str(&question.authority);
    let field = field.map_err(|_| answered(Reason::BadHost, "the host cannot be sent".to_owned()))?;
    request.headers_mut().insert(HOST, field);
    if let Some(user_agent) = &question.user_agent {
        request.headers_mut().insert(USER_AGENT, user_agent.clone());
    }
    let is_served = |name: &str| config.names.select(Some(name)).is_none_or(|selected| selected == index);
    let inbound = match Inbound::new(request, &config.limits.body_limits(), is_served) {
        Ok(inbound) => inbound,
        Err(error) => {
            steps.push(Step { step: "request", lines: vec![question.target.to_string()] });
            return Err(answered(error.reason(), error.to_string()));
        }
    };
    let explanation = explain::request(&host.rules, principal, &inbound.facts());
    steps.push(Step { step: "rules", lines: explanation.lines });
    authorize(inbound, principal, &host.rules)
        .map_err(|denial| answered(denial.reason, denial.detail.into_owned()))
}

/// What the backend gets.
fn hand_over(
    config: &Config,
    host: &HostConfig,
    chain: Option<&VerifiedChain>,
    principal: &Principal,
    question: &Question,
    permitted: Permitted<Inbound<()>>,
) -> Verdict {
    let policy = config.listeners.first().map(|listener| &listener.tls);
    let version = policy.and_then(|tls| tls.versions().iter().copied().max()).unwrap_or(TlsVersion::TLS1_3);
    let suite = policy.and_then(|tls| tls.suites().first().copied()).unwrap_or(CipherSuite(0x1301));
    let facts = PeerFacts {
        chain,
        principal,
        version,
        suite,
        resumed: false,
        server_name: question.server_name.as_deref(),
        // An address of documentation (RFC 5737) stands for the phone's.
        client: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        now: question.at,
    };
    let failed = |error: crate::rewrite::RewriteError| {
        let reason = Reason::IdentityFieldsFailed;
        Verdict::deny(reason, error.to_string(), format!("the answer {}", respond::status(reason)))
    };
    let permit = permitted.permit().clone();
    let written = PeerFields::new(&host.headers, &facts).and_then(|fields| {
        rewrite(permitted, &Arc::new(fields), HeaderValue::from_static("(the request's id)"))
    });
    let outbound = match written {
        Ok(outbound) => outbound,
        Err(error) => return failed(error),
    };
    let backend = Backend::new(&host.backend);
    let request = outbound.request(&HeaderValue::from_static("localhost"));
    let fields = match &host.backend.target {
        BackendTarget::Directory(_) => Vec::new(),
        BackendTarget::Http(_) | BackendTarget::Https { .. } | BackendTarget::Unix(_) => {
            let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
            request.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect()
        }
    };
    Verdict::Permit {
        rule: permit.rule.to_string(),
        waived: permit.waived.map(|denial| denial.reason.as_str()),
        backend: format!("{} {} {}", backend.name(), request.method(), request.uri()),
        fields,
    }
}

/// What a phone sees of a refusal in the handshake.
fn in_handshake(alert: rustls::AlertDescription) -> String {
    let name = handshake::sent(alert);
    format!("the TLS alert {} and no connection", name.strip_prefix("sent ").unwrap_or(&name))
}
