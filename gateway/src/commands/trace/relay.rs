//! Stands between phone and gateway, copies every byte both ways, and tells what went by and when.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::wire::Side;

/// What went by.
#[derive(Debug)]
pub(super) struct Chunk {
    /// From whom.
    pub(super) from: Side,
    /// When.
    pub(super) at: Instant,
    /// What.
    pub(super) what: Passed,
}

/// What can go by.
#[derive(Debug)]
pub(super) enum Passed {
    /// Bytes.
    Bytes(Vec<u8>),
    /// The orderly end of this direction.
    End,
    /// The connection was broken off on this side.
    Reset,
}

/// Two ends of a connection within this process.
///
/// # Errors
/// The system gives none.
pub(super) async fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let ours = TcpStream::connect(listener.local_addr()?).await?;
    loop {
        let (theirs, from) = listener.accept().await?;
        // Anybody on this machine can connect to the port while it is open.
        if from == ours.local_addr()? {
            ours.set_nodelay(true)?;
            theirs.set_nodelay(true)?;
            return Ok((ours, theirs));
        }
    }
}

/// Copies until both directions have ended; a phone that stays after the gateway closed has `patience`.
pub(super) async fn both(
    phone: TcpStream,
    gateway: TcpStream,
    chunks: mpsc::Sender<Chunk>,
    patience: Duration,
) {
    let (from_phone, to_phone) = phone.into_split();
    let (from_gateway, to_gateway) = gateway.into_split();
    let asking = one(Side::Client, from_phone, to_gateway, chunks.clone());
    let answering = one(Side::Server, from_gateway, to_phone, chunks);
    tokio::pin!(asking, answering);
    tokio::select! {
        () = &mut answering => {
            // The gateway is done; all that is missing is the phone's own end.
            let _ = tokio::time::timeout(patience, asking).await;
        }
        () = &mut asking => answering.await,
    }
}

/// Copies one direction.
async fn one(from: Side, mut source: OwnedReadHalf, mut sink: OwnedWriteHalf, chunks: mpsc::Sender<Chunk>) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = source.read(&mut buffer).await;
        let at = Instant::now();
        let what = match &read {
            Ok(0) => Passed::End,
            Ok(length) => Passed::Bytes(buffer.get(..*length).unwrap_or_default().to_vec()),
            Err(_) => Passed::Reset,
        };
        let last = matches!(what, Passed::End | Passed::Reset);
        let bytes = match &what {
            Passed::Bytes(bytes) => bytes.clone(),
            Passed::End | Passed::Reset => Vec::new(),
        };
        // Told first, so that what was said stands before what was answered. Nobody listens any more when the trace could
        // not be written; the connection is served to its end all the same.
        let _ = chunks.send(Chunk { from, at, what }).await;
        if last {
            let _ = sink.shutdown().await;
            return;
        }
        if sink.write_all(&bytes).await.is_err() {
            return;
        }
    }
}
