//! The database of `openssl ca`, `index.txt`: a line a certificate, six fields with tabs between.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use certs::{Serial, Timestamp};

use super::known::printable;
use super::{Place, Remark};
use crate::store::{FileError, Revocation, RevocationReason};

/// The longest line that is looked at, in octets.
const LONGEST: u64 = 64 * 1024;

/// Most lines of one file.
const MOST: usize = 5_000_000;

/// One certificate, as the index has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IndexLine {
    pub(crate) line: usize,
    pub(crate) serial: Serial,
    pub(crate) not_after: Timestamp,
    /// As `openssl ca` prints a subject, `/C=DK/CN=name`.
    pub(crate) subject: String,
    pub(crate) revocation: Option<Revocation>,
}

/// Reads the index. A line that makes no sense is told, and no reason to leave out the others.
pub(crate) fn read(path: &Path, remarks: &mut Vec<Remark>) -> Result<Vec<IndexLine>, FileError> {
    let failed = |source| FileError::new("read", path, source);
    let mut reader = BufReader::new(File::open(path).map_err(failed)?);
    let mut lines = Vec::new();
    let mut text = Vec::new();
    for number in 1_usize.. {
        text.clear();
        let read = reader.by_ref().take(LONGEST).read_until(b'\n', &mut text).map_err(failed)?;
        if read == 0 {
            break;
        }
        let place = || Place::line(path, number);
        if number > MOST {
            remarks.push(Remark::refused(
                place(),
                format!("the index has more than {MOST} lines"),
                "split it, and import the parts one after another",
            ));
            break;
        }
        if !text.ends_with(b"\n") && u64::try_from(text.len()).is_ok_and(|length| length >= LONGEST) {
            remarks.push(Remark::refused(
                place(),
                "the line is longer than 64 kB, and the rest of the index was not read",
                "this is no index of openssl ca from here on; look at the file",
            ));
            break;
        }
        let line = String::from_utf8_lossy(&text);
        let line = line.trim_end_matches(['\n', '\r']);
        if line.is_empty() {
            continue;
        }
        match parse(line, number) {
            Ok((line, doubt)) => {
                lines.push(line);
                if let Some(doubt) = doubt {
                    remarks.push(Remark::warning(
                        place(),
                        doubt,
                        "if the reason was keyCompromise, say so: provision-ca revoke SERIAL --reason keyCompromise",
                    ));
                }
            }
            Err(why) => remarks.push(Remark::refused(
                place(),
                format!("{why}: {}", printable(&line.replace('\t', "<tab>"))),
                "correct the line, as in: V<tab>270101120000Z<tab><tab>01<tab>unknown<tab>/CN=name",
            )),
        }
    }
    Ok(lines)
}

/// A line, and what is doubtful about it though it is taken.
fn parse(text: &str, line: usize) -> Result<(IndexLine, Option<String>), &'static str> {
    let fields: Vec<&str> = text.split('\t').collect();
    let [status, not_after, revoked, serial, _file, subject] = fields[..] else {
        return Err("a line of six fields with tabs between is expected");
    };
    let serial = Serial::parse_hex(serial).ok_or("the fourth field is no serial number in hexadecimal")?;
    let not_after = time(not_after).ok_or("the second field is no date")?;
    let (revocation, doubt) = match (status, revoked) {
        ("V" | "E", "") => (None, None),
        ("V" | "E", _) => return Err("the line has a date of revocation, and does not say R"),
        ("R", "") => return Err("the line says R and no date of revocation"),
        ("R", revoked) => {
            let (at, reason) = revoked.split_once(',').unwrap_or((revoked, ""));
            let at = time(at).ok_or("the third field is no date")?;
            let (reason, doubt) = match reason_of(reason) {
                Some(reason) => (reason, None),
                None => {
                    let doubt = format!(
                        "the reason {:?} is unknown: taken in as revoked without a reason",
                        printable(reason)
                    );
                    (RevocationReason::Unspecified, Some(doubt))
                }
            };
            (Some(Revocation { at, reason }), doubt)
        }
        (_, _) => return Err("the first field is neither V, R nor E"),
    };
    let subject = subject.to_owned();
    Ok((IndexLine { line, serial, not_after, subject, revocation }, doubt))
}

/// `YYMMDDHHMMSSZ`, years 1950 to 2049, or `YYYYMMDDHHMMSSZ` (RFC 5280 §4.1.2.5); none before 1970.
fn time(text: &str) -> Option<Timestamp> {
    let digits = text.strip_suffix('Z')?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (year, rest) = match digits.len() {
        12 if digits.starts_with(['5', '6', '7', '8', '9']) => (format!("19{}", &digits[..2]), &digits[2..]),
        12 => (format!("20{}", &digits[..2]), &digits[2..]),
        14 => (digits[..4].to_owned(), &digits[4..]),
        _ => return None,
    };
    let (month, day) = (&rest[..2], &rest[2..4]);
    let (hour, minute, second) = (&rest[4..6], &rest[6..8], &rest[8..10]);
    Timestamp::parse_rfc3339(&format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z"))
        .filter(|time| time.unix() >= 0)
}

/// What `openssl ca` writes: the reason, for some with a date or an identifier after it.
fn reason_of(text: &str) -> Option<RevocationReason> {
    let word = text.split(',').next().unwrap_or_default();
    Some(match word {
        "" | "unspecified" => RevocationReason::Unspecified,
        "keyCompromise" | "keyTime" => RevocationReason::KeyCompromise,
        "CACompromise" | "cACompromise" | "CAkeyTime" => RevocationReason::CaCompromise,
        "affiliationChanged" => RevocationReason::AffiliationChanged,
        "superseded" => RevocationReason::Superseded,
        "cessationOfOperation" => RevocationReason::CessationOfOperation,
        "certificateHold" | "holdInstruction" => RevocationReason::CertificateHold,
        "privilegeWithdrawn" => RevocationReason::PrivilegeWithdrawn,
        "AACompromise" | "aACompromise" => RevocationReason::AaCompromise,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Result<IndexLine, &'static str> {
        parse(text, 1).map(|(line, _)| line)
    }

    #[test]
    fn every_kind_of_line_that_openssl_writes_is_read() {
        let valid = line("V\t270101120000Z\t\t1000\tunknown\t/C=DK/CN=a").unwrap();
        assert_eq!(valid.serial, Serial::parse_hex("1000").unwrap());
        assert_eq!(valid.not_after, Timestamp::parse_rfc3339("2027-01-01T12:00:00Z").unwrap());
        assert_eq!(valid.revocation, None);
        assert_eq!(line("E\t20510101120000Z\t\t01\tunknown\t/CN=a").unwrap().not_after.civil().0, 2051);
        for (text, reason) in [
            ("240101120000Z", RevocationReason::Unspecified),
            ("240101120000Z,keyCompromise", RevocationReason::KeyCompromise),
            ("240101120000Z,keyTime,20231231120000Z", RevocationReason::KeyCompromise),
            ("240101120000Z,CAkeyTime,20231231120000Z", RevocationReason::CaCompromise),
            ("240101120000Z,holdInstruction,1.2.840.10040.2.2", RevocationReason::CertificateHold),
            ("240101120000Z,superseded", RevocationReason::Superseded),
        ] {
            let revoked = line(&format!("R\t270101120000Z\t{text}\tFF\tunknown\t/CN=a")).unwrap();
            let at = Timestamp::parse_rfc3339("2024-01-01T12:00:00Z").unwrap();
            assert_eq!(revoked.revocation, Some(Revocation { at, reason }), "{text}");
        }
    }

    #[test]
    fn an_unknown_reason_is_told_and_the_certificate_stays_revoked() {
        let (read, doubt) = parse("R\t270101120000Z\t240101120000Z,boredom\t01\tunknown\t/CN=a", 1).unwrap();
        assert_eq!(read.revocation.unwrap().reason, RevocationReason::Unspecified);
        assert!(doubt.unwrap().contains("boredom"));
    }

    #[test]
    fn lines_that_make_no_sense_are_refused() {
        for text in [
            "V",
            "V\t270101120000Z\t\t01\tunknown",
            "V\t270101120000Z\t\t01\tunknown\t/CN=a\tmore",
            "X\t270101120000Z\t\t01\tunknown\t/CN=a",
            "V\t271301120000Z\t\t01\tunknown\t/CN=a",
            "V\t270101120000\t\t01\tunknown\t/CN=a",
            "V\t2701０1120000Z\t\t01\tunknown\t/CN=a",
            "V\t270101120000Z\t\t0G\tunknown\t/CN=a",
            "V\t270101120000Z\t\t\tunknown\t/CN=a",
            "V\t270101120000Z\t240101120000Z\t01\tunknown\t/CN=a",
            "R\t270101120000Z\t\t01\tunknown\t/CN=a",
            "R\t270101120000Z\t690101120000Z\t01\tunknown\t/CN=a",
            "R\t270101120000Z\tyesterday\t01\tunknown\t/CN=a",
        ] {
            assert!(parse(text, 1).is_err(), "{text}");
        }
    }

    #[test]
    fn b9_random_lines_never_panic() {
        proptest::proptest!(|(text in "[VRE]?[\t0-9A-FZé,a-z/=]{0,80}")| {
            let _either = parse(&text, 1);
        });
    }
}
