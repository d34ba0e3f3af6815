//! What a connection costs that a phone leaves open after its request: memory of all of the server's processes.

use crate::client::Client;
use crate::error::BenchError;
use crate::peers::Peers;
use crate::server::Server;

/// The name of the row.
pub(crate) const ROW: &str = "memory per idle connection";

/// Connections that are opened and closed first, so that what a server makes once is not counted. Few: what they leave
/// free, the counted ones use again.
const WARM_UP: usize = 16;

/// What one server took.
pub(crate) struct Idle {
    /// Bytes for each connection.
    pub(crate) each: u64,
    /// Connections that the server had closed by then.
    pub(crate) closed: usize,
}

/// Starts the servers anew, one after another, and leaves `count` connections open at each.
pub(crate) fn measure(peers: &mut Peers, count: u32) -> Result<Vec<Idle>, BenchError> {
    let credentials = peers.credentials().clone();
    let one = |server: &mut Server| {
        server.restart()?;
        let client = Client::new(&credentials, server.address());
        let failed = |error: std::io::Error| error.to_string();
        client.open(WARM_UP).map(drop).map_err(|error| server.failed(failed(error)))?;
        let before = server.memory_at_rest()?;
        let connections = usize::try_from(count).unwrap_or(usize::MAX);
        let mut open = client.open(connections).map_err(|error| server.failed(failed(error)))?;
        let grown = server.memory_at_rest()?.saturating_sub(before);
        let closed = client.closed_meanwhile(&mut open);
        Ok(Idle { each: grown / u64::from(count), closed })
    };
    peers.servers_mut().iter_mut().map(one).collect()
}
