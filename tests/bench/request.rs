//! What phones ask for, and the answer as HTTP/1.1 has it.

use std::io::{self, Read, Write};

use crate::peers::HOST;

/// Octets of an ordinary profile.
pub(crate) const PROFILE: usize = 8 * 1024;
/// Octets of a large profile.
pub(crate) const LARGE_PROFILE: usize = 256 * 1024;
/// Octets of what a phone reports.
const REPORT: usize = 2 * 1024;
/// How a report ends: the store answers 201 only to one that came whole.
pub(crate) const END_OF_REPORT: &str = "</phone-report>";

/// More than any head here.
const LONGEST_HEAD: usize = 16 * 1024;

/// A request, and what must come back.
pub(crate) struct Request {
    text: Vec<u8>,
    status: &'static str,
    body: usize,
}

impl Request {
    /// `GET` of a phone's own profile.
    pub(crate) fn profile(mac: &str) -> Self {
        Self::get(&format!("/{mac}.cfg"), mac, PROFILE)
    }

    /// `GET` of a large profile of the phone's own.
    pub(crate) fn large_profile(model: &str, mac: &str) -> Self {
        Self::get(&format!("/{model}_{mac}.cfg"), mac, LARGE_PROFILE)
    }

    /// `POST` of a report to the store.
    pub(crate) fn report(mac: &str) -> Self {
        let begin = format!("<phone-report><mac>{mac}</mac><calls>");
        let padding = "x".repeat(REPORT - begin.len() - "</calls>".len() - END_OF_REPORT.len());
        let body = format!("{begin}{padding}</calls>{END_OF_REPORT}");
        let fields = format!("Content-Type: text/xml\r\nContent-Length: {}\r\n", body.len());
        let text = head("POST", &format!("/report/{mac}"), mac, &fields) + &body;
        Self { text: text.into_bytes(), status: "201", body: 0 }
    }

    /// The request as it is sent.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    fn get(path: &str, mac: &str, body: usize) -> Self {
        Self { text: head("GET", path, mac, "").into_bytes(), status: "200", body }
    }

    /// Sends it and reads the whole answer, which must be as expected.
    pub(crate) fn exchange(&self, stream: &mut (impl Read + Write)) -> io::Result<()> {
        stream.write_all(&self.text)?;
        let mut answer = Answer::new(self);
        let mut buffer = [0; LONGEST_HEAD];
        while !answer.is_whole() {
            let read = stream.read(&mut buffer)?;
            answer.take(buffer.get(..read).unwrap_or_default())?;
        }
        Ok(())
    }
}

fn head(method: &str, path: &str, mac: &str, fields: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nUser-Agent: Cisco-CP-8841-3PCC/11.0 ({mac})\r\nAccept: */*\r\n\
         {fields}\r\n"
    )
}

/// An answer that arrives piece by piece.
pub(crate) struct Answer<'a> {
    request: &'a Request,
    head: Vec<u8>,
    /// Octets of the body that are still to come, once the head is there.
    missing: Option<usize>,
}

impl<'a> Answer<'a> {
    pub(crate) fn new(request: &'a Request) -> Self {
        Self { request, head: Vec::new(), missing: None }
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.missing == Some(0)
    }

    /// Takes the next piece; an empty one is the end of the stream.
    pub(crate) fn take(&mut self, piece: &[u8]) -> io::Result<()> {
        if piece.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let body = match self.missing {
            Some(_) => piece.len(),
            None => {
                self.head.extend(piece);
                let Some(end) = self.head.windows(4).position(|four| four == b"\r\n\r\n") else {
                    let endless = self.head.len() > LONGEST_HEAD;
                    return if endless { Err(io::Error::other("a head without end")) } else { Ok(()) };
                };
                self.missing = Some(self.body_length(end)?);
                self.head.len() - end - 4
            }
        };
        let left = self.missing.and_then(|missing| missing.checked_sub(body));
        self.missing = Some(left.ok_or_else(|| io::Error::other("more came than was announced"))?);
        Ok(())
    }

    /// What the head announces, if it is what must come.
    fn body_length(&self, end: usize) -> io::Result<usize> {
        let text = String::from_utf8_lossy(self.head.get(..end).unwrap_or_default());
        let mut lines = text.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1));
        if status != Some(self.request.status) {
            return Err(io::Error::other(text.into_owned()));
        }
        let length = lines
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .and_then(|(_, value)| value.trim().parse::<usize>().ok());
        match length {
            Some(length) if length == self.request.body => Ok(length),
            _ => Err(io::Error::other(format!("expected {} octets, got: {text}", self.request.body))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(request: &Request, answer: &str, step: usize) -> io::Result<bool> {
        let mut taken = Answer::new(request);
        answer.as_bytes().chunks(step).try_for_each(|piece| taken.take(piece))?;
        Ok(taken.is_whole())
    }

    #[test]
    fn an_answer_is_whole_when_its_last_octet_came_however_it_was_cut() {
        let request = Request { text: Vec::new(), status: "200", body: 5 };
        let answer = "HTTP/1.1 200 OK\r\ncontent-LENGTH: 5\r\n\r\nhello";
        for step in 1..=answer.len() {
            assert!(whole(&request, answer, step).unwrap());
        }
        assert!(!whole(&request, answer.strip_suffix('o').unwrap(), 3).unwrap());
        assert!(whole(&request, &format!("{answer}!"), 99).is_err());
    }

    #[test]
    fn another_status_or_length_is_an_error_that_shows_the_answer() {
        let request = Request { text: Vec::new(), status: "200", body: 5 };
        for answer in [
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n",
        ] {
            let error = whole(&request, answer, 99).unwrap_err().to_string();
            assert!(error.contains(answer.trim_end()), "{error}");
        }
    }

    #[test]
    fn a_report_has_two_kibibytes_and_says_so() {
        let text = String::from_utf8(Request::report("000e08abcdef").text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST /report/000e08abcdef HTTP/1.1\r\nHost: localhost\r\n"));
        assert!(head.contains("Content-Length: 2048"));
        assert_eq!(body.len(), 2048);
        assert!(body.ends_with(END_OF_REPORT));
    }
}
