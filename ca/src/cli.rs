//! The command line: definitions only.

mod authority;
mod certificates;
mod import;
mod inventory;
mod lifecycle;
mod mirror;
mod ocsp;
mod plan;
mod publication;
mod root;
mod serve;
mod upkeep;

use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand};

use crate::authority::Shape;
use crate::key::KeyType;
use crate::legacy::LegacyTrait;

pub use authority::{AuthorityAddArgs, AuthorityCommand, AuthorityUseArgs};
pub use certificates::{
    CsrArgs, DeviceCommand, DeviceIssueArgs, DeviceOptions, GenericArgs, KeyProtection, ServerCommand,
    ServerIssueArgs,
};
pub use import::ImportArgs;
pub use inventory::{InspectArgs, ListArgs, RevokeArgs, ShowArgs, VerifyArgs};
pub use lifecycle::{
    ExpiringArgs, ExportArgs, ExportFormat, MassOptions, ReissueArgs, RekeyArgs, RenewArgs, Span,
    SuccessorOptions, UnholdArgs,
};
pub use mirror::MirrorArgs;
pub use ocsp::{OcspCommand, OcspIssueArgs};
pub use plan::{Percent, PlanArgs};
pub use publication::{
    CrlCommand, CrlPublishArgs, PublicationClearArgs, PublicationCommand, PublicationSetArgs,
};
pub use root::{AcceptArgs, ForgetArgs, RootCommand, RootRequestArgs, SignBatchArgs};
pub use serve::ServeArgs;
pub use upkeep::{AuditCommand, AuditVerifyArgs, BackupArgs, StoreCommand, StoreRebuildArgs};

/// The certificate authority for provisioning phones.
///
/// It issues the certificates with which provisioning servers and phones recognise one another, keeps a list of them, and
/// takes them back. Everything it makes lies in one folder, `./provision-ca` unless `--store` says otherwise.
#[derive(Debug, Parser)]
#[command(name = "provision-ca", version, after_help = EXAMPLES, disable_help_subcommand = true)]
pub struct Cli {
    /// The folder that holds the authorities, the list of certificates, and every file made
    #[arg(long, global = true, value_name = "DIR", default_value = "provision-ca")]
    pub store: PathBuf,

    /// Print the result as JSON
    #[arg(long, global = true)]
    pub json: bool,

    /// The clock is right now, though the store was last written at a later time: go on from the present
    #[arg(long, global = true)]
    pub clock_is_right: bool,

    /// The passphrase.
    #[command(flatten)]
    pub passphrase: PassphraseArgs,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Begin here:
  provision-ca init --name \"Example Telco\"
  provision-ca server issue prov.example.com
  provision-ca device issue --model CP-8841-3PCC --serial 88012BA01234 --mac 00:0E:08:AB:CD:EF
  provision-ca list

Then give the phones provision-ca/trust/server-root.pem, and the web server
provision-ca/server/prov.example.com/chain.pem, key.pem, and provision-ca/trust/client-root.pem.";

/// Where the passphrase of the authorities' keys comes from.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("passphrase-source").multiple(false))]
pub struct PassphraseArgs {
    /// Read the passphrase of the authorities' keys from the first line of this file
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        group = "passphrase-source",
        help_heading = "Passphrase"
    )]
    pub passphrase_file: Option<PathBuf>,

    /// Read the passphrase of the authorities' keys from the environment variable of this name
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        group = "passphrase-source",
        help_heading = "Passphrase"
    )]
    pub passphrase_env: Option<String>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make the two authorities: one for servers, one for phones
    Init(InitArgs),
    /// Certificates of provisioning servers
    #[command(subcommand)]
    Server(ServerCommand),
    /// Certificates of phones
    #[command(subcommand)]
    Device(DeviceCommand),
    /// New dates for certificates, with the same keys
    Renew(RenewArgs),
    /// New keys and new dates for certificates
    Rekey(RekeyArgs),
    /// The same certificates as the authority writes them today
    Reissue(ReissueArgs),
    /// Take certificates back
    Revoke(RevokeArgs),
    /// Take back a `certificateHold`
    Unhold(UnholdArgs),
    /// Revocation lists
    #[command(subcommand)]
    Crl(CrlCommand),
    /// Where certificates say that their revocation list is found
    #[command(subcommand)]
    Publication(PublicationCommand),
    /// More authorities beside the first, and the change from one to the next
    #[command(subcommand)]
    Authority(AuthorityCommand),
    /// A root whose key is kept offline: what is asked of it, and what it signs
    #[command(subcommand)]
    Root(RootCommand),
    /// Take in what another program issued: authorities, and certificates with what became of them
    Import(ImportArgs),
    /// The responders that `serve` answers with
    #[command(subcommand)]
    Ocsp(OcspCommand),
    /// Serve revocation lists and the authorities' certificates over HTTP
    Serve(ServeArgs),
    /// List the certificates issued
    List(ListArgs),
    /// List the certificates that end soon
    Expiring(ExpiringArgs),
    /// Write certificates to files, as PEM, DER or PKCS #12
    Export(ExportArgs),
    /// Show one certificate and what became of it
    Show(ShowArgs),
    /// Explain any certificate, request, revocation list or key
    Inspect(InspectArgs),
    /// Check a certificate against a trust anchor
    Verify(VerifyArgs),
    /// The tamper-evident log
    #[command(subcommand)]
    Audit(AuditCommand),
    /// The inventory and the files
    #[command(subcommand)]
    Store(StoreCommand),
    /// Foretell time, disk and list sizes for a fleet, from a short calibration
    Plan(PlanArgs),
    /// Copy the whole store, as it is at one moment
    Backup(BackupArgs),
    /// Make test twins of real certificates: the same in everything but their keys
    Mirror(MirrorArgs),
}

/// `init`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  provision-ca init --name \"Example Telco\"
  provision-ca init --shape issuing --key p256 --passphrase-file secret.txt
  provision-ca --store laboratory init --test --no-passphrase
  provision-ca --store laboratory init --legacy sha1,rsa-1024 --no-passphrase

A test store makes certificates as old phones carry them, to try a gateway with: `device issue
--legacy`. They are marked: the authorities' names begin with TEST, and everything ends within 90
days unless `--days` says otherwise. A store stays what it was made as.

With `--database`, hosts share one authority: make it on one, and copy `authorities`, `trust` and
`database.url` to the others. Give a password as in postgres://USER:PASSWORD@HOST/NAME by the environment
variable, and encrypt with ?sslmode=verify-full&sslrootcert=FILE.")]
pub struct InitArgs {
    /// Your name, as it stands in the authorities' certificates
    #[arg(long, default_value = "Provisioning")]
    pub name: String,

    /// `flat`: the roots sign certificates, as the phones' maker does; `issuing`: one authority below each root does
    #[arg(long, value_enum, default_value_t = Shape::Flat)]
    pub shape: Shape,

    /// The kind of the authorities' keys; old phones understand RSA only
    #[arg(long, value_enum, default_value_t = KeyType::Rsa2048)]
    pub key: KeyType,

    /// Days the authorities last; a phone's trust in a root cannot be renewed easily [default: 10950, or 90 with `--test`]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub days: Option<u32>,

    /// Make a test store: what it issues is marked as a test, and may be as weak as old phones are
    #[arg(long)]
    pub test: bool,

    /// Make a test store whose authorities are themselves as old as this; one or more, with `,` between
    #[arg(long, value_enum, value_name = "TRAIT", value_delimiter = ',')]
    pub legacy: Vec<LegacyTrait>,

    /// Keep the inventory on a PostgreSQL server, for several hosts that share it, as postgres://USER@HOST/NAME
    #[arg(long, value_name = "URL", env = "PROVISION_CA_DATABASE", hide_env_values = true)]
    pub database: Option<String>,

    /// Keep the authorities' keys in the clear: for laboratories only
    #[arg(long, conflicts_with = "passphrase-source")]
    pub no_passphrase: bool,

    /// Make the authorities' keys in a token, by this PKCS #11 module; the passphrase is then the token's PIN
    #[arg(long, value_name = "MODULE", requires = "pkcs11_token", conflicts_with_all = ["no_passphrase", "test", "legacy"])]
    pub pkcs11_module: Option<PathBuf>,

    /// The label of that token
    #[arg(long, value_name = "LABEL", requires = "pkcs11_module")]
    pub pkcs11_token: Option<String>,
}
