//! `[admin]`: where people and monitoring systems look, apart from where phones connect.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    os::unix::fs::PermissionsExt as _,
};

use policies::document::{Located, Table};
use zeroize::{Zeroize as _, Zeroizing};

use super::{
    credentials::{self, ServerCredentials},
    database,
    files::Files,
    listener,
};
use crate::audit::DatabaseUrl;

/// The listener for people and monitoring systems.
#[derive(Debug)]
pub struct AdminConfig {
    /// Address and port; loopback unless there is a certificate.
    pub address: SocketAddr,
    /// What opens everything but the health answers.
    pub token: Token,
    /// The names and addresses by which it may be asked for, lower-cased.
    pub names: Vec<String>,
    /// What it shows; without it plain HTTP is spoken.
    pub credentials: Option<ServerCredentials>,
    /// Whether `/metrics` needs the token.
    pub metrics: MetricsAccess,
    /// The audit database that the page is drawn from; `None` when there is none.
    pub database: Option<DatabaseUrl>,
}

/// Who may read the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricsAccess {
    /// Whoever can connect.
    Open,
    /// Who has the token.
    Token,
}

/// A secret text; erased from memory when dropped, never shown.
#[derive(PartialEq, Eq)]
pub struct Token(Zeroizing<String>);

impl Token {
    /// The text itself.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Token {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(..)")
    }
}

/// Fewest characters of a token: 128 bits in hexadecimal.
const SHORTEST: usize = 32;
const HINT: &str = "make one with: (umask 077; openssl rand -hex 32 > admin.token)";

impl AdminConfig {
    /// Reads `[admin]`; its pages are drawn from `own_database`, which this gateway writes, unless it says otherwise.
    pub(super) fn read(
        table: &Table<'_, '_>,
        files: &Files<'_, '_>,
        own_database: Option<&DatabaseUrl>,
    ) -> Option<Self> {
        let place = table.place_of("address");
        let address = table.string("address").and_then(|text| listener::address(&text, files));
        let token = table.string("token-file").and_then(|path| read_token(&path, files));
        let names = table.optional_strings("names");
        let has_certificate = table.has("certificate") || table.has("private-key");
        let credentials = has_certificate.then(|| ServerCredentials::read(table, files, credentials::HOST));
        let words = [("open", MetricsAccess::Open), ("token", MetricsAccess::Token)];
        let metrics =
            table.optional_word("metrics", &words).map_or(MetricsAccess::Token, |found| found.value);
        let database = database::read(table, files);
        let address = address?;
        if !address.ip().is_loopback() && !has_certificate {
            files.document().error_with_hint(
                &place,
                format!("the token would cross the network to {address} in the clear"),
                "give `certificate` and `private-key` too, or use a loopback address and: ssh -L 9444:127.0.0.1:9444 HOST",
            );
            return None;
        }
        let names = match names {
            Some(names) => names.into_iter().map(|name| name.value.to_ascii_lowercase()).collect(),
            None => default_names(address.ip()),
        };
        let credentials = match credentials {
            Some(read) => Some(read?),
            None => None,
        };
        Some(Self {
            address,
            token: token?,
            names,
            credentials,
            metrics,
            database: database?.or_else(|| own_database.cloned()),
        })
    }
}

fn default_names(address: IpAddr) -> Vec<String> {
    let mut names = vec!["localhost".to_owned()];
    if !address.is_unspecified() {
        names.push(match address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        });
    }
    names
}

fn read_token(path: &Located<String>, files: &Files<'_, '_>) -> Option<Token> {
    let mut contents = files.read_watched("token file", path)?;
    let name = contents.path.display().to_string();
    let document = files.document();
    if contents.metadata.permissions().mode() & 0o077 != 0 {
        let message = format!("token file {name} can be read or changed by other users");
        document.error_with_hint(&path.place, message, format!("chmod 600 {name}"));
        return None;
    }
    let text = Zeroizing::new(String::from_utf8_lossy(contents.bytes.trim_ascii()).into_owned());
    contents.bytes.zeroize();
    if text.len() < SHORTEST {
        let message =
            format!("the token in {name} has {} characters; at least {SHORTEST} are needed", text.len());
        document.error_with_hint(&path.place, message, HINT);
        return None;
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        let message =
            format!("the token in {name} has characters that cannot stand in an Authorization field");
        document.error_with_hint(&path.place, message, HINT);
        return None;
    }
    Some(Token(text))
}
