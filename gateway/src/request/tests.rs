use http::header::HeaderName;

use super::*;

const LIMITS: BodyLimits = BodyLimits { bytes: 1000, rate: 500, grace: std::time::Duration::from_secs(1) };

/// An HTTP/1.1 request for `target` with these fields.
fn request(method: &str, target: &str, fields: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in fields {
        request = request.header(HeaderName::try_from(*name).unwrap(), *value);
    }
    request.body(()).unwrap()
}

fn with_version(mut request: Request<()>, version: Version) -> Request<()> {
    *request.version_mut() = version;
    request
}

fn serves_example(host: &str) -> bool {
    host == "prov.example.com"
}

fn inbound(request: Request<()>) -> Result<Inbound<()>, RequestError> {
    Inbound::new(request, &LIMITS, serves_example)
}

fn get(fields: &[(&str, &str)]) -> Result<Inbound<()>, RequestError> {
    inbound(request("GET", "/a.cfg", fields))
}

const HOST: (&str, &str) = ("Host", "prov.example.com");

#[track_caller]
fn assert_refused(result: Result<Inbound<()>, RequestError>, error: &RequestError, reason: Reason) {
    let found = result.unwrap_err();
    assert_eq!(found, *error);
    assert_eq!(found.reason(), reason);
}

#[test]
fn the_rules_see_the_normalised_target_as_it_is_forwarded() {
    let fields = [HOST, ("User-Agent", "cisco/CP-8841-3PCC (88012BA01234)")];
    let inbound = inbound(request("GET", "/%63isco//000e08abcdef%2ecfg?x=%41", &fields)).unwrap();
    let facts = inbound.facts();
    assert_eq!((facts.method, facts.path, facts.query), ("GET", "/cisco/000e08abcdef.cfg", Some("x=%41")));
    assert_eq!(facts.user_agent, Some("cisco/CP-8841-3PCC (88012BA01234)"));
    assert_eq!(inbound.target().as_str(), "/cisco/000e08abcdef.cfg?x=%41");
}

#[test]
fn an_absolute_target_counts_as_its_path() {
    let absolute = |target: &str, host: &str| inbound(request("GET", target, &[("Host", host)]));
    let accepted = absolute("https://prov.example.com/a.cfg?b", "PROV.example.com").unwrap();
    assert_eq!(accepted.target().as_str(), "/a.cfg?b");
    assert_eq!(absolute("http://prov.example.com", "prov.example.com").unwrap().target().as_str(), "/");
    let contradicted = RequestError::Host(HostError::Contradicted);
    assert_refused(
        absolute("https://other.example.com/", "prov.example.com"),
        &contradicted,
        Reason::BadHost,
    );
    assert_refused(
        absolute("ftp://prov.example.com/", "prov.example.com"),
        &TargetError::Form.into(),
        Reason::BadTarget,
    );
    let user = absolute("https://user@prov.example.com/", "user@prov.example.com");
    assert_refused(user, &HostError::Invalid.into(), Reason::BadHost);
}

#[test]
fn refuses_targets_that_are_no_path() {
    for target in ["*", "prov.example.com:443"] {
        let request = request("OPTIONS", target, &[HOST]);
        assert_refused(
            inbound(request),
            &match target {
                "*" => RequestError::Target(TargetError::Form),
                _ => RequestError::Host(HostError::Contradicted),
            },
            if target == "*" { Reason::BadTarget } else { Reason::BadHost },
        );
    }
    assert_refused(
        inbound(request("GET", "/a/../b", &[HOST])),
        &TargetError::DotSegment.into(),
        Reason::BadTarget,
    );
    assert!(inbound(request("GET", "/a/..b", &[HOST])).is_ok());
}

#[test]
fn http_1_1_needs_exactly_one_valid_host() {
    assert!(get(&[HOST]).is_ok());
    assert_refused(get(&[]), &HostError::Missing.into(), Reason::BadHost);
    assert_refused(get(&[HOST, HOST]), &HostError::Repeated.into(), Reason::BadHost);
    assert_refused(get(&[("Host", "prov.example.com/x")]), &HostError::Invalid.into(), Reason::BadHost);
    assert_refused(get(&[("Host", "")]), &HostError::Invalid.into(), Reason::BadHost);
}

#[test]
fn http_1_0_may_come_without_host_but_not_with_another() {
    let old =
        |fields: &[(&str, &str)]| inbound(with_version(request("GET", "/a.cfg", fields), Version::HTTP_10));
    assert!(old(&[]).is_ok());
    assert!(old(&[HOST]).is_ok());
    let misdirected = RequestError::Misdirected { host: "other.example.com".to_owned() };
    assert_refused(old(&[("Host", "other.example.com")]), &misdirected, Reason::Misdirected);
}

#[test]
fn sec_33_a_host_that_is_not_served_here_is_misdirected() {
    for host in ["prov.example.com", "PROV.EXAMPLE.COM:8443", "prov.example.com."] {
        assert!(get(&[("Host", host)]).is_ok(), "{host}");
    }
    let misdirected = RequestError::Misdirected { host: "other.example.com".to_owned() };
    assert_refused(get(&[("Host", "Other.example.com:443")]), &misdirected, Reason::Misdirected);
}

#[test]
fn sec_66_refuses_lengths_with_two_readings() {
    let post = |fields: &[(&str, &str)]| inbound(request("POST", "/a", &[&[HOST], fields].concat()));
    assert!(post(&[("Content-Length", "5")]).is_ok());
    assert!(post(&[("Transfer-Encoding", "chunked")]).is_ok());
    for fields in [
        &[("Content-Length", "5"), ("Transfer-Encoding", "chunked")][..],
        &[("Transfer-Encoding", "chunked"), ("Content-Length", "5")],
        &[("Content-Length", "5"), ("Content-Length", "5")],
        &[("Content-Length", "5, 5")],
        &[("Content-Length", "+5")],
        &[("Content-Length", "")],
        &[("Content-Length", "99999999999999999999")],
        &[("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")],
        &[("Transfer-Encoding", "gzip, chunked")],
        &[("Transfer-Encoding", "identity")],
        &[("Transfer-Encoding", "xchunked")],
    ] {
        assert_refused(post(fields), &RequestError::Framing, Reason::BadRequest);
    }
    let old = with_version(request("POST", "/a", &[("Transfer-Encoding", "chunked")]), Version::HTTP_10);
    assert_refused(inbound(old), &RequestError::Framing, Reason::BadRequest);
}

#[test]
fn refuses_a_declared_body_one_byte_too_large() {
    let post = |length: &str| inbound(request("POST", "/a", &[HOST, ("Content-Length", length)]));
    assert!(post("1000").is_ok());
    let too_large = RequestError::BodyTooLarge { declared: 1001, limit: 1000 };
    assert_refused(post("1001"), &too_large, Reason::BodyTooLarge);
}

#[test]
fn knows_one_expectation() {
    assert!(get(&[HOST, ("Expect", "100-Continue")]).is_ok());
    assert_refused(get(&[HOST, ("Expect", "200-ok")]), &RequestError::Expectation, Reason::ExpectationFailed);
}

#[test]
fn connect_and_trace_are_refused_and_other_methods_left_to_the_rules() {
    for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "BREW"] {
        assert!(inbound(request(method, "/a", &[HOST])).is_ok(), "{method}");
    }
    let trace = inbound(request("TRACE", "/a", &[HOST]));
    assert_refused(trace, &RequestError::Method(Method::TRACE), Reason::BadRequest);
    let connect = inbound(request("CONNECT", "prov.example.com:443", &[HOST]));
    assert_refused(connect, &RequestError::Method(Method::CONNECT), Reason::BadRequest);
}

#[test]
fn serves_no_other_version() {
    let newer = with_version(request("GET", "/a", &[HOST]), Version::HTTP_2);
    assert_refused(inbound(newer), &RequestError::Version, Reason::BadRequest);
}
