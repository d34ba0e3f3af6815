//! `plan`

use clap::Args;

use crate::key::KeyType;

/// `plan`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  provision-ca plan --devices 50000
  provision-ca plan --devices 50000 --key rsa2048 --revoked 5% --shards 16

For some seconds it makes keys, certificates and a list in a store of its own, beside the real one and
removed again, and reckons from that. Other work on this machine makes it slower than foretold.")]
pub struct PlanArgs {
    /// How many devices
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    pub devices: u32,

    /// The kind of the devices' keys
    #[arg(long, value_enum, default_value_t = KeyType::Rsa2048)]
    pub key: KeyType,

    /// The kind of the authority's key
    #[arg(long, value_enum, default_value_t = KeyType::Rsa2048)]
    pub issuer_key: KeyType,

    /// How many of them will be revoked, as 5%
    #[arg(long, value_name = "PERCENT", default_value = "1%", value_parser = percent)]
    pub revoked: Percent,

    /// Over how many lists the revoked are spread
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub shards: u32,
}

/// A part of a hundred.
#[derive(Debug, Clone, Copy)]
pub struct Percent(pub f64);

fn percent(text: &str) -> Result<Percent, String> {
    let number = text.strip_suffix('%').unwrap_or(text).parse::<f64>().ok();
    number
        .filter(|number| (0.0..=100.0).contains(number))
        .map(Percent)
        .ok_or_else(|| "a part of a hundred is needed, as 5%".to_owned())
}
