//! `server …` and `device …`

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};

use crate::device::MacAttribute;
use crate::key::KeyType;
use crate::legacy::LegacyTrait;

/// `server …`
#[derive(Debug, Subcommand)]
pub enum ServerCommand {
    /// Make a key and a request (CSR) to send to an outside authority, such as the phones' maker
    Csr(CsrArgs),
    /// Issue a server certificate
    Issue(ServerIssueArgs),
}

/// `server csr`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  provision-ca server csr prov.example.com
  provision-ca server csr prov.example.com --out provserver.csr --key-out privkey.pem --zip

Keep the key; send only the request. Phones compare the certificate's name with the
host they ask for, so FQDN must be what stands in their Profile_Rule.")]
pub struct CsrArgs {
    /// The host name of the provisioning server
    #[arg(value_name = "FQDN")]
    pub fqdn: String,

    /// More names of the same host
    #[arg(long = "san", value_name = "NAME")]
    pub san: Vec<String>,

    /// Your organisation, when the outside authority wants one
    #[arg(long)]
    pub organization: Option<String>,

    /// Your country, two capital letters, when the outside authority wants one
    #[arg(long)]
    pub country: Option<String>,

    /// Where the request goes [default: requests/FQDN/provserver.csr in the store]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,

    /// Where the private key goes [default: requests/FQDN/privkey.pem in the store]
    #[arg(long, value_name = "FILE")]
    pub key_out: Option<PathBuf>,

    /// Also write the request as a ZIP file beside it, as the phones' maker asks for
    #[arg(long)]
    pub zip: bool,

    /// The kind of key
    #[arg(long, value_enum, default_value_t = KeyType::Rsa2048)]
    pub key: KeyType,

    /// Whether and how the private key is encrypted.
    #[command(flatten)]
    pub protection: KeyProtection,
}

/// `server issue`
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").args(["fqdn", "csr"]).required(true).multiple(false), after_help = "\
Examples:
  provision-ca server issue prov.example.com
  provision-ca server issue prov.example.com --san prov2.example.com --days 730
  provision-ca server issue --csr provserver.csr")]
pub struct ServerIssueArgs {
    /// The host name of the provisioning server
    #[arg(value_name = "FQDN")]
    pub fqdn: Option<String>,

    /// Certify the key and the names of this request (PEM or DER); nothing else in it is used
    #[arg(long, value_name = "FILE", conflicts_with = "encrypt_keys")]
    pub csr: Option<PathBuf>,

    /// Refuse a request whose key is in this file: the SHA-256 of a public key a line, in hexadecimal digits
    #[arg(long, value_name = "FILE", requires = "csr")]
    pub key_blocklist: Option<PathBuf>,

    /// More names of the same host, or addresses
    #[arg(long = "san", value_name = "NAME")]
    pub san: Vec<String>,

    /// Days the certificate lasts [default: 365, or 90 in a test store]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub days: Option<u32>,

    /// The kind of key; old phones understand RSA only
    #[arg(long, value_enum, default_value_t = KeyType::Rsa2048, conflicts_with = "csr")]
    pub key: KeyType,

    /// Whether and how the private key is encrypted.
    #[command(flatten)]
    pub protection: KeyProtection,

    /// Renew: issue although there is a valid certificate; its files move to `superseded`
    #[arg(long)]
    pub force: bool,
}

/// `device …`
#[derive(Debug, Subcommand)]
pub enum DeviceCommand {
    /// Issue a phone's client certificate, or those of a whole list
    Issue(DeviceIssueArgs),
    /// Issue the generic certificate that units without their own share
    Generic(GenericArgs),
}

/// `device issue`
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").args(["csv", "model"]).required(true).multiple(false), after_help = "\
Examples:
  provision-ca device issue --model CP-8841-3PCC --serial 88012BA01234 --mac 00:0E:08:AB:CD:EF
  provision-ca device issue --csv devices.csv
  provision-ca device issue --csv devices.csv --seal-to age1…
  provision-ca device issue --csr phone.csr --model CP-8841-3PCC --serial 88012BA01234 --mac 00:0E:08:AB:CD:EF
  provision-ca --store laboratory device issue --legacy sha1,rsa-1024 --csv old.csv
  provision-ca --store laboratory device issue --expired 30d --csv late.csv

The list has one phone per line, model,serial,mac, with `,` or `;` between; a first line
with the names of the columns may give another order. Or it is JSON Lines, {\"model\":…,\"serial\":…,\"mac\":…}
a line. A column or key `csr` names a request, or holds one, of a phone that made its key itself. The
list is checked whole before anything is made. Run again, it makes what is missing and nothing twice.

With `--seal-to`, each private key lies in key.pem.age, which only the recipient's own key opens:
age --decrypt --identity key.txt key.pem.age")]
pub struct DeviceIssueArgs {
    /// The model, as CP-8841-3PCC
    #[arg(long, requires_all = ["serial", "mac"])]
    pub model: Option<String>,

    /// The serial number
    #[arg(long, requires = "model")]
    pub serial: Option<String>,

    /// The MAC address, in any spelling
    #[arg(long, requires = "model")]
    pub mac: Option<String>,

    /// A list of phones, CSV or JSON Lines
    #[arg(long, visible_alias = "list", value_name = "FILE")]
    pub csv: Option<PathBuf>,

    /// Certify the key of this request (PEM or DER); nothing else in it is used
    #[arg(long, value_name = "FILE", requires = "model", conflicts_with_all = ["encrypt_keys", "seal_to"])]
    pub csr: Option<PathBuf>,

    /// Seal new private keys to this recipient (age), instead of giving each a passphrase
    #[arg(long, value_name = "RECIPIENT", conflicts_with = "encrypt_keys")]
    pub seal_to: Option<String>,

    /// Refuse requests whose keys are in this file: the SHA-256 of a public key a line, in hexadecimal digits
    #[arg(long, value_name = "FILE")]
    pub key_blocklist: Option<PathBuf>,

    /// How many keys are made, and certificates signed, at once [default: one per processor core]
    #[arg(long, value_name = "N", requires = "csv", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: Option<u16>,

    /// Where the report goes, one line per line of the list [default: the list's name with `.report.csv`]
    #[arg(long, value_name = "FILE", requires = "csv")]
    pub report: Option<PathBuf>,

    /// What all client certificates have in common.
    #[command(flatten)]
    pub options: DeviceOptions,
}

/// `device generic`
#[derive(Debug, Args)]
#[command(after_help = "\
It says OU=cisco.com, L=ciscogeneric, S=ciscogeneric, as in units made before firmware 2.0.x.
The gateway never takes it for an identity.")]
pub struct GenericArgs {
    /// What all client certificates have in common.
    #[command(flatten)]
    pub options: DeviceOptions,
}

/// What all client certificates have in common.
#[derive(Debug, Args)]
pub struct DeviceOptions {
    /// Which attribute carries the MAC address: Apache's `S` is surname
    #[arg(long, value_enum, default_value_t = MacAttribute::Surname)]
    pub mac_attribute: MacAttribute,

    /// Days the certificate lasts [default: 7300, or 90 in a test store]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub days: Option<u32>,

    /// The kind of key; old phones understand RSA only
    #[arg(long, value_enum, default_value_t = KeyType::Rsa2048)]
    pub key: KeyType,

    /// In a test store: make it as old phones carry it; one or more, with `,` between
    #[arg(long, value_enum, value_name = "TRAIT", value_delimiter = ',', help_heading = "Test stores")]
    pub legacy: Vec<LegacyTrait>,

    /// In a test store: make it so that it expired this many days ago, as 30d or 30
    #[arg(long, value_name = "DAYS", value_parser = days_ago, help_heading = "Test stores")]
    pub expired: Option<u32>,

    /// Whether and how the private key is encrypted.
    #[command(flatten)]
    pub protection: KeyProtection,

    /// Renew: issue although there is a valid certificate; its files move to `superseded`
    #[arg(long)]
    pub force: bool,
}

/// What protects the private keys of the certificates.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("key-passphrase-source").multiple(false))]
pub struct KeyProtection {
    /// Encrypt the private keys, with a passphrase of their own: it goes where the key goes, the authorities' does not
    #[arg(long)]
    pub encrypt_keys: bool,

    /// Read the passphrase for `--encrypt-keys` from the first line of this file
    #[arg(long, value_name = "FILE", group = "key-passphrase-source", requires = "encrypt_keys")]
    pub key_passphrase_file: Option<PathBuf>,

    /// Read the passphrase for `--encrypt-keys` from the environment variable of this name
    #[arg(long, value_name = "NAME", group = "key-passphrase-source", requires = "encrypt_keys")]
    pub key_passphrase_env: Option<String>,
}

/// `30d` or `30`: at least one, at most fifty years.
fn days_ago(text: &str) -> Result<u32, String> {
    let days = text.strip_suffix('d').unwrap_or(text).parse::<u32>().ok();
    days.filter(|days| (1..=18_250).contains(days))
        .ok_or_else(|| "a number of days is needed, from 1d to 18250d".to_owned())
}
