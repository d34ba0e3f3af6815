//! What a phone does on an answer, as the guide has it.

use crate::HOST;
use crate::call::Failure;

/// As many redirections as a phone follows for one file.
const REDIRECTIONS: usize = 5;
/// 401 and 407 are answered with credentials so often.
const CREDENTIALS: usize = 2;

/// One file being fetched.
#[derive(Clone, Debug)]
pub(crate) struct Fetch {
    target: String,
    redirections: usize,
    with_credentials: usize,
}

/// What comes next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Step {
    /// The file is there.
    Done,
    /// It is not, and that is no failure.
    Without,
    /// Ask again, at once.
    Again,
    /// Give up, and call again after `Resync_Error_Retry_Delay`.
    Fail(Failure),
}

impl Fetch {
    pub(crate) fn new(target: &str) -> Self {
        Self { target: target.to_owned(), redirections: 0, with_credentials: 0 }
    }

    pub(crate) fn target(&self) -> &str {
        &self.target
    }

    pub(crate) fn shows_credentials(&self) -> bool {
        self.with_credentials > 0
    }

    /// What follows from a status and where it points.
    pub(crate) fn answered(&mut self, status: u16, location: Option<&str>, fails_on_not_found: bool) -> Step {
        match status {
            200..=299 => Step::Done,
            301 | 302 if self.redirections < REDIRECTIONS => {
                let Some(target) = location.and_then(on_this_host) else {
                    return Step::Fail(Failure::NotHttp("a redirection to another host or to nowhere"));
                };
                self.target = target;
                self.redirections += 1;
                Step::Again
            }
            401 | 407 if self.with_credentials < CREDENTIALS => {
                self.with_credentials += 1;
                Step::Again
            }
            404 if !fails_on_not_found => Step::Without,
            _ => Step::Fail(Failure::Status(status)),
        }
    }
}

/// The target of a redirection to our own host, by whatever port: there is no other here.
fn on_this_host(location: &str) -> Option<String> {
    if location.starts_with('/') {
        return Some(location.to_owned());
    }
    let (host, path) = location.strip_prefix("https://")?.split_once('/')?;
    (host.split(':').next() == Some(HOST)).then(|| format!("/{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How the fetch of a file goes on for one status after another.
    fn steps(statuses: &[u16], fails_on_not_found: bool) -> Vec<Step> {
        let mut fetch = Fetch::new("/a.cfg");
        statuses.iter().map(|status| fetch.answered(*status, Some("/b.cfg"), fails_on_not_found)).collect()
    }

    fn fail(status: u16) -> Step {
        Step::Fail(Failure::Status(status))
    }

    #[test]
    fn each_class_of_status_is_answered_as_the_guide_says() {
        use Step::{Again, Done, Without};
        assert_eq!(steps(&[200], true), [Done]);
        for status in [400, 403, 410, 500, 502, 503, 504, 303, 307] {
            assert_eq!(steps(&[status], true), [fail(status)]);
        }
        assert_eq!(steps(&[404], true), [fail(404)]);
        assert_eq!(steps(&[404], false), [Without]);
        assert_eq!(steps(&[401, 401, 401], true), [Again, Again, fail(401)], "credentials at most twice");
        assert_eq!(steps(&[407, 200], true), [Again, Done]);
        assert_eq!(steps(&[302, 301, 200], true), [Again, Again, Done]);
        assert_eq!(steps(&[302; 6], true).last(), Some(&fail(302)), "a redirection that never ends");
    }

    #[test]
    fn credentials_are_shown_after_they_were_asked_for_and_the_target_is_the_redirections() {
        let mut fetch = Fetch::new("/a.cfg");
        assert!(!fetch.shows_credentials());
        fetch.answered(401, None, true);
        assert!(fetch.shows_credentials());
        fetch.answered(302, Some("https://prov.example.com:8443/b.cfg"), true);
        assert_eq!(fetch.target(), "/b.cfg");
        for elsewhere in ["https://elsewhere.example.com/b.cfg", "http://prov.example.com/b.cfg"] {
            let step = fetch.answered(302, Some(elsewhere), true);
            assert!(matches!(step, Step::Fail(Failure::NotHttp(_))), "{elsewhere}");
        }
    }
}
