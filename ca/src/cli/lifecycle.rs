//! `expiring`, `renew`, `rekey`, `reissue`, `unhold`, `export`

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::KeyProtection;
use crate::key::KeyType;
use crate::selector::span;

/// How certificates are chosen, for the end of every help text that takes a selector.
pub(super) const SELECTORS: &str = "\
SELECTOR is a MAC address, a device serial number, a host name, a certificate serial number or a
SHA-256 fingerprint, in any spelling; or conditions, all of which must hold:
  model=CP-88*  mac=000e08*  serial=…  name=…  kind=device,generic,server  issuer=…  fingerprint=…
  status=valid|expired|revoked|held|abandoned  reason=superseded  latest=yes
  expires<90d  issued>2026-01-31  revoked<7d  starts<…      (h, d, w or y; < and > between quotes)
A comma is \"or\", != is \"is not\", * stands for anything.";

/// What every command does that changes many certificates.
#[derive(Debug, Args)]
pub struct MassOptions {
    /// Only show how many certificates of which models it would be
    #[arg(long)]
    pub dry_run: bool,

    /// Also write what became of each certificate to this file, as CSV
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

/// `expiring`
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  provision-ca expiring
  provision-ca expiring --within 30d kind=server

A certificate that has a newer one is not listed.

{SELECTORS}"))]
pub struct ExpiringArgs {
    /// How soon, as 90d, 12w or 1y
    #[arg(long, value_name = "SPAN", default_value = "90d", value_parser = span_of)]
    pub within: Span,

    /// Which certificates [default: all]
    #[arg(value_name = "SELECTOR")]
    pub selector: Vec<String>,
}

/// A span of time in seconds.
#[derive(Debug, Clone, Copy)]
pub struct Span(pub i64);

fn span_of(text: &str) -> Result<Span, String> {
    span(text).map(Span).ok_or_else(|| "a span as 90d, 12h, 6w or 2y is needed".to_owned())
}

/// What the commands have in common that issue successors.
#[derive(Debug, Args)]
pub struct SuccessorOptions {
    /// Which certificates; of several of one device, the newest
    #[arg(value_name = "SELECTOR", required = true)]
    pub selector: Vec<String>,

    /// Leave the certificate before valid, instead of revoking it as superseded
    #[arg(long)]
    pub keep_old: bool,

    /// What every command does that changes many certificates.
    #[command(flatten)]
    pub mass: MassOptions,
}

/// `renew`
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  provision-ca renew 000e08abcdef
  provision-ca renew model=CP-88* \"expires<90d\" --dry-run
  provision-ca renew kind=server \"expires<30d\" --keep-old

The names stay byte for byte, the key too; serial number and dates are new. The files before move
to `superseded`. The certificate before is revoked as superseded, which others learn of from the next
`crl publish`: publish when the new ones are where they belong. Interrupted, the same command goes on.

{SELECTORS}"))]
pub struct RenewArgs {
    /// Days the new certificates last [default: as many as the one before]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub days: Option<u32>,

    /// What the commands have in common that issue successors.
    #[command(flatten)]
    pub successor: SuccessorOptions,
}

/// `rekey`
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  provision-ca rekey 000e08abcdef
  provision-ca rekey model=CP-88* status=revoked reason=keyCompromise

The names stay byte for byte; key, serial number and dates are new. For the rest see `renew --help`.

{SELECTORS}"))]
pub struct RekeyArgs {
    /// Days the new certificates last [default: as many as the one before]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub days: Option<u32>,

    /// The kind of key; old phones understand RSA only
    #[arg(long, value_enum, default_value_t = KeyType::Rsa2048)]
    pub key: KeyType,

    /// How many keys are made at once [default: one per processor core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: Option<u16>,

    /// Whether and how the private key is encrypted.
    #[command(flatten)]
    pub protection: KeyProtection,

    /// What the commands have in common that issue successors.
    #[command(flatten)]
    pub successor: SuccessorOptions,
}

/// `reissue`
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  provision-ca reissue status=valid kind=device

The same names, key and end, with what the authority writes into certificates today. For the rest see
`renew --help`.

{SELECTORS}"))]
pub struct ReissueArgs {
    /// What the commands have in common that issue successors.
    #[command(flatten)]
    pub successor: SuccessorOptions,
}

/// `unhold`
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  provision-ca unhold 000e08abcdef
  provision-ca unhold model=CP-88* \"revoked<7d\"

Only `revoke --reason certificateHold` can be taken back; every other revocation is for ever.

{SELECTORS}"))]
pub struct UnholdArgs {
    /// Which certificates
    #[arg(value_name = "SELECTOR", required = true)]
    pub selector: Vec<String>,

    /// What every command does that changes many certificates.
    #[command(flatten)]
    pub mass: MassOptions,
}

/// How a certificate is handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// The certificate alone, DER.
    Der,
    /// Certificate, chain and private key in one PKCS #12 file with a passphrase.
    P12,
    /// The certificate and its chain, PEM.
    Pem,
}

/// `export`
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  provision-ca export 000e08abcdef --format p12 --out phone.p12 --p12-passphrase-file secret.txt
  provision-ca export prov.example.com --out -
  provision-ca export model=CP-88* --format der --out certificates/

One certificate goes into the file, several into a file each in the folder. They are
readable for their owner only, and none that is there is overwritten.

{SELECTORS}"))]
pub struct ExportArgs {
    /// Which certificates; of several of one device, the newest that is valid
    #[arg(value_name = "SELECTOR", required = true)]
    pub selector: Vec<String>,

    /// How
    #[arg(long, value_enum, default_value_t = ExportFormat::Pem)]
    pub format: ExportFormat,

    /// The file, or a folder; `-` prints PEM
    #[arg(long, value_name = "FILE|DIR")]
    pub out: PathBuf,

    /// Read the passphrase for PKCS #12 from the first line of this file
    #[arg(long, value_name = "FILE", conflicts_with = "p12_passphrase_env")]
    pub p12_passphrase_file: Option<PathBuf>,

    /// Read the passphrase for PKCS #12 from the environment variable of this name
    #[arg(long, value_name = "NAME")]
    pub p12_passphrase_env: Option<String>,

    /// Read the passphrase of encrypted private keys from the first line of this file
    #[arg(long, value_name = "FILE", conflicts_with = "key_passphrase_env")]
    pub key_passphrase_file: Option<PathBuf>,

    /// Read the passphrase of encrypted private keys from the environment variable of this name
    #[arg(long, value_name = "NAME")]
    pub key_passphrase_env: Option<String>,
}
