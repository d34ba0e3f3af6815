//! The answers, each with the fields that keep a browser from doing more with it than show it.

use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, RETRY_AFTER, SET_COOKIE,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Bytes;

type Answer = Response<Full<Bytes>>;

/// Nothing from elsewhere, no script but our own files, in nobody's frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

pub(super) fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    of_type(status, "text/plain; charset=utf-8", body)
}

pub(super) fn html(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    of_type(status, "text/html; charset=utf-8", body)
}

pub(super) fn of_type(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    for (name, value) in [
        (CONTENT_TYPE, media_type),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
    ] {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

pub(super) fn see_other(to: &str, cookie: Option<&str>) -> Answer {
    let mut answer = text(StatusCode::SEE_OTHER, "");
    let to = HeaderValue::from_str(to).unwrap_or(HeaderValue::from_static("/"));
    answer.headers_mut().insert(LOCATION, to);
    if let Some(cookie) = cookie.and_then(|cookie| HeaderValue::from_str(cookie).ok()) {
        answer.headers_mut().insert(SET_COOKIE, cookie);
    }
    answer
}

pub(super) fn unauthorized() -> Answer {
    let told = "show the token of the token file: curl -H \"Authorization: Bearer $(cat admin.token)\" …\n";
    let mut answer = text(StatusCode::UNAUTHORIZED, told);
    answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"admin\""));
    answer
}

pub(super) fn too_many(seconds: u64) -> Answer {
    let told = format!("too many wrong tokens came from this address; try again in {seconds} s\n");
    let mut answer = text(StatusCode::TOO_MANY_REQUESTS, told);
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    answer
}

/// The form for the token.
pub(super) fn login(problem: Option<&'static str>) -> String {
    let problem = problem.map(|text| format!("<p role=\"alert\">{text}</p>")).unwrap_or_default();
    format!(
        "<!DOCTYPE html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>provision-gateway</title><link rel=\"stylesheet\" href=\"/style.css\">\
         <link rel=\"icon\" type=\"image/svg+xml\" href=\"/icon.svg\">\
         <main class=\"login\"><h1>provision-gateway</h1>{problem}\
         <form method=\"post\" action=\"/login\">\
         <input name=\"name\" autocomplete=\"username\" value=\"admin\" hidden aria-label=\"Name\"><label for=\"token\">Token</label>\
         <input id=\"token\" name=\"token\" type=\"password\" autocomplete=\"current-password\" required autofocus>\
         <button>Sign in</button></form>\
         <p>It is in the file that <code>token-file</code> of <code>[admin]</code> names.</p></main></html>"
    )
}
