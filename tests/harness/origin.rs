//! A backend that keeps what it received, byte for byte, and answers what a test wants.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use crate::{
    expect::eventually,
    http::{self, Body, Head},
};

/// A listening backend.
#[derive(Debug)]
pub struct Origin {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    connections: Arc<Mutex<usize>>,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Received {
    /// The request line and fields.
    pub head: Head,
    /// The body and its trailers.
    pub body: Body,
    /// Which connection it came on, from 0.
    pub connection: usize,
}

impl Received {
    /// A field's value, if it is there once.
    ///
    /// # Panics
    /// It is there more than once.
    pub fn field(&self, name: &str) -> Option<&str> {
        http::field(&self.head.fields, name)
    }

    /// How often a name is there, in any case.
    pub fn count(&self, name: &str) -> usize {
        self.head.fields.iter().filter(|(found, _)| found.eq_ignore_ascii_case(name)).count()
    }

    /// The request's target.
    pub fn target(&self) -> &str {
        self.head.first_line.split(' ').nth(1).unwrap_or_default()
    }

    /// Every field name whose letters and digits, with all else folded to `_`, begin so.
    pub fn names_beginning(&self, prefix: &str) -> Vec<String> {
        let folded = |name: &str| -> String {
            name.chars()
                .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' })
                .collect()
        };
        self.head
            .fields
            .iter()
            .map(|(name, _)| name.clone())
            .filter(|name| folded(name).starts_with(prefix))
            .collect()
    }
}

impl Origin {
    /// Answers every request with 200 and the text `origin`.
    pub fn start() -> Self {
        Self::answering(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\norigin".to_vec())
    }

    /// Answers with these bytes; an answer that is empty, or says `Connection: close`, ends the connection.
    pub fn answering(answer: impl Fn(&Received) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::serving(move |received, stream| {
            let answer = answer(received);
            stream.write_all(&answer)?;
            let close = b"connection: close";
            let closes = answer.windows(close.len()).any(|window| window.eq_ignore_ascii_case(close));
            Ok(if answer.is_empty() || closes { Then::Close } else { Then::Keep })
        })
    }

    /// Serves each request with full control of its connection.
    ///
    /// # Panics
    /// The system has no port left.
    pub fn serving(
        serve: impl Fn(&Received, &mut TcpStream) -> io::Result<Then> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = Self {
            address: listener.local_addr().unwrap(),
            received: Arc::default(),
            connections: Arc::default(),
        };
        let (received, connections, serve) =
            (Arc::clone(&origin.received), Arc::clone(&origin.connections), Arc::new(serve));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let number = {
                    let mut count = connections.lock().unwrap_or_else(PoisonError::into_inner);
                    *count += 1;
                    *count - 1
                };
                let (received, serve) = (Arc::clone(&received), Arc::clone(&serve));
                // The gateway ends its kept connections when it ends.
                thread::spawn(move || serve_connection(stream, number, &received, &*serve));
            }
        });
        origin
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it received so far.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until it has received so many requests, and gives the last of them.
    ///
    /// # Panics
    /// They do not come.
    pub fn wait_for(&self, count: usize) -> Received {
        eventually(&format!("request {count} at the origin"), || self.received().into_iter().nth(count - 1))
    }

    /// How many connections it has taken.
    pub fn connections(&self) -> usize {
        *self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What happens to a connection after an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Then {
    /// The next request may come.
    Keep,
    /// It is closed.
    Close,
}

fn serve_connection(
    mut stream: TcpStream,
    connection: usize,
    received: &Mutex<Vec<Received>>,
    serve: &(impl Fn(&Received, &mut TcpStream) -> io::Result<Then> + ?Sized),
) -> io::Result<()> {
    while let Some(head) = http::read_head(&mut stream)? {
        if http::field(&head.fields, "expect").is_some() {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let body = http::read_body(&mut stream, &head.fields, false)?;
        let request = Received { head, body, connection };
        received.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
        if serve(&request, &mut stream)? == Then::Close {
            return Ok(());
        }
    }
    Ok(())
}

/// Reads until the peer ends the connection: what [`Origin::serving`] does to hold an answer back.
///
/// # Errors
/// The stream's.
pub fn hold(stream: &mut TcpStream) -> io::Result<Then> {
    let mut rest = [0; 256];
    while stream.read(&mut rest)? > 0 {}
    Ok(Then::Close)
}
