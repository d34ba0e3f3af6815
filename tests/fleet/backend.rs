//! The profile store behind the gateway: a small HTTP server in a thread of its own, which can be slow, silent or dead.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use harness::port;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::error::FleetError;

/// How the store feels.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mood {
    /// It answers at once.
    Well,
    /// It answers after this time.
    Slow(Duration),
    /// It takes requests and never answers.
    Silent,
    /// It does not listen, and its connections are cut.
    Dead,
}

/// A running store; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Backend {
    address: SocketAddr,
    mood: watch::Sender<Mood>,
    answered: Arc<AtomicU64>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Backend {
    /// A store whose profiles have about this many bytes.
    pub(crate) fn start(profile_bytes: usize) -> Result<Self, FleetError> {
        let listener = port::listen().map_err(FleetError::io("the profile store finds no port"))?;
        let address = listener.local_addr().map_err(FleetError::io("the profile store has no address"))?;
        let (mood, moods) = watch::channel(Mood::Well);
        let answered = Arc::new(AtomicU64::new(0));
        let store = Store { moods, answered: Arc::clone(&answered), profile_bytes };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(FleetError::io("the profile store cannot be run"))?;
        let thread = thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || runtime.block_on(store.run(listener, address)))
            .map_err(FleetError::io("the profile store has no thread"))?;
        Ok(Self { address, mood, answered, thread: Some(thread) })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many requests it has answered.
    pub(crate) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    pub(crate) fn feel(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        // The thread ends when the sender is gone.
        let (closed, _) = watch::channel(Mood::Well);
        self.mood = closed;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[derive(Clone)]
struct Store {
    moods: watch::Receiver<Mood>,
    answered: Arc<AtomicU64>,
    profile_bytes: usize,
}

impl Store {
    async fn run(mut self, listener: StdListener, address: SocketAddr) {
        let mut listener = Some(listener);
        loop {
            let bound = match listener.take() {
                Some(listener) => Ok(listener),
                None => port::listen_on(address),
            };
            let taken = bound.and_then(TcpListener::from_std);
            if let Ok(taken) = taken {
                self.serve(taken).await;
            } else {
                // Somebody has the port for a moment.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            // An error: whoever had the say is gone.
            let gone = self.moods.has_changed().is_err();
            if gone || self.moods.wait_for(|mood| *mood != Mood::Dead).await.is_err() {
                return;
            }
        }
    }

    /// Serves until it is to be dead; its connections end with this.
    async fn serve(&self, listener: TcpListener) {
        let mut connections = JoinSet::new();
        let mut moods = self.moods.clone();
        loop {
            tokio::select! {
                _ = moods.wait_for(|mood| *mood == Mood::Dead) => return,
                accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                    connections.spawn(self.clone().serve_connection(stream));
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }

    async fn serve_connection(mut self, mut stream: TcpStream) -> io::Result<()> {
        let _ = stream.set_nodelay(true);
        let mut read = Vec::with_capacity(4096);
        loop {
            let end = loop {
                if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
                    break end + 4;
                }
                if stream.read_buf(&mut read).await? == 0 {
                    return Ok(());
                }
            };
            // Phones only GET: nothing follows a head.
            let head: Vec<u8> = read.drain(..end).collect();
            let mood = *self.moods.borrow();
            match mood {
                Mood::Well => {}
                Mood::Slow(time) => tokio::time::sleep(time).await,
                Mood::Silent | Mood::Dead => {
                    let _ = self.moods.wait_for(|mood| !matches!(mood, Mood::Silent)).await;
                    return Ok(());
                }
            }
            let answer = self.answer(&String::from_utf8_lossy(&head));
            self.answered.fetch_add(1, Ordering::Relaxed);
            stream.write_all(&answer).await?;
        }
    }

    /// A profile that names the device the gateway vouches for, as the guide's sample script does.
    fn answer(&self, head: &str) -> Vec<u8> {
        let target = head.split(' ').nth(1).unwrap_or_default();
        let mac = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("ssl-client-s-dn-s"))
            .map_or("", |(_, value)| value.trim());
        let mut body = format!("<flat-profile><GPP_A>{target}</GPP_A><GPP_D>S={mac}</GPP_D><!-- ");
        const END: &str = " --></flat-profile>\n";
        let padding = self.profile_bytes.saturating_sub(body.len() + END.len());
        body.extend(std::iter::repeat_n('x', padding));
        body.push_str(END);
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\r\n{body}", body.len())
            .into()
    }
}
