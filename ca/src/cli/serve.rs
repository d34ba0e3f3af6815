//! `serve`

use std::net::SocketAddr;

use clap::Args;

use crate::authority::{CRL_DAYS, ROOT_CRL_DAYS};
use crate::serve::{CONNECTIONS, CONNECTIONS_PER_ADDRESS};

/// `serve`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  provision-ca serve --listen 0.0.0.0:80 --passphrase-file /etc/provision-ca.passphrase
  provision-ca serve --listen 127.0.0.1:8080 --no-publish       somebody else makes the lists

What is served:
  /crl/NAME.crl, /crl/NAME.SHARD.crl   revocation lists, DER
  /ca/NAME.der, /ca/NAME.pem           the authorities' certificates
  /ca/server-trust.pem                 what phones fetch by Custom_CA_Rule
  /health                              200, or 503 when a list ran out or cannot be made

The lists are made again before half of their life is gone, and a few seconds after anything was
revoked, by whichever command. SIGTERM ends the server; answers that were begun are finished. It
speaks plain HTTP: everything served is signed and public. Its log goes to standard error;
PROVISION_CA_LOG=debug shows every request.")]
pub struct ServeArgs {
    /// Address and port to listen on; may be given several times
    #[arg(long, value_name = "ADDR", required = true)]
    pub listen: Vec<SocketAddr>,

    /// Serve the lists that are there, and make none: no key is needed
    #[arg(long)]
    pub no_publish: bool,

    /// Days until the next list is due at the latest
    #[arg(long, default_value_t = CRL_DAYS, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub days: u32,

    /// The same for a root with an issuing authority below it
    #[arg(long, value_name = "DAYS", default_value_t = ROOT_CRL_DAYS, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub root_days: u32,

    /// Most connections at a time
    #[arg(long, value_name = "COUNT", default_value_t = CONNECTIONS, value_parser = count)]
    pub connections: usize,

    /// Most of them from one address; behind a proxy all are
    #[arg(long, value_name = "COUNT", default_value_t = CONNECTIONS_PER_ADDRESS, value_parser = count)]
    pub connections_per_address: usize,
}

fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..=65_536) => Ok(count),
        Ok(_) | Err(_) => Err("1 to 65536 are possible".to_owned()),
    }
}
