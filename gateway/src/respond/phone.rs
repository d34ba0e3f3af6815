//! What a phone gets to see of each reason: the alert, the status, or nothing; and what it then shows and does, as far as its
//! maker's guide says. `reasons` and `explain` tell it to the operator, who hears of a refusal from the phone's side first.

use http::StatusCode;
use policies::{Reason, Stage};
use rustls::AlertDescription;

use super::status;
use crate::handshake::alert_name;
use crate::tls::client_verifier::alert_for;

/// What goes out to a phone that is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Told {
    /// A TLS alert, and no connection.
    Alert {
        /// The alert (RFC 8446 §6.2).
        alert: AlertDescription,
        /// The one that OpenSSL sends to old phones in its place, where that is another.
        to_old_phones: Option<AlertDescription>,
    },
    /// Nothing: the connection is closed.
    Closed,
    /// An answer in plain HTTP to a client that does not speak TLS.
    PlainHttp,
    /// A TLS alert that depends on what went wrong; the record names it.
    SomeAlert,
    /// An HTTP status.
    Status(StatusCode),
    /// Nothing: the phone ended it itself.
    TheirOwn,
}

impl Told {
    /// What a phone gets that is refused for `reason` on a new connection.
    #[must_use]
    pub fn of(reason: Reason) -> Self {
        match reason.stage() {
            Stage::Hello | Stage::Handshake | Stage::Limits => of_connection(reason),
            Stage::Certificate | Stage::Admission => match (reason, alert_for(reason)) {
                (Reason::NoCertificate, _) => {
                    Self::alert(AlertDescription::CertificateRequired, AlertDescription::HandshakeFailure)
                }
                // OpenSSL has no access_denied for a certificate.
                (_, alert @ AlertDescription::AccessDenied) => {
                    Self::alert(alert, AlertDescription::HandshakeFailure)
                }
                (_, alert) => Self::same_alert(alert),
            },
            Stage::Request if reason == Reason::HeaderTimeout => Self::Closed,
            Stage::Request | Stage::Authorisation | Stage::Rewriting | Stage::Backend => {
                Self::Status(status(reason))
            }
        }
    }

    const fn alert(alert: AlertDescription, to_old_phones: AlertDescription) -> Self {
        Self::Alert { alert, to_old_phones: Some(to_old_phones) }
    }

    const fn same_alert(alert: AlertDescription) -> Self {
        Self::Alert { alert, to_old_phones: None }
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the list is open; a test has every reason of these stages"
)]
const fn of_connection(reason: Reason) -> Told {
    match reason {
        Reason::BadHandshakeSignature => Told::same_alert(AlertDescription::DecryptError),
        Reason::ClientAlert | Reason::ClientGone => Told::TheirOwn,
        Reason::ExportOnly => Told::same_alert(AlertDescription::InsufficientSecurity),
        Reason::HelloMalformed => Told::same_alert(AlertDescription::DecodeError),
        Reason::HelloTooLarge => Told::same_alert(AlertDescription::RecordOverflow),
        Reason::InappropriateFallback => Told::same_alert(AlertDescription::InappropriateFallback),
        Reason::ListenerRemoved | Reason::TooManyHandshakes => {
            Told::same_alert(AlertDescription::InternalError)
        }
        Reason::NoSharedGroup | Reason::NoSharedSignatureAlgorithm | Reason::NoSharedSuite => {
            Told::same_alert(AlertDescription::HandshakeFailure)
        }
        Reason::NotTls => Told::PlainHttp,
        Reason::UnknownServerName => Told::same_alert(AlertDescription::UnrecognisedName),
        Reason::VersionNotSupported => Told::same_alert(AlertDescription::ProtocolVersion),
        Reason::WeakHandshakeSignature => {
            Told::alert(AlertDescription::IllegalParameter, AlertDescription::HandshakeFailure)
        }
        Reason::AuditFull
        | Reason::HandshakeTimeout
        | Reason::HelloTimeout
        | Reason::ShuttingDown
        | Reason::TooManyConnections
        | Reason::TooManyConnectionsFromAddress => Told::Closed,
        _ => Told::SomeAlert,
    }
}

/// What the phone gets and shows, in sentences for a telephone engineer.
#[must_use]
pub fn shows(reason: Reason) -> Vec<String> {
    let failed = "A Cisco phone reports \"resync failed\" to its syslog server, with words of its own";
    match Told::of(reason) {
        Told::Alert { alert, to_old_phones } => {
            let mut text = vec![format!("The TLS alert {}, and no connection.", with_number(alert))];
            if let Some(other) = to_old_phones {
                text.push(format!("Old phones, served by OpenSSL, get {} in its place.", with_number(other)));
            }
            if matches!(reason.stage(), Stage::Certificate | Stage::Admission) {
                text.push(format!(
                    "{failed}; up to TLS 1.2 `ssldump` on the way shows the alert. With TLS 1.3 it is encrypted and comes \
                     when the phone has done its part of the handshake, so that the phone may call it an error of \
                     reading. On a connection that is open already it is the answer 403 Forbidden."
                ));
            } else {
                text.push(format!("{failed}; `ssldump` on the way shows the alert."));
            }
            text
        }
        Told::Closed => {
            let mut text = vec![
                "Nothing: the connection is closed without an alert or an answer.".to_owned(),
                format!("{failed}."),
            ];
            if reason == Reason::AuditFull {
                text.push(format!("On a connection that is open already it is the answer {}.", status(reason)));
            }
            text
        }
        Told::PlainHttp => vec![
            "To plain HTTP the answer 400 Bad Request, whose text says that this port speaks HTTPS; to anything else \
             nothing but the end of the connection."
                .to_owned(),
        ],
        Told::SomeAlert => vec![
            "A TLS alert, which the record names, and no connection.".to_owned(),
            format!("{failed}; `ssldump` on the way shows the alert."),
        ],
        Told::Status(status) => vec![
            // What cannot be read as a request has no id: hyper answers it by itself.
            if reason == Reason::HeadersTooLarge {
                format!("The answer {status}, without a text.")
            } else if reason == Reason::BadRequest {
                format!(
                    "The answer {status}, with the request's id in its text and nothing of the reason; without a text where \
                     it could not be read as a request at all."
                )
            } else {
                format!("The answer {status}, with the request's id in its text and nothing of the reason.")
            },
            "A Cisco phone reports \"resync failed\" to its syslog server, waits Resync_Error_Retry_Delay seconds and \
             tries again."
                .to_owned(),
        ],
        Told::TheirOwn => vec![
            "The phone ended the connection itself: what it shows is its own reason, mostly that it does not trust the \
             server's certificate."
                .to_owned(),
        ],
    }
}

/// The reasons for which this gateway sends an alert of this number, always the same one of each.
#[must_use]
pub fn reasons_of_alert(number: u8) -> Vec<Reason> {
    let sends = |reason: &Reason| match Told::of(*reason) {
        Told::Alert { alert, to_old_phones } => {
            u8::from(alert) == number || to_old_phones.is_some_and(|alert| u8::from(alert) == number)
        }
        Told::Closed | Told::PlainHttp | Told::SomeAlert | Told::Status(_) | Told::TheirOwn => false,
    };
    Reason::ALL.iter().copied().filter(sends).collect()
}

/// The reasons for which this gateway answers a request with this status.
#[must_use]
pub fn reasons_of_status(status: u16) -> Vec<Reason> {
    let answers = |reason: &Reason| match Told::of(*reason) {
        Told::Status(of_reason) => of_reason.as_u16() == status,
        Told::Alert { .. } | Told::Closed | Told::PlainHttp | Told::SomeAlert | Told::TheirOwn => false,
    };
    Reason::ALL.iter().copied().filter(answers).collect()
}

/// An alert's name and number: `certificate_expired (45)`.
#[must_use]
pub fn with_number(alert: AlertDescription) -> String {
    format!("{} ({})", alert_name(alert), u8::from(alert))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_before_a_request_is_told_in_its_own_way() {
        let unknown = Reason::ALL.iter().filter(|reason| Told::of(**reason) == Told::SomeAlert);
        assert_eq!(unknown.collect::<Vec<_>>(), [&Reason::HandshakeFailed]);
    }

    #[test]
    fn what_a_phone_shows_names_the_alert_or_the_status_that_goes_out() {
        for (reason, words) in [
            (Reason::Expired, "certificate_expired (45)"),
            (Reason::Revoked, "certificate_revoked (44)"),
            (Reason::UnknownIssuer, "unknown_ca (48)"),
            (Reason::NoCertificate, "certificate_required (116)"),
            (Reason::NoCertificate, "handshake_failure (40) in its place"),
            (Reason::DeniedByList, "access_denied (49)"),
            (Reason::UnknownServerName, "unrecognized_name (112)"),
            (Reason::NoRuleMatched, "403 Forbidden"),
            (Reason::HeadersTooLarge, "431 Request Header Fields Too Large, without a text."),
            (Reason::BackendTimeout, "504 Gateway Timeout"),
            (Reason::HelloTimeout, "without an alert"),
            (Reason::AuditFull, "503 Service Unavailable"),
        ] {
            let text = shows(reason).join(" ");
            assert!(text.contains(words), "{reason}: {text}");
        }
    }
}
