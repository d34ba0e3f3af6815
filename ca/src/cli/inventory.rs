//! `revoke`, `list`, `show`, `inspect`, `verify`

use std::path::PathBuf;

use clap::Args;

use super::lifecycle::{MassOptions, SELECTORS};
use crate::legacy::LegacyTrait;
use crate::store::RevocationReason;

/// `revoke`
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  provision-ca revoke 000e08abcdef --reason keyCompromise
  provision-ca revoke 88012BA01234 --publish
  provision-ca revoke model=CP-88* mac=000e08* --reason superseded --dry-run

The gateway learns of it from the next revocation list: `provision-ca crl publish`.

{SELECTORS}"))]
pub struct RevokeArgs {
    /// Which certificates; of those that match conditions, the valid ones
    #[arg(value_name = "SELECTOR", required = true)]
    pub selector: Vec<String>,

    /// Why (RFC 5280)
    #[arg(long, value_enum, default_value_t = RevocationReason::Unspecified, ignore_case = true)]
    pub reason: RevocationReason,

    /// Publish the revocation lists at once
    #[arg(long)]
    pub publish: bool,

    /// What every command does that changes many certificates.
    #[command(flatten)]
    pub mass: MassOptions,
}

/// `list`
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  provision-ca list
  provision-ca list model=CP-88* \"expires<90d\" status=valid
  provision-ca list --kind server

{SELECTORS}"))]
pub struct ListArgs {
    /// Which certificates [default: all that were issued]
    #[arg(value_name = "SELECTOR")]
    pub selector: Vec<String>,

    /// Only these: `valid`, `expired`, `revoked` or `abandoned`
    #[arg(long, value_name = "STATUS", value_parser = ["valid", "expired", "revoked", "abandoned"])]
    pub status: Option<String>,

    /// Only this kind: `device`, `generic`, `server`, `authority` or `responder`
    #[arg(long, value_name = "KIND", value_parser = ["device", "generic", "server", "authority", "responder"])]
    pub kind: Option<String>,
}

/// `show`
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// A MAC address, a device serial number, a host name, a certificate serial number or a fingerprint
    #[arg(value_name = "SERIAL-OR-MAC")]
    pub selector: String,
}

/// `inspect`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  provision-ca inspect phone.pem
  provision-ca inspect chain.pem key.pem         does this key belong to that certificate?
  provision-ca inspect spacroot.crt provserver.csr client-root.crl")]
pub struct InspectArgs {
    /// Certificates, requests, revocation lists or keys, PEM or DER
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
}

/// `verify`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  provision-ca verify chain.pem --trust provision-ca/trust/client-root.pem
  provision-ca verify phone.pem --trust spacroot.crt --crl client-root.crl --purpose client
  provision-ca verify old.pem --trust spacroot.crt --allow sha1,rsa-1024 --allow-expired 30

`--allow` says what a gateway says whose trust entry lists the same exceptions.")]
pub struct VerifyArgs {
    /// The certificate, followed by the intermediates it comes with, PEM or DER
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// A file of trust anchors, PEM or DER; may be given several times
    #[arg(long, value_name = "FILE", required = true)]
    pub trust: Vec<PathBuf>,

    /// More certificates that may stand between
    #[arg(long, value_name = "FILE")]
    pub intermediate: Vec<PathBuf>,

    /// Revocation lists, PEM or DER; with any, every certificate below the anchor must be covered by one
    #[arg(long, value_name = "FILE")]
    pub crl: Vec<PathBuf>,

    /// What the certificate must be good for
    #[arg(long, value_name = "PURPOSE", default_value = "any", value_parser = ["client", "server", "any"])]
    pub purpose: String,

    /// Let pass what old phones carry and strict rules refuse; one or more, with `,` between
    #[arg(long, value_enum, value_name = "TRAIT", value_delimiter = ',')]
    pub allow: Vec<LegacyTrait>,

    /// Let pass what expired no more than this many days ago
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=18_250))]
    pub allow_expired: Option<u32>,

    /// Judge as of this time instead of now, as 2030-01-31T00:00:00Z
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
}
