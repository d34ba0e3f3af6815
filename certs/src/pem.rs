//! PEM blocks (RFC 7468), with their line numbers kept for messages.
//!
//! Text around blocks is allowed, as OpenSSL writes it before each certificate; inside a block only base64 is.

use crate::certificate::Certificate;
use crate::error::ParseError;

/// One block of a PEM text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// What stands after `BEGIN`, such as `CERTIFICATE`.
    pub label: String,
    /// The decoded contents.
    pub contents: Vec<u8>,
    /// The line of `BEGIN`, counted from 1.
    pub line: usize,
}

/// The label of a certificate.
pub const CERTIFICATE: &str = "CERTIFICATE";
/// The label of a certification request.
pub const CERTIFICATE_REQUEST: &str = "CERTIFICATE REQUEST";
/// The label of a CRL.
pub const X509_CRL: &str = "X509 CRL";

/// Reads every block of a text, in order.
///
/// # Errors
/// A block without end, an end without beginning or with another label, or contents that are not base64.
pub fn blocks(text: &[u8]) -> Result<Vec<Block>, ParseError> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, usize, Vec<u8>)> = None;
    let mut last_line = 0;
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let number = index + 1;
        last_line = number;
        let line = line.trim_ascii();
        let fail = |problem| Err(ParseError::Pem { line: number, problem });
        if let Some(label) = boundary(line, b"-----BEGIN ") {
            if open.is_some() {
                return fail("BEGIN inside a block");
            }
            open = Some((label, number, Vec::new()));
        } else if let Some(label) = boundary(line, b"-----END ") {
            let Some((opened, begun, base64)) = open.take() else { return fail("END without BEGIN") };
            if opened != label {
                return fail("END with another label than BEGIN");
            }
            let Some(contents) = decode_base64(&base64) else {
                return Err(ParseError::Pem { line: begun, problem: "the block is not base64" });
            };
            blocks.push(Block { label, contents, line: begun });
        } else if let Some((_, _, base64)) = &mut open {
            base64.extend_from_slice(line);
        }
    }
    match open {
        Some(_) => Err(ParseError::Pem { line: last_line, problem: "the file ends inside a block" }),
        None => Ok(blocks),
    }
}

/// Reads every certificate of a PEM text with the line it begins on; other blocks are passed over.
///
/// # Errors
/// Broken armour, or a certificate that does not parse. A text without certificates gives an empty list.
pub fn certificates(text: impl AsRef<[u8]>) -> Result<Vec<(Certificate, usize)>, CertificatesError> {
    let blocks = blocks(text.as_ref()).map_err(|source| {
        let line = if let ParseError::Pem { line, .. } = source { line } else { 1 };
        CertificatesError { line, source }
    })?;
    blocks
        .iter()
        .filter(|block| is_certificate(&block.label))
        .map(|block| match Certificate::parse(&block.contents) {
            Ok(certificate) => Ok((certificate, block.line)),
            Err(source) => Err(CertificatesError { line: block.line, source }),
        })
        .collect()
}

/// A PEM text with certificates that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unreadable certificate at line {line}")]
pub struct CertificatesError {
    /// Where the block begins, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    #[source]
    pub source: ParseError,
}

/// Whether the label is one that certificates have had.
pub fn is_certificate(label: &str) -> bool {
    matches!(label, CERTIFICATE | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE")
}

/// Writes one block with lines of 64 characters, ending in a newline.
pub fn encode(label: &str, contents: &[u8]) -> String {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new(label, contents), config)
}

/// Whether a file should be read as PEM rather than as DER.
pub(crate) fn looks_like_pem(bytes: &[u8]) -> bool {
    const BEGIN: &[u8] = b"-----BEGIN ";
    bytes.windows(BEGIN.len()).any(|window| window == BEGIN)
}

/// The contents of the one block in a text that must hold nothing else.
pub(crate) fn single(text: &[u8], labels: &[&str], label: &'static str) -> Result<Vec<u8>, ParseError> {
    let mut blocks = blocks(text)?;
    match (blocks.pop(), blocks.len()) {
        (Some(block), 0) if labels.contains(&block.label.as_str()) => Ok(block.contents),
        (Some(block), 0) => {
            Err(ParseError::WrongLabel { line: block.line, expected: label, found: block.label })
        }
        (Some(_), others) => Err(ParseError::WrongBlockCount { label, found: others + 1 }),
        (None, _) => Err(ParseError::WrongBlockCount { label, found: 0 }),
    }
}

fn boundary(line: &[u8], prefix: &[u8]) -> Option<String> {
    let label = line.strip_prefix(prefix)?.strip_suffix(b"-----")?;
    std::str::from_utf8(label).ok().map(str::to_owned)
}

/// Strict base64 with padding. `None` for any other character, and for bits that would be lost.
fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    let digits = match text {
        [head @ .., b'=', b'='] | [head @ .., b'='] => head,
        _ => text,
    };
    if !text.len().is_multiple_of(4) || text.is_empty() {
        return None;
    }
    let mut decoded = Vec::with_capacity(text.len() / 4 * 3);
    for group in digits.chunks(4) {
        let bits = group.iter().try_fold(0_u32, |bits, digit| Some((bits << 6) | base64_digit(*digit)?))?;
        let bits = bits << (6 * (4 - group.len()));
        let [_, bytes @ ..] = bits.to_be_bytes();
        let (kept, lost) = bytes.split_at_checked(group.len() - 1)?;
        if lost.iter().any(|byte| *byte != 0) {
            return None;
        }
        decoded.extend_from_slice(kept);
    }
    Some(decoded)
}

fn base64_digit(digit: u8) -> Option<u32> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_blocks_with_their_lines_and_passes_over_text_around_them() {
        let text = "subject=x\n-----BEGIN A-----\nAAEC\nAw==\n-----END A-----\r\nmore\n-----BEGIN B C-----\n-----END B C-----\n";
        let empty = blocks(text.as_bytes());
        assert_eq!(empty, Err(ParseError::Pem { line: 7, problem: "the block is not base64" }));
        let text = text.replace("C-----\n-----END", "C-----\n/+8=\n-----END");
        let blocks = blocks(text.as_bytes()).unwrap();
        assert_eq!(blocks.len(), 2);
        assert_eq!(
            (blocks[0].label.as_str(), &blocks[0].contents[..], blocks[0].line),
            ("A", &[0, 1, 2, 3][..], 2)
        );
        assert_eq!(
            (blocks[1].label.as_str(), &blocks[1].contents[..], blocks[1].line),
            ("B C", &[0xff, 0xef][..], 7)
        );
    }

    #[test]
    fn refuses_broken_armour_and_says_where() {
        for (text, line, problem) in [
            ("-----BEGIN A-----\nAAEC\n", 3, "the file ends inside a block"),
            ("\n-----END A-----\n", 2, "END without BEGIN"),
            ("-----BEGIN A-----\nAAEC\n-----END B-----\n", 3, "END with another label than BEGIN"),
            ("-----BEGIN A-----\n-----BEGIN A-----\n", 2, "BEGIN inside a block"),
            ("-----BEGIN A-----\nAA!C\n-----END A-----\n", 1, "the block is not base64"),
            ("-----BEGIN A-----\nAAF=\n-----END A-----\n", 1, "the block is not base64"),
            ("-----BEGIN A-----\nAAE\n-----END A-----\n", 1, "the block is not base64"),
        ] {
            assert_eq!(blocks(text.as_bytes()), Err(ParseError::Pem { line, problem }), "{text}");
        }
    }

    #[test]
    fn encodes_what_it_reads() {
        let contents: Vec<u8> = (0..=255).collect();
        let text = encode("X", &contents);
        assert!(text.ends_with("-----END X-----\n") && text.lines().all(|line| line.len() <= 64));
        assert_eq!(single(text.as_bytes(), &["X"], "X"), Ok(contents));
    }
}
