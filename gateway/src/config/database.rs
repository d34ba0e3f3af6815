//! The audit database that is only read: the one the admin page is drawn from.

use policies::document::{Located, Table};

use super::certificates;
use super::credentials::read_passphrase;
use super::files::Files;
use crate::audit::DatabaseUrl;

/// Reads `database` and `database-password-file`; `Some(None)` where there is none, `None` after a mistake.
#[expect(clippy::option_option, reason = "the outer one is the reader's: whether a mistake was noted")]
pub(super) fn read(table: &Table<'_, '_>, files: &Files<'_, '_>) -> Option<Option<DatabaseUrl>> {
    let password = table.optional_string("database-password-file");
    if !table.has("database") {
        if let Some(password) = password {
            files
                .document()
                .error(&password.place, "is for a postgres:// database, and there is no `database`");
            return None;
        }
        return Some(None);
    }
    let url = table.optional_string("database")?;
    read_url(&url, password.as_ref(), files).map(Some)
}

/// Reads the address of an audit database, with the files that belong to it.
fn read_url(
    url: &Located<String>,
    password: Option<&Located<String>>,
    files: &Files<'_, '_>,
) -> Option<DatabaseUrl> {
    let parsed = match DatabaseUrl::parse(&url.value, &files.resolve("")) {
        Ok(parsed) => parsed,
        Err(error) => {
            files.document().error(&url.place, certificates::Causes(&error).to_string());
            return None;
        }
    };
    match parsed {
        DatabaseUrl::Sqlite(path) => {
            if let Some(password) = password {
                files.document().error(&password.place, "only a postgres:// database has a password");
                return None;
            }
            // The file itself may not be there yet: the gateway that writes it makes it.
            Some(DatabaseUrl::Sqlite(path))
        }
        DatabaseUrl::Postgres(mut server) => {
            if let Some(file) = server.root_file() {
                let file = Located { value: file.display().to_string(), place: url.place.clone() };
                let anchors = certificates::read(files, "database CA file", &file)?;
                let roots = anchors.iter().map(|anchor| anchor.der().to_vec().into()).collect();
                server = Box::new(server.with_roots(roots));
            }
            if let Some(password) = password {
                server = Box::new(server.with_password(&read_passphrase(files, password)?));
            }
            Some(DatabaseUrl::Postgres(server))
        }
    }
}
