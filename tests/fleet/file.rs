//! Files of a run.

use std::fs;
use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::error::FleetError;

/// Puts a file in place of another in one step.
#[expect(clippy::disallowed_methods, reason = "written beside its place, then moved there")]
pub(crate) fn put(path: &Path, bytes: &[u8]) -> Result<(), FleetError> {
    let what = || format!("{} cannot be written", path.display());
    // Beside the folder a gateway may watch, the name begins with a dot: it passes over such files.
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.new"));
    fs::write(&beside, bytes).map_err(FleetError::io(what()))?;
    fs::rename(&beside, path).map_err(FleetError::io(what()))
}

/// The first certificate of a PEM file, in DER.
pub(crate) fn certificate(path: &Path) -> Result<Vec<u8>, FleetError> {
    let certificate = CertificateDer::from_pem_file(path).map_err(FleetError::pem(path))?;
    Ok(certificate.to_vec())
}
