//! NIST's path validation suite PKITS, sections 4.1–4.7 and 4.13: which files each case needs, and what a verifier
//! should say.
//!
//! The policy sections 4.8–4.12 and those on distribution points, deltas and private extensions (4.14–4.16) are not
//! judged: the product checks policies only as far as these sections need, and takes full CRLs only.

mod cases;

use std::path::{Path, PathBuf};

use certs::Certificate;
use policies::Reason;

pub use self::cases::CASES;
use crate::{
    expect::{self, Peer},
    pki::{Credentials, Key, KeyKind},
    process,
};

/// The file of the anchor.
const ANCHOR: &str = "TrustAnchorRootCertificate";

/// The suite's files: the folder that `PKITS_DATA` names, with `certs`, `crls` and `pkcs12` in it.
#[derive(Debug)]
pub struct Suite {
    folder: PathBuf,
}

impl Suite {
    /// The suite. If it is not there, says that `test` was skipped.
    ///
    /// # Panics
    /// It is not there and `REQUIRE_PEERS=1` is set.
    pub fn find(test: &str) -> Option<Self> {
        let folder = std::env::var_os("PKITS_DATA").map(PathBuf::from);
        let missing: &[_] = if folder.is_some() { &[] } else { &["NIST PKITS in PKITS_DATA"] };
        expect::present(test, missing);
        folder.map(|folder| Self { folder })
    }

    /// The anchor, in DER.
    pub fn anchor(&self) -> Vec<u8> {
        self.certificate(ANCHOR)
    }

    /// The certificates a case presents, leaf first, in DER.
    pub fn chain(&self, case: &Case) -> Vec<Vec<u8>> {
        std::iter::once(&case.leaf).chain(case.intermediates).map(|name| self.certificate(name)).collect()
    }

    /// The lists a case names, in DER.
    pub fn lists(&self, case: &Case) -> Vec<Vec<u8>> {
        case.crls.iter().map(|name| read(&self.crls().join(format!("{name}.crl")))).collect()
    }

    /// The folder of every list.
    pub fn crls(&self) -> PathBuf {
        self.folder.join("crls")
    }

    /// What a client needs to present a case, with the key that the suite has for the leaf. No server here lets a client
    /// sign with DSA, so a chain with such a leaf comes with a key that does not fit it: it may only be refused.
    ///
    /// # Panics
    /// A file is not as the suite has it.
    pub fn credentials(&self, case: &Case) -> Credentials {
        let chain = self.chain(case);
        let serial = Certificate::parse(chain.first().unwrap()).unwrap().serial().as_bytes().to_vec();
        let key = match case.kind {
            Kind::Dsa => Key::new(KeyKind::P256).pkcs8(),
            Kind::LeafIsAuthority | Kind::Ordinary => self.key(case.leaf),
        };
        Credentials { chain, key, serial }
    }

    fn certificate(&self, name: &str) -> Vec<u8> {
        read(&self.folder.join("certs").join(format!("{name}.crt")))
    }

    fn key(&self, name: &str) -> Vec<u8> {
        let mut openssl = Peer::Openssl.command();
        openssl.args(["pkcs12", "-nocerts", "-nodes", "-passin", "pass:password", "-in"]);
        openssl.arg(self.folder.join("pkcs12").join(format!("{name}.p12")));
        pem::parse(process::run(&mut openssl, b"").success()).unwrap().into_contents()
    }
}

fn read(file: &Path) -> Vec<u8> {
    std::fs::read(file).unwrap_or_else(|error| panic!("the suite has {}: {error}", file.display()))
}

/// What a verifier should say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// The path is valid.
    Valid,
    /// It is not, for this reason.
    Invalid(Reason),
}

/// What makes a case special for a verifier of TLS clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Signed with DSA, which the product does not verify.
    Dsa,
    /// The leaf is a certificate authority, which no device is: not counted.
    LeafIsAuthority,
    /// Nothing.
    Ordinary,
}

/// One case.
#[derive(Debug)]
pub struct Case {
    /// The section, such as `4.1.1`.
    pub section: &'static str,
    /// The file of the leaf, without `.crt`.
    pub leaf: &'static str,
    /// The files of the other certificates to present, without `.crt`.
    pub intermediates: &'static [&'static str],
    /// The files of the lists, without `.crl`.
    pub crls: &'static [&'static str],
    /// What a verifier should say.
    pub expected: Expected,
    /// What makes it special.
    pub kind: Kind,
}

impl Case {
    /// What the product says by design: that it knows no DSA, and that an authority is no device. All else as NIST.
    pub fn answer(&self) -> Expected {
        match (self.kind, self.expected) {
            (Kind::Dsa, Expected::Valid | Expected::Invalid(_)) => {
                Expected::Invalid(Reason::UnsupportedAlgorithm)
            }
            (Kind::LeafIsAuthority, Expected::Valid) => Expected::Invalid(Reason::LeafIsAuthority),
            (Kind::LeafIsAuthority, Expected::Invalid(_)) | (Kind::Ordinary, _) => self.expected,
        }
    }
}

/// Prints how many cases were judged as NIST does, of those whose leaf is no authority.
///
/// # Panics
/// A case is missing, or was judged otherwise than by design.
#[expect(clippy::print_stdout, reason = "the figures are what the suite is run for")]
pub fn judge(said: &[(&Case, Expected)]) {
    assert_eq!(said.len(), CASES.len(), "every case is judged once");
    let wrong: Vec<_> = said.iter().filter(|(case, said)| *said != case.answer()).collect();
    let counted: Vec<_> = said.iter().filter(|(case, _)| case.kind != Kind::LeafIsAuthority).collect();
    let count = |wanted: &dyn Fn(bool, bool) -> bool| {
        let valid = |said: &Expected| *said == Expected::Valid;
        counted.iter().filter(|(case, said)| wanted(valid(said), valid(&case.expected))).count()
    };
    println!(
        "PKITS: {} of {} cases judged as NIST does: {} valid let in, {} invalid refused; {} let in wrongly, {} refused wrongly",
        count(&|said, is| said == is),
        counted.len(),
        count(&|said, is| said && is),
        count(&|said, is| !said && !is),
        count(&|said, is| said && !is),
        count(&|said, is| !said && is),
    );
    assert!(wrong.is_empty(), "judged otherwise than by design: {wrong:#?}");
}
