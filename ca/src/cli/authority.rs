//! `authority …`

use clap::{Args, Subcommand};

use crate::authority::FoundOptions;
use crate::key::KeyType;
use crate::store::{Side, Tier};

/// `authority …`
#[derive(Debug, Subcommand)]
pub enum AuthorityCommand {
    /// Show the authorities, and which of them sign
    List,
    /// Add an authority, which signs nothing yet
    Add(AuthorityAddArgs),
    /// Let an authority sign from now on
    Use(AuthorityUseArgs),
}

/// `authority add`
#[derive(Debug, Args)]
#[command(after_help = "\
To change from one client root to the next:
  provision-ca authority add --side client         a new root beside the old; the old one signs on
  cat provision-ca/trust/client-root*.pem > trust.pem      the gateways trust both: anchors = trust.pem
  provision-ca authority use client-root-2         new certificates come from the new root
  provision-ca reissue kind=device status=valid    the phones get theirs over time
  provision-ca crl publish --authority client-root --last    when none of the old is left

What an authority signed stays valid, can be revoked, and its lists are published as before.")]
pub struct AuthorityAddArgs {
    /// Whose certificates it is to sign
    #[arg(long, value_enum, required_unless_present = "from_batch")]
    pub side: Option<Side>,

    /// Take back what an offline root answered: the folder that `root sign-batch` wrote
    #[arg(long, value_name = "DIR", conflicts_with_all = ["side", "tier", "key", "days", "permit"])]
    pub from_batch: Option<std::path::PathBuf>,

    /// A root of its own, or an issuing authority below the newest root whose key is here
    #[arg(long, value_enum, default_value_t = Tier::Root)]
    pub tier: Tier,

    /// The kind of its key; old phones understand RSA only
    #[arg(long, value_enum, default_value_t = KeyType::Rsa2048)]
    pub key: KeyType,

    /// Days it lasts; an issuing authority ends with its root
    #[arg(long, default_value_t = FoundOptions::DAYS, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub days: u32,

    /// Let it certify hosts of this domain alone, and no addresses; for servers, may be given several times
    #[arg(long, value_name = "DOMAIN")]
    pub permit: Vec<String>,
}

/// `authority use`
#[derive(Debug, Args)]
pub struct AuthorityUseArgs {
    /// Which, as `authority list` shows it
    #[arg(value_name = "NAME")]
    pub name: String,
}
