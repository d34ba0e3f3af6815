//! Which certificate of a file stands above which.

use certs::Certificate;

use super::MirrorError;

/// The certificates from the topmost down, whatever order they came in.
pub(super) fn from_the_top(certificates: &[Certificate]) -> Result<Vec<Certificate>, MirrorError> {
    let mut distinct: Vec<&Certificate> = Vec::with_capacity(certificates.len());
    for certificate in certificates {
        if !distinct.contains(&certificate) {
            distinct.push(certificate);
        }
    }
    let broken = |why: String| MirrorError::NotOneChain { why };
    let has_issuer =
        |one: &&&Certificate| distinct.iter().any(|other| issued(other, one) && !is_same(other, one));
    let tops: Vec<&&Certificate> =
        distinct.iter().filter(|one| is_self_signed(one) || !has_issuer(one)).collect();
    let top = match tops[..] {
        [top] => *top,
        [] => return Err(broken("each of them is issued by another".to_owned())),
        [first, second, ..] => {
            let (first, second) = (first.subject().to_rfc4514(), second.subject().to_rfc4514());
            return Err(broken(format!("nothing here is above {first}, nor above {second}")));
        }
    };
    let mut chain = vec![top.clone()];
    let mut last = top;
    while chain.len() < distinct.len() {
        let below: Vec<&&Certificate> =
            distinct.iter().filter(|one| issued(last, one) && !chain.contains(one)).collect();
        last = match below[..] {
            [one] => one,
            [] => return Err(broken(format!("nothing here is below {}", last.subject().to_rfc4514()))),
            _ => return Err(broken(format!("several are issued by {}", last.subject().to_rfc4514()))),
        };
        chain.push(last.clone());
    }
    Ok(chain)
}

/// Whether a certificate is its own issuer.
pub(super) fn is_self_signed(certificate: &Certificate) -> bool {
    issued(certificate, certificate)
}

fn is_same(one: &Certificate, other: &Certificate) -> bool {
    one == other
}

/// By name and by signature.
fn issued(issuer: &Certificate, certificate: &Certificate) -> bool {
    issuer.subject().equals(certificate.issuer())
        && certificate
            .signature_algorithm()
            .verify(issuer.public_key(), certificate.tbs(), certificate.signature())
            .is_ok()
}
