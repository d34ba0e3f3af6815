//! Programs that do not outlive the one that started them.

use std::path::Path;
use std::process::Command;

/// A command for a program that is sent SIGTERM when this one ends, however it ends: `setpriv`, of util-linux, asks the
/// kernel for that (`PR_SET_PDEATHSIG`) and then becomes the program. Without `setpriv` only SIGKILL, which leaves this
/// program no time to end what it started, makes a difference.
///
/// The kernel means the thread: start what is to stay from one that stays.
pub fn command(program: &Path) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join("setpriv")).find(|file| file.is_file());
    let Some(setpriv) = found else { return Command::new(program) };
    let mut command = Command::new(setpriv);
    command.args(["--pdeathsig", "TERM", "--"]).arg(program);
    command
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::{Child, Stdio};
    use std::{fs, thread};

    use super::*;
    use crate::expect::eventually;

    /// A program that echoes until its input ends, started from a thread that has ended.
    fn orphan(start: fn(&Path) -> Command) -> Child {
        let starter = thread::spawn(move || {
            let mut command = start(Path::new("/bin/cat"));
            let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            let name = format!("/proc/{}/comm", child.id());
            eventually("the program itself", || {
                (fs::read_to_string(&name).ok()?.trim() == "cat").then_some(())
            });
            child
        });
        starter.join().unwrap()
    }

    #[test]
    fn a_program_ends_with_whoever_started_it() {
        let mut child = orphan(command);
        let ended = eventually("its end", || child.try_wait().unwrap());
        assert_eq!(ended.signal(), Some(15));

        let mut twin = orphan(|program| Command::new(program));
        twin.stdin.take().unwrap().write_all(b"here").unwrap();
        let mut echo = String::new();
        twin.stdout.take().unwrap().read_to_string(&mut echo).unwrap();
        assert_eq!(echo, "here", "nobody asked for this one to end");
        assert!(twin.wait().unwrap().success());
    }
}
