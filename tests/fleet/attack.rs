//! Hostile clients: each does one thing that must not work, again and again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::call::{Call, Caller, Failure, Log};
use crate::http::{Connection, Request};
use crate::random::Random;
use crate::tls::{Stack, of_io};

/// Between the end of one attempt and the next.
const PAUSE: Duration = Duration::from_millis(200);
/// How long an attempt may last; the gateway ends it sooner.
const LONGEST: Duration = Duration::from_secs(60);
/// Between two bytes of a slow client.
const DRIP: Duration = Duration::from_millis(500);

/// One hostile client.
pub(crate) struct Attacker {
    pub(crate) caller: Caller,
    /// What it presents; a slow client without one never comes as far as the handshake.
    pub(crate) stack: Option<Stack>,
    pub(crate) gateway: SocketAddr,
    /// MAC addresses of phones whose profiles it is after.
    pub(crate) victims: Arc<Vec<String>>,
}

impl Attacker {
    /// Goes on until it is told to stop.
    pub(crate) async fn attack(self, log: Arc<Log>, mut random: Random, mut stop: watch::Receiver<bool>) {
        sleep(random.before(PAUSE)).await;
        let mut ended = false;
        while !ended {
            let began = log.now();
            let mut statuses = Vec::new();
            let attempt = tokio::select! {
                attempt = timeout(LONGEST, self.attempt(&mut random, &mut statuses)) => {
                    attempt.unwrap_or(Err(Failure::TimedOut))
                }
                _ = stop.wait_for(|stop| *stop) => {
                    ended = true;
                    Err(Failure::RunEnded)
                }
            };
            let failure = attempt.err();
            log.add(Call {
                caller: self.caller,
                began,
                ended: log.now(),
                waits: Vec::new(),
                services: Vec::new(),
                statuses,
                failure,
            });
            if !ended {
                sleep(PAUSE).await;
            }
        }
    }

    /// One attempt; it has succeeded if anything but a refusal comes back.
    async fn attempt(&self, random: &mut Random, statuses: &mut Vec<u16>) -> Result<(), Failure> {
        match &self.stack {
            None => self.drip_hello().await,
            Some(stack) if self.caller == Caller::Slowloris => self.drip_header(stack).await,
            Some(stack) => self.ask(stack, random, statuses).await,
        }
    }

    /// Asks for some phones' profiles, in the shapes that profile rules have and in some that they have not.
    async fn ask(&self, stack: &Stack, random: &mut Random, statuses: &mut Vec<u16>) -> Result<(), Failure> {
        let mut connection = Connection::new(stack.connect(self.gateway).await?);
        let mut last = Err(Failure::Closed);
        for _ in 0..4 {
            let mac =
                self.victims.get(random.below(self.victims.len())).map_or("000e08000001", String::as_str);
            let target = match random.below(6) {
                0 => format!("/{mac}.cfg"),
                1 => format!("/cisco/{mac}.cfg"),
                2 => format!("/config?cisco{}", mac.to_ascii_uppercase()),
                3 => format!("/init/..%2f{mac}.cfg"),
                4 => format!("/CP-8841-3PCC{mac}.cfg"),
                _ => format!("/%2e%2e/{mac}.xml"),
            };
            // The User-Agent of the phone it pretends to be.
            let user_agent = format!("Cisco-CP-8841-3PCC/11.0 ({mac})");
            let request =
                Request { target: &target, user_agent: &user_agent, authorization: None, close: false };
            let response = connection.get(&request).await?;
            statuses.push(response.status);
            if response.status < 400 {
                return Ok(());
            }
            last = Err(Failure::Status(response.status));
            if !response.keeps {
                break;
            }
        }
        connection.close().await;
        last
    }

    /// A hello that begins well and never ends.
    async fn drip_hello(&self) -> Result<(), Failure> {
        let mut tcp = TcpStream::connect(self.gateway).await.map_err(|error| of_io(&error))?;
        // A handshake record of 512 bytes, with a ClientHello of 508.
        let begin = [22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3];
        let mut bytes = begin.into_iter().chain(std::iter::repeat(0));
        let mut answer = [0; 64];
        loop {
            let byte = bytes.next().unwrap_or_default();
            tcp.write_all(&[byte]).await.map_err(|error| of_io(&error))?;
            match timeout(DRIP, tokio::io::AsyncReadExt::read(&mut tcp, &mut answer)).await {
                Ok(Ok(_)) => return Err(Failure::Closed),
                Ok(Err(error)) => return Err(of_io(&error)),
                Err(_) => {}
            }
        }
    }

    /// A real handshake, then a header that never ends.
    async fn drip_header(&self, stack: &Stack) -> Result<(), Failure> {
        let mut connection = Connection::new(stack.connect(self.gateway).await?);
        connection.send(b"GET /init/x HTTP/1.1\r\nX: ").await?;
        let end = Instant::now() + LONGEST;
        while Instant::now() < end {
            connection.send(b"x").await?;
            // Whatever the gateway says as it ends the connection, it says 408 or nothing.
            if let Ok(ended) = timeout(DRIP, connection.rest()).await {
                return ended.and(Err(Failure::Closed));
            }
        }
        Err(Failure::TimedOut)
    }
}
