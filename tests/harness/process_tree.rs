//! A process and those it started, from `/proc`: a server is rarely one process.

use std::collections::HashMap;
use std::{fs, io};

/// The process numbers of a process and its living descendants, itself first.
///
/// # Errors
/// `/proc` cannot be read.
pub fn members(root: u32) -> io::Result<Vec<u32>> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(process) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if let Some(parent) = parent_of(process) {
            children.entry(parent).or_default().push(process);
        }
    }
    let mut found = vec![root];
    let mut seen = 0;
    while let Some(process) = found.get(seen) {
        found.extend(children.remove(process).unwrap_or_default());
        seen += 1;
    }
    Ok(found)
}

fn parent_of(process: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name in parentheses may hold anything; the state and the parent follow the last one.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_child_of_a_child_belongs_to_the_tree() {
        // The shell waits for `cat`, and `cat` for its input.
        let mut shell = Command::new("sh").args(["-c", "cat; true"]).stdin(Stdio::piped()).spawn().unwrap();
        crate::expect::eventually("the shell to start its child", || {
            (members(shell.id()).unwrap().len() == 2).then_some(())
        });
        let own = members(std::process::id()).unwrap();
        assert_eq!(own.first(), Some(&std::process::id()));
        for process in members(shell.id()).unwrap() {
            assert!(own.contains(&process), "{process} of {own:?}");
        }
        drop(shell.stdin.take());
        assert!(shell.wait().unwrap().success());
    }
}
