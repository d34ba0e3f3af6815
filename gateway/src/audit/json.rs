//! A JSON writer for audit lines: no allocation, and nothing a peer sends can leave its string.
//!
//! Control characters, the eight-bit terminal controls, line separators and direction overrides are written as `\uXXXX`, bytes
//! that are not UTF-8 as U+FFFD (SEC-60). A reader gets the original text back; a terminal that shows the raw file stays calm.

use std::fmt::{self, Write as _};
use std::ops::Range;

/// The longest text of one member, in bytes before escaping. What is cut off is counted at the text's end.
pub(super) const LONGEST_TEXT: usize = 2048;

/// One JSON object being written at the end of a buffer.
pub(super) struct Object<'out> {
    out: &'out mut Vec<u8>,
    /// Where in the buffer it begins.
    start: usize,
    members: bool,
}

impl<'out> Object<'out> {
    /// Opens an object: `{`.
    pub(super) fn open(out: &'out mut Vec<u8>) -> Self {
        let start = out.len();
        out.push(b'{');
        Self { out, start, members: false }
    }

    /// Writes members without the braces, for a fragment that [`members`](Self::members) later pastes into an object.
    pub(super) fn fragment(out: &'out mut Vec<u8>) -> Self {
        Self { start: out.len(), out, members: false }
    }

    /// Closes the object: `}`.
    pub(super) fn close(self) {
        self.out.push(b'}');
    }

    /// Pastes members written before by [`fragment`](Self::fragment), which may come in parts.
    pub(super) fn members<const N: usize>(&mut self, fragment: [&[u8]; N]) {
        if fragment.iter().any(|part| !part.is_empty()) {
            self.separate();
            fragment.iter().for_each(|part| self.out.extend_from_slice(part));
        }
    }

    /// A string member.
    pub(super) fn text(&mut self, name: &'static str, value: &str) {
        self.name(name);
        string(self.out, value.as_bytes());
    }

    /// A string member from bytes that may not be UTF-8.
    pub(super) fn bytes(&mut self, name: &'static str, value: &[u8]) {
        self.name(name);
        string(self.out, value);
    }

    /// A string member from a value whose `Display` needs no escaping: addresses, identifiers, numbers in hex.
    pub(super) fn display(&mut self, name: &'static str, value: impl fmt::Display) {
        self.name(name);
        self.out.push(b'"');
        plain(self.out, value);
        self.out.push(b'"');
    }

    /// A number.
    pub(super) fn number(&mut self, name: &'static str, value: u64) {
        self.name(name);
        plain(self.out, value);
    }

    /// A boolean.
    pub(super) fn boolean(&mut self, name: &'static str, value: bool) {
        self.name(name);
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }

    /// An array of strings.
    pub(super) fn texts(&mut self, name: &'static str, values: impl IntoIterator<Item = impl AsRef<str>>) {
        self.name(name);
        self.out.push(b'[');
        for (index, value) in values.into_iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            string(self.out, value.as_ref().as_bytes());
        }
        self.out.push(b']');
    }

    /// An array of numbers.
    pub(super) fn numbers(&mut self, name: &'static str, values: &[u16]) {
        self.name(name);
        self.out.push(b'[');
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            plain(self.out, value);
        }
        self.out.push(b']');
    }

    /// A nested object. Returns where in the buffer it is.
    pub(super) fn object(&mut self, name: &'static str, write: impl FnOnce(&mut Object<'_>)) -> Range<usize> {
        self.name(name);
        let start = self.out.len();
        let mut inner = Object::open(self.out);
        write(&mut inner);
        inner.close();
        start..self.out.len()
    }

    /// How many octets of the object are written, its opening brace among them.
    pub(super) fn written(&self) -> usize {
        self.out.len() - self.start
    }

    /// A nested object as [`object`](Self::object) wrote it before. Returns where in the buffer it is.
    pub(super) fn pasted(&mut self, name: &'static str, object: &[u8]) -> Range<usize> {
        self.name(name);
        let start = self.out.len();
        self.out.extend_from_slice(object);
        start..self.out.len()
    }

    fn name(&mut self, name: &'static str) {
        self.separate();
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn separate(&mut self) {
        if self.members {
            self.out.push(b',');
        }
        self.members = true;
    }
}

/// Writes `value` in quotes.
fn string(out: &mut Vec<u8>, value: &[u8]) {
    out.push(b'"');
    // Nearly every text is short and plain.
    if value.len() <= LONGEST_TEXT && value.iter().all(|byte| is_plain(*byte)) {
        out.extend_from_slice(value);
        out.push(b'"');
        return;
    }
    let kept =
        if value.len() <= LONGEST_TEXT { value } else { &value[..character_boundary(value, LONGEST_TEXT)] };
    for chunk in kept.utf8_chunks() {
        escaped(out, chunk.valid());
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    if kept.len() < value.len() {
        plain(out, format_args!("… [{} bytes more]", value.len() - kept.len()));
    }
    out.push(b'"');
}

/// The last place at or before `limit` that is not inside a UTF-8 sequence.
fn character_boundary(value: &[u8], limit: usize) -> usize {
    (limit.saturating_sub(3)..=limit).rev().find(|&at| value[at] & 0xc0 != 0x80).unwrap_or(limit)
}

fn escaped(out: &mut Vec<u8>, text: &str) {
    let mut clean_from = 0;
    for (at, character) in text.char_indices() {
        if !needs_escape(character) {
            continue;
        }
        out.extend_from_slice(&text.as_bytes()[clean_from..at]);
        clean_from = at + character.len_utf8();
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            other => plain(out, format_args!("\\u{:04x}", u32::from(other))),
        }
    }
    out.extend_from_slice(&text.as_bytes()[clean_from..]);
}

/// Whether a byte stands for itself: printable ASCII but the quote and the backslash.
const fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')
}

/// Whether a character is written as an escape. All of them lie in the basic plane, so one `\uXXXX` holds each.
const fn needs_escape(character: char) -> bool {
    matches!(
        character,
        '"' | '\\'
            | '\0'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
    )
}

/// Writes a value as it displays itself.
pub(super) fn plain(out: &mut Vec<u8>, value: impl fmt::Display) {
    struct Bytes<'a>(&'a mut Vec<u8>);
    impl fmt::Write for Bytes<'_> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.extend_from_slice(text.as_bytes());
            Ok(())
        }
    }
    // A vector takes every write, so only a `Display` that itself fails could; none of ours does.
    let _ = write!(Bytes(out), "{value}");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn written(value: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut object = Object::open(&mut out);
        object.bytes("text", value);
        object.close();
        out
    }

    fn read_back(line: &[u8]) -> String {
        let value: Value = serde_json::from_slice(line).expect("every line is JSON");
        value["text"].as_str().expect("the member is a string").to_owned()
    }

    #[test]
    fn a_terminal_sequence_does_not_survive_as_raw_bytes() {
        let line = written("\u{1b}[31mred\u{9b}0m \"quoted\" \\ \r\n\u{202e}".as_bytes());
        assert_eq!(
            String::from_utf8(line).unwrap(),
            r#"{"text":"\u001b[31mred\u009b0m \"quoted\" \\ \r\n\u202e"}"#
        );
    }

    #[test]
    fn bytes_that_are_not_text_become_the_replacement_character() {
        assert_eq!(read_back(&written(b"Zo\xeb \xff\xfe end\0")), "Zo\u{fffd} \u{fffd}\u{fffd} end\0");
    }

    #[test]
    fn a_text_beyond_the_limit_is_cut_between_characters_and_says_how_much_is_gone() {
        let long = "é".repeat(2000);
        let read = read_back(&written(long.as_bytes()));
        assert_eq!(read, format!("{}… [{} bytes more]", "é".repeat(1024), 4000 - 2048));
        assert_eq!(
            read_back(&written("é".repeat(1024).as_bytes())),
            "é".repeat(1024),
            "the twin just within the limit is whole"
        );
        assert!(read_back(&written(&[0xa9; 5000])).ends_with("[2952 bytes more]"));
    }

    #[test]
    fn nested_objects_lists_and_fragments_are_separated_by_commas_only_between_members() {
        let mut fragment = Vec::new();
        Object::fragment(&mut fragment).object("tls", |tls| {
            tls.text("version", "TLSv1.3");
            tls.boolean("resumed", false);
        });
        let mut out = Vec::new();
        let mut object = Object::open(&mut out);
        object.members([b""]);
        object.number("v", 1);
        object.members([&fragment]);
        object.texts("exceptions", ["sha1", "x509-v1"]);
        object.texts("none", Vec::<String>::new());
        object.display("serial", "0A");
        object.close();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"v":1,"tls":{"version":"TLSv1.3","resumed":false},"exceptions":["sha1","x509-v1"],"none":[],"serial":"0A"}"#
        );
    }

    proptest! {
        #[test]
        fn any_text_comes_back_as_it_was_and_leaves_no_control_byte_in_the_line(text in "\\PC{0,200}|[\\x00-\\x{ff}]{0,200}") {
            let line = written(text.as_bytes());
            prop_assert!(line.iter().all(|byte| *byte >= 0x20 && *byte != 0x7f));
            prop_assert_eq!(read_back(&line), text);
        }

        #[test]
        fn any_bytes_give_one_line_of_json(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let line = written(&bytes);
            prop_assert!(!line.contains(&b'\n'));
            prop_assert_eq!(read_back(&line), String::from_utf8_lossy(&bytes).into_owned());
        }
    }
}
