//! Session tickets of one virtual host.
//!
//! Stateless tickets, sealed by rustls's own rotating keys, which live in memory only and belong to one virtual
//! host (SEC-39, SEC-43). In front of the session stands the time of the first full handshake, carried from
//! ticket to ticket, so that a session ends [`LIFETIME`] after a certificate was last really shown (SEC-40).
//! A resumed chain is verified and admitted again like any other; nothing here decides who may come in.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;

use rustls::server::ProducesTickets;

use crate::clock;

/// How long after its first full handshake a session can be resumed, in seconds. Phones resync hourly; half
/// a day of resumptions costs one full handshake.
pub const LIFETIME: u32 = 12 * 60 * 60;

/// The largest session that becomes a ticket, in octets (SEC-45): three RSA-4096 certificates fit, a chain
/// that would push a ClientHello over the limits of middleboxes does not.
pub(super) const MAX_SESSION: usize = 6 * 1024;

tokio::task_local! {
    /// When the session of the handshake under way was first established, in seconds since 1970; zero for "now".
    static FIRST_HANDSHAKE: Cell<i64>;
}

/// Runs one handshake with a place for the time its session was first established.
pub(super) async fn with_first_handshake<F: Future>(handshake: F) -> F::Output {
    FIRST_HANDSHAKE.scope(Cell::new(0), handshake).await
}

/// Forgets the time of a ticket that was opened and then not used: this is a full handshake.
pub(super) fn begin_anew() {
    let _ = FIRST_HANDSHAKE.try_with(|first| first.set(0));
}

/// Gives this handshake no ticket: what let its client in is to be allowed anew each time.
pub(super) fn give_none() {
    let _ = FIRST_HANDSHAKE.try_with(|first| first.set(NO_TICKET));
}

/// Stands in [`FIRST_HANDSHAKE`] where no ticket is to be made.
const NO_TICKET: i64 = i64::MIN;

/// Seals and opens the tickets of one virtual host.
pub struct Tickets {
    sealer: Arc<dyn ProducesTickets>,
}

impl Tickets {
    /// Fresh keys.
    ///
    /// # Errors
    /// The system's random number generator failed.
    pub fn new() -> Result<Arc<Self>, rustls::Error> {
        Ok(Arc::new(Self { sealer: rustls::crypto::aws_lc_rs::Ticketer::new()? }))
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
        let first = match FIRST_HANDSHAKE.try_with(Cell::get) {
            Ok(NO_TICKET) => return None,
            Ok(0) | Err(_) => clock::now().unix(),
            Ok(first) => first,
        };
        let mut plain = Vec::with_capacity(8 + session.len());
        plain.extend_from_slice(&first.to_be_bytes());
        plain.extend_from_slice(session);
        self.sealer.encrypt(&plain)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let plain = self.sealer.decrypt(ticket)?;
        let (first, session) = plain.split_first_chunk::<8>()?;
        let first = i64::from_be_bytes(*first);
        let age = clock::now().unix().checked_sub(first)?;
        // A ticket from the future means that the clock went back; a full handshake sorts it out.
        if !(0..=i64::from(LIFETIME)).contains(&age) {
            return None;
        }
        let _ = FIRST_HANDSHAKE.try_with(|cell| cell.set(first));
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
        let old = clock::now().unix() - 3600;
        let aged = |first: i64| {
            let tickets = &tickets;
            block_on(FIRST_HANDSHAKE.scope(Cell::new(first), async move { tickets.encrypt(b"session") }))
                .unwrap()
        };
        let ticket = aged(old);
        let renewed = block_on(with_first_handshake(async {
            assert_eq!(tickets.decrypt(&ticket).as_deref(), Some(&b"session"[..]));
            assert_eq!(FIRST_HANDSHAKE.with(Cell::get), old);
            tickets.encrypt(b"renewed").unwrap()
        }));
        block_on(with_first_handshake(async {
            assert!(tickets.decrypt(&renewed).is_some());
            assert_eq!(FIRST_HANDSHAKE.with(Cell::get), old, "renewing does not make a session younger");
        }));
        let limit = i64::from(LIFETIME);
        assert!(tickets.decrypt(&aged(clock::now().unix() - limit + 60)).is_some());
        assert!(tickets.decrypt(&aged(clock::now().unix() - limit - 60)).is_none(), "past its lifetime");
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
