//! `ocsp …`

use clap::{Args, Subcommand};

use crate::authority::RESPONDER_DAYS;

/// `ocsp …`
#[derive(Debug, Subcommand)]
pub enum OcspCommand {
    /// Make the key and certificate with which `serve` answers for an authority
    Issue(OcspIssueArgs),
}

/// `ocsp issue`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  provision-ca ocsp issue
  provision-ca ocsp issue --authority client-root --days 90

`provision-ca serve` makes responders itself for authorities with `publication set … --ocsp`, and new
ones before half of their life is gone, where it has the authority's key. This command is for an
authority whose key is elsewhere. The responder before is thrown away.")]
pub struct OcspIssueArgs {
    /// Only for this authority; may be given several times [default: those that sign phones and servers]
    #[arg(long, value_name = "NAME")]
    pub authority: Vec<String>,

    /// Days the responder's certificate lasts; nobody asks whether it is revoked, so keep it short
    #[arg(long, default_value_t = RESPONDER_DAYS, value_parser = clap::value_parser!(u32).range(1..=365))]
    pub days: u32,
}
