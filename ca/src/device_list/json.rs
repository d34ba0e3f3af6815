//! JSON Lines: an object a line.

use std::io::BufRead;
use std::path::Path;

use serde_json::Value;

use super::{BadLine, ListedDevice, RequestSource, identity};

/// The next line that is not empty; with what is wrong, whether nothing more can be read.
pub(super) fn next(
    reader: &mut dyn BufRead,
    line: &mut u64,
    folder: &Path,
) -> Option<Result<ListedDevice, (BadLine, bool)>> {
    loop {
        let mut text = Vec::new();
        *line += 1;
        let bad = |message: String, ends: bool| Some(Err((BadLine { line: *line, message }, ends)));
        match reader.read_until(b'\n', &mut text) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(error) => return bad(error.to_string(), true),
        }
        if text.trim_ascii().is_empty() {
            continue;
        }
        return match device(&text, folder) {
            Ok((identity, request)) => Some(Ok(ListedDevice { line: *line, identity, request })),
            Err(message) => bad(message, false),
        };
    }
}

fn device(
    text: &[u8],
    folder: &Path,
) -> Result<(crate::device::DeviceIdentity, Option<RequestSource>), String> {
    let value: Value = serde_json::from_slice(text).map_err(|error| format!("is no JSON: {error}"))?;
    let Some(object) = value.as_object() else { return Err("is no JSON object".to_owned()) };
    let known = ["model", "serial", "mac", "csr"];
    if let Some(key) = object.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(format!("has the key {key:?}; model, serial, mac and csr are known"));
    }
    let text = |key: &str| match object.get(key) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.trim().to_owned()),
        Some(_) => Err(format!("{key} is no text")),
    };
    let identity = identity(&text("model")?, &text("serial")?, &text("mac")?)?;
    let request = text("csr")?;
    let request = (!request.is_empty()).then(|| RequestSource::of(&request, folder));
    Ok((identity, request))
}
