//! The command line: definitions only.

use clap::Parser;

use crate::error::BenchError;
use crate::row::ROWS;
use crate::server_key::ServerKey;
use crate::{flood, idle, power_cut};

/// What the gateway costs beside nginx, HAProxy and Apache: CPU time and memory for the same work.
///
/// `bench` sets everything up in a temporary folder, on this machine's loopback address alone: authorities, certificates,
/// a profile store, the four servers, each with its own configuration for the same work. It lets phones call all of them
/// in turn, round by round, and prints tables of what the servers spent by the kernel's own counters: medians, and the
/// gateway's share of what each of the others took in the same round. Run it on a machine that does nothing else.
#[derive(Debug, Parser)]
#[command(name = "bench", version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    /// Every row with few rounds: enough to see that all work and that nothing is far off
    #[arg(long)]
    pub(crate) quick: bool,

    /// How many rounds are counted in each row [default: 9, with --quick 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,

    /// How many handshakes a server does in each round; of requests on kept connections, more [default: 320, with --quick 64]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(16..=100_000))]
    operations: Option<u32>,

    /// Only the rows whose name has these words in it
    #[arg(long, value_name = "WORDS")]
    only: Option<String>,

    /// What key the servers' certificates have
    #[arg(long, value_enum, value_name = "KEY", default_value_t = ServerKey::Rsa2048)]
    pub(crate) server_key: ServerKey,

    /// How many connections stay open without saying anything, in the memory row [default: 2000, with --quick 1000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(200..=4000))]
    idle: Option<u32>,

    /// How many phones call at once in the power cut [default: 5000, with --quick 400]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=9000))]
    phones: Option<u32>,

    /// How many seconds the connection flood lasts [default: 10, with --quick 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=20))]
    flood: Option<u32>,
}

const EXAMPLES: &str = "\
Rows:
  full handshake + GET, TLS 1.3
  full handshake + GET, TLS 1.2
  resumed handshake + GET, TLS 1.3
  resumed handshake + GET, TLS 1.2
  GET 8 KiB on a kept connection
  GET 256 KiB on a kept connection
  POST 2 KiB on a kept connection
  full legacy handshake + GET, TLS 1.2, AES128-SHA
  full legacy handshake + GET, TLS 1.0, AES128-SHA
  memory per idle connection
  flood
  power cut

Examples:
  bench
  bench --quick
  bench --rounds 15 --only 'full handshake'
  bench --server-key both --only 'full handshake + GET'

Build first: cargo build --release --workspace
Install the others first, as root: apt-get install nginx haproxy apache2
Exit status: 0 measured; 1 it could not be measured, or the gateway is above one and a half times a bound (a sentence says
what); 2 wrong usage.";

impl Cli {
    pub(crate) fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.quick { 3 } else { 9 })
    }

    pub(crate) fn operations(&self) -> u32 {
        self.operations.unwrap_or(if self.quick { 64 } else { 320 })
    }

    pub(crate) fn idle(&self) -> u32 {
        self.idle.unwrap_or(if self.quick { 1000 } else { 2000 })
    }

    pub(crate) fn phones(&self) -> u32 {
        self.phones.unwrap_or(if self.quick { 400 } else { 5000 })
    }

    /// In seconds.
    pub(crate) fn flood(&self) -> u32 {
        self.flood.unwrap_or(if self.quick { 2 } else { 10 })
    }

    /// Whether any row is wanted at all.
    pub(crate) fn check(&self) -> Result<(), BenchError> {
        let mut rows = ROWS.iter().map(|row| row.name).chain([idle::ROW, flood::ROW, power_cut::ROW]);
        match &self.only {
            Some(words) if !rows.any(|row| self.wants(row)) => Err(BenchError::NoSuchRow(words.clone())),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether a row of this name is wanted.
    pub(crate) fn wants(&self, row: &str) -> bool {
        self.only.as_ref().is_none_or(|words| row.contains(words.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parsed(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once("bench").chain(line.split_whitespace()))
    }

    #[test]
    fn the_definitions_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_quick_run_does_less_unless_told_otherwise() {
        let (full, quick) = (parsed("").unwrap(), parsed("--quick").unwrap());
        assert_eq!(
            (full.rounds(), full.operations(), full.idle(), full.phones(), full.flood()),
            (9, 320, 2000, 5000, 10)
        );
        assert_eq!(
            (quick.rounds(), quick.operations(), quick.idle(), quick.phones(), quick.flood()),
            (3, 64, 1000, 400, 2)
        );
        assert_eq!(parsed("--quick --rounds 5").unwrap().rounds(), 5);
    }

    #[test]
    fn a_row_is_chosen_by_words_in_its_name() {
        let cli = parsed("--only resumed").unwrap();
        assert!(cli.wants("resumed handshake + GET, TLS 1.3"));
        assert!(!cli.wants("power cut"));
        assert!(parsed("").unwrap().wants("power cut"));
        assert!(parsed("").unwrap().check().is_ok() && parsed("--only cut").unwrap().check().is_ok());
        assert!(parsed("--only sliced").unwrap().check().is_err());
    }

    #[test]
    fn the_help_names_every_row() {
        for row in ROWS.iter().map(|row| row.name).chain([idle::ROW, flood::ROW, power_cut::ROW]) {
            assert!(EXAMPLES.contains(&format!("  {row}\n")), "{row}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for line in ["--rounds 0", "--operations 1", "--server-key dsa", "--rounds", "five"] {
            assert!(parsed(line).is_err(), "{line}");
        }
        assert_eq!(parsed("--server-key p256").unwrap().server_key, ServerKey::P256);
    }
}
