//! Counts instructions by running this program again under callgrind.

use std::env;
use std::hint::black_box;
use std::pin::pin;
use std::process::Command;
use std::task::Context;

use crate::Error;

/// Freed memory is kept as it is. Joined with its neighbours and split again, as usual, it costs now more and now less,
/// depending on everything that was done before.
const ALLOCATOR: &str = "glibc.malloc.tcache_count=60000:glibc.malloc.mxfast=0";

/// Instructions that a step spends inside [`counted`], divided by the number of calls.
pub(crate) fn per_call(step: &str, calls: u64) -> Result<u64, Error> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg("--toggle-collect=*counted_by_callgrind*")
        .arg(env::current_exe()?)
        .args([step, &calls.to_string()])
        // The environment lies on the stack and moves what is there.
        .env_clear()
        .envs(env::var_os("PATH").map(|path| ("PATH", path)))
        .env("GLIBC_TUNABLES", ALLOCATOR)
        .output()
        .map_err(|error| {
            format!("valgrind cannot be started ({error}); install it: apt-get install valgrind")
        })?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("step {step} failed: {text}").into());
    }
    let collected =
        text.lines().find_map(|line| line.split_once("Collected :")).ok_or_else(|| text.as_ref())?;
    Ok(collected.1.trim().parse::<u64>()? / calls)
}

/// Does what is to be counted.
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
