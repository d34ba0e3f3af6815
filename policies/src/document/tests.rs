use std::time::Duration;

use super::*;

fn read(text: &str, read: impl FnOnce(&Table<'_, '_>)) -> Vec<String> {
    let document = match Document::parse("t.toml", text) {
        Ok(document) => document,
        Err(diagnostics) => return lines(&diagnostics),
    };
    let root = document.root();
    read(&root);
    root.finish();
    lines(&document.finish().unwrap_or_else(|diagnostics| diagnostics))
}

fn lines(diagnostics: &[Diagnostic]) -> Vec<String> {
    let line = |d: &Diagnostic| match &d.hint {
        Some(hint) => format!("{d} | {hint}"),
        None => d.to_string(),
    };
    diagnostics.iter().map(line).collect()
}

#[test]
fn reports_every_mistake_in_the_order_of_the_file() {
    let text = "size = \"1 lot\"\nname = 3\nextra = true\n[limits]\nhandshake = \"10\"\ncount = 70000\n";
    let found = read(text, |root| {
        let limits = root.table("limits").unwrap();
        limits.optional_duration("handshake", Duration::ZERO..=Duration::from_secs(60));
        limits.optional_integer("count", 1..=65535);
        limits.finish();
        root.string("name");
        root.optional_size("size", 0..=100);
        root.string("file");
    });
    assert_eq!(
        found,
        [
            "t.toml:1:1: `file`: missing: a string is needed here",
            "t.toml:1:8: `size`: \"1 lot\" is no size: unknown unit | write a whole number and B, kB, MB, GB, KiB, MiB or GiB, such as \"64KiB\"",
            "t.toml:2:8: `name`: expected a string in quotes, found a whole number",
            "t.toml:3:1: `extra`: unknown key",
            "t.toml:5:13: `limits.handshake`: \"10\" is no duration: unknown unit | write a whole number and ms, s, m, h, d, w or y, such as \"10s\"",
            "t.toml:6:9: `limits.count`: 70000 is out of range: 1 to 65535",
        ]
    );
}

#[test]
fn hints_at_the_nearest_known_key() {
    let found = read("[[host]]\ncerticate = \"x\"\n", |root| {
        for host in root.tables("host") {
            host.optional_string("certificate");
        }
    });
    assert_eq!(found, ["t.toml:2:1: `host[0].certicate`: unknown key | did you mean `certificate`?"]);
}

#[test]
fn accepts_the_same_key_spelled_right() {
    let found = read("[[host]]\ncertificate = \"x\"\n", |root| {
        for host in root.tables("host") {
            assert_eq!(host.optional_string("certificate").unwrap().value, "x");
        }
    });
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn counts_columns_in_characters() {
    let found = read("a = { \"ä\" = 1, b = 2 }\n", |root| {
        root.table("a").unwrap().finish();
    });
    assert_eq!(found, ["t.toml:1:7: `a.\"ä\"`: unknown key", "t.toml:1:16: `a.b`: unknown key"]);
}

#[test]
fn reports_every_syntax_mistake_with_its_line() {
    let found = read("a = \nb = 1\nc = [1,\n", |_| ());
    assert!(found.len() >= 2, "{found:?}");
    assert!(found[0].starts_with("t.toml:1:"), "{found:?}");
}

#[test]
fn reports_a_key_given_twice() {
    let found = read("a = 1\na = 2\n", |_| ());
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("t.toml:2:1: duplicate key"), "{found:?}");
}

#[test]
fn refuses_a_word_that_is_not_on_the_list_with_the_nearest() {
    let words = [("deny", 1), ("allow", 2)];
    let found = read("a = \"alow\"\nb = \"perhaps\"\nc = [\"deny\", \"dney\"]\nd = \"deny\"\n", |root| {
        assert_eq!(root.word("a", &words), None);
        assert_eq!(root.optional_word("b", &words), None);
        assert_eq!(root.optional_words("c", &words), None);
        assert_eq!(root.word("d", &words).unwrap().value, 1);
    });
    assert_eq!(
        found,
        [
            "t.toml:1:5: `a`: unknown word \"alow\" | did you mean \"allow\"?",
            "t.toml:2:5: `b`: unknown word \"perhaps\" | one of: deny, allow",
            "t.toml:3:14: `c[1]`: unknown word \"dney\" | did you mean \"deny\"?",
        ]
    );
}

#[test]
fn reads_lists_of_mixed_kinds() {
    let found = read("allow = [\"sha1\", { expired = \"3y\" }, 7]\n", |root| {
        let items = root.optional_items("allow").unwrap();
        assert!(matches!(&items[0], Item::String(text) if text.value == "sha1"));
        let Item::Table(table) = &items[1] else { panic!("{items:?}") };
        let grace = table.optional_duration("expired", Duration::ZERO..=Duration::MAX).unwrap();
        assert_eq!(grace.value, Duration::from_secs(3 * 365 * 86_400));
        assert!(matches!(&items[2], Item::Other(kind) if kind.value == "a whole number"));
        assert_eq!(items[2].place().key, "allow[2]");
    });
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn reads_a_value_that_may_be_a_word_or_a_list() {
    let found = read("a = \"all\"\nb = [\"x.pem\"]\n", |root| {
        assert!(matches!(root.optional_item("a"), Some(Item::String(text)) if text.value == "all"));
        assert!(matches!(root.optional_item("b"), Some(Item::Other(kind)) if kind.value == "a list"));
        assert!(root.optional_item("c").is_none());
    });
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn reads_dates_without_a_time_of_day() {
    let found = read("a = 2029-12-31\nb = 2029-12-31T00:00:00Z\nc = \"2029-12-31\"\n", |root| {
        assert_eq!(root.optional_date("a").unwrap().value.to_string(), "2029-12-31");
        assert_eq!(root.optional_date("b"), None);
        assert_eq!(root.optional_date("c"), None);
    });
    assert_eq!(
        found,
        [
            "t.toml:2:5: `b`: expected a date without quotes, such as 2029-12-31, found a time of day",
            "t.toml:3:5: `c`: expected a date without quotes, such as 2029-12-31, found a string",
        ]
    );
}

#[test]
fn says_that_a_list_of_tables_has_double_brackets() {
    let found = read("[rule]\nname = \"x\"\n", |root| {
        assert!(root.tables("rule").is_empty());
    });
    assert_eq!(
        found,
        [
            "t.toml:1:1: `rule`: expected a list of tables, found a table | each begins with [[rule]], in double brackets"
        ]
    );
}

#[test]
fn an_empty_list_is_a_mistake_and_an_absent_one_is_not() {
    let words = [("deny", 1)];
    let ask = |root: &Table<'_, '_>| {
        assert!(root.tables("tables").is_empty());
        assert!(root.optional_words("words", &words).is_none());
    };
    assert_eq!(
        read("tables = []\nwords = []\nstrings = []\nempty = []\n", |root| {
            ask(root);
            assert!(root.strings("strings").is_none());
            assert_eq!(root.optional_strings("empty"), Some(Vec::new()));
        }),
        [
            "t.toml:1:10: `tables`: the list is empty",
            "t.toml:2:9: `words`: the list is empty",
            "t.toml:3:11: `strings`: the list is empty",
        ]
    );
    assert_eq!(read("", ask), Vec::<String>::new());
}

#[test]
fn keeps_warnings_of_a_file_that_can_be_used() {
    let document = Document::parse("t.toml", "a = 1\n").unwrap();
    let root = document.root();
    document.warning(&root.place_of("a"), "one is few", None);
    root.finish();
    let warnings = document.finish().unwrap();
    assert_eq!(lines(&warnings), ["t.toml:1:5: `a`: one is few"]);
    assert_eq!(warnings[0].severity, Severity::Warning);
}
