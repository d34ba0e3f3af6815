//! The asymmetric work of one full handshake alone, by the same crypto library: what no server with these keys can
//! go below.
//!
//! The program starts itself again for it: what the gateway told its crypto library of the processor, the other program is
//! told as well.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use certs::{Certificate, Hash, SignatureAlgorithm};
use harness::authority::Authority;
use rustix::time::{ClockId, clock_gettime};
use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs::kx_group::X25519;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::Signer;

use crate::processor::Processor;
use crate::statistics::median;

/// The first argument of the program when it is to do this work.
pub(crate) const COMMAND: &str = "asymmetric-work";

/// So often each core does it in a round.
pub(crate) const ROUNDS: usize = 64;

/// One RSA 2048 signature, one X25519 key pair and agreement, and the verification of a leaf's certificate and of
/// its signature on the handshake: the median CPU time of `rounds` on each core, all of them busy as they are when servers are
/// measured.
pub(crate) fn asymmetric_work(
    processor: &Processor,
    authority: &Authority,
    mac: &str,
    rounds: usize,
) -> io::Result<Duration> {
    let done = processor
        .this_program()?
        .arg(COMMAND)
        .args([authority.client_root(), authority.device(mac)])
        .arg(rounds.to_string())
        .stderr(Stdio::inherit())
        .output()?;
    let said = String::from_utf8_lossy(&done.stdout);
    said.trim().parse().map(Duration::from_nanos).map_err(io::Error::other)
}

/// Does the work and prints how many nanoseconds it takes.
pub(crate) fn serve(arguments: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    let [root, device, rounds] = arguments else {
        return Err(format!("{COMMAND} takes three arguments").into());
    };
    let rounds = rounds.parse::<usize>()?;
    let cores = thread::available_parallelism()?.get();
    let work: Vec<_> =
        (0..cores).map(|_| Work::of_device(root.as_ref(), device.as_ref())).collect::<io::Result<_>>()?;
    let spent: io::Result<Vec<_>> = thread::scope(|scope| {
        let workers: Vec<_> = work.into_iter().map(|work| scope.spawn(move || work.times(rounds))).collect();
        workers.into_iter().map(|one| one.join().map_err(|_| io::Error::other("panicked"))?).collect()
    });
    let median = median(&spent?.concat()).ok_or("no rounds")?;
    writeln!(io::stdout(), "{}", median.as_nanos())?;
    Ok(())
}

/// The parts of it. One RSA key stands for the server's and the device's.
pub(crate) struct Work {
    signer: Box<dyn Signer>,
    leaf: Certificate,
    root: Certificate,
}

const MESSAGE: [u8; 130] = [7; 130];

impl Work {
    /// With the key and the certificate in a device's folder, and the certificate of who signed it.
    pub(crate) fn of_device(root: &Path, device: &Path) -> io::Result<Self> {
        let key = PrivateKeyDer::from_pem_file(device.join("key.pem")).map_err(io::Error::other)?;
        let key = any_supported_type(&key).map_err(io::Error::other)?;
        let signer = key
            .choose_scheme(&[SignatureScheme::RSA_PSS_SHA256])
            .ok_or_else(|| io::Error::other("the device's key is not RSA"))?;
        let certificate = |path: &Path| {
            let der = CertificateDer::from_pem_file(path).map_err(io::Error::other)?;
            Certificate::parse(&der).map_err(io::Error::other)
        };
        Ok(Self { signer, leaf: certificate(&device.join("cert.pem"))?, root: certificate(root)? })
    }

    /// What all of it takes of this thread's CPU time, so many times.
    fn times(&self, rounds: usize) -> io::Result<Vec<Duration>> {
        let mut spent = Vec::with_capacity(rounds);
        for _ in 0..rounds {
            let began = thread_cpu_time()?;
            let signature = self.sign()?;
            self.agree()?;
            self.verify(&signature)?;
            spent.push(thread_cpu_time()?.saturating_sub(began));
        }
        Ok(spent)
    }

    pub(crate) fn sign(&self) -> io::Result<Vec<u8>> {
        self.signer.sign(&MESSAGE).map_err(io::Error::other)
    }

    pub(crate) fn agree(&self) -> io::Result<()> {
        let own = X25519.start().map_err(io::Error::other)?;
        let peer = own.pub_key().to_vec();
        own.complete(&peer).map(|_| ()).map_err(io::Error::other)
    }

    pub(crate) fn verify(&self, signature: &[u8]) -> io::Result<()> {
        self.leaf
            .signature_algorithm()
            .verify(self.root.public_key(), self.leaf.tbs(), self.leaf.signature())
            .map_err(io::Error::other)?;
        SignatureAlgorithm::RsaPss(Hash::Sha256)
            .verify(self.leaf.public_key(), &MESSAGE, signature)
            .map_err(io::Error::other)
    }
}

fn thread_cpu_time() -> io::Result<Duration> {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).map_err(io::Error::other)
}
