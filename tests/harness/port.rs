//! Ports for servers that must be able to take the same port again.
//!
//! They lie below those that the system gives to clients: thousands of phones would else sooner or later be given the
//! one that a server has just left.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

use socket2::{Domain, Socket, Type};

const FIRST: u16 = 12_000;
const COUNT: u16 = 18_000;
const BACKLOG: i32 = 4096;

/// Listens on a free port of the loopback address.
///
/// # Errors
/// None of many is free.
pub fn listen() -> io::Result<TcpListener> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let own = u16::try_from(std::process::id() % u32::from(COUNT)).unwrap_or_default();
    let mut refused = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..200 {
        // Programs that run at the same time begin far apart.
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (own.wrapping_mul(61).wrapping_add(step) % COUNT);
        match listen_on(SocketAddr::from((Ipv4Addr::LOCALHOST, port))) {
            Ok(listener) => return Ok(listener),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

/// Listens on this address, also when connections of the last listener are still on their way out.
///
/// # Errors
/// Somebody else listens there.
pub fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// An address that was free a moment ago.
///
/// # Errors
/// None of many is free.
pub fn free() -> io::Result<SocketAddr> {
    listen()?.local_addr()
}
