//! The deny list: devices and certificates that are refused whatever the rules say.

use std::collections::{HashMap, HashSet};

use certs::{Certificate, DistinguishedName, Fingerprint, PublicKey, Serial};

use crate::document::{Diagnostic, nearest};
use crate::mac::MacAddress;
use crate::principal::Principal;

/// A deny file, one entry a line:
///
/// ```text
/// # stolen from the warehouse
/// mac 00:0e:08:ab:cd:ef
/// serial 88012BA01234
/// # one certificate: SHA-256 of the issuing authority's certificate, then the serial number it gave
/// cert-serial 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 0A1B2C
/// # one certificate by its own SHA-256
/// sha256 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
/// ```
///
/// Letter case does not matter in any of them; what follows a blank and `#` is a comment. The file must end in a newline:
/// one that does not may be half written, and a list that shrank by accident lets somebody in.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct DenyList {
    macs: HashSet<MacAddress>,
    /// Upper case.
    serials: HashSet<String>,
    certificate_serials: HashMap<(Fingerprint, Serial), Line>,
    certificates: HashSet<Fingerprint>,
    issuers: Vec<KnownIssuer>,
}

/// The number of a line in the file, from 1.
type Line = usize;

/// An authority that `cert-serial` lines name: whatever certificate it has, its name and key tell it.
#[derive(Clone, Debug, Eq, PartialEq)]
struct KnownIssuer {
    name: DistinguishedName,
    key: PublicKey,
    /// The serial numbers denied, and the issuer's certificate as the line names it.
    serials: HashMap<Serial, Fingerprint>,
}

/// The words a line may begin with.
const KINDS: [&str; 4] = ["mac", "serial", "cert-serial", "sha256"];

impl DenyList {
    /// The list that denies nobody.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Reads a deny file, or says what is wrong with every bad line.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Diagnostic>> {
        let mut list = Self::default();
        let mut mistakes = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if let Err(mistake) = list.read_line(file, index + 1, line) {
                mistakes.push(mistake);
            }
        }
        if !text.ends_with('\n') {
            let last = text.lines().count();
            mistakes.push(
                Diagnostic::of_line(
                    file,
                    last,
                    "the file does not end in a newline, so it may be half written",
                )
                .with_hint("end the last line; a list that denies nobody is one line: # nobody"),
            );
        }
        if mistakes.is_empty() { Ok(list) } else { Err(mistakes) }
    }

    /// Looks up the issuers that `cert-serial` lines name among a trust entry's authorities. From then on such a line denies
    /// what that authority issued under whichever of its certificates: a renewed or cross-signed one has the same name and
    /// key and another SHA-256.
    ///
    /// Gives the lines whose issuer is none of them. They deny only what is presented below that very certificate.
    pub fn bind<'c>(&mut self, authorities: impl IntoIterator<Item = &'c Certificate>) -> Vec<usize> {
        let authorities: HashMap<Fingerprint, &Certificate> =
            authorities.into_iter().map(|authority| (authority.fingerprint(), authority)).collect();
        let mut unknown = Vec::new();
        for ((fingerprint, serial), line) in &self.certificate_serials {
            let Some(authority) = authorities.get(fingerprint) else {
                unknown.push(*line);
                continue;
            };
            let known = self.issuers.iter().position(|known| known.is(authority));
            let entry = (serial.clone(), *fingerprint);
            match known.and_then(|at| self.issuers.get_mut(at)) {
                Some(known) => known.serials.extend([entry]),
                None => self.issuers.push(KnownIssuer {
                    name: authority.subject().clone(),
                    key: authority.public_key().clone(),
                    serials: HashMap::from([entry]),
                }),
            }
        }
        unknown.sort_unstable();
        unknown
    }

    /// How many entries there are, each counted once.
    pub fn len(&self) -> usize {
        self.macs.len() + self.serials.len() + self.certificate_serials.len() + self.certificates.len()
    }

    /// Whether it denies nobody.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The fingerprint of the certificate, or the one that it has with its other ECDSA signature: whoever holds a denied
    /// certificate can write it anew with that.
    fn finds_fingerprint(&self, leaf: &Certificate) -> Option<Fingerprint> {
        if self.certificates.is_empty() {
            return None;
        }
        let denied = |fingerprint: &Fingerprint| self.certificates.contains(fingerprint);
        Some(leaf.fingerprint()).filter(denied).or_else(|| leaf.twin_fingerprint().filter(denied))
    }

    /// The entry that names this certificate, as it would be written.
    pub(crate) fn finds_certificate(&self, leaf: &Certificate, issuer: &Certificate) -> Option<String> {
        if self.certificates.is_empty() && self.certificate_serials.is_empty() {
            return None;
        }
        if let Some(denied) = self.finds_fingerprint(leaf) {
            return Some(format!("sha256 {denied}"));
        }
        let serial = leaf.serial();
        let of_known =
            self.issuers.iter().find(|known| known.serials.contains_key(serial) && known.is(issuer));
        let named = match of_known.and_then(|known| known.serials.get(serial)) {
            Some(named) => *named,
            None => {
                let named = issuer.fingerprint();
                self.certificate_serials.get(&(named, serial.clone()))?;
                named
            }
        };
        Some(format!("cert-serial {named} {serial}"))
    }

    /// The entry that names this device, as it would be written.
    pub(crate) fn finds_principal(&self, principal: &Principal) -> Option<String> {
        let device = principal.device()?;
        if let Some(mac) = device.mac().filter(|mac| self.macs.contains(mac)) {
            return Some(format!("mac {mac}"));
        }
        let serial = device.serial()?;
        let found = !self.serials.is_empty() && self.serials.contains(&serial.to_ascii_uppercase());
        found.then(|| format!("serial {serial}"))
    }

    fn read_line(&mut self, file: &str, number: usize, line: &str) -> Result<(), Diagnostic> {
        let entry = line.split_once(" #").or_else(|| line.split_once("\t#")).map_or(line, |(entry, _)| entry);
        let mut words = entry.split_whitespace();
        let Some(kind) = words.next().filter(|word| !word.starts_with('#')) else {
            return Ok(());
        };
        let mistake = |message: String| Diagnostic::of_line(file, number, message);
        let words: Vec<&str> = words.collect();
        match (kind, words.as_slice()) {
            ("mac", [text]) => {
                let mac = MacAddress::parse(text).map_err(|error| {
                    mistake(format!("\"{}\" is no MAC address: {error}", text.escape_debug()))
                })?;
                if !mac.is_device() {
                    return Err(mistake(format!("{mac} is no address that a device can have")));
                }
                self.macs.insert(mac);
            }
            ("serial", [text]) => {
                self.serials.insert(text.to_ascii_uppercase());
            }
            ("cert-serial", [issuer, serial]) => {
                let issuer = fingerprint(issuer).map_err(&mistake)?;
                let serial = Serial::parse_hex(serial).ok_or_else(|| {
                    mistake(format!(
                        "\"{}\" is no certificate serial number in hex digits",
                        serial.escape_debug()
                    ))
                })?;
                self.certificate_serials.entry((issuer, serial)).or_insert(number);
            }
            ("sha256", [text]) => {
                self.certificates.insert(fingerprint(text).map_err(&mistake)?);
            }
            ("mac" | "serial" | "sha256", _) => {
                return Err(mistake(format!("`{kind}` is followed by one word")));
            }
            ("cert-serial", _) => {
                let message =
                    "`cert-serial` is followed by two words: the issuer's SHA-256 and the serial number";
                return Err(mistake(message.to_owned()));
            }
            (unknown, _) => {
                let found = mistake(format!("unknown entry \"{}\"", unknown.escape_debug()));
                let hint = nearest(unknown, KINDS).map_or_else(
                    || format!("a line begins with one of: {}, #", KINDS.join(", ")),
                    |kind| format!("did you mean \"{kind}\"?"),
                );
                return Err(found.with_hint(hint));
            }
        }
        Ok(())
    }
}

impl KnownIssuer {
    fn is(&self, certificate: &Certificate) -> bool {
        self.key == *certificate.public_key() && self.name.equals(certificate.subject())
    }
}

fn fingerprint(text: &str) -> Result<Fingerprint, String> {
    text.parse().map_err(|error| format!("\"{}\" is no SHA-256: {error}", text.escape_debug()))
}
