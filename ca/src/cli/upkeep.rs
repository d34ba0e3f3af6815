//! `audit`, `store`, `backup`

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `audit …`
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Look for entries of the log that were changed, removed, moved, added or cut off
    Verify(AuditVerifyArgs),
    /// Sign the log as far as it goes
    Sign,
}

/// `audit verify`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  provision-ca audit verify
  provision-ca audit verify --against /mnt/elsewhere/audit.log

Every entry holds the hash of the one before, and whatever issues or publishes signs the newest. The
same stands in the file `audit.log` in the store. Whoever can write to the store can cut off the end of
both: keep a copy of that file elsewhere, from cron for example, and compare with it.")]
pub struct AuditVerifyArgs {
    /// A copy of `audit.log` that was kept elsewhere
    #[arg(long, value_name = "FILE")]
    pub against: Option<PathBuf>,
}

/// `store …`
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Check that inventory, files and log agree
    Check,
    /// Make the inventory anew from the certificates' files and audit.log, when it is lost or damaged
    Rebuild(StoreRebuildArgs),
}

/// `store rebuild`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  provision-ca store rebuild
  provision-ca store rebuild --files /mnt/other-host/provision-ca

The inventory that is there moves aside: a file beside it, or a schema of the database. Where hosts share
one on a PostgreSQL server, run it on the host whose audit.log is the longest, with the others' folders
after --files: each host has the files of what it issued.")]
pub struct StoreRebuildArgs {
    /// Also look for certificates in this folder, another host's store or a backup; may be repeated
    #[arg(long, value_name = "DIR")]
    pub files: Vec<PathBuf>,
}

/// `backup`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  provision-ca backup /mnt/backup/provision-ca-2027-01-31
  provision-ca --store /mnt/backup/provision-ca-2027-01-31 list

The folder is a whole store, as it is at one moment; commands that write wait until it is made. An
inventory on a PostgreSQL server becomes a file in it. It holds the authorities' keys.")]
pub struct BackupArgs {
    /// The folder, which must not exist yet
    #[arg(value_name = "DIR")]
    pub target: PathBuf,
}
