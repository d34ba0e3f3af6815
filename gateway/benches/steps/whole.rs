//! Whole requests and whole connections: a running gateway with its listener, pool and audit file, a phone before it and a
//! profile store behind it, each on a thread of its own. Counted is what the gateway's thread does, from the socket's
//! bytes to the audit record in the queue; not the kernel, nor the thread that writes the audit file.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use gateway::run;
use gateway::server::Server;
use rustls::crypto::aws_lc_rs::kx_group;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use rustls_pki_types::ServerName;
use tokio::sync::oneshot;

use crate::callgrind::counted;
use crate::fixture::NAME;
use crate::hello;
use crate::pace::{Pace, Paced};
use crate::scene::Scene;
use crate::{Error, Step};

pub(crate) const STEPS: [Step; 3] = [
    Step::new("request", "one whole request for a profile of 8 KiB on a kept connection"),
    Step::seldom("connection", "a whole connection: full handshake TLS 1.3, the same request, the end"),
    Step::seldom("connection-resumed", "a whole connection with a resumed handshake"),
];

/// A profile.
const BODY: [u8; 8192] = [b'x'; 8192];
/// So much is done before counting begins: caches are filled, the connection to the backend is there.
const WARM_UP: u64 = 4;

/// Does a step so many times.
pub(crate) fn perform(step: &str, calls: u64) -> Result<(), Error> {
    let pace = Pace::default();
    let backend = TcpListener::bind("127.0.0.1:0")?;
    let scene = Scene::before(backend.local_addr()?)?;
    let of_backend = pace.clone();
    thread::spawn(move || serve(&backend, &of_backend));

    let runtime = pace.runtime()?;
    let auditor = runtime.block_on(run::auditor(&scene.config))?;
    let server = runtime.block_on(async { Server::start(&scene.config, auditor) })?;
    let address = server.addresses().next().ok_or("no listener")?;

    let (warm, warmed_up) = oneshot::channel();
    let (done, all_done) = oneshot::channel();
    let phone = Phone::new(address, pace, step)?;
    let phone = thread::spawn(move || phone.call(warm, done, calls));
    let warmed_up = runtime.block_on(warmed_up);
    if warmed_up.is_ok() {
        let _ = counted(|| runtime.block_on(all_done));
    }
    phone.join().map_err(|_| "the phone panicked")??;
    Ok(())
}

struct Phone {
    address: SocketAddr,
    pace: Pace,
    tls: Arc<ClientConfig>,
    keeps_connection: bool,
}

type Stream = StreamOwned<ClientConnection, Paced>;

impl Phone {
    fn new(address: SocketAddr, pace: Pace, step: &str) -> Result<Self, Error> {
        let mut tls = hello::client(&[kx_group::X25519])?;
        if step == "connection-resumed" {
            tls.resumption = rustls::client::Resumption::in_memory_sessions(4);
        }
        Ok(Self { address, pace, tls: Arc::new(tls), keeps_connection: step == "request" })
    }

    /// Warms up, says so, does what is to be counted, says so.
    fn call(self, warm: oneshot::Sender<()>, done: oneshot::Sender<()>, calls: u64) -> io::Result<()> {
        let mut kept = match self.keeps_connection {
            true => Some(self.connect()?),
            false => None,
        };
        let mut times = |times: u64| {
            (0..times).try_for_each(|_| match &mut kept {
                Some(stream) => get(stream),
                None => {
                    let mut stream = self.connect()?;
                    get(&mut stream)?;
                    end(stream)
                }
            })
        };
        times(WARM_UP)?;
        // Now the gateway's thread goes on to the second part, and sleeps there.
        self.pace.wake(|| Ok(warm.send(())))?.map_err(|()| io::ErrorKind::BrokenPipe)?;
        times(calls)?;
        self.pace.asleep()?;
        done.send(()).map_err(|()| io::ErrorKind::BrokenPipe.into())
    }

    fn connect(&self) -> io::Result<Stream> {
        let socket = self.pace.wake(|| TcpStream::connect(self.address))?;
        socket.set_nodelay(true)?;
        let name = ServerName::try_from(NAME).map_err(io::Error::other)?;
        let connection = ClientConnection::new(Arc::clone(&self.tls), name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, Paced { socket, pace: self.pace.clone() });
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(stream)
    }
}

/// One request as a phone sends it, and its answer.
fn get(stream: &mut Stream) -> io::Result<()> {
    let request = format!(
        "GET /000e08abcdef.cfg HTTP/1.1\r\nHost: {NAME}\r\nUser-Agent: Cisco-CP-8841-3PCC/11.0 (000e08abcdef)\r\n\
         Accept: */*\r\nAccept-Encoding: gzip\r\nCache-Control: no-cache\r\n\
         X-CiscoIPPhoneModelName: CP-8841-3PCC\r\nSSL-Client-S-DN-S: 000e08ffffff\r\nConnection: keep-alive\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut reader = BufReader::new(&mut *stream);
    let (mut line, mut first) = (String::new(), String::new());
    while line != "\r\n" {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if first.is_empty() {
            first.clone_from(&line);
        }
    }
    let mut body = vec![0; BODY.len()];
    reader.read_exact(&mut body)?;
    if !first.starts_with("HTTP/1.1 200") || body != BODY {
        return Err(io::Error::other(format!("not the profile but {first}")));
    }
    Ok(())
}

/// Says goodbye as a phone does, and waits for the gateway to do the same.
fn end(mut stream: Stream) -> io::Result<()> {
    stream.conn.send_close_notify();
    while stream.conn.wants_write() {
        stream.conn.write_tls(&mut stream.sock)?;
    }
    let Paced { mut socket, pace } = stream.sock;
    let mut rest = [0; 1024];
    while socket.read(&mut rest)? > 0 {}
    // The gateway drains until we are gone too.
    pace.wake(|| {
        drop(socket);
        Ok(())
    })
}

/// A profile store. Each answer is sent at once, while the gateway waits for it.
fn serve(listener: &TcpListener, pace: &Pace) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nServer: store\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\
         Last-Modified: Mon, 23 Nov 2026 00:00:00 GMT\r\n\r\n",
        BODY.len()
    );
    let answer = [head.as_bytes(), &BODY].concat();
    for stream in listener.incoming() {
        let mut stream = stream?;
        stream.set_nodelay(true)?;
        let (answer, pace) = (answer.clone(), pace.clone());
        thread::spawn(move || -> io::Result<()> {
            let mut reader = BufReader::new(stream.try_clone()?);
            let mut line = String::new();
            loop {
                line.clear();
                if reader.read_line(&mut line)? == 0 {
                    return Ok(());
                }
                if line == "\r\n" {
                    pace.asleep()?;
                    stream.write_all(&answer)?;
                }
            }
        });
    }
    Ok(())
}
