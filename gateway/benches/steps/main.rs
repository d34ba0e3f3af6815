//! Instructions of the steps of one connection and one request, counted by callgrind: the same on a busy machine as on an
//! idle one.
//!
//! ```text
//! cargo bench -p provision-gateway --no-default-features --bench steps               print them
//! cargo bench -p provision-gateway --no-default-features --bench steps -- --check    compare with those on record
//! cargo bench -p provision-gateway --no-default-features --bench steps -- --record   put them on record
//! ```
//!
//! Each step prepares what it needs and counts only the step itself. Keys, certificates and hellos are those of [`fixture`],
//! memory comes from the system's allocator (the program's looks at the clock), and whole requests are made in step with the
//! gateway ([`pace`]): what is left of chance moves no count by half a percent. Those on record are in
//! `benches/baselines.toml`. Without the gateway's default features OpenSSL need not be built, and no step here uses it.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::{env, thread};

use baselines::Baselines;

mod baselines;
mod callgrind;
mod chain;
mod fixture;
mod hello;
mod pace;
mod request;
mod scene;
mod whole;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Something that is counted.
#[derive(Debug, Clone, Copy)]
struct Step {
    name: &'static str,
    does: &'static str,
    calls: u64,
}

impl Step {
    const fn new(name: &'static str, does: &'static str) -> Self {
        Self { name, does, calls: 100 }
    }

    /// One that takes long.
    const fn seldom(name: &'static str, does: &'static str) -> Self {
        Self { name, does, calls: 20 }
    }
}

fn steps() -> Vec<Step> {
    [&chain::STEPS[..], &request::STEPS, &hello::STEPS, &whole::STEPS].concat()
}

fn main() -> Result<ExitCode, Error> {
    let arguments: Vec<_> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let mut out = io::stdout();
    match arguments.as_slice() {
        [] => {
            let counts = count()?;
            writeln!(out, "| step | what it does | instructions |\n| --- | --- | ---: |")?;
            for Step { name, does, .. } in steps() {
                let count = counts.get(name).ok_or("not counted")?;
                writeln!(out, "| {name} | {does} | {count} |")?;
            }
        }
        ["--check"] => {
            let baselines = Baselines::load()?;
            if let Some(why) = baselines.incomparable()? {
                writeln!(out, "skipped: instruction counts ({why})")?;
            } else if !baselines.check(&count()?, &mut out)? {
                return Ok(ExitCode::FAILURE);
            }
        }
        ["--record"] => Baselines::new(count()?)?.store(&mut out)?,
        ["--make-fixture"] => fixture::make(&Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/fixture"))?,
        [step, calls] => perform(step, calls.parse()?)?,
        _ => return Err("nothing, --check or --record".into()),
    }
    Ok(ExitCode::SUCCESS)
}

/// Counts every step, as many at once as there are processors.
fn count() -> Result<BTreeMap<String, u64>, Error> {
    let todo = Mutex::new(steps());
    let counted = Mutex::new(BTreeMap::new());
    let work = || {
        while let Some(Step { name, calls, .. }) = next(&todo) {
            let count = callgrind::per_call(name, calls)?;
            counted.lock().map_err(|_| "another step failed")?.insert(name.to_owned(), count);
        }
        Ok::<_, Error>(())
    };
    thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| "a step panicked")?)
    })?;
    Ok(counted.into_inner().map_err(|_| "a step panicked")?)
}

/// The last one first: those take longest.
fn next(todo: &Mutex<Vec<Step>>) -> Option<Step> {
    todo.lock().ok()?.pop()
}

fn perform(step: &str, calls: u64) -> Result<(), Error> {
    let has = |steps: &[Step]| steps.iter().any(|known| known.name == step);
    if has(&chain::STEPS) {
        chain::perform(step, calls)
    } else if has(&request::STEPS) {
        request::perform(step, calls)
    } else if has(&hello::STEPS) {
        hello::perform(step, calls)
    } else if has(&whole::STEPS) {
        whole::perform(step, calls)
    } else {
        Err(format!("no step {step}").into())
    }
}
