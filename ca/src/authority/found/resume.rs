//! A store that a killed `init` left ready: whether it is the one that is asked for now.

use std::fs;
use std::path::Path;

use super::{FoundOptions, READY};
use crate::authority::keys::AuthorityKey;
use crate::authority::open::open_database;
use crate::error::IssueError;
use crate::key::KeyError;
use crate::passphrase::Passphrase;
use crate::store::{FileError, Layout, Store};

/// A store that waits to be completed must be the one that is asked for now, with the same passphrase.
pub(super) fn check_same(
    root: &Path,
    options: &FoundOptions,
    passphrase: Option<&Passphrase>,
) -> Result<(), IssueError> {
    let part = |name: &str| {
        let moved = root.join(name);
        if moved.exists() { moved } else { root.join(READY).join(name) }
    };
    let differs = |difference| Err(IssueError::UnfinishedDiffers { path: root.to_owned(), difference });
    let folder = if part("database.url").exists() || part("ca.sqlite").starts_with(root.join(READY)) {
        part("database.url").parent().map(Path::to_owned).unwrap_or_default()
    } else {
        root.to_owned()
    };
    let store = open_database(&Layout::new(folder))?;
    for (name, asked) in options.settings() {
        match store.setting(name)? {
            Some(stored) if stored != asked => return differs(format!("--{name} {stored:?}, not {asked:?}")),
            Some(_) | None => {}
        }
    }
    store.settle()?;
    if options.token.is_some() {
        return Ok(()); // a PIN is not tried to see whether it is the same
    }
    let path = part("authorities").join("server-root").join("key.pem");
    let text = fs::read_to_string(&path)
        .map(zeroize::Zeroizing::new)
        .map_err(|source| FileError::new("read", &path, source))?;
    let kind = options.kind();
    let in_the_clear = AuthorityKey::from_pem(&text, None, kind).is_ok();
    match passphrase {
        Some(_) if in_the_clear => differs("`--no-passphrase`".to_owned()),
        None if !in_the_clear => differs("a passphrase".to_owned()),
        Some(_) | None => match AuthorityKey::from_pem(&text, passphrase, kind) {
            Err(KeyError::WrongPassphrase) => differs("another passphrase".to_owned()),
            read => Ok(read.map(drop)?),
        },
    }
}
