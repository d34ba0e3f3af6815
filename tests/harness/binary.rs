//! The programs under test.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::SystemTime,
};

/// `provision-gateway`, built if need be.
///
/// # Panics
/// It does not build.
pub fn gateway() -> PathBuf {
    static PATH: OnceLock<Option<PathBuf>> = OnceLock::new();
    PATH.get_or_init(|| built("provision-gateway")).clone().expect("provision-gateway builds")
}

/// `provision-ca`, built if need be.
///
/// # Panics
/// It does not build.
pub fn ca() -> PathBuf {
    static PATH: OnceLock<Option<PathBuf>> = OnceLock::new();
    PATH.get_or_init(|| built("provision-ca")).clone().expect("provision-ca builds")
}

/// The repository.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The program from the target folder this very test program lies in. `cargo test` alone builds no programs for
/// another package's tests, so one that is missing or older than its sources is built first.
fn built(name: &str) -> Option<PathBuf> {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    let program = profile.join(name);
    if is_up_to_date(&program) {
        return Some(program);
    }
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(workspace()).args(["build", "--quiet", "--package", name, "--bin", name]);
    cargo.arg("--target-dir").arg(profile.parent().unwrap());
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    cargo.status().is_ok_and(|built| built.success()).then_some(program)
}

fn is_up_to_date(program: &Path) -> bool {
    let Ok(built) = fs::metadata(program).and_then(|found| found.modified()) else { return false };
    ["certs", "policies", "ca", "gateway"].iter().all(|package| !has_newer(&workspace().join(package), built))
}

fn has_newer(path: &Path, than: SystemTime) -> bool {
    let Ok(found) = fs::metadata(path) else { return false };
    if !found.is_dir() {
        return found.modified().is_ok_and(|modified| modified > than);
    }
    let mut entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.any(|entry| has_newer(&entry.path(), than))
}
