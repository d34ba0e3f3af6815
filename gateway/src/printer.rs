//! What commands say to a person: data on one stream, `error:`, `warning:` and `hint:` on the other.

use std::io::{self, Write};

use policies::document::{Diagnostic, Severity};

/// Writes each mistake or warning with its place and, where we know one, the remedy.
///
/// # Errors
/// When the stream is closed.
pub fn diagnostics(out: &mut dyn Write, found: &[Diagnostic]) -> io::Result<()> {
    for diagnostic in found {
        let word = match diagnostic.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        // A file name or a value in the message may hold anything; none of it reaches the terminal raw.
        writeln!(out, "{word}: {}", Printable(&diagnostic.to_string()))?;
        if let Some(hint) = &diagnostic.hint {
            writeln!(out, "hint: {}", Printable(hint))?;
        }
    }
    Ok(())
}

/// An error with its causes, and a remedy when there is one.
///
/// # Errors
/// When the stream is closed.
pub fn error(out: &mut dyn Write, error: &dyn std::error::Error, hint: Option<&str>) -> io::Result<()> {
    write!(out, "error: {}", Printable(&error.to_string()))?;
    let mut cause = error.source();
    while let Some(error) = cause {
        write!(out, ": {}", Printable(&error.to_string()))?;
        cause = error.source();
    }
    writeln!(out)?;
    match hint {
        Some(hint) => writeln!(out, "hint: {}", Printable(hint)),
        None => Ok(()),
    }
}

/// Text for a terminal: control characters are shown as escapes, and so are those that change the direction of what follows or
/// cannot be seen.
pub struct Printable<'a>(pub &'a str);

impl std::fmt::Display for Printable<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use std::fmt::Write as _;
        for character in self.0.chars() {
            if is_unsafe(character) {
                write!(formatter, "{}", character.escape_default())?;
            } else {
                formatter.write_char(character)?;
            }
        }
        Ok(())
    }
}

/// Whether a terminal would obey a character, or show what follows another way round; all of these are below U+10000.
pub const fn is_unsafe(character: char) -> bool {
    matches!(
        character,
        '\0'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
    )
}

/// A paragraph, broken into lines of at most a hundred characters where its spaces allow; made printable.
pub struct Wrapped<'a> {
    /// The text.
    pub text: &'a str,
    /// Spaces before each line.
    pub indent: usize,
}

impl std::fmt::Display for Wrapped<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { text, indent } = *self;
        write!(formatter, "{:indent$}", "")?;
        wrap(formatter, text, indent)
    }
}

/// A fact: its name, its value broken into lines that begin below the first; made printable.
pub struct Field<'a> {
    /// Spaces before the name.
    pub indent: usize,
    /// The name.
    pub name: &'a str,
    /// Columns of the name.
    pub width: usize,
    /// The value.
    pub value: &'a str,
}

impl std::fmt::Display for Field<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { indent, name, width, value } = *self;
        write!(formatter, "{:indent$}{:<width$}", "", Printable(name).to_string())?;
        wrap(formatter, value, indent + width)
    }
}

/// Writes `text` from column `indent` on.
fn wrap(formatter: &mut std::fmt::Formatter<'_>, text: &str, indent: usize) -> std::fmt::Result {
    const WIDTH: usize = 100;
    let mut column = indent;
    for (index, word) in text.split(' ').enumerate() {
        let word = Printable(word).to_string();
        let length = word.chars().count();
        if index > 0 && column + 1 + length > WIDTH {
            write!(formatter, "\n{:indent$}{word}", "")?;
            column = indent + length;
        } else {
            let space = if index > 0 { " " } else { "" };
            write!(formatter, "{space}{word}")?;
            column += space.len() + length;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_that_turns_the_text_around_is_shown_as_an_escape() {
        assert_eq!(Printable("/\u{202e}gfc.é\u{1b}").to_string(), "/\\u{202e}gfc.é\\u{1b}");
    }

    #[test]
    fn a_hint_stands_below_its_error_and_no_control_character_gets_through() {
        let found = [
            Diagnostic::of_line("gateway.toml", 3, "unknown word \"\u{1b}[31m\"")
                .with_hint("did you mean \"modern\"?"),
            Diagnostic::of_file("deny.txt", "cannot be read"),
        ];
        let mut out = Vec::new();
        diagnostics(&mut out, &found).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "error: gateway.toml:3: unknown word \"\\u{1b}[31m\"\nhint: did you mean \"modern\"?\nerror: deny.txt: cannot be read\n"
        );
    }
}
