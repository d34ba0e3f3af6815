//! Lists of devices: one per line, CSV or JSON, read line by line however many there are (CA I5, I6).

mod duplicates;
mod json;
mod lines;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use csv::{ReaderBuilder, StringRecord, Trim};

use crate::device::DeviceIdentity;
use crate::store::FileError;

pub(crate) use duplicates::{Duplicates, Repeated, short};
use lines::{Counted, Lines};

/// How much of a list is looked at to find what stands between its values.
const GLANCE: usize = 8 * 1024;

/// A device and the line it stands in.
#[derive(Debug, Clone)]
pub(crate) struct ListedDevice {
    /// The line, from 1.
    pub(crate) line: u64,
    pub(crate) identity: DeviceIdentity,
    /// Where its request is, when it made its key itself.
    pub(crate) request: Option<RequestSource>,
}

/// A certification request in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RequestSource {
    /// A file beside the list.
    File(PathBuf),
    /// The request itself, PEM.
    Text(String),
}

/// A line that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadLine {
    pub(crate) line: u64,
    pub(crate) message: String,
}

/// Where the values stand.
struct Columns {
    model: usize,
    serial: usize,
    mac: usize,
    request: Option<usize>,
}

/// A list that is being read: every usable line, and every other one with what is wrong.
pub(crate) struct DeviceReader {
    folder: PathBuf,
    form: Form,
    /// Nothing more can be made of it.
    ended: bool,
}

enum Form {
    Csv { reader: Box<csv::Reader<Box<dyn Read + Send>>>, columns: Option<Columns> },
    Json { reader: Box<dyn BufRead + Send>, line: u64 },
}

impl DeviceReader {
    /// Opens a list: JSON Lines when it begins with `{`, else CSV with `,`, `;` or tabs between, a heading or none, a byte order
    /// mark or none.
    pub(crate) fn open(path: &Path) -> Result<Self, FileError> {
        let failed = |source| FileError::new("read", path, source);
        let mut file = File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.is_dir() {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        let mut glance = Vec::new();
        file.by_ref()
            .take(u64::try_from(GLANCE).unwrap_or(u64::MAX))
            .read_to_end(&mut glance)
            .map_err(failed)?;
        let folder = path.parent().map(Path::to_owned).unwrap_or_default();
        Ok(Self::of(folder, glance, Box::new(file)))
    }

    fn of(folder: PathBuf, glance: Vec<u8>, rest: Box<dyn Read + Send>) -> Self {
        let text = glance.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&glance).to_vec();
        let first = text.iter().find(|octet| !octet.is_ascii_whitespace());
        let is_json = first == Some(&b'{');
        let delimiter = delimiter(&String::from_utf8_lossy(&text));
        let whole: Box<dyn Read + Send> = Box::new(Lines::new(io::Cursor::new(text).chain(rest)));
        let form = if is_json {
            Form::Json { reader: Box::new(BufReader::new(whole)), line: 0 }
        } else {
            let counted: Box<dyn Read + Send> = Box::new(Counted::new(whole));
            let reader = ReaderBuilder::new()
                .has_headers(false)
                .flexible(true)
                .trim(Trim::All)
                .delimiter(delimiter)
                .from_reader(counted);
            Form::Csv { reader: Box::new(reader), columns: None }
        };
        Self { folder, form, ended: false }
    }

    fn next_csv(&mut self) -> Option<Result<ListedDevice, BadLine>> {
        let Form::Csv { reader, columns } = &mut self.form else { return None };
        let mut record = StringRecord::new();
        loop {
            match reader.read_record(&mut record) {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    let line = error.position().map_or_else(|| reader.position().line(), csv::Position::line);
                    let is_text = !matches!(error.kind(), csv::ErrorKind::Utf8 { .. });
                    self.ended = is_text;
                    let message = if is_text { error.to_string() } else { "is not UTF-8 text".to_owned() };
                    return Some(Err(BadLine { line, message }));
                }
            }
            let line = record.position().map_or(0, csv::Position::line);
            if record.iter().all(str::is_empty) {
                continue;
            }
            let columns = match &columns {
                Some(columns) => columns,
                None => match heading(&record) {
                    Some(Ok(found)) => {
                        *columns = Some(found);
                        continue;
                    }
                    Some(Err(message)) => {
                        self.ended = true;
                        return Some(Err(BadLine { line, message }));
                    }
                    None => columns.insert(Columns { model: 0, serial: 1, mac: 2, request: None }),
                },
            };
            let read = read(&record, columns);
            let folder = &self.folder;
            return Some(match read {
                Ok((identity, request)) => Ok(ListedDevice {
                    line,
                    identity,
                    request: request.map(|text| RequestSource::of(&text, folder)),
                }),
                Err(message) => Err(BadLine { line, message }),
            });
        }
    }
}

impl Iterator for DeviceReader {
    type Item = Result<ListedDevice, BadLine>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        match &mut self.form {
            Form::Csv { .. } => self.next_csv(),
            Form::Json { reader, line } => {
                let next = json::next(&mut **reader, line, &self.folder);
                if let Some(Err((_, ends))) = &next {
                    self.ended = *ends;
                }
                next.map(|read| read.map_err(|(bad, _)| bad))
            }
        }
    }
}

impl RequestSource {
    fn of(text: &str, folder: &Path) -> Self {
        if text.contains("-----BEGIN") { Self::Text(text.to_owned()) } else { Self::File(folder.join(text)) }
    }

    /// The request, PEM or DER.
    pub(crate) fn read(&self) -> Result<Vec<u8>, String> {
        match self {
            Self::Text(text) => Ok(text.clone().into_bytes()),
            Self::File(path) => crate::request::read_file(path)
                .map_err(|error| format!("the request: {}", crate::printer::with_causes(&error))),
        }
    }
}

/// The sign that occurs most in the first line that has any.
fn delimiter(text: &str) -> u8 {
    for line in text.lines() {
        let count = |sign: u8| line.bytes().filter(|byte| *byte == sign).count();
        let best = [b',', b';', b'\t'].into_iter().max_by_key(|sign| (count(*sign), *sign == b','));
        if let Some(best) = best.filter(|sign| count(*sign) > 0) {
            return best;
        }
    }
    b','
}

/// The columns, when this is a line of headings.
fn heading(record: &StringRecord) -> Option<Result<Columns, String>> {
    let names: Vec<String> = record
        .iter()
        .map(|cell| cell.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase())
        .collect();
    let find = |aliases: &[&str]| names.iter().position(|name| aliases.contains(&name.as_str()));
    let model = find(&["model", "product", "productname", "devicetype", "type", "pn", "ou"]);
    let serial = find(&["serial", "serialnumber", "serialno", "sn", "l"]);
    let mac = find(&["mac", "macaddress", "macaddr", "ma", "s"]);
    let request = find(&["csr", "request", "pkcs10"]);
    match (model, serial, mac) {
        (Some(model), Some(serial), Some(mac)) => Some(Ok(Columns { model, serial, mac, request })),
        (None, None, None) => None,
        _ => Some(Err("the headings must name model, serial and mac".to_owned())),
    }
}

fn read(record: &StringRecord, columns: &Columns) -> Result<(DeviceIdentity, Option<String>), String> {
    let cell = |column: usize| record.get(column).unwrap_or_default();
    let identity = identity(cell(columns.model), cell(columns.serial), cell(columns.mac))?;
    let request = columns.request.map(cell).filter(|text| !text.is_empty()).map(str::to_owned);
    Ok((identity, request))
}

/// A device of three values as people and spreadsheets write them.
fn identity(model: &str, serial: &str, mac: &str) -> Result<DeviceIdentity, String> {
    for (text, name) in [(model, "model"), (serial, "serial"), (mac, "mac")] {
        if text.is_empty() {
            return Err(format!("has no {name}"));
        }
    }
    DeviceIdentity::parse(model, serial, mac).map_err(|error| {
        let eaten = mac.len() < 12 && mac.bytes().all(|byte| byte.is_ascii_hexdigit());
        let advice = if eaten || mac.contains("E+") { "; did a spreadsheet change it?" } else { "" };
        format!("{error}{advice}")
    })
}

#[cfg(test)]
mod tests;
