//! `[admin]`: the database its pages are drawn from.

use super::*;

/// The sound configuration with an admin listener that has these lines too.
fn with(fixture: &Fixture, lines: &str) -> String {
    fixture.write_key("admin.token", "0123456789abcdef0123456789abcdef\n");
    fixture.write_key("password", "s3cret\n");
    format!("{SOUND}\n[admin]\naddress = \"127.0.0.1:0\"\ntoken-file = \"admin.token\"\n{lines}\n")
}

fn database(lines: &str) -> Option<String> {
    let fixture = Fixture::new();
    let config = fixture.load(&with(&fixture, lines)).unwrap();
    let folder = format!("{}/", fixture.path("").display().to_string().trim_end_matches('/'));
    config.admin.unwrap().database.as_ref().map(|url| url.to_string().replace(&folder, "~/"))
}

#[test]
fn the_page_is_drawn_from_a_file_or_a_server_or_there_is_none() {
    assert_eq!(database(""), None);
    assert_eq!(database("database = \"sqlite:audit.db\"").as_deref(), Some("sqlite:~/audit.db"));
    let server = "database = \"postgres://look@db.example.com/audit\"\ndatabase-password-file = \"password\"";
    assert_eq!(
        database(server).as_deref(),
        Some("postgres://look@db.example.com:5432/audit"),
        "sec_65: no password"
    );
}

#[test]
fn the_database_of_the_records_is_taken_where_no_other_is_named() {
    let sink = "[audit]\n[[audit.sink]]\nkind = \"database\"\nurl = \"sqlite:own.db\"";
    let of = |lines: &str| {
        let fixture = Fixture::new();
        let text = with(&fixture, lines).replace("[audit]\nfile = \"audit.jsonl\"", sink);
        let config = fixture.load(&text).unwrap();
        config.admin.unwrap().database.as_ref().unwrap().to_string()
    };
    assert!(of("").ends_with("/own.db"));
    assert!(of("database = \"sqlite:other.db\"").ends_with("/other.db"));
}

#[test]
fn a_mistake_in_its_address_is_named() {
    for (lines, expected) in [
        ("database = \"audit.db\"", "`admin.database`: write sqlite:FILE or postgres://USER@HOST/NAME"),
        ("database = 1", "`admin.database`: "),
        (
            "database-password-file = \"password\"",
            "`admin.database-password-file`: is for a postgres:// database",
        ),
        (
            "database = \"sqlite:a\"\ndatabase-password-file = \"password\"",
            "`admin.database-password-file`: only a postgres:// database has a password",
        ),
        (
            "database = \"postgres://a@b/c?sslmode=verify-full&sslrootcert=none.pem\"",
            "`admin.database`: database CA file ~/none.pem cannot be read",
        ),
    ] {
        let fixture = Fixture::new();
        let found = fixture.only_mistake(&with(&fixture, lines));
        assert!(found.contains(expected), "{found}\n{expected}");
    }
}
