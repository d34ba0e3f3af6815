//! A phone: it calls, fetches its files in order, and calls again when its parameters say so.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::answer::{Fetch, Step};
use crate::call::{Call, Caller, Failure, Log};
use crate::device::{Connections, Device};
use crate::http::{Connection, Request, Response};
use crate::random::Random;
use crate::schedule::{Schedule, Start};
use crate::tls::Stack;

/// How long a phone waits for a connection and for each answer. Not compressed: the network is not faster either.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// A phone and what it holds.
pub(crate) struct Phone {
    pub(crate) device: Device,
    stack: RwLock<Stack>,
    gateway: SocketAddr,
    /// Whether a profile that is not its own would be noticed: our backend writes the MAC address into each.
    checks_profile: bool,
    user_agent: String,
    targets: Vec<String>,
    /// User and password in base64: what an operator would set with `--uid` and `--pwd` in its profile rule.
    authorization: String,
}

/// How long a phone goes on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Until {
    /// It has its files, or would call again only after this time of the run.
    Served(Duration),
    /// It is told to stop.
    Stopped,
}

impl Phone {
    pub(crate) fn new(device: Device, stack: Stack, gateway: SocketAddr, checks_profile: bool) -> Self {
        let (user_agent, targets) = (device.user_agent(), device.targets());
        let authorization =
            openssl::base64::encode_block(format!("{}:{}", device.serial, device.mac).as_bytes());
        Self {
            device,
            stack: RwLock::new(stack),
            gateway,
            checks_profile,
            user_agent,
            targets,
            authorization,
        }
    }

    /// Gives it another certificate, which its next call presents.
    pub(crate) fn renew(&self, stack: Stack) {
        *self.stack.write().unwrap_or_else(PoisonError::into_inner) = stack;
    }

    /// Calls at its times until it has what it came for, or is told to stop; a call under way is finished first.
    pub(crate) async fn live(
        self: Arc<Self>,
        schedule: Arc<Schedule>,
        log: Arc<Log>,
        mut random: Random,
        start: Start,
        until: Until,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut next = Instant::now() + schedule.first(start, &mut random);
        loop {
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return,
                () = sleep_until(next) => {}
            }
            let call = self.resync(&schedule, &log).await;
            let is_served = call.is_served();
            log.add(call);
            let pause = match is_served {
                true => schedule.after_success(log.now(), &mut random),
                false => schedule.after_failure(log.now(), &mut random),
            };
            match until {
                Until::Served(end) if is_served || log.now() + pause > end => return,
                Until::Served(_) | Until::Stopped => next = Instant::now() + pause,
            }
        }
    }

    /// One resync: every file of its rules, in order; the first that fails ends it.
    pub(crate) async fn resync(&self, schedule: &Schedule, log: &Log) -> Call {
        let mut line = Line::new(self, log);
        let mut failure = None;
        for target in &self.targets {
            match line.fetch(target, schedule).await {
                Ok(()) => {}
                Err(found) => {
                    failure = Some(found);
                    break;
                }
            }
        }
        line.finish(failure).await
    }

    /// A handshake and nothing more: what a call costs before its first request.
    pub(crate) async fn handshake(&self, log: &Log) -> Call {
        let mut line = Line::new(self, log);
        let failure = line.connect().await.err();
        line.finish(failure).await
    }

    /// The certificate the server shows it, in DER.
    pub(crate) async fn shown_certificate(&self) -> Option<Vec<u8>> {
        let stack = self.stack();
        tokio::time::timeout(PATIENCE, stack.shown_certificate(self.gateway)).await.ok()?
    }

    fn stack(&self) -> Stack {
        self.stack.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A call under way.
struct Line<'a> {
    phone: &'a Phone,
    stack: Stack,
    log: &'a Log,
    connection: Option<Connection>,
    call: Call,
}

impl<'a> Line<'a> {
    fn new(phone: &'a Phone, log: &'a Log) -> Self {
        let began = log.now();
        let call = Call {
            caller: Caller::Phone(phone.device.number),
            began,
            ended: began,
            waits: Vec::new(),
            services: Vec::new(),
            statuses: Vec::new(),
            failure: None,
        };
        Self { phone, stack: phone.stack(), log, connection: None, call }
    }

    async fn finish(mut self, failure: Option<Failure>) -> Call {
        self.call.ended = self.log.now();
        self.call.failure = failure;
        if let Some(connection) = self.connection {
            let _ = timeout_at(Instant::now() + PATIENCE, connection.close()).await;
        }
        self.call
    }

    /// One file, with redirections and credentials.
    async fn fetch(&mut self, target: &str, schedule: &Schedule) -> Result<(), Failure> {
        let mut fetch = Fetch::new(target);
        loop {
            let response = self.get(fetch.target(), fetch.shows_credentials()).await?;
            match fetch.answered(response.status, response.location.as_deref(), schedule.fails_on_not_found) {
                Step::Done => return self.check(fetch.target(), &response.body),
                Step::Without => return Ok(()),
                Step::Again => {}
                Step::Fail(failure) => return Err(failure),
            }
        }
    }

    fn check(&self, target: &str, body: &[u8]) -> Result<(), Failure> {
        let mac = &self.phone.device.mac;
        let is_own = target.to_ascii_lowercase().contains(mac.as_str());
        let found = body.windows(mac.len()).any(|window| window == mac.as_bytes());
        if self.phone.checks_profile && is_own && !found { Err(Failure::WrongProfile) } else { Ok(()) }
    }

    async fn get(&mut self, target: &str, with_credentials: bool) -> Result<Response, Failure> {
        if self.connection.is_none() {
            self.connect().await?;
        }
        let Some(mut connection) = self.connection.take() else { return Err(Failure::Closed) };
        let close = self.phone.device.product.connections == Connections::PerFile;
        let request = Request {
            target,
            user_agent: &self.phone.user_agent,
            authorization: with_credentials.then_some(self.phone.authorization.as_str()),
            close,
        };
        let began = Instant::now();
        let answered = timeout_at(began + PATIENCE, connection.get(&request)).await;
        let response = answered.map_err(|_| Failure::TimedOut)??;
        self.call.services.push(began.elapsed());
        self.call.statuses.push(response.status);
        if response.keeps && !close {
            self.connection = Some(connection);
        } else {
            let _ = timeout_at(Instant::now() + PATIENCE, connection.close()).await;
        }
        Ok(response)
    }

    async fn connect(&mut self) -> Result<(), Failure> {
        let began = Instant::now();
        let connected = timeout_at(began + PATIENCE, self.stack.connect(self.phone.gateway)).await;
        let wire = connected.map_err(|_| Failure::TimedOut)??;
        self.call.waits.push(began.elapsed());
        self.connection = Some(Connection::new(wire));
        Ok(())
    }
}
