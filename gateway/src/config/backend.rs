//! `backend`: where a host's permitted requests go.

use std::path::Path;

use http::uri::Authority;
use policies::document::{Located, Table};
use rustls_pki_types::CertificateDer;

use super::{
    certificates::{self, Causes},
    credentials::{self, ServerCredentials},
    files::Files,
};
use crate::backend::{BackendConfig, BackendLimits, BackendTarget, BackendTls};

const EXAMPLES: &str = "one of: directory:PATH, http://HOST:PORT, https://HOST:PORT, unix:PATH";

/// Reads `backend` and the keys that begin with `backend-`.
pub(super) fn read(
    table: &Table<'_, '_>,
    files: &Files<'_, '_>,
    limits: BackendLimits,
) -> Option<BackendConfig> {
    let text = table.string("backend");
    let tls =
        ["backend-ca", "backend-certificate", "backend-private-key", "backend-private-key-passphrase-file"];
    let tls_key = tls.into_iter().find(|key| table.has(key));
    let text = text?;
    let (scheme, rest) = match text.value.split_once(':') {
        Some((scheme, rest)) => (scheme, rest),
        None => ("", text.value.as_str()),
    };
    if scheme != "https"
        && let Some(key) = tls_key
    {
        files.document().error(&table.place_of(key), "only an https:// backend takes this key");
    }
    let target = match scheme {
        "directory" => directory(rest, &text, files)?,
        "unix" => BackendTarget::Unix(path(rest, &text, files)?),
        "http" => BackendTarget::Http(authority(rest, &text, files)?),
        "https" => {
            let tls = read_tls(table, &text, files);
            BackendTarget::Https { authority: authority(rest, &text, files)?, tls: tls? }
        }
        _ => {
            let message = format!("\"{}\" is no backend", text.value.escape_debug());
            files.document().error_with_hint(&text.place, message, EXAMPLES);
            return None;
        }
    };
    Some(BackendConfig { target, limits })
}

/// A profile folder must be there: without it every phone would be told that its profile does not exist.
fn directory(rest: &str, text: &Located<String>, files: &Files<'_, '_>) -> Option<BackendTarget> {
    let folder = path(rest, text, files)?;
    if folder.is_dir() {
        return Some(BackendTarget::Directory(folder));
    }
    let problem = if folder.exists() { "is a file, a folder is needed" } else { "is not there" };
    files.document().error(&text.place, format!("folder {} {problem}", folder.display()));
    None
}

fn path(rest: &str, text: &Located<String>, files: &Files<'_, '_>) -> Option<std::path::PathBuf> {
    if rest.is_empty() || Path::new(rest).as_os_str().is_empty() {
        files.document().error_with_hint(&text.place, "the path is missing", EXAMPLES);
        return None;
    }
    // `unix:///run/x.sock` is how other programs write an absolute path.
    Some(files.resolve(rest.strip_prefix("//").unwrap_or(rest)))
}

fn authority(rest: &str, text: &Located<String>, files: &Files<'_, '_>) -> Option<Authority> {
    let fail = |message: &str, hint: &str| {
        files.document().error_with_hint(&text.place, message, hint);
        None
    };
    let Some(rest) = rest.strip_prefix("//") else {
        return fail("// is missing after the scheme", EXAMPLES);
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains(['/', '?', '#']) {
        return fail("a backend has no path: requests are forwarded with the path they came with", EXAMPLES);
    }
    if rest.contains('@') {
        return fail("a backend has no user name or password", EXAMPLES);
    }
    match rest.parse::<Authority>() {
        Ok(authority)
            if !authority.host().is_empty() && authority.port().is_none_or(|port| port.as_u16() != 0) =>
        {
            Some(authority)
        }
        Ok(_) | Err(_) => fail("this is no host with an optional port", EXAMPLES),
    }
}

fn read_tls(table: &Table<'_, '_>, text: &Located<String>, files: &Files<'_, '_>) -> Option<BackendTls> {
    let has_client = table.has("backend-certificate") || table.has("backend-private-key");
    let client =
        if has_client { Some(ServerCredentials::read(table, files, credentials::BACKEND)?) } else { None };
    let Some(ca) = table.optional_string("backend-ca") else {
        let hint = "backend-ca = FILE names the authorities that may have issued the backend's certificate";
        files.document().error_with_hint(&text.place, "an https:// backend needs `backend-ca`", hint);
        return None;
    };
    let anchors = certificates::read(files, "backend CA file", &ca)?;
    let der = |certificate: &certs::Certificate| CertificateDer::from(certificate.der().to_vec());
    let client = client.map(|pair| (pair.chain.iter().map(der).collect(), pair.key.clone_key()));
    match BackendTls::new(anchors.iter().map(der), client) {
        Ok(tls) => Some(tls),
        Err(error) => {
            files.document().error(&ca.place, Causes(&error).to_string());
            None
        }
    }
}
