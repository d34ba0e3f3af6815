//! Which of the processor's instructions RSA signatures use: whichever is faster here.
//!
//! Half of a full handshake is one RSA 2048 signature. AWS-LC has two ways to do it on x86-64: with AVX2, and with BMI2 and ADX. It
//! takes the second wherever the processor has it, as OpenSSL does. On some processors that is the slower one: on an AMD EPYC of the
//! Zen 3 generation whose two cores were both busy it took 1.2 times as long (README, "Measured"). No list of processors is kept
//! here: both ways are measured when the gateway starts.
//!
//! The library looks at the processor before `main`, and the only say that others have in it is the environment variable
//! [`VARIABLE`]. So a gateway for which AVX2 is worth it starts itself again in its place ([`exec`]: same process, same arguments,
//! same standard streams), with that variable set. Nothing has happened by then but that the configuration was read; one that can be
//! read only once, from a pipe, is left alone. Whoever sets the variable decides: then nothing is measured. What was decided stays:
//! a configuration that is read again later does not change it.
//!
//! [`exec`]: std::os::unix::process::CommandExt::exec
//!
//! What is taken away depends on who signs. AWS-LC asks for BMI1 here, and where it multiplies for RSA keys of other sizes, which
//! would take a third longer: beside one of those nothing is changed. (It also asks for SHA-1 on processors without instructions
//! for SHA.) So [`WITHOUT_BMI1`] costs nothing else. OpenSSL, which serves old phones, would then multiply without BMI2 and ADX;
//! [`WITHOUT_ADX`] has both use AVX2, and costs elliptic curves and the verifications a fifth, some 20 µs of a full handshake.

use std::env;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use certs::KeyAlgorithm;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, Timespec, clock_gettime};
use tracing::{debug, info, warn};

use crate::config::{Config, ServerCredentials};

/// The environment variable with which AWS-LC and OpenSSL are told what the processor has (`OPENSSL_ia32cap(3)`).
pub const VARIABLE: &str = "OPENSSL_ia32cap";

/// Its value for signatures with AVX2 by AWS-LC: of the second pair of words, whose first is EBX of CPUID leaf 7, bit 3 is taken
/// away.
pub const WITHOUT_BMI1: &str = ":~0x8";

/// The same by AWS-LC and OpenSSL: bit 19 is taken away. The rest leaves three more pairs as they are; OpenSSL takes away what is not
/// mentioned.
pub const WITHOUT_ADX: &str = ":~0x80000:~0:~0:~0";

/// The hidden command that answers each line with what a signature takes, in nanoseconds of CPU time.
pub const COMMAND: &str = "signature-times";

/// A key that everybody knows, for times alone: testRSA2048 of RFC 9500, section 2.1.
const KEY: &str = include_str!("processor/rfc9500-rsa2048.pem");

/// So many times both are measured in the same moments, by so many signatures on either of two processors. The first time, in which the library also gathers
/// its first random octets, is not counted.
const ROUNDS: usize = 1 + 15;
const SIGNATURES: u32 = 4;

/// So long the other process may take for a round, at most.
const PATIENCE: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };

/// What a signature took in both ways, in the same moment.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Round {
    as_found: Duration,
    with_avx2: Duration,
}

impl Round {
    /// What AVX2 takes of the other's time.
    fn ratio(&self) -> f64 {
        self.with_avx2.as_secs_f64() / self.as_found.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// A thirtieth less is worth a start more; above that it may be noise. Where the other way is meant to be the faster one, it is
    /// so by a fifth and more.
    fn favours_avx2(&self) -> bool {
        self.ratio() < 0.97
    }
}

/// Measures both ways, and starts the program again for AVX2 if that is faster; then this does not return.
///
/// To be called before anything is opened. It takes some 150 ms, and a start more if that is worth it; nothing where the processor,
/// the server's keys or [`VARIABLE`] leave no choice. A measurement that fails changes nothing.
pub fn settle(config: &Config) {
    if env::var_os(VARIABLE).is_some() || !has_both() {
        return;
    }
    let keys = config.hosts.iter().flat_map(|host| &host.credentials).filter_map(ServerCredentials::leaf);
    let serves_old_phones = config.listeners.iter().any(|listener| listener.tls.needs_legacy_engine());
    let Some(value) = value_for(keys.map(|leaf| leaf.public_key().algorithm()), serves_old_phones) else {
        return;
    };
    if !config.can_be_read_again {
        debug!("the configuration can be read only once: signatures stay as they are");
        return;
    }
    // In a thread of its own, which alone is moved from processor to processor.
    let measured = std::thread::scope(|scope| scope.spawn(|| measure(value)).join());
    match measured.unwrap_or_else(|_| Err(io::Error::other("the measurement panicked"))) {
        Ok(round) if round.favours_avx2() => {
            info!(
                as_found = ?round.as_found,
                with_avx2 = ?round.with_avx2,
                "RSA 2048 signatures are faster with AVX2 on this processor: the program starts once more, in the same process, with \
                 {VARIABLE}={value}"
            );
            let error = start_again(value);
            warn!(%error, "the program could not be started once more: signatures stay as slow as they are");
        }
        Ok(round) => info!(
            as_found = ?round.as_found,
            with_avx2 = ?round.with_avx2,
            "RSA 2048 signatures are not faster with AVX2 on this processor"
        ),
        Err(error) => debug!(%error, "it was not measured how RSA 2048 signatures are faster"),
    }
}

/// Answers each line of `requests` with the CPU time of an RSA 2048 signature in this process, in nanoseconds.
///
/// # Errors
/// The library does not sign, or one of the two streams is broken.
pub fn signature_times(requests: impl BufRead, answers: &mut dyn Write) -> io::Result<()> {
    let signer = Signer::new()?;
    for request in requests.lines() {
        request?;
        writeln!(answers, "{}", signer.time()?.as_nanos())?;
        answers.flush()?;
    }
    Ok(())
}

/// What the variable is to be if AVX2 is faster; nothing where no server key is of the one size that there are two ways for, or one
/// is of a size that has lost by it.
fn value_for(keys: impl Iterator<Item = KeyAlgorithm>, serves_old_phones: bool) -> Option<&'static str> {
    let mut sizes: Vec<u32> = keys
        .filter_map(|key| match key {
            KeyAlgorithm::Rsa { bits } => Some(bits),
            KeyAlgorithm::Ec { .. } | KeyAlgorithm::Ed25519 | KeyAlgorithm::Other { .. } => None,
        })
        .collect();
    sizes.sort_unstable();
    sizes.dedup();
    match (sizes.as_slice(), serves_old_phones) {
        ([2048], true) => Some(WITHOUT_ADX),
        ([2048], false) => Some(WITHOUT_BMI1),
        (_, _) => None,
    }
}

/// AVX-512 with IFMA is a third way, faster than both, and chosen before them.
#[cfg(target_arch = "x86_64")]
fn has_both() -> bool {
    use std::arch::is_x86_feature_detected as has;
    let both = has!("avx2") && has!("bmi1") && has!("bmi2") && has!("adx");
    both && !has!("avx512ifma")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_both() -> bool {
    false
}

/// This process signs as the library chose while another signs with AVX2: under load all cores are busy, and then the two differ
/// more than alone. Processors are not alike, by kind or by what a host does beside: so the two change places in each round.
fn measure(value: &str) -> io::Result<Round> {
    let signer = Signer::new()?;
    let mut command = Command::new(env::current_exe()?);
    let mut other = Other::start(command.arg(COMMAND).env(VARIABLE, value), PATIENCE)?;
    let places = two_processors();
    let mut rounds = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let mut round = Round { as_found: Duration::ZERO, with_avx2: Duration::ZERO };
        for swapped in [false, true] {
            if let Some([one, two]) = &places {
                let (ours, theirs) = if swapped { (two, one) } else { (one, two) };
                // Where it is not allowed, the kernel chooses.
                let _ = sched_setaffinity(None, ours);
                let _ = sched_setaffinity(Some(Pid::from_child(&other.process)), theirs);
            }
            other.ask()?;
            round.as_found += signer.time()? / 2;
            round.with_avx2 += other.answer()? / 2;
        }
        rounds.push(round);
    }
    median(rounds.get(1..).unwrap_or_default())
}

/// The first two of the processors that this process may use.
fn two_processors() -> Option<[CpuSet; 2]> {
    let all = sched_getaffinity(None).ok()?;
    let mut each = (0..CpuSet::MAX_CPU).filter(|cpu| all.is_set(*cpu)).map(|cpu| {
        let mut one = CpuSet::new();
        one.set(cpu);
        one
    });
    Some([each.next()?, each.next()?])
}

/// The round that stands in the middle when they are ordered by their ratios.
fn median(rounds: &[Round]) -> io::Result<Round> {
    let mut rounds = rounds.to_vec();
    rounds.sort_by(|one, other| one.ratio().total_cmp(&other.ratio()));
    rounds.get(rounds.len() / 2).copied().ok_or_else(|| io::Error::other("nothing was measured"))
}

/// A process that signs with AVX2; it ends with this.
struct Other {
    process: Child,
    requests: Option<ChildStdin>,
    answers: Option<BufReader<ChildStdout>>,
    patience: Timespec,
}

impl Other {
    fn start(command: &mut Command, patience: Timespec) -> io::Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn()?;
        let requests = process.stdin.take();
        let answers = process.stdout.take().map(BufReader::new);
        Ok(Self { process, requests, answers, patience })
    }

    fn ask(&mut self) -> io::Result<()> {
        self.requests.as_mut().ok_or(io::ErrorKind::BrokenPipe)?.write_all(b"\n")
    }

    fn answer(&mut self) -> io::Result<Duration> {
        let answers = self.answers.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        // A line comes whole: it is written at once.
        if poll(&mut [PollFd::new(answers.get_ref(), PollFlags::IN)], Some(&self.patience))? == 0 {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the other process does not answer"));
        }
        let mut line = String::new();
        if answers.read_line(&mut line)? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the other process has ended"));
        }
        line.trim_end().parse().map(Duration::from_nanos).map_err(io::Error::other)
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct Signer {
    key: KeyPair,
    random: SystemRandom,
}

impl Signer {
    fn new() -> io::Result<Self> {
        let file = pem::parse(KEY).map_err(io::Error::other)?;
        let key = KeyPair::from_der(file.contents()).map_err(io::Error::other)?;
        Ok(Self { key, random: SystemRandom::new() })
    }

    /// What a signature takes of this thread's CPU time.
    fn time(&self) -> io::Result<Duration> {
        let mut signature = vec![0; self.key.public_modulus_len()];
        let began = thread_cpu_time()?;
        for _ in 0..SIGNATURES {
            self.key
                .sign(&RSA_PKCS1_SHA256, &self.random, &[7; 130], &mut signature)
                .map_err(|_| io::Error::other("the library does not sign"))?;
        }
        Ok(thread_cpu_time()?.saturating_sub(began) / SIGNATURES)
    }
}

fn thread_cpu_time() -> io::Result<Duration> {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).map_err(io::Error::other)
}

/// Returns only when it failed.
fn start_again(value: &str) -> io::Error {
    let program = match env::current_exe() {
        Ok(program) => program,
        Err(error) => return error,
    };
    let mut arguments = env::args_os();
    let name = arguments.next().unwrap_or_else(|| OsString::from("provision-gateway"));
    Command::new(program).arg0(name).args(arguments).env(VARIABLE, value).exec()
}

#[cfg(test)]
mod tests {
    use certs::Curve;

    use super::*;

    #[test]
    fn only_rsa_keys_of_2048_bits_and_no_others_are_in_question() {
        let rsa = |bits| KeyAlgorithm::Rsa { bits };
        let p256 = KeyAlgorithm::Ec { curve: Curve::P256 };
        for (keys, value) in [
            (vec![rsa(2048)], Some(WITHOUT_BMI1)),
            (vec![rsa(2048), p256, rsa(2048)], Some(WITHOUT_BMI1)),
            (vec![rsa(2048), rsa(4096)], None),
            (vec![rsa(3072)], None),
            (vec![p256], None),
            (vec![], None),
        ] {
            let for_old_phones = value.map(|_| WITHOUT_ADX);
            assert_eq!(value_for(keys.iter().cloned(), false), value, "{keys:?}");
            assert_eq!(value_for(keys.iter().cloned(), true), for_old_phones, "{keys:?}");
        }
    }

    fn round(as_found: u64, with_avx2: u64) -> Round {
        Round { as_found: Duration::from_micros(as_found), with_avx2: Duration::from_micros(with_avx2) }
    }

    #[test]
    fn a_thirtieth_less_is_worth_a_start_and_anything_above_is_not() {
        assert!(round(1_000, 969).favours_avx2());
        assert!(!round(1_000, 971).favours_avx2());
        assert!(!round(1_000, 1_400).favours_avx2());
        assert!(!round(0, 1).favours_avx2());
    }

    #[test]
    fn another_process_that_stands_still_has_ended_or_talks_of_something_else_is_an_error() {
        for (program, kind) in [
            ("exec sleep 600", io::ErrorKind::TimedOut),
            ("exit 0", io::ErrorKind::UnexpectedEof),
            ("echo a usage message", io::ErrorKind::Other),
        ] {
            let seconds = if kind == io::ErrorKind::TimedOut { 0 } else { 60 };
            let patience = Timespec { tv_sec: seconds, tv_nsec: 1_000_000 };
            let mut other = Other::start(Command::new("sh").args(["-c", program]), patience).unwrap();
            assert_eq!(other.answer().unwrap_err().kind(), kind, "{program}");
        }
        let mut other =
            Other::start(Command::new("sh").args(["-c", "read line; echo 700000"]), PATIENCE).unwrap();
        other.ask().unwrap();
        assert_eq!(other.answer().unwrap(), Duration::from_micros(700));
    }

    #[test]
    fn what_disturbed_some_rounds_does_not_decide() {
        let rounds =
            [round(800, 2_000), round(820, 640), round(9_000, 650), round(840, 660), round(810, 630)];
        assert_eq!(median(&rounds).unwrap(), round(820, 640));
        assert!(median(&[]).is_err());
    }

    #[test]
    fn each_line_is_answered_with_a_time_and_the_key_is_the_one_of_the_rfc() {
        assert_eq!(pem::parse(KEY).unwrap().tag(), "RSA TESTING KEY");
        let mut answers = Vec::new();
        signature_times(&b"\n\n\n"[..], &mut answers).unwrap();
        let times: Vec<u64> =
            String::from_utf8(answers).unwrap().lines().map(|line| line.parse().unwrap()).collect();
        assert_eq!(times.len(), 3);
        assert!(times.iter().all(|nanoseconds| *nanoseconds > 20_000), "{times:?}");
    }
}
