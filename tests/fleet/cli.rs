//! The command line: definitions only.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Many simulated phones against the real gateway.
///
/// Each phone has its own certificate from `provision-ca`, says its product's User-Agent, asks for the files of its
/// profile rules, waits and tries again as the phones' guide says. `fleet` sets everything up in a temporary folder,
/// on this machine's loopback address alone: authorities, certificates, a profile store and the gateway. It ends by
/// itself, prints a table, and says whether what the scenario promises held.
#[derive(Debug, Parser)]
#[command(name = "fleet", version, after_help = EXAMPLES, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) scenario: Scenario,
}

const EXAMPLES: &str = "\
Examples:
  fleet power-cut --phones 5000
  fleet power-cut --phones 5000 --device-key rsa2048 --store fleet-store
  fleet steady --phones 200 --hours 24 --speed 3600
  fleet restart --phones 100 --old 30
  fleet hostile --phones 200 --share 20 --out results

Build first: cargo build --release --workspace
Exit status: 0 everything held, 1 something did not (a sentence says what), 2 wrong usage.";

/// What happens to the fleet.
#[derive(Debug, Subcommand)]
pub(crate) enum Scenario {
    /// Ordinary days: each phone calls at its times, and nothing else happens
    Steady(Steady),
    /// The power comes back: every phone calls at once
    PowerCut(PowerCut),
    /// The gateway reads its configuration again, then is stopped and started, while phones call
    Restart(Common),
    /// Some phones' certificates are taken back: they are refused from then on, the others notice nothing
    Crl(Crl),
    /// The server gets a new certificate, and phones new ones from a new authority; then the old authority is removed
    Rollover(Common),
    /// The profile store becomes slow, then silent, then dead, then well again
    Backend(Common),
    /// Forgers, MAC scanners, slow connections and strangers among the phones
    Hostile(Hostile),
}

impl Scenario {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Steady(_) => "steady",
            Self::PowerCut(_) => "power-cut",
            Self::Restart(_) => "restart",
            Self::Crl(_) => "crl",
            Self::Rollover(_) => "rollover",
            Self::Backend(_) => "backend",
            Self::Hostile(_) => "hostile",
        }
    }

    pub(crate) fn common(&self) -> &Common {
        match self {
            Self::Steady(arguments) => &arguments.common,
            Self::PowerCut(arguments) => &arguments.common,
            Self::Crl(arguments) => &arguments.common,
            Self::Hostile(arguments) => &arguments.common,
            Self::Restart(common) | Self::Rollover(common) | Self::Backend(common) => common,
        }
    }

    /// A gateway that runs already, if one is named.
    pub(crate) fn connect(&self) -> Option<SocketAddr> {
        match self {
            Self::Steady(Steady { connect, .. }) | Self::PowerCut(PowerCut { connect, .. }) => *connect,
            Self::Restart(_) | Self::Crl(_) | Self::Rollover(_) | Self::Backend(_) | Self::Hostile(_) => None,
        }
    }

    /// How many of the phones' seconds pass in one of ours, unless said otherwise: an hour in four seconds, in one for
    /// whole days, and no faster than life where all call at once.
    pub(crate) fn speed(&self) -> f64 {
        let usual = match self {
            Self::Steady(_) => 3600.0,
            Self::PowerCut(_) => 1.0,
            Self::Restart(_) | Self::Crl(_) | Self::Rollover(_) | Self::Backend(_) | Self::Hostile(_) => {
                900.0
            }
        };
        self.common().speed.unwrap_or(usual)
    }
}

/// `steady`
#[derive(Debug, Args)]
pub(crate) struct Steady {
    /// How many hours of the phones' time to run
    #[arg(long, default_value_t = 24.0, value_parser = positive)]
    pub(crate) hours: f64,

    /// Call a gateway that runs already on this machine and serves prov.example.com; `--store` is the store of
    /// `provision-ca` that it trusts, one without passphrase
    #[arg(long, value_name = "ADDR", requires = "store", conflicts_with = "old", value_parser = on_loopback)]
    pub(crate) connect: Option<SocketAddr>,

    #[command(flatten)]
    pub(crate) common: Common,
}

/// `power-cut`
#[derive(Debug, Args)]
pub(crate) struct PowerCut {
    /// Call a gateway that runs already on this machine and serves prov.example.com; `--store` is the store of
    /// `provision-ca` that it trusts, one without passphrase
    #[arg(long, value_name = "ADDR", requires = "store", conflicts_with = "old", value_parser = on_loopback)]
    pub(crate) connect: Option<SocketAddr>,

    /// How many phones call one after another first, to know what one alone costs the gateway
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) alone: u32,

    #[command(flatten)]
    pub(crate) common: Common,
}

/// `crl`
#[derive(Debug, Args)]
pub(crate) struct Crl {
    /// How many of every hundred phones lose their certificate
    #[arg(long, default_value_t = 10, value_name = "SHARE", value_parser = clap::value_parser!(u8).range(1..=99))]
    pub(crate) revoke: u8,

    #[command(flatten)]
    pub(crate) common: Common,
}

/// `hostile`
#[derive(Debug, Args)]
pub(crate) struct Hostile {
    /// Hostile clients for every hundred phones
    #[arg(long, value_name = "SHARE", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=400))]
    pub(crate) share: u16,

    /// How many times as long as without the hostile share honest phones may take (p99), beyond 100 ms
    #[arg(long, default_value_t = 3.0, value_parser = positive)]
    pub(crate) bound: f64,

    #[command(flatten)]
    pub(crate) common: Common,
}

/// What every scenario takes.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// How many phones
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) phones: u32,

    /// How many of every hundred phones are old: TLS 1.0, AES128-SHA, a SHA-1 certificate on an RSA key of 1024 bits
    #[arg(long, default_value_t = 0, value_name = "SHARE", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(crate) old: u8,

    /// The kind of key in the other phones' certificates. An RSA key takes a tenth of a second of one processor to make,
    /// 5000 of them four minutes on two: keep them with `--store`
    #[arg(long, value_enum, value_name = "KEY", default_value_t = DeviceKey::P256)]
    pub(crate) device_key: DeviceKey,

    /// How many of the phones' seconds pass in one of ours [default: steady 3600, power-cut 1, others 900]
    #[arg(long, value_parser = positive)]
    pub(crate) speed: Option<f64>,

    /// Where results.json and served-per-second.svg go
    #[arg(long, value_name = "DIR", default_value = "fleet-results")]
    pub(crate) out: PathBuf,

    /// Print the results as JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,

    /// Runs with the same seed spread their calls alike
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,

    /// Keep the authorities and certificates in this folder, and take from it what an earlier run made
    #[arg(long, value_name = "DIR")]
    pub(crate) store: Option<PathBuf>,

    /// About how many bytes a profile has
    #[arg(long, value_name = "BYTES", default_value_t = 8192, value_parser = clap::value_parser!(u32).range(1..=16_777_216))]
    pub(crate) profile_size: u32,

    /// Resync_Random_Delay, in the phones' seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 2, help_heading = "The phones' parameters")]
    pub(crate) random_delay: u32,

    /// Resync_Periodic, in the phones' seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u32).range(1..), help_heading = "The phones' parameters")]
    pub(crate) periodic: u32,

    /// Resync_At: call once a day at this time, in place of Resync_Periodic
    #[arg(long, value_name = "HHMM", value_parser = time_of_day, help_heading = "The phones' parameters")]
    pub(crate) at: Option<Duration>,

    /// Resync_At_Random_Delay: over how long after Resync_At the calls are spread, in the phones' seconds; phones round
    /// it to minutes
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u32).range(..=65_535), help_heading = "The phones' parameters")]
    pub(crate) at_random_delay: u32,

    /// Resync_Error_Retry_Delay, in the phones' seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u32).range(1..), help_heading = "The phones' parameters")]
    pub(crate) retry_delay: u32,

    /// Resync_Fails_On_FNF=No: a file that is not there (404) is no failure
    #[arg(long, help_heading = "The phones' parameters")]
    pub(crate) not_found_is_success: bool,
}

/// The kind of key in the phones' certificates.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum DeviceKey {
    /// ECDSA on P-256: made in no time
    P256,
    /// RSA with 2048 bits: what most phones in the field have
    Rsa2048,
}

impl DeviceKey {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::P256 => "p256",
            Self::Rsa2048 => "rsa2048",
        }
    }
}

fn positive(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if value > 0.0 && value <= 1_000_000.0 {
        Ok(value)
    } else {
        Err("must be above 0 and at most 1000000".to_owned())
    }
}

fn on_loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| "an address is written 127.0.0.1:8443".to_owned())?;
    let is_here = address.ip().is_loopback();
    if is_here {
        Ok(address)
    } else {
        Err("must be a loopback address: this is no tool against others".to_owned())
    }
}

/// As a phone's profile has it, `0330`, or as people write it, `03:30`; `2400` is midnight (Resync_At).
fn time_of_day(text: &str) -> Result<Duration, String> {
    let parse = || {
        let digits = text.as_bytes();
        let (hours, minutes) = match text.split_once(':') {
            Some(parts) => parts,
            None if digits.len() == 4 && digits.iter().all(u8::is_ascii_digit) => text.split_at(2),
            None => return None,
        };
        let (hours, minutes): (u64, u64) = (hours.parse().ok()?, minutes.parse().ok()?);
        match (hours, minutes) {
            (24, 0) => Some(Duration::ZERO),
            (0..24, 0..60) => Some(Duration::from_secs(hours * 3600 + minutes * 60)),
            (_, _) => None,
        }
    };
    parse().ok_or_else(|| "a time of day is written 0330 or 03:30".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definitions_are_sound_and_times_of_day_are_read() {
        Cli::command().debug_assert();
        for (text, seconds) in
            [("0330", 12_600), ("03:30", 12_600), ("0000", 0), ("2400", 0), ("2359", 86_340)]
        {
            assert_eq!(time_of_day(text), Ok(Duration::from_secs(seconds)));
        }
        for text in ["2401", "0960", "3", "330", "+330", "0330x", "é30"] {
            assert!(time_of_day(text).is_err(), "{text}");
        }
        assert!(on_loopback("127.0.0.1:8443").is_ok() && on_loopback("192.0.2.1:8443").is_err());
        assert!(positive("0").is_err() && positive("nan").is_err() && positive("0.5").is_ok());
    }
}
