//! A server that does nothing of a full TLS 1.3 handshake with one GET but what no server can leave out: the socket, the
//! asymmetric work with these keys by the same crypto library, and the backend's answer passed on. No TLS records, no
//! hashing, no HTTP, no rules, no records. What it costs is what a bound can not lie below.
//!
//! The messages have the sizes of the real ones. The program starts itself again for it, so that the kernel counts its
//! CPU time apart.

use std::ffi::OsStr;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Child, Stdio};
use std::thread;

use harness::authority::Authority;

use crate::floor::Work;
use crate::processor::Processor;
use crate::request::{PROFILE, Request};

/// The first argument of the program when it is to be this server.
pub(crate) const COMMAND: &str = "bare-server";

/// Octets of a client hello; of ServerHello to Finished; of the client's certificate, proof, Finished and request.
const HELLO: usize = 266;
const FLIGHT: usize = 2_100;
const ANSWERED: usize = 1_500;
/// Octets of an answer of 8 KiB with its head.
const PASSED_ON: usize = PROFILE + 250;

/// The running server.
pub(crate) struct Bare {
    address: SocketAddr,
    process: Child,
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Bare {
    /// Starts it with the credentials of a device, whose key stands for the server's: both are RSA 2048.
    pub(crate) fn start(
        processor: &Processor,
        authority: &Authority,
        mac: &str,
        store: SocketAddr,
        request: &Request,
    ) -> io::Result<Self> {
        let mut process = processor
            .this_program()?
            .arg(COMMAND)
            .args([authority.client_root(), authority.device(mac)])
            .arg(store.to_string())
            .arg(OsStr::from_bytes(request.as_bytes()))
            .stdout(Stdio::piped())
            .spawn()?;
        let out = process.stdout.take().ok_or_else(|| io::Error::other("no standard output"))?;
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        let address = line.trim().parse().map_err(io::Error::other)?;
        Ok(Self { address, process })
    }

    pub(crate) fn process(&self) -> u32 {
        self.process.id()
    }

    /// `count` connections from as many threads as the real phones have.
    pub(crate) fn exchanges(&self, threads: usize, count: usize) -> io::Result<()> {
        thread::scope(|scope| {
            let workers: Vec<_> = (0..threads)
                .map(|at| {
                    let share = count / threads + usize::from(at < count % threads);
                    scope.spawn(move || (0..share).try_for_each(|_| exchange(self.address)))
                })
                .collect();
            workers.into_iter().try_for_each(|one| one.join().map_err(|_| io::Error::other("panicked"))?)
        })
    }
}

fn exchange(address: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.write_all(&[1; HELLO])?;
    stream.read_exact(&mut [0; FLIGHT])?;
    stream.write_all(&[2; ANSWERED])?;
    stream.read_exact(&mut [0; PASSED_ON])
}

/// Runs the server until it is ended.
pub(crate) fn serve(arguments: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    let [root, device, backend, request] = arguments else {
        return Err("bare-server takes four arguments".into());
    };
    let backend = backend.parse::<SocketAddr>()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    writeln!(io::stdout(), "{}", listener.local_addr()?)?;
    thread::scope(|scope| {
        let workers: Vec<_> = (0..16)
            .map(|_| {
                let listener = &listener;
                let work = Work::of_device(root.as_ref(), device.as_ref());
                scope.spawn(move || -> io::Result<()> {
                    let work = work?;
                    let mut store = TcpStream::connect(backend)?;
                    loop {
                        let (mut client, _) = listener.accept()?;
                        client.set_nodelay(true)?;
                        // A client that goes away is no reason to stop.
                        let _ = serve_one(&mut client, &mut store, request, &work);
                    }
                })
            })
            .collect();
        workers.into_iter().try_for_each(|one| one.join().map_err(|_| io::Error::other("panicked"))?)
    })?;
    Ok(())
}

fn serve_one(client: &mut TcpStream, store: &mut TcpStream, request: &str, work: &Work) -> io::Result<()> {
    client.read_exact(&mut [0; HELLO])?;
    work.agree()?;
    let signature = work.sign()?;
    client.write_all(&[3; FLIGHT])?;
    client.read_exact(&mut [0; ANSWERED])?;
    work.verify(&signature)?;
    store.write_all(request.as_bytes())?;
    let mut answer = [0; 16 * 1024];
    let mut filled = 0;
    while filled <= PROFILE || !ends(answer.get(..filled).unwrap_or_default()) {
        let read = store.read(answer.get_mut(filled..).unwrap_or_default())?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        filled += read;
    }
    client.write_all(answer.get(..PASSED_ON).unwrap_or_default())
}

/// Whether a head and 8 KiB behind it are there.
fn ends(answer: &[u8]) -> bool {
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n");
    head.is_some_and(|head| answer.len() >= head + 4 + PROFILE)
}
