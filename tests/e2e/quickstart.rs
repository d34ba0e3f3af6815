//! The demonstration: it plays itself, and its exit code tells.

use std::process::Command;

use harness::{binary, process, workdir::WorkDir};

#[test]
fn quickstart_check_plays_every_case_and_exits_0() {
    let folder = WorkDir::new();
    let mut command = Command::new(binary::gateway());
    command.args(["quickstart", "--check", "--listen", "127.0.0.1:0", "--dir"]).arg(folder.join("demo"));
    let played = process::run(&mut command, b"");
    let out = played.success();
    for word in ["200", "403", "expired", "revoked"] {
        assert!(out.contains(word), "{word} in\n{out}");
    }
    assert!(folder.join("demo").is_dir());
}
