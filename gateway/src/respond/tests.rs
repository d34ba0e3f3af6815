use std::sync::{Arc, Mutex};

use http_body_util::BodyExt as _;

use super::*;

#[test]
fn every_reason_has_a_status_that_a_phone_takes_for_a_refusal() {
    for reason in Reason::ALL {
        let status = status(*reason);
        assert!(status.is_client_error() || status.is_server_error(), "{reason}: {status}");
        assert!(status != StatusCode::UNAUTHORIZED, "a phone would try its password");
    }
}

#[test]
fn statuses_say_whose_fault_it_was() {
    for (reason, expected) in [
        (Reason::NoRuleMatched, 403),
        (Reason::Revoked, 403),
        (Reason::BadTarget, 400),
        (Reason::BodyTooSlow, 408),
        (Reason::BodyTooLarge, 413),
        (Reason::ExpectationFailed, 417),
        (Reason::Misdirected, 421),
        (Reason::HeadersTooLarge, 431),
        (Reason::IdentityFieldsFailed, 500),
        (Reason::BackendUnreachable, 502),
        (Reason::BackendTls, 502),
        (Reason::BackendTimeout, 504),
    ] {
        assert_eq!(status(reason).as_u16(), expected, "{reason}");
    }
}

#[tokio::test]
async fn sec_63_a_device_learns_a_status_and_a_request_id() {
    let response = refusal(Reason::DeniedByList, "c1-7", Afterwards::Close);
    assert_eq!(response.headers()["connection"], "close");
    assert_eq!(response.headers()["content-length"], "27");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "403 Forbidden\nrequest c1-7\n");
    let kept = refusal(Reason::NoRuleMatched, "c1-8", Afterwards::Keep);
    assert!(!kept.headers().contains_key("connection"));
}

type Endings = Arc<Mutex<Vec<(Ending, u64)>>>;

/// A body whose ending is written down.
fn observed(body: Body) -> (Observed<impl FnOnce(Ending, u64) + Unpin>, Endings) {
    let endings = Endings::default();
    let seen = Arc::clone(&endings);
    (Observed::new(body, move |ending, bytes| seen.lock().unwrap().push((ending, bytes))), endings)
}

#[tokio::test]
async fn tells_once_that_a_body_went_out_whole() {
    let (mut body, endings) = observed(Body::full(Bytes::from_static(b"hello")));
    while body.frame().await.is_some() {}
    assert_eq!(*endings.lock().unwrap(), [(Ending::Complete, 5)]);
    drop(body);
    assert_eq!(endings.lock().unwrap().len(), 1);
}

#[test]
fn an_empty_body_is_complete_without_being_asked_for() {
    let (body, endings) = observed(Body::empty());
    drop(body);
    assert_eq!(*endings.lock().unwrap(), [(Ending::Complete, 0)]);
}

#[test]
fn tells_that_the_device_went_away() {
    let (body, endings) = observed(Body::full(Bytes::from_static(b"hello")));
    drop(body);
    assert_eq!(*endings.lock().unwrap(), [(Ending::Abandoned, 0)]);
}
