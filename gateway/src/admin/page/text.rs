//! Texts on a page. What comes from outside stands in [`Told`]; escaping is the template's, for every text there is.

use std::fmt::Write as _;

use certs::Timestamp;
use maud::{Escaper, Markup, Render, html};

use crate::audit::moment::Moment;

/// Characters of a text from outside that are shown.
const LONGEST: usize = 300;

/// A text that somebody else wrote: cut where it is very long, and with no character that could change what stands around it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told<'a>(pub(super) &'a str);

impl Render for Told<'_> {
    fn render_to(&self, out: &mut String) {
        // Letters that run from right to left stay within.
        out.push_str("<bdi>");
        write_plain(self.0, LONGEST, out);
        out.push_str("</bdi>");
    }
}

/// The same where no markup may stand: in an attribute or a title.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plain<'a>(pub(super) &'a str);

impl Render for Plain<'_> {
    fn render_to(&self, out: &mut String) {
        write_plain(self.0, LONGEST, out);
    }
}

/// The same for a text of several lines, in full up to a length.
#[derive(Debug, Clone, Copy)]
pub(super) struct ToldAtLength<'a>(pub(super) &'a str);

impl Render for ToldAtLength<'_> {
    fn render_to(&self, out: &mut String) {
        for (number, line) in self.0.split('\n').take(400).enumerate() {
            if number > 0 {
                out.push('\n');
            }
            write_plain(line, 2000, out);
        }
    }
}

fn write_plain(text: &str, longest: usize, out: &mut String) {
    for (shown, (at, character)) in text.char_indices().enumerate() {
        if shown == longest {
            let more = text.get(at..).map_or(0, |rest| rest.chars().count());
            let _ = write!(out, "… ({more} more)");
            return;
        }
        // Writing to a String cannot fail.
        let _ = if is_invisible(character) {
            write!(out, "{}", character.escape_unicode())
        } else {
            Escaper::new(out).write_char(character)
        };
    }
}

/// Characters that show nothing, or that change the order of those around them.
fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// A count, with thin spaces between thousands; the plain number stands in the markup for programs.
pub(super) fn number(count: u64) -> Markup {
    html! { data value=(count) { (grouped(count)) } }
}

/// Digits in groups of three, so that they can be read.
pub(super) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// A time to the second, UTC, with how long ago it was.
pub(super) fn when(time: Moment, now: Moment) -> Markup {
    let whole = time.timestamp().to_string();
    let shown = whole.replace('T', " ");
    html! { time datetime=(whole) { (shown.trim_end_matches('Z')) } " " span.ago { "(" (ago(time, now)) ")" } }
}

/// How long ago a time was; the time itself for programs and for whoever points at it.
pub(super) fn recent(time: Moment, now: Moment) -> Markup {
    let whole = time.timestamp().to_string();
    html! { time datetime=(whole) title=(whole) { (ago(time, now)) } }
}

/// A day, as `2027-03-01`.
pub(super) fn day(time: Timestamp) -> String {
    let (year, month, day, ..) = time.civil();
    format!("{year:04}-{month:02}-{day:02}")
}

/// How long ago, or ahead, in the largest unit that fits.
pub(super) fn ago(time: Moment, now: Moment) -> String {
    let seconds = now.timestamp().unix().saturating_sub(time.timestamp().unix());
    let length = length(seconds.unsigned_abs());
    match seconds {
        0 => "now".to_owned(),
        1.. => format!("{length} ago"),
        i64::MIN..=-1 => format!("in {length}"),
    }
}

fn length(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0..=119 => (seconds, "s"),
        120..=7_199 => (seconds / 60, "min"),
        7_200..=172_799 => (seconds / 3600, "h"),
        172_800..=63_071_999 => (seconds / 86_400, "days"),
        63_072_000.. => (seconds / 31_557_600, "years"),
    };
    format!("{count} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        html! { (Told(text)) }.into_string()
    }

    #[test]
    fn sec_65_a_text_from_outside_can_only_be_text() {
        assert_eq!(told("CP-8841"), "<bdi>CP-8841</bdi>");
        assert_eq!(told("<script>alert(1)</script>"), "<bdi>&lt;script&gt;alert(1)&lt;/script&gt;</bdi>");
        assert_eq!(told("\" onload=\"x&"), "<bdi>&quot; onload=&quot;x&amp;</bdi>");
        assert_eq!(
            told("a\u{202e}b\u{0}\n\u{7f}\u{feff}"),
            "<bdi>a\\u{202e}b\\u{0}\\u{a}\\u{7f}\\u{feff}</bdi>"
        );
        assert_eq!(told("שלום"), "<bdi>שלום</bdi>", "its own letters are no trick");
    }

    #[test]
    fn a_long_text_is_cut_and_says_by_how_much() {
        let long = "é".repeat(10_000);
        assert_eq!(told(&long), format!("<bdi>{}… (9700 more)</bdi>", "é".repeat(300)));
        assert_eq!(told(&"é".repeat(300)), format!("<bdi>{}</bdi>", "é".repeat(300)));
    }

    #[test]
    fn numbers_and_times_are_for_people_and_for_programs() {
        assert_eq!(number(1_234_567).into_string(), "<data value=\"1234567\">1\u{202f}234\u{202f}567</data>");
        assert_eq!(
            (grouped(0), grouped(999), grouped(1000)),
            ("0".into(), "999".into(), "1\u{202f}000".into())
        );
        let at = |second: i64| Moment::from(Timestamp::from_unix(1_795_400_000 + second));
        assert_eq!(ago(at(0), at(59)), "59 s ago");
        assert_eq!(
            (ago(at(0), at(3600)), ago(at(0), at(86_400 * 3))),
            ("60 min ago".into(), "3 days ago".into())
        );
        assert_eq!((ago(at(0), at(0)), ago(at(7200), at(0))), ("now".into(), "in 2 h".into()));
        let shown = when(at(0), at(1)).into_string();
        assert!(shown.contains("datetime=\"2026-11-23T02:13:20Z\">2026-11-23 02:13:20<"), "{shown}");
        assert_eq!(day(Timestamp::from_unix(1_795_400_000)), "2026-11-23");
    }
}
