//! One table of a document, and the typed readers of its keys.

use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::item::{Item, kind};
use super::unit::{self, Date};
use super::{Document, Located, Place, UnitError, join_key, nearest};

/// A table being read. Every reader notes the mistakes it meets and answers `None` for an absent or wrong value. Once
/// finished or dropped, the table notes each of its keys that nobody asked for.
#[derive(Debug)]
pub struct Table<'d, 't> {
    document: &'d Document<'t>,
    entries: &'d DeTable<'t>,
    place: Place,
    known: RefCell<Vec<&'static str>>,
}

impl<'d, 't> Table<'d, 't> {
    pub(super) fn new(document: &'d Document<'t>, entries: &'d DeTable<'t>, place: Place) -> Self {
        Self { document, entries, place, known: RefCell::default() }
    }

    /// The document it belongs to, to note what only the caller can know.
    pub fn document(&self) -> &'d Document<'t> {
        self.document
    }

    /// Where the table begins.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Whether the key is there, whatever its value. The key counts as known from here on.
    pub fn has(&self, key: &'static str) -> bool {
        self.find(key).is_some()
    }

    /// Where the key's value stands, or where the table begins when it is absent.
    pub fn place_of(&self, key: &'static str) -> Place {
        match self.find(key) {
            Some((_, place)) => place,
            None => Place { key: join_key(&self.place.key, key), ..self.place.clone() },
        }
    }

    /// A string that must be there. It may be empty.
    pub fn string(&self, key: &'static str) -> Option<Located<String>> {
        self.required(key, "a string").and_then(|(value, place)| self.read_string(value, place))
    }

    /// A string.
    pub fn optional_string(&self, key: &'static str) -> Option<Located<String>> {
        self.find(key).and_then(|(value, place)| self.read_string(value, place))
    }

    /// A list of strings that must be there and not be empty. `None` if any element is wrong.
    pub fn strings(&self, key: &'static str) -> Option<Vec<Located<String>>> {
        let (value, place) = self.required(key, "a list of strings")?;
        let list = self.read_strings(value, &place)?;
        self.not_empty(&list, &place).then_some(list)
    }

    /// A list of strings, which may be empty: only for a key whose empty list means something.
    pub fn optional_strings(&self, key: &'static str) -> Option<Vec<Located<String>>> {
        let (value, place) = self.find(key)?;
        self.read_strings(value, &place)
    }

    /// `true` or `false`.
    pub fn optional_boolean(&self, key: &'static str) -> Option<Located<bool>> {
        let (value, place) = self.find(key)?;
        match value {
            DeValue::Boolean(value) => Some(Located { value: *value, place }),
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => self.wrong_kind(&place, "true or false, without quotes", value),
        }
    }

    /// A whole number within `range`.
    pub fn optional_integer(&self, key: &'static str, range: RangeInclusive<u64>) -> Option<Located<u64>> {
        let (value, place) = self.find(key)?;
        let DeValue::Integer(integer) = value else {
            return self.wrong_kind(&place, "a whole number", value);
        };
        match i128::from_str_radix(integer.as_str(), integer.radix()).ok().and_then(|n| u64::try_from(n).ok())
        {
            Some(value) if range.contains(&value) => Some(Located { value, place }),
            Some(_) | None => {
                let (least, most) = range.into_inner();
                self.document.error(&place, format!("{integer} is out of range: {least} to {most}"));
                None
            }
        }
    }

    /// A duration within `range`, written `"500ms"`, `"10s"`, `"2m"`, `"1h"`, `"30d"`, `"2w"` or `"3y"`.
    pub fn optional_duration(
        &self,
        key: &'static str,
        range: RangeInclusive<Duration>,
    ) -> Option<Located<Duration>> {
        let (value, place) = self.find(key)?;
        let DeValue::String(text) = value else {
            return self.wrong_kind(&place, "a duration in quotes, such as \"10s\"", value);
        };
        let read = unit::parse_duration(text);
        let units = "write a whole number and ms, s, m, h, d, w or y, such as \"10s\"";
        self.in_range(text, read, range, unit::duration_text, units, "duration", place)
    }

    /// A number of bytes within `range`, written `"64KiB"`, `"1MB"`, or as a plain number.
    pub fn optional_size(&self, key: &'static str, range: RangeInclusive<u64>) -> Option<Located<u64>> {
        let (value, place) = self.find(key)?;
        let units = "write a whole number and B, kB, MB, GB, KiB, MiB or GiB, such as \"64KiB\"";
        match value {
            DeValue::String(text) => {
                let read = unit::parse_size(text);
                self.in_range(text, read, range, unit::size_text, units, "size", place)
            }
            DeValue::Integer(integer) => {
                let text = integer.to_string();
                let read =
                    u64::from_str_radix(integer.as_str(), integer.radix()).map_err(|_| UnitError::Number);
                self.in_range(&text, read, range, unit::size_text, units, "size", place)
            }
            DeValue::Boolean(_)
            | DeValue::Float(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => self.wrong_kind(&place, "a size, such as \"64KiB\"", value),
        }
    }

    /// A day, written `2029-12-31` without quotes.
    pub fn optional_date(&self, key: &'static str) -> Option<Located<Date>> {
        let (value, place) = self.find(key)?;
        let expected = "a date without quotes, such as 2029-12-31";
        let DeValue::Datetime(when) = value else {
            return self.wrong_kind(&place, expected, value);
        };
        let (Some(date), None, None) = (when.date, when.time, when.offset) else {
            self.document.error(&place, format!("expected {expected}, found a time of day"));
            return None;
        };
        if date.year < 1970 {
            self.document.error(&place, format!("{date} is before 1970"));
            return None;
        }
        Some(Located { value: Date { year: date.year, month: date.month, day: date.day }, place })
    }

    /// One of a closed list of words, each standing for a value.
    pub fn optional_word<T: Clone>(&self, key: &'static str, words: &[(&str, T)]) -> Option<Located<T>> {
        let written = self.optional_string(key)?;
        self.choose(&written, words)
    }

    /// One of a closed list of words; the key must be there.
    pub fn word<T: Clone>(&self, key: &'static str, words: &[(&str, T)]) -> Option<Located<T>> {
        let written = self.string(key)?;
        self.choose(&written, words)
    }

    /// A list of words from a closed list; there must be one at least.
    pub fn optional_words<T: Clone>(
        &self,
        key: &'static str,
        words: &[(&str, T)],
    ) -> Option<Vec<Located<T>>> {
        let written = self.optional_strings(key)?;
        if !self.not_empty(&written, &self.place_of(key)) {
            return None;
        }
        let chosen: Vec<_> = written.iter().map(|word| self.choose(word, words)).collect();
        chosen.into_iter().collect()
    }

    /// A table that must be there: `[key]` or `key = { … }`.
    pub fn table(&self, key: &'static str) -> Option<Self> {
        self.required(key, "a table").and_then(|(value, place)| self.read_table(value, place))
    }

    /// A table.
    pub fn optional_table(&self, key: &'static str) -> Option<Self> {
        self.find(key).and_then(|(value, place)| self.read_table(value, place))
    }

    /// The tables of a list: each `[[key]]`, in the order of the file. The key may be absent; `key = []` is a mistake.
    pub fn tables(&self, key: &'static str) -> Vec<Self> {
        let Some((value, place)) = self.find(key) else {
            return Vec::new();
        };
        let DeValue::Array(array) = value else {
            let hint = format!("each begins with [[{}]], in double brackets", place.key);
            self.document.error_with_hint(
                &place,
                format!("expected a list of tables, found {}", kind(value)),
                hint,
            );
            return Vec::new();
        };
        self.not_empty(array, &place);
        let elements = array.iter().enumerate();
        elements
            .filter_map(|(index, element)| {
                self.read_table(element.get_ref(), self.element_place(&place, index, element))
            })
            .collect()
    }

    /// The elements of a list whose kinds differ, as in `allow = ["sha1", { expired = "3y" }]`; it may be empty.
    pub fn optional_items(&self, key: &'static str) -> Option<Vec<Item<'d, 't>>> {
        let (value, place) = self.find(key)?;
        let DeValue::Array(array) = value else {
            return self.wrong_kind(&place, "a list", value);
        };
        let elements = array.iter().enumerate();
        Some(
            elements
                .map(|(index, element)| {
                    self.item(element.get_ref(), self.element_place(&place, index, element))
                })
                .collect(),
        )
    }

    /// A value whose kind the caller decides, as in `ca-names = "all"` or `ca-names = ["a.pem", "b.pem"]`.
    pub fn optional_item(&self, key: &'static str) -> Option<Item<'d, 't>> {
        self.find(key).map(|(value, place)| self.item(value, place))
    }

    /// Leaves keys that are not asked for to somebody else: they are no mistakes.
    pub fn leave_others(&self) {
        self.known.borrow_mut().push(ANY);
    }

    /// Every key of a free table with its value; all its keys are known from here on.
    pub fn entries(&self) -> Vec<(Located<String>, Item<'d, 't>)> {
        self.known.borrow_mut().push(ANY);
        let entries = self.entries.iter();
        entries
            .map(|(key, value)| {
                let path = join_key(&self.place.key, key.get_ref());
                let place = self.document.place(key.span(), path.clone());
                let item = self.item(value.get_ref(), self.document.place(value.span(), path));
                (Located { value: key.get_ref().to_string(), place }, item)
            })
            .collect()
    }

    /// Says of `written` that it is none of `words`, with the nearest as a hint.
    pub fn unknown_word<'w>(
        &self,
        written: &Located<String>,
        what: &str,
        words: impl IntoIterator<Item = &'w str>,
    ) {
        let words: Vec<_> = words.into_iter().collect();
        let hint = match nearest(&written.value, words.iter().copied()) {
            Some(word) => format!("did you mean \"{word}\"?"),
            None => format!("one of: {}", words.join(", ")),
        };
        self.document.error_with_hint(
            &written.place,
            format!("unknown {what} \"{}\"", written.value.escape_debug()),
            hint,
        );
    }

    /// Ends the reading of this table: keys that were never asked for are noted. Dropping it does the same; the call
    /// makes the end visible.
    pub fn finish(self) {}

    fn find(&self, key: &'static str) -> Option<(&'d DeValue<'t>, Place)> {
        self.known.borrow_mut().push(key);
        let value = self.entries.get(key)?;
        Some((value.get_ref(), self.document.place(value.span(), join_key(&self.place.key, key))))
    }

    fn required(&self, key: &'static str, expected: &str) -> Option<(&'d DeValue<'t>, Place)> {
        let found = self.find(key);
        if found.is_none() {
            let place = Place { key: join_key(&self.place.key, key), ..self.place.clone() };
            self.document.error(&place, format!("missing: {expected} is needed here"));
        }
        found
    }

    fn read_string(&self, value: &'d DeValue<'t>, place: Place) -> Option<Located<String>> {
        match value {
            DeValue::String(text) => Some(Located { value: text.to_string(), place }),
            DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => self.wrong_kind(&place, "a string in quotes", value),
        }
    }

    fn read_strings(&self, value: &'d DeValue<'t>, place: &Place) -> Option<Vec<Located<String>>> {
        let DeValue::Array(array) = value else {
            return self.wrong_kind(place, "a list of strings, such as [\"a\", \"b\"]", value);
        };
        let elements: Vec<_> = array
            .iter()
            .enumerate()
            .map(|(index, element)| {
                self.read_string(element.get_ref(), self.element_place(place, index, element))
            })
            .collect();
        elements.into_iter().collect()
    }

    /// Notes an empty list: whoever wrote it forgot something, and reading on as if the key were absent would hide it.
    fn not_empty<T>(&self, list: &[T], place: &Place) -> bool {
        if list.is_empty() {
            self.document.error(place, "the list is empty");
        }
        !list.is_empty()
    }

    fn read_table(&self, value: &'d DeValue<'t>, place: Place) -> Option<Self> {
        match value {
            DeValue::Table(entries) => Some(Table::new(self.document, entries, place)),
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_) => self.wrong_kind(&place, "a table", value),
        }
    }

    fn item(&self, value: &'d DeValue<'t>, place: Place) -> Item<'d, 't> {
        match value {
            DeValue::String(text) => Item::String(Located { value: text.to_string(), place }),
            DeValue::Table(entries) => Item::Table(Table::new(self.document, entries, place)),
            DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_) => Item::Other(Located { value: kind(value), place }),
        }
    }

    fn element_place(&self, list: &Place, index: usize, element: &Spanned<DeValue<'_>>) -> Place {
        self.document.place(element.span(), format!("{}[{index}]", list.key))
    }

    fn choose<T: Clone>(&self, written: &Located<String>, words: &[(&str, T)]) -> Option<Located<T>> {
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == written.value) {
            return Some(Located { value: value.clone(), place: written.place.clone() });
        }
        self.unknown_word(written, "word", words.iter().map(|(word, _)| *word));
        None
    }

    #[expect(clippy::too_many_arguments, reason = "two callers, one message")]
    fn in_range<T: Copy + PartialOrd>(
        &self,
        text: &str,
        read: Result<T, UnitError>,
        range: RangeInclusive<T>,
        write: fn(T) -> String,
        units: &str,
        what: &str,
        place: Place,
    ) -> Option<Located<T>> {
        match read {
            Ok(value) if range.contains(&value) => return Some(Located { value, place }),
            Ok(_) => {
                let (least, most) = (write(*range.start()), write(*range.end()));
                self.document.error(&place, format!("{text} is out of range: {least} to {most}"));
            }
            Err(error) => self.document.error_with_hint(
                &place,
                format!("\"{}\" is no {what}: {error}", text.escape_debug()),
                units,
            ),
        }
        None
    }

    fn wrong_kind<T>(&self, place: &Place, expected: &str, found: &DeValue<'_>) -> Option<T> {
        self.document.error(place, format!("expected {expected}, found {}", kind(found)));
        None
    }
}

/// Stands among the known keys when every key is welcome.
const ANY: &str = "*";

impl Drop for Table<'_, '_> {
    fn drop(&mut self) {
        let known = self.known.borrow();
        if known.contains(&ANY) {
            return;
        }
        for key in self.entries.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
            let place = self.document.place(key.span(), join_key(&self.place.key, key.get_ref()));
            match nearest(key.get_ref(), known.iter().copied()) {
                Some(word) => {
                    self.document.error_with_hint(&place, "unknown key", format!("did you mean `{word}`?"));
                }
                None => self.document.error(&place, "unknown key"),
            }
        }
    }
}
