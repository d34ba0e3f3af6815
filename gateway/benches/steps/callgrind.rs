//! Counts instructions by running this program again under callgrind.

use std::env;
use std::hint::black_box;
use std::pin::pin;
use std::process::Command;
use std::task::Context;

type Outcome = Result<u64, Box<dyn std::error::Error>>;

/// Instructions of one call of a step: it is run `calls` times and then twice as often, and the difference divided.
pub(crate) fn difference(step: &str, calls: u64) -> Outcome {
    let once = collected(step, calls, &[])?;
    let twice = collected(step, calls * 2, &[])?;
    Ok((twice - once) / calls)
}

/// Instructions of one call of what a step does inside [`counted`]: for steps whose preparation is never twice the
/// same, as the search for an RSA key is not.
pub(crate) fn inside(step: &str, calls: u64) -> Outcome {
    Ok(collected(step, calls, &["--toggle-collect=*counted_by_callgrind*"])? / calls)
}

fn collected(step: &str, calls: u64, options: &[&str]) -> Outcome {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .args(options)
        .arg(env::current_exe()?)
        .args([step, &calls.to_string()])
        .output()
        .map_err(|error| {
            format!("valgrind cannot be started ({error}); install it: apt-get install valgrind")
        })?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(text.into());
    }
    let collected =
        text.lines().find_map(|line| line.split_once("Collected :")).ok_or_else(|| text.as_ref())?;
    Ok(collected.1.trim().parse()?)
}

/// Does what is to be counted by [`inside`].
pub(crate) fn counted<T>(work: impl FnOnce() -> T) -> T {
    let mut work = Some(work);
    let mut result = None;
    counted_by_callgrind(&mut || result = work.take().map(|work| work()));
    result.expect("the closure was called once")
}

/// Counts a future, not what its runtime does in between.
pub(crate) async fn counted_future<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    std::future::poll_fn(|context: &mut Context<'_>| counted(|| future.as_mut().poll(context))).await
}

/// Callgrind finds this by its name; it must not call itself.
#[inline(never)]
fn counted_by_callgrind(work: &mut dyn FnMut()) {
    work();
    black_box(());
}
