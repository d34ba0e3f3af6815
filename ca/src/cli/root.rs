//! `root …`

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::key::KeyType;

/// `root …`
#[derive(Debug, Subcommand)]
pub enum RootCommand {
    /// Ask an offline root, in a folder to be carried to it
    Request(RootRequestArgs),
    /// Sign what a folder asks for, where the root's key is
    SignBatch(SignBatchArgs),
    /// Accept what this key has signed, from now on
    Accept(AcceptArgs),
    /// Accept it no more
    Forget(ForgetArgs),
}

/// `root request`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  provision-ca root request to-root --root client-root --issuing
  provision-ca root request to-root --root client-root --renew client-issuing --crl
  provision-ca root request to-root --root server-root --cross-sign other-root.csr

A new authority's key is made here and stays here. Carry the folder to the root (`root sign-batch`), and
take its answer back: provision-ca authority add --from-batch from-root")]
pub struct RootRequestArgs {
    /// The folder, which must be new or empty
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,

    /// The root that is to sign
    #[arg(long, value_name = "NAME")]
    pub root: String,

    /// Ask for a new issuing authority
    #[arg(long)]
    pub issuing: bool,

    /// The kind of its key
    #[arg(long, value_enum, default_value_t = KeyType::Rsa2048)]
    pub key: KeyType,

    /// Let it certify hosts of this domain alone, and no addresses; may be given several times
    #[arg(long, value_name = "DOMAIN", requires = "issuing")]
    pub permit: Vec<String>,

    /// Ask for new dates for this issuing authority; may be given several times
    #[arg(long, value_name = "NAME")]
    pub renew: Vec<String>,

    /// Ask for a certificate for another authority, by its request; may be given several times
    #[arg(long, value_name = "FILE")]
    pub cross_sign: Vec<PathBuf>,

    /// Days the certificates last; without it as long as the root
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub days: Option<u32>,

    /// Ask for the root's revocation list, with those of its authorities on it that are revoked here
    #[arg(long)]
    pub crl: bool,

    /// Days that list counts
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub crl_days: u32,
}

/// `root sign-batch`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  provision-ca root sign-batch to-root from-root --dry-run
  provision-ca root sign-batch to-root from-root

IN is what `root request` wrote, signed by a key that was accepted with `root accept`. What was changed on
the way, is longer-lived than the root, or is more than the root allows, is refused before the root's key
is touched; the rest is signed. The same folder once more gets the same answers, and no second certificate.")]
pub struct SignBatchArgs {
    /// The folder that came
    #[arg(value_name = "IN")]
    pub input: PathBuf,

    /// The folder for the answer
    #[arg(value_name = "OUT")]
    pub output: PathBuf,

    /// Only say in words what would be signed
    #[arg(long)]
    pub dry_run: bool,
}

/// `root accept`
#[derive(Debug, Args)]
pub struct AcceptArgs {
    /// The public key, `batch-signer.pem` of the store that asks
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// The SHA-256 that the other side told, compared with the file's
    #[arg(long, value_name = "SHA256")]
    pub fingerprint: Option<String>,
}

/// `root forget`
#[derive(Debug, Args)]
pub struct ForgetArgs {
    /// The key's SHA-256
    #[arg(value_name = "SHA256")]
    pub fingerprint: String,
}
