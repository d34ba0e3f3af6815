//! `[[host.trust]]`: whose certificates vouch for which devices.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use certs::{Certificate, Purpose, Revocation, Timestamp, Tolerances, TrustAnchor, TrustEntry};
use policies::{
    AdmissionEntry, DenyList, IdentityProfile, ProfileSet,
    admission::ProfileSetError,
    document::{Date, Diagnostic, Item, Located, Place, Severity, Table},
};

use super::{
    certificates,
    files::Files,
    revocation::{self, LoadedList},
};

/// One checked `[[host.trust]]`.
#[derive(Debug, Clone)]
pub struct TrustConfig {
    /// Its `name`, or its anchor file's.
    pub name: Arc<str>,
    /// The certificates at which a chain may end.
    pub anchors: Vec<Certificate>,
    /// Certificates that phones omit, held here.
    pub intermediates: Vec<Certificate>,
    /// The identity profiles by name, in the order they are tried.
    pub identities: Vec<Arc<str>>,
    /// The first three bytes a MAC address must have; empty is any.
    pub ouis: Vec<[u8; 3]>,
    /// What this entry tolerates now.
    pub tolerances: Tolerances,
    /// The last day on which `allow` counts.
    pub until: Option<Date>,
    /// The CRLs; `None` when revocation is not checked.
    pub lists: Option<Vec<LoadedList>>,
    /// Whether a certificate is refused for which no usable CRL is at hand.
    pub revocation: Revocation,
    /// The deny list's file and how many lines it has.
    pub deny: Option<(PathBuf, usize)>,
    /// Whether a leaf must list clientAuth.
    pub require_eku: bool,
    /// Where it stands in the configuration.
    pub(super) place: Place,
}

/// What verification and admission take of an entry.
pub(super) struct Trust {
    pub(super) config: TrustConfig,
    pub(super) entry: TrustEntry,
    pub(super) admission: AdmissionEntry,
}

/// Reads one `[[host.trust]]`.
pub(super) fn read(table: &Table<'_, '_>, files: &Files<'_, '_>, now: Timestamp) -> Option<Trust> {
    let anchor_file = table.string("anchors");
    let anchors = anchor_file.as_ref().and_then(|path| read_anchors(files, path, now));
    let intermediates = match table.optional_string("intermediates") {
        Some(path) => certificates::read(files, "intermediates file", &path),
        None => Some(Vec::new()),
    };
    let profiles = read_identities(table, files);
    let ouis = read_ouis(table);
    let allowance = read_allowance(table, now);
    let require_eku = table.optional_boolean("require-eku").is_some_and(|found| found.value);
    let lists = revocation::read(table, files);
    let deny = read_deny(table, files);
    let name = table.optional_string("name").map(|name| name.value);

    let (anchor_file, anchors, intermediates, profiles) = (anchor_file?, anchors?, intermediates?, profiles?);
    let (ouis, allowance, mut lists, (mut deny_list, deny)) = (ouis?, allowance?, lists?, deny?);
    let authorities: Vec<_> = anchors.iter().chain(&intermediates).collect();
    revocation::check(table, &mut lists, &authorities, now);
    if let Some((file, _)) = &deny {
        bind_deny_list(table, &mut deny_list, file, &authorities);
    }
    let entry = TrustEntry {
        name: name.unwrap_or_else(|| stem(&anchor_file.value)),
        anchors: anchors.iter().cloned().map(TrustAnchor::from).collect(),
        intermediates: intermediates.clone(),
        tolerances: allowance.tolerances,
        revocation: lists.revocation.clone(),
        purpose: Purpose::ClientAuth,
        require_eku,
    };
    let config = TrustConfig {
        name: entry.name.as_str().into(),
        anchors,
        intermediates,
        identities: profiles.profiles().iter().map(|profile| Arc::clone(profile.name())).collect(),
        ouis: ouis.clone(),
        tolerances: allowance.tolerances,
        until: allowance.until,
        lists: lists.loaded,
        revocation: lists.revocation,
        deny,
        require_eku,
        place: table.place().clone(),
    };
    let admission = AdmissionEntry { profiles, ouis, deny: Arc::new(deny_list) };
    Some(Trust { config, entry, admission })
}

/// `trust/client-root.pem` to `client-root`.
fn stem(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem).to_owned()
}

fn read_anchors(files: &Files<'_, '_>, path: &Located<String>, now: Timestamp) -> Option<Vec<Certificate>> {
    let anchors = certificates::read(files, "anchor file", path)?;
    let document = files.document();
    let mut seen: Vec<&Certificate> = Vec::new();
    for anchor in &anchors {
        let subject = anchor.subject().to_rfc4514();
        if seen.contains(&anchor) {
            document.warning(&path.place, format!("anchor {subject} stands twice in the file"), None);
        }
        seen.push(anchor);
        if anchor.validity().not_after < now {
            let message = format!("anchor {subject} expired {}", anchor.validity().not_after);
            document.warning(
                &path.place,
                message,
                Some("its certificates are accepted all the same".to_owned()),
            );
        }
        if anchor.basic_constraints().is_some_and(|constraints| !constraints.ca) {
            let message = format!("anchor {subject} is no certificate authority");
            document.warning(
                &path.place,
                message,
                Some("anchors are the authority's certificates, not the phones'".to_owned()),
            );
        }
    }
    Some(anchors)
}

fn read_identities(table: &Table<'_, '_>, files: &Files<'_, '_>) -> Option<ProfileSet> {
    let written = table.strings("identity")?;
    let read = |name: &Located<String>| {
        let (shipped, parse) = (IdentityProfile::shipped, IdentityProfile::parse);
        files.shipped_or_file(name, "identity profile", IdentityProfile::shipped_names(), shipped, parse)
    };
    let profiles: Vec<_> = written.iter().map(read).collect();
    let profiles = profiles.into_iter().collect::<Option<Vec<_>>>()?;
    match ProfileSet::new(profiles) {
        Ok(profiles) => Some(profiles),
        Err(error) => {
            let hint = match error {
                ProfileSetError::OperatorNotAlone { .. } => {
                    Some("make a [[host.trust]] of its own for operators, with an anchor of their own")
                }
                ProfileSetError::Empty | ProfileSetError::Repeated { .. } => None,
            };
            let place = table.place_of("identity");
            match hint {
                Some(hint) => table.document().error_with_hint(&place, error.to_string(), hint),
                None => table.document().error(&place, error.to_string()),
            }
            None
        }
    }
}

fn read_ouis(table: &Table<'_, '_>) -> Option<Vec<[u8; 3]>> {
    let Some(written) = table.optional_strings("ouis") else {
        return if table.has("ouis") { None } else { Some(Vec::new()) };
    };
    if written.is_empty() {
        table.document().error_with_hint(
            &table.place_of("ouis"),
            "the list is empty",
            "leave the key out to accept any",
        );
        return None;
    }
    let ouis: Vec<_> = written
        .iter()
        .map(|text| {
            let oui = parse_oui(&text.value);
            if oui.is_none() {
                let message =
                    format!("\"{}\" is not the first half of a MAC address", text.value.escape_debug());
                table.document().error_with_hint(
                    &text.place,
                    message,
                    "six hex digits, such as \"00:0e:08\"",
                );
            }
            oui
        })
        .collect();
    ouis.into_iter().collect()
}

/// `000e08`, `00:0E:08`, `00-0e-08`.
fn parse_oui(text: &str) -> Option<[u8; 3]> {
    let digits: String = text.chars().filter(|character| !matches!(character, ':' | '-' | '.')).collect();
    if digits.len() != 6 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let [_, oui @ ..] = u32::from_str_radix(&digits, 16).ok()?.to_be_bytes();
    Some(oui)
}

struct Allowance {
    tolerances: Tolerances,
    until: Option<Date>,
}

const EXCEPTIONS: [&str; 5] = ["sha1", "md5", "rsa-1024", "x509-v1", "expired"];
/// Longer than any phone lives, and as seconds within 32 bits.
const LONGEST_GRACE: std::time::Duration = std::time::Duration::from_secs(50 * 365 * 86_400);

/// `allow` and `until`: what strict rules refuse and this entry's phones still present.
fn read_allowance(table: &Table<'_, '_>, now: Timestamp) -> Option<Allowance> {
    let mut tolerances = Tolerances::default();
    let document = table.document();
    let until = table.optional_date("until");
    let items = table.optional_items("allow");
    let mut sound = items.is_some() || !table.has("allow");
    for item in items.unwrap_or_default() {
        match item {
            Item::String(word) => match word.value.as_str() {
                "sha1" => tolerances.sha1 = true,
                "md5" => tolerances.md5 = true,
                "rsa-1024" => tolerances.rsa_1024 = true,
                "x509-v1" => tolerances.x509_v1 = true,
                "expired" => {
                    sound = false;
                    document.error_with_hint(
                        &word.place,
                        "how long after its end a certificate is still accepted must be said",
                        "{ expired = \"3y\" }",
                    );
                }
                _ => {
                    sound = false;
                    table.unknown_word(&word, "exception", EXCEPTIONS);
                }
            },
            Item::Table(exception) => {
                let grace =
                    exception.optional_duration("expired", std::time::Duration::from_secs(1)..=LONGEST_GRACE);
                match grace {
                    Some(grace) => tolerances.expired = u32::try_from(grace.value.as_secs()).ok(),
                    None if exception.has("expired") => sound = false,
                    None => {
                        sound = false;
                        document.error_with_hint(
                            exception.place(),
                            "missing: `expired`",
                            "{ expired = \"3y\" }",
                        );
                    }
                }
            }
            Item::Other(kind) => {
                sound = false;
                let message = format!("expected an exception, found {}", kind.value);
                document.error_with_hint(&kind.place, message, EXCEPTIONS.join(", "));
            }
        }
    }
    if !sound || (until.is_none() && table.has("until")) {
        return None;
    }
    if let Some(until) = &until {
        if tolerances == Tolerances::default() {
            document.error(&until.place, "there is no `allow` that could end on this day");
            return None;
        }
        let last = Timestamp::from_unix(until.value.unix_end());
        tolerances.until = Some(last);
        if now > last {
            let message =
                format!("what `allow` lists ended with {}: it is not accepted any more", until.value);
            document.warning(&until.place, message, None);
            tolerances = Tolerances::default();
        }
    }
    Some(Allowance { tolerances, until: until.map(|until| until.value) })
}

type Denied = (DenyList, Option<(PathBuf, usize)>);

fn read_deny(table: &Table<'_, '_>, files: &Files<'_, '_>) -> Option<Denied> {
    let Some(path) = table.optional_string("deny") else {
        return if table.has("deny") { None } else { Some((DenyList::empty(), None)) };
    };
    let contents = files.read_watched("deny file", &path)?;
    let text = files.text("deny file", &path, &contents)?;
    match DenyList::parse(&contents.path.display().to_string(), text) {
        Ok(list) => {
            let count = list.len();
            Some((list, Some((contents.path, count))))
        }
        Err(found) => {
            table.document().extend(found);
            None
        }
    }
}

/// Has `cert-serial` lines hold for every certificate of the authority they name, and warns where that authority is not known.
fn bind_deny_list(table: &Table<'_, '_>, list: &mut DenyList, file: &Path, authorities: &[&Certificate]) {
    let unknown = list.bind(authorities.iter().copied());
    let warning = |line| {
        let message = "the issuer is none of this trust entry's anchors and intermediates";
        let hint =
            "the line denies nothing below another certificate of that authority; add it to `intermediates`";
        let found = Diagnostic::of_line(file.display().to_string(), line, message).with_hint(hint);
        Diagnostic { severity: Severity::Warning, ..found }
    };
    table.document().extend(unknown.into_iter().map(warning));
}
