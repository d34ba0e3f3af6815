//! Lists of devices: one per line, checked whole before anything is made (CA I5, I6).

use std::collections::HashMap;

use csv::{ReaderBuilder, StringRecord, Trim};

use crate::device::DeviceIdentity;

/// A device and the line it stands in.
#[derive(Debug, Clone)]
pub(crate) struct ListedDevice {
    /// The line, from 1.
    pub(crate) line: u64,
    pub(crate) identity: DeviceIdentity,
}

/// A line that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadLine {
    pub(crate) line: u64,
    pub(crate) message: String,
}

/// A list as it was read: what can be used, and what cannot.
#[derive(Debug, Clone, Default)]
pub(crate) struct DeviceList {
    pub(crate) devices: Vec<ListedDevice>,
    pub(crate) bad: Vec<BadLine>,
}

impl DeviceList {
    fn unreadable(line: u64, message: &str) -> Self {
        Self { devices: Vec::new(), bad: vec![BadLine { line, message: message.to_owned() }] }
    }
}

/// Where the three values stand.
struct Columns {
    model: usize,
    serial: usize,
    mac: usize,
}

/// Reads `model,serial,mac` lines; `,`, `;` or tabs between, a heading or none, a byte order mark or none.
///
/// Gives every bad line, not only the first.
pub(crate) fn parse(bytes: &[u8]) -> DeviceList {
    let text = match std::str::from_utf8(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)) {
        Ok(text) => text,
        Err(error) => {
            let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
            return DeviceList::unreadable(u64::try_from(line).unwrap_or(u64::MAX), "is not UTF-8 text");
        }
    };
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(Trim::All)
        .delimiter(delimiter(text))
        .from_reader(text.as_bytes());
    let mut columns = None;
    let mut devices = Vec::new();
    let mut bad = Vec::new();
    let mut lines_of_mac = HashMap::new();
    let mut lines_of_serial = HashMap::new();
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                bad.push(BadLine { line, message: error.to_string() });
                continue;
            }
        };
        let line = record.position().map_or(0, csv::Position::line);
        if record.iter().all(str::is_empty) {
            continue;
        }
        let columns = match &columns {
            Some(columns) => columns,
            None => match heading(&record) {
                Some(Ok(found)) => {
                    columns = Some(found);
                    continue;
                }
                Some(Err(message)) => return DeviceList::unreadable(line, &message),
                None => columns.insert(Columns { model: 0, serial: 1, mac: 2 }),
            },
        };
        let outcome = read(&record, columns).and_then(|identity| {
            let serial = (identity.product().to_owned(), identity.serial().to_owned());
            if let Some(first) = lines_of_mac.insert(identity.mac(), line) {
                return Err(format!("the MAC address {} stands in line {first} already", identity.mac()));
            }
            if let Some(first) = lines_of_serial.insert(serial, line) {
                return Err(format!(
                    "the serial number {} stands in line {first} already",
                    identity.serial()
                ));
            }
            Ok(identity)
        });
        match outcome {
            Ok(identity) => devices.push(ListedDevice { line, identity }),
            Err(message) => bad.push(BadLine { line, message }),
        }
    }
    DeviceList { devices, bad }
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
    match (model, serial, mac) {
        (Some(model), Some(serial), Some(mac)) => Some(Ok(Columns { model, serial, mac })),
        (None, None, None) => None,
        _ => Some(Err("the headings must name model, serial and mac".to_owned())),
    }
}

fn read(record: &StringRecord, columns: &Columns) -> Result<DeviceIdentity, String> {
    let cell = |column: usize, name: &str| match record.get(column) {
        Some(text) if !text.is_empty() => Ok(text),
        _ => Err(format!("has no {name}")),
    };
    let (model, serial, mac) =
        (cell(columns.model, "model")?, cell(columns.serial, "serial")?, cell(columns.mac, "mac")?);
    DeviceIdentity::parse(model, serial, mac).map_err(|error| {
        let eaten = mac.len() < 12 && mac.bytes().all(|byte| byte.is_ascii_hexdigit());
        let advice = if eaten || mac.contains("E+") { "; did a spreadsheet change it?" } else { "" };
        format!("{error}{advice}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn macs(text: &str) -> Vec<String> {
        parse(text.as_bytes()).devices.iter().map(|device| device.identity.mac().to_string()).collect()
    }

    fn bad(text: &str) -> Vec<(u64, String)> {
        parse(text.as_bytes()).bad.into_iter().map(|bad| (bad.line, bad.message)).collect()
    }

    #[test]
    fn i6_reads_lists_as_spreadsheets_write_them() {
        let wanted = ["000e08abcdef", "000e08abcde0"];
        for text in [
            "CP-8841-3PCC,88012BA01234,000e08abcdef\nCP-8841-3PCC,88012BA01235,000e08abcde0\n",
            "CP-8841-3PCC;88012BA01234;00:0E:08:AB:CD:EF\r\nCP-8841-3PCC;88012BA01235;000e.08ab.cde0\r\n",
            "\u{feff}MAC Address;Model;Serial No.\n000E08ABCDEF;CP-8841-3PCC;88012BA01234\n000E08ABCDE0;CP-8841-3PCC;88012BA01235",
            "model,serial,mac,comment\n\"CP-8841-3PCC\",\"88012BA01234\",\"000e08abcdef\",\"a, b\"\n\n CP-8841-3PCC , 88012BA01235 , 000e08abcde0 ,\n",
            "product\tsn\tmac\nCP-8841-3PCC\t88012BA01234\t000e08abcdef\nCP-8841-3PCC\t88012BA01235\t000e08abcde0\n",
        ] {
            assert_eq!(macs(text), wanted, "{text}");
        }
    }

    #[test]
    fn i5_reports_every_bad_line_with_its_number() {
        let found = bad(
            "model,serial,mac\nA,1,000e08abcdef\nA,,000e08abcde0\nA,3,01005e000001\nA,4,e08abcdef\nA,1,000e08abcde1\nA,6,00-0e-08-ab-cd-ef\n",
        );
        let lines: Vec<u64> = found.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [3, 4, 5, 6, 7]);
        assert_eq!(found[0].1, "has no serial");
        assert!(found[1].1.contains("multicast"), "{}", found[1].1);
        assert!(found[2].1.ends_with("did a spreadsheet change it?"), "{}", found[2].1);
        assert_eq!(found[3].1, "the serial number 1 stands in line 2 already");
        assert_eq!(found[4].1, "the MAC address 000e08abcdef stands in line 2 already");
    }

    #[test]
    fn i6_headings_must_name_all_three_columns() {
        assert_eq!(
            bad("model,mac\nA,000e08abcdef\n"),
            [(1, "the headings must name model, serial and mac".to_owned())]
        );
        assert_eq!(parse(b"A,1,000e08abcdef\nA,\xff,x\n").bad[0].line, 2);
    }

    #[test]
    fn an_empty_list_has_no_devices() {
        assert_eq!(macs(""), Vec::<String>::new());
        assert_eq!(macs("model,serial,mac\n"), Vec::<String>::new());
    }
}
