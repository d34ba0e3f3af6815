//! `mirror`

use std::fs;
use std::path::{Path, PathBuf};

use certs::Certificate;
use serde_json::json;

use super::verify::certificates;
use super::{CommandError, Context, facts};
use crate::authority::Authority;
use crate::cli::MirrorArgs;
use crate::device::DeviceIdentity;
use crate::mirror::{DeviceTwin, Difference, MirrorOptions, Twin, mirror};
use crate::random::OperatingSystem;
use crate::store::{FileError, Layout, folder_of, make_folder, set_mode, sync_folder, write_new};

pub(super) fn run(context: &Context<'_>, arguments: &MirrorArgs) -> Result<(), CommandError> {
    let MirrorArgs { files, out, keep_dates, days, device, profile, force } = arguments;
    let mut originals = Vec::new();
    for file in files {
        originals.extend(certificates(file)?);
    }
    let out = match out {
        Some(out) => out.clone(),
        None => default_folder(context, files)?,
    };
    let aside = make_way(&out, *force)?;
    let device = match device {
        Some(text) => Some(DeviceTwin { identity: identity(context, text)?, profile: *profile, days: *days }),
        None => None,
    };
    let options = MirrorOptions { keep_dates: *keep_dates, days: *days, device };
    let twins = mirror(&originals, &options, context.clock.now(), &OperatingSystem)?;
    write(&twins, &out, aside.as_deref())?;
    if let Some(aside) = &aside {
        context.printer.note(format!("what was in {} is now in {}", out.display(), aside.display()));
    }
    let value = json!({
        "out": out.display().to_string(),
        "chain": out.join("chain.pem").display().to_string(),
        "twins": twins.iter().map(|twin| value(twin, &out)).collect::<Vec<_>>(),
    });
    context.printer.result(&value, || {
        let mut text = format!("made {} test twins in {}\n", twins.len(), out.display());
        twins.iter().for_each(|twin| text.push_str(&describe(twin, Some(&out))));
        text
    });
    context.printer.warning(
        "the twins have the names of the real certificates: trust them in a laboratory only, never where real phones are served",
    );
    Ok(())
}

/// Below the store, unless that is a production store: twins do not lie beside what is real.
fn default_folder(context: &Context<'_>, files: &[PathBuf]) -> Result<PathBuf, CommandError> {
    let layout = Layout::new(&context.cli.store);
    if (layout.database().is_file() || layout.database_url().is_file())
        && !Authority::open(layout.root(), context.clock.clone())?.is_test()
    {
        return Err(CommandError::failed(
            format!("{} is a production store, and twins are for tests only", layout.root().display()),
            Some("`--out DIR` puts them elsewhere"),
        ));
    }
    let stem = files.first().and_then(|file| file.file_stem()).unwrap_or_default();
    Ok(layout.mirror(&stem.to_string_lossy()))
}

/// `MODEL,SERIAL,MAC`
fn identity(context: &Context<'_>, text: &str) -> Result<DeviceIdentity, CommandError> {
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    let [model, serial, mac] = parts[..] else {
        return Err(CommandError::misuse(
            format!("{text:?} is no device"),
            Some("write it as CP-8861,FCH2133E8B9,2C3124C9F8E1: model, serial number, MAC address"),
        ));
    };
    let identity = DeviceIdentity::parse(model, serial, mac)?;
    for warning in identity.warnings() {
        context.printer.warning(warning);
    }
    Ok(identity)
}

/// Where the folder that is there goes, when there is one and it may go.
fn make_way(out: &Path, force: bool) -> Result<Option<PathBuf>, CommandError> {
    let is_empty = |folder: &Path| fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
    if !out.exists() || is_empty(out) {
        return Ok(None);
    }
    if !force {
        return Err(CommandError::failed(
            format!("{} exists already", out.display()),
            Some("`--force` moves it aside first; `--out DIR` names another folder"),
        ));
    }
    let name = out.file_name().unwrap_or_default().to_string_lossy();
    let free = (1_u32..).map(|turn| out.with_file_name(format!("{name}.{turn}"))).find(|path| !path.exists());
    Ok(free)
}

/// Gathers everything in a folder beside, then puts it in place in one step.
fn write(twins: &[Twin], out: &Path, aside: Option<&Path>) -> Result<(), CommandError> {
    let parent = folder_of(out);
    make_folder(parent, 0o755)?;
    let workshop = tempfile::Builder::new()
        .prefix(".mirror-")
        .tempdir_in(parent)
        .map_err(|source| FileError::new("make a folder in", parent, source))?;
    let folder = workshop.path();
    set_mode(folder, 0o700)?;
    for (index, twin) in twins.iter().enumerate() {
        let own = folder.join(&twin.name);
        make_folder(&own, 0o700)?;
        write_new(&own.join("cert.pem"), twin.certificate.to_pem().as_bytes(), 0o600)?;
        write_new(&own.join("key.pem"), twin.key_pem().as_bytes(), 0o600)?;
        if !twin.is_authority() {
            let chain = presented(twins, index);
            write_new(&own.join("chain.pem"), chain.as_bytes(), 0o600)?;
        }
        sync_folder(&own)?;
    }
    let whole: String = twins.iter().rev().map(|twin| twin.certificate.to_pem()).collect();
    write_new(&folder.join("chain.pem"), whole.as_bytes(), 0o600)?;
    write_new(&folder.join("README.txt"), readme(twins).as_bytes(), 0o600)?;
    sync_folder(folder)?;
    if let Some(aside) = aside {
        fs::rename(out, aside).map_err(|source| FileError::new("rename", out, source))?;
    }
    fs::rename(folder, out).map_err(|source| FileError::new("rename", folder, source))?;
    let _moved = workshop.keep(); // there is nothing left under its name
    Ok(sync_folder(parent)?)
}

/// A leaf and the authorities above it without the root, as a phone presents them. A real leaf that stands between is
/// nobody's issuer.
fn presented(twins: &[Twin], index: usize) -> String {
    let above =
        twins.iter().take(index).rev().filter(|twin| twin.is_authority() && !is_root(&twin.certificate));
    twins.iter().skip(index).take(1).chain(above).map(|twin| twin.certificate.to_pem()).collect()
}

fn is_root(certificate: &Certificate) -> bool {
    certificate.subject().der() == certificate.issuer().der()
}

fn readme(twins: &[Twin]) -> String {
    let mut text = "\
TEST TWINS - NOT FOR PRODUCTION

These certificates were made by `provision-ca mirror` after real ones. Their names are the real names, their keys lie
here unencrypted: whoever trusts them trusts anybody who can read this folder. They bear a mark: the extension
1.3.6.1.4.1.32473.90.1 at the end, or, in version 1, a serial number that begins 7E577E57.

"
    .to_owned();
    twins.iter().for_each(|twin| text.push_str(&describe(twin, None)));
    text
}

/// One twin in words; with a folder, also its files.
fn describe(twin: &Twin, out: Option<&Path>) -> String {
    let Twin { name, certificate, original, remark, .. } = twin;
    let mut text = format!("{name}\n  {}\n", certificate.subject().to_rfc4514());
    text.push_str(&format!(
        "  from {} until {}\n",
        certificate.validity().not_before,
        certificate.validity().not_after
    ));
    if let Some(remark) = remark {
        text.push_str(&format!("  {remark}\n"));
    }
    if original.is_some() {
        text.push_str(&format!("  the same byte for byte: {}\n  different:\n", SAME.join(", ")));
        for Difference { field, original, twin } in twin.differences() {
            text.push_str(&format!("    {field}\n      real  {original}\n      twin  {twin}\n"));
        }
    }
    if let Some(out) = out {
        files(twin, out).iter().for_each(|file| text.push_str(&format!("  file  {file}\n")));
    }
    text
}

/// What was compared and found the same before the twin was handed out.
const SAME: [&str; 4] = ["names", "string types", "signature algorithm", "order of extensions"];

fn files(twin: &Twin, out: &Path) -> Vec<String> {
    let names: &[&str] =
        if twin.is_authority() { &["cert.pem", "key.pem"] } else { &["cert.pem", "chain.pem", "key.pem"] };
    names.iter().map(|name| out.join(&twin.name).join(name).display().to_string()).collect()
}

fn value(twin: &Twin, out: &Path) -> serde_json::Value {
    let mut value = facts(&twin.certificate);
    value["name"] = json!(twin.name);
    value["files"] = json!(files(twin, out));
    if let Some(original) = &twin.original {
        value["original"] = facts(original);
        value["same"] = json!(SAME);
        value["differences"] = twin.differences().iter().map(Difference::to_json).collect();
    }
    if let Some(remark) = &twin.remark {
        value["remark"] = json!(remark);
    }
    value
}
