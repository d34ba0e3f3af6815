//! `crl …`, `publication …`

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::authority::{CRL_DAYS, MAX_SHARDS, ROOT_CRL_DAYS};

/// `crl …`
#[derive(Debug, Subcommand)]
pub enum CrlCommand {
    /// Publish the revocation lists, below `trust/crls`
    Publish(CrlPublishArgs),
    /// Show the revocation lists: entries, dates, and which are due
    Show,
}

/// `crl publish`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  provision-ca crl publish
  provision-ca crl publish --authority client-root --out /var/www/crl/client.crl --der

A gateway or web server refuses phones when the list it has is too old: publish again
before the date shown, from cron for example. With `init --shape issuing`, the keys of the roots may be kept elsewhere:
their lists are then left as they are, and made where the keys are, with `--authority`.")]
pub struct CrlPublishArgs {
    /// Only this authority's lists: `client-root`, `server-root`, `client-issuing` or `server-issuing`
    #[arg(long, value_name = "NAME")]
    pub authority: Option<String>,

    /// Also write the complete list to this file; without `--authority`, that of the authority that signs phones
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,

    /// Write `--out` as DER, as it is served over HTTP; the files below `trust/crls` are PEM
    #[arg(long, requires = "out")]
    pub der: bool,

    /// Days until the next list is due at the latest
    #[arg(long, default_value_t = CRL_DAYS, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub days: u32,

    /// The same for a root with an issuing authority below it, whose key may be kept offline
    #[arg(long, value_name = "DAYS", default_value_t = ROOT_CRL_DAYS, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub root_days: u32,

    /// The last lists of an authority that retires: they count until its own end
    #[arg(long, requires = "authority", conflicts_with_all = ["days", "root_days"])]
    pub last: bool,
}

/// `publication …`
#[derive(Debug, Subcommand)]
pub enum PublicationCommand {
    /// Write into new certificates where their revocation list is found
    Set(PublicationSetArgs),
    /// Show what new certificates say
    Show,
    /// Say nothing in new certificates, as in the beginning
    Clear(PublicationClearArgs),
}

/// `publication set`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  provision-ca publication set http://pki.example.com
  provision-ca publication set http://pki.example.com --authority client-root --shards 16 --ocsp

The address is where `provision-ca serve`, or a web server with a copy of `trust/crls` under /crl,
is reached for as long as the certificates last. With several shards each certificate is put on one
list of several, drawn at random, and names that one; it stays there when the number of shards
changes. Certificates issued before keep what they say.")]
pub struct PublicationSetArgs {
    /// The http URL of the server that publishes the lists
    #[arg(value_name = "URL")]
    pub url: String,

    /// Only for this authority; may be given several times [default: those that sign phones and servers]
    #[arg(long, value_name = "NAME")]
    pub authority: Vec<String>,

    /// Spread new certificates over this many lists
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_SHARDS)))]
    pub shards: u32,

    /// Write the OCSP responder's address into new certificates too; `provision-ca serve` answers there
    #[arg(long)]
    pub ocsp: bool,

    /// Publish the shards alone, once no certificate is left that names none
    #[arg(long)]
    pub shards_only: bool,
}

/// `publication clear`
#[derive(Debug, Args)]
pub struct PublicationClearArgs {
    /// Only for this authority; may be given several times [default: all]
    #[arg(long, value_name = "NAME")]
    pub authority: Vec<String>,
}
