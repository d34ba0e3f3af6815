//! `mirror`

use std::path::PathBuf;

use clap::Args;

use crate::mirror::TwinProfile;

/// `mirror`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  provision-ca mirror phone-chain.pem
  provision-ca mirror cmca.pem crca2048.pem --device CP-8861,FCH2133E8B9,2C3124C9F8E1
  provision-ca mirror spacroot.crt --out spa --profile small-business \\
    --device SPA-962,88012BA01234,000E08ABCDEF

The twins have the names, extensions, sizes and kinds of signature of the real certificates, and
keys that you have: a gateway can be tried with them before the real phones come. They are marked
(an extension at the end, a serial number that begins 7E577E57), because their names are the real
ones: keep them out of every trust store but the laboratory's.

Into DIR go chain.pem, the lowest certificate first; a folder each for `root`, `intermediate`,
`leaf` and `device` with cert.pem and key.pem, and for the last two chain.pem as a phone presents
it; and README.txt. When the topmost certificate's issuer is not given, `stand-in-root` takes its
place.")]
pub struct MirrorArgs {
    /// The real certificates, PEM or DER: one chain, whole or in part, in any order
    #[arg(value_name = "CHAIN", required = true)]
    pub files: Vec<PathBuf>,

    /// Where the twins go [default: mirror/CHAIN in the store]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,

    /// Keep the real dates; otherwise all are moved by the same time, so that the newest begins now
    #[arg(long)]
    pub keep_dates: bool,

    /// Days after which every twin ends at the latest [default: it lasts as long as the real one; the device 90 days]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub days: Option<u32>,

    /// Also make a phone's certificate below the lowest authority, signed as that is
    #[arg(long, value_name = "MODEL,SERIAL,MAC")]
    pub device: Option<String>,

    /// How the phone's certificate says who it is
    #[arg(long, value_enum, default_value_t = TwinProfile::CiscoMic, requires = "device")]
    pub profile: TwinProfile,

    /// Make them although DIR is there; what is in it moves aside
    #[arg(long)]
    pub force: bool,
}
