//! A child process with its output.

use std::{
    io::{BufRead as _, BufReader, Read},
    os::unix::process::CommandExt as _,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use crate::expect::eventually;

/// A running program. It ends when this is dropped; if the test is failing, what it wrote is shown.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    out: Lines,
    err: Lines,
}

/// The lines a program wrote so far.
#[derive(Clone, Debug, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Process {
    /// Starts a program.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn start(command: &mut Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Apache ends its whole process group, which must not be ours.
        command.process_group(0);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let out = Lines::of(child.stdout.take().unwrap());
        let err = Lines::of(child.stderr.take().unwrap());
        Self { name, child, out, err }
    }

    /// Waits for a line on standard output.
    ///
    /// # Panics
    /// The program ended, or the deadline passed.
    pub fn wait_for_line(&mut self, line: &str) {
        let out = self.out.clone();
        self.wait_for(&format!("the line `{line}`"), || out.all().iter().any(|found| found == line));
    }

    /// Waits for a line on standard output or standard error.
    ///
    /// # Panics
    /// The program ended, or the deadline passed.
    pub fn wait_for_line_on_either(&mut self, line: &str) {
        let (out, err) = (self.out.clone(), self.err.clone());
        let is_there = || out.all().iter().chain(&err.all()).any(|found| found == line);
        self.wait_for(&format!("the line `{line}`"), is_there);
    }

    /// Waits for a text in what it logs (standard error).
    ///
    /// # Panics
    /// The program ended, or the deadline passed.
    pub fn wait_for_log(&mut self, text: &str) {
        let err = self.err.clone();
        self.wait_for(&format!("`{text}` in the log"), || err.all().iter().any(|line| line.contains(text)));
    }

    /// Waits for anything under the eyes of this process: if it ends first, that is the failure.
    ///
    /// # Panics
    /// The program ended, or the deadline passed.
    pub fn wait_for(&mut self, what: &str, condition: impl FnMut() -> bool) {
        let met = self.wait_unless_ended(what, condition);
        assert!(met, "{} ended before {what}", self.name);
    }

    /// The same, but false if the program ended first.
    ///
    /// # Panics
    /// The deadline passed.
    pub fn wait_unless_ended(&mut self, what: &str, mut condition: impl FnMut() -> bool) -> bool {
        eventually(what, || {
            if condition() {
                return Some(true);
            }
            let ended = self.child.try_wait().unwrap().is_some();
            // It may have written what we wait for just before it ended.
            ended.then(&mut condition)
        })
    }

    /// What it wrote to standard output, line by line.
    pub fn output(&self) -> Vec<String> {
        self.out.all()
    }

    /// What it logged (standard error), line by line.
    pub fn log(&self) -> Vec<String> {
        self.err.all()
    }

    /// Sends a signal by name, such as `HUP`.
    ///
    /// # Panics
    /// There is no such signal or process.
    pub fn signal(&self, name: &str) {
        let sent =
            Command::new("sh").arg("-c").arg(format!("kill -{name} {}", self.child.id())).status().unwrap();
        assert!(sent.success(), "signal {name} could not be sent");
    }

    /// Waits until it ends of itself.
    ///
    /// # Panics
    /// It does not end before the deadline.
    pub fn wait(&mut self) -> ExitStatus {
        let child = &mut self.child;
        eventually("the end of the process", || child.try_wait().unwrap())
    }

    /// Its process number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Process {
    #[expect(
        clippy::print_stderr,
        reason = "the log of a failed test's process is for the person who reads the failure"
    )]
    fn drop(&mut self) {
        // SIGTERM first: Apache ends its workers then. One that does not hear it is killed.
        let _ = Command::new("sh").arg("-c").arg(format!("kill -TERM {} 2>&-", self.child.id())).status();
        let end = std::time::Instant::now() + std::time::Duration::from_secs(2);
        while !matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) && std::time::Instant::now() < end {
            thread::sleep(std::time::Duration::from_millis(2));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- {} wrote:", self.name);
            for line in self.out.all().iter().chain(&self.err.all()) {
                eprintln!("    {line}");
            }
        }
    }
}

impl Lines {
    fn of(stream: impl Read + Send + 'static) -> Self {
        let lines = Self::default();
        let ours = lines.clone();
        thread::spawn(move || {
            let mut reader = BufReader::new(stream);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                ours.0.lock().unwrap_or_else(PoisonError::into_inner).push(text);
                line.clear();
            }
        });
        lines
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What a program that ran to its end wrote, and how it ended.
#[derive(Debug)]
pub struct Finished {
    /// Exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// Runs a program to its end, `input` on its standard input.
///
/// # Panics
/// It cannot be started.
pub fn run(command: &mut Command, input: &[u8]) -> Finished {
    use std::io::Write as _;
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // A program that ends without reading its input is no failure.
    let writer = thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Finished {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

impl Finished {
    /// The standard output of a program that must have succeeded.
    ///
    /// # Panics
    /// It failed; the message shows what it wrote.
    pub fn success(self) -> String {
        assert_eq!(self.code, Some(0), "failed\n--- out:\n{}\n--- err:\n{}", self.out, self.err);
        self.out
    }
}
