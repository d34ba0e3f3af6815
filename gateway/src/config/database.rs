//! The audit database that is only read: the one the admin page is drawn from.

use policies::document::Table;

use super::audit::read_url;
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
