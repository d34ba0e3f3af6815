//! Session tickets of one virtual host.
//!
//! Stateless tickets, sealed by rustls's own rotating keys, which live in memory only and belong to one virtual
//! host (SEC-39, SEC-43). In front of the session stand the time of the first full handshake, a number and the key that
//! verified the client's certificate, carried from ticket to ticket: a session ends [`LIFETIME`] after a certificate was
//! last really shown (SEC-40), and one whose client was refused when it came back is not opened again, so that the next
//! handshake is a full one and its refusal comes with an alert that the phone's log shows. A resumed chain is verified and
//! admitted again like any other, save that a signature which that key has verified is not verified once more; nothing
//! here decides who may come in.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use certs::Fingerprint;
use rustls::server::ProducesTickets;

use super::client_verifier;
use crate::clock;

/// How long after its first full handshake a session can be resumed, in seconds. Phones resync hourly; half
/// a day of resumptions costs one full handshake.
pub const LIFETIME: u32 = 12 * 60 * 60;

/// The largest session that becomes a ticket, in octets (SEC-45): three RSA-4096 certificates fit, a chain
/// that would push a ClientHello over the limits of middleboxes does not.
pub(super) const MAX_SESSION: usize = 6 * 1024;

/// What is carried from ticket to ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// When it was first established, in seconds since 1970.
    first: i64,
    /// Tells it from the host's other sessions.
    number: u64,
    /// The key that verified the client's certificate in the first handshake; `None` for an anonymous client.
    leaf_signer: Option<Fingerprint>,
}

impl Session {
    /// In octets: the time, the number, whether there is a key, and its fingerprint.
    const SIZE: usize = 8 + 8 + 1 + 32;

    /// The key that verified the client's certificate in the session's first handshake.
    pub fn leaf_signer(self) -> Option<Fingerprint> {
        self.leaf_signer
    }

    fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.first.to_be_bytes());
        out.extend_from_slice(&self.number.to_be_bytes());
        out.push(u8::from(self.leaf_signer.is_some()));
        out.extend_from_slice(self.leaf_signer.as_ref().map_or(&[0; 32], Fingerprint::as_bytes).as_slice());
    }

    /// The session, and what stands behind it.
    fn read(plain: &[u8]) -> Option<(Self, &[u8])> {
        let (first, rest) = plain.split_first_chunk::<8>()?;
        let (number, rest) = rest.split_first_chunk::<8>()?;
        let (is_signed, rest) = rest.split_first()?;
        let (signer, rest) = rest.split_first_chunk::<32>()?;
        let session = Self {
            first: i64::from_be_bytes(*first),
            number: u64::from_be_bytes(*number),
            leaf_signer: (*is_signed == 1).then(|| Fingerprint::from(*signer)),
        };
        Some((session, rest))
    }
}

/// The session of a handshake under way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Current {
    /// A full handshake, whose session begins now.
    #[default]
    Fresh,
    /// A full handshake that gets no ticket.
    None,
    /// A ticket was opened.
    Resumed(Session),
}

tokio::task_local! {
    static CURRENT: Cell<Current>;
}

/// Runs one handshake with a place for its session; gives back the one whose ticket was opened and used.
pub(super) async fn with_session<F: Future>(handshake: F) -> (F::Output, Option<Session>) {
    CURRENT
        .scope(Cell::default(), async {
            let outcome = handshake.await;
            let used = match CURRENT.with(Cell::get) {
                Current::Resumed(session) => Some(session),
                Current::Fresh | Current::None => None,
            };
            (outcome, used)
        })
        .await
}

/// Forgets a ticket that was opened and then not used: this is a full handshake.
pub(super) fn begin_anew() {
    let _ = CURRENT.try_with(|current| current.set(Current::Fresh));
}

/// Gives this handshake no ticket: what let its client in is to be allowed anew each time.
pub(super) fn give_none() {
    let _ = CURRENT.try_with(|current| current.set(Current::None));
}

/// Seals and opens the tickets of one virtual host.
pub struct Tickets {
    sealer: Arc<dyn ProducesTickets>,
    next: AtomicU64,
    /// Whether any session was ever refused; as long as none was, nothing is locked.
    any_refused: AtomicBool,
    refused: Mutex<HashSet<u64>>,
}

/// So many refused sessions are remembered; then all are forgotten, and each is refused once more.
const MOST_REFUSED: usize = 4096;

impl Tickets {
    /// Fresh keys.
    ///
    /// # Errors
    /// The system's random number generator failed.
    pub fn new() -> Result<Arc<Self>, rustls::Error> {
        Ok(Arc::new(Self {
            sealer: rustls::crypto::aws_lc_rs::Ticketer::new()?,
            next: AtomicU64::new(1),
            any_refused: AtomicBool::new(false),
            refused: Mutex::default(),
        }))
    }

    /// Opens no ticket of this session any more.
    pub fn refuse(&self, session: Session) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.len() >= MOST_REFUSED {
            refused.clear();
        }
        refused.insert(session.number);
        self.any_refused.store(true, Ordering::Release);
    }

    fn is_refused(&self, session: Session) -> bool {
        self.any_refused.load(Ordering::Acquire)
            && self.refused.lock().unwrap_or_else(PoisonError::into_inner).contains(&session.number)
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Tickets(..)")
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME
    }

    fn encrypt(&self, session: &[u8]) -> Option<Vec<u8>> {
        if session.len() > MAX_SESSION {
            return None;
        }
        let carried = match CURRENT.try_with(Cell::get) {
            Ok(Current::None) => return None,
            Ok(Current::Resumed(session)) => session,
            Ok(Current::Fresh) | Err(_) => {
                let number = self.next.fetch_add(1, Ordering::Relaxed);
                Session { first: clock::now().unix(), number, leaf_signer: client_verifier::leaf_signer() }
            }
        };
        let mut plain = Vec::with_capacity(Session::SIZE + session.len());
        carried.write(&mut plain);
        plain.extend_from_slice(session);
        self.sealer.encrypt(&plain)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let plain = self.sealer.decrypt(ticket)?;
        let (carried, session) = Session::read(&plain)?;
        let age = clock::now().unix().checked_sub(carried.first)?;
        // A ticket from the future means that the clock went back; a full handshake sorts it out.
        if !(0..=i64::from(LIFETIME)).contains(&age) || self.is_refused(carried) {
            return None;
        }
        let _ = CURRENT.try_with(|current| current.set(Current::Resumed(carried)));
        Some(session.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block_on<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn sec_40_the_time_of_the_first_handshake_travels_from_ticket_to_ticket() {
        let tickets = Tickets::new().unwrap();
        let old = Session { first: clock::now().unix() - 3600, number: 7, leaf_signer: None };
        let aged = |session: Session| {
            let tickets = &tickets;
            let current = Cell::new(Current::Resumed(session));
            block_on(CURRENT.scope(current, async move { tickets.encrypt(b"session") })).unwrap()
        };
        let ticket = aged(old);
        let (renewed, used) = block_on(with_session(async {
            assert_eq!(tickets.decrypt(&ticket).as_deref(), Some(&b"session"[..]));
            tickets.encrypt(b"renewed").unwrap()
        }));
        assert_eq!(used, Some(old));
        let (_, used) = block_on(with_session(async { tickets.decrypt(&renewed).unwrap() }));
        assert_eq!(used, Some(old), "renewing does not make a session younger");
        let limit = i64::from(LIFETIME);
        let of_age = |age: i64| {
            aged(Session {
                first: clock::now().unix() - age,
                number: 8,
                leaf_signer: Some(Fingerprint::of(b"key")),
            })
        };
        assert!(tickets.decrypt(&of_age(limit - 60)).is_some());
        assert!(tickets.decrypt(&of_age(limit + 60)).is_none(), "past its lifetime");
    }

    #[test]
    fn a_refused_session_is_not_opened_again_by_any_of_its_tickets() {
        let tickets = Tickets::new().unwrap();
        let fresh = || block_on(with_session(async { tickets.encrypt(b"session").unwrap() })).0;
        let (one, other) = (fresh(), fresh());
        let (renewed, used) = block_on(with_session(async {
            tickets.decrypt(&one).unwrap();
            tickets.encrypt(b"session").unwrap()
        }));
        tickets.refuse(used.unwrap());
        assert!(tickets.decrypt(&one).is_none() && tickets.decrypt(&renewed).is_none());
        assert!(tickets.decrypt(&other).is_some(), "another session lives on");
        assert!(tickets.decrypt(&fresh()).is_some());
    }

    #[test]
    fn a_handshake_that_is_to_get_no_ticket_gets_none() {
        let tickets = Tickets::new().unwrap();
        let made = |forbidden: bool| {
            block_on(with_session(async {
                if forbidden {
                    give_none();
                }
                tickets.encrypt(b"session")
            }))
            .0
        };
        assert!(made(true).is_none());
        assert!(made(false).is_some());
    }

    #[test]
    fn sec_39_a_ticket_of_one_host_means_nothing_to_another() {
        let (one, other) = (Tickets::new().unwrap(), Tickets::new().unwrap());
        let ticket = one.encrypt(b"session").unwrap();
        assert!(one.decrypt(&ticket).is_some());
        assert!(other.decrypt(&ticket).is_none());
    }

    #[test]
    fn sec_45_a_session_too_large_for_a_client_hello_gets_no_ticket() {
        let tickets = Tickets::new().unwrap();
        assert!(tickets.encrypt(&vec![0; MAX_SESSION]).is_some());
        assert!(tickets.encrypt(&vec![0; MAX_SESSION + 1]).is_none());
    }
}
