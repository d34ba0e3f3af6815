//! `import`

use std::path::PathBuf;

use clap::Args;

use crate::store::Side;

/// `import`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  provision-ca import /etc/ssl/demoCA --side client --dry-run
  provision-ca import /etc/ssl/demoCA --side client --ca-passphrase-file old.txt
  provision-ca import ~/easy-rsa --side server --ca-passphrase-file old.txt
  provision-ca import vendor-ca.pem --side client          a certificate alone: it is listed, and signs nothing
  provision-ca import phones/ more.pem                     certificates whose authority is in the store
  provision-ca import --crl new.crl                        what another authority has revoked since

PATH is the folder of `openssl ca` (index.txt, newcerts, cacert.pem, private/cakey.pem, crlnumber) or of
easy-rsa (pki/…), or a file or folder of certificates, PEM or DER.

An authority with its key goes on here: its certificates can be listed, shown, renewed and revoked, what
was revoked stays so, and its lists go on with higher numbers. It signs new ones when you say so:
  provision-ca crl publish
  provision-ca authority use client-root-2
From then on let the old place sign nothing: two places with one key do not know of each other's work.

Nothing is changed in PATH. Whatever cannot be taken in is told with its file and line, and the rest is;
the same import once more finds what is new since.")]
pub struct ImportArgs {
    /// A folder of `openssl ca` or easy-rsa, or files or folders of certificates
    #[arg(value_name = "PATH", required_unless_present = "crl")]
    pub paths: Vec<PathBuf>,

    /// Whose certificates a new authority signs
    #[arg(long, value_enum)]
    pub side: Option<Side>,

    /// The authority's certificate, where it does not lie where it usually does
    #[arg(long, value_name = "FILE")]
    pub ca_cert: Option<PathBuf>,

    /// The authority's private key, where it does not lie where it usually does
    #[arg(long, value_name = "FILE", conflicts_with = "certificate_only")]
    pub ca_key: Option<PathBuf>,

    /// Read the passphrase of that key from the first line of this file; it is kept here under the store's own
    #[arg(long, value_name = "FILE", conflicts_with = "certificate_only")]
    pub ca_passphrase_file: Option<PathBuf>,

    /// Read the passphrase of that key from the environment variable of this name
    #[arg(long, value_name = "NAME", conflicts_with_all = ["certificate_only", "ca_passphrase_file"])]
    pub ca_passphrase_env: Option<String>,

    /// The newest revocation list of the authority, where it does not lie where it usually does
    #[arg(long, value_name = "FILE")]
    pub crl: Option<PathBuf>,

    /// Leave the authority's key where it is: the store only knows of its certificates
    #[arg(long)]
    pub certificate_only: bool,

    /// Only judge everything, and say what would be taken in
    #[arg(long)]
    pub dry_run: bool,

    /// Also write what became of each certificate to this file, as CSV
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}
