use super::*;

fn reader(text: &[u8]) -> DeviceReader {
    DeviceReader::of("folder".into(), text.to_vec(), Box::new(io::empty()))
}

fn macs(text: &str) -> Vec<String> {
    reader(text.as_bytes()).flatten().map(|device| device.identity.mac().to_string()).collect()
}

fn bad(text: &str) -> Vec<(u64, String)> {
    let mut duplicates = Duplicates::default();
    let mut bad = Vec::new();
    for line in reader(text.as_bytes()) {
        match line {
            Ok(device) => duplicates.add(&device),
            Err(line) => bad.push(line),
        }
    }
    bad.extend(duplicates.find().iter().map(Repeated::told));
    bad.sort_by_key(|line| line.line);
    bad.into_iter().map(|bad| (bad.line, bad.message)).collect()
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
        "{\"model\":\"CP-8841-3PCC\",\"serial\":\"88012BA01234\",\"mac\":\"00:0e:08:ab:cd:ef\"}\n\n{\"mac\":\"000e08abcde0\",\"serial\":\"1\",\"model\":\"A\"}",
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
    assert_eq!(found[3].1, "the serial number stands in line 2 already, for the same model");
    assert_eq!(found[4].1, "the MAC address 000e08abcdef stands in line 2 already");
}

/// Whatever ends the lines, and whatever stands between them, a message names the line that an editor shows.
#[test]
fn i5_lines_are_counted_as_editors_count_them() {
    let pem = "\"-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n\n-----END CERTIFICATE REQUEST-----\n\"";
    for (text, wanted) in [
        ("model,serial,mac\nA,,000e08abcde0\n\n\nA,3,x\n", [2, 5]),
        ("\n\nmodel,serial,mac\nA,,000e08abcde0\n   \nA,3,x", [4, 6]),
        (&format!("model,serial,mac,csr\nA,1,000e08abcdef,{pem}\nA,,000e08abcde0,\nA,3,x,\n"), [7, 8]),
    ] {
        let count = |text: &str| -> Vec<u64> { bad(text).into_iter().map(|(line, _)| line).collect() };
        assert_eq!(count(text), wanted, "{text}");
        assert_eq!(count(&text.replace('\n', "\r\n")), wanted, "{text} with CRLF");
        assert_eq!(count(&format!("\u{feff}{}", text.replace('\n', "\r\n"))), wanted, "{text} of Excel");
    }
    let long = bad(&format!("model,serial,mac\nA,1,000e08abcdef\n{}\n", "a".repeat(100_000)));
    assert_eq!(long.len(), 1);
    assert!(long[0].1.contains("longer than 65536 octets"), "{long:?}");
    // The library reads ahead: the line is named as near as it can be, and never line nought.
    assert!(long[0].0 >= 1, "{long:?}");
}

#[test]
fn i5_a_bad_line_of_json_is_no_end() {
    let found = bad(
        "{\"model\":1}\n{\"modle\":\"A\"}\n[]\nx\n{\"model\":\"A\",\"serial\":\"1\",\"mac\":\"000e08abcdef\"}\n",
    );
    let lines: Vec<u64> = found.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [1, 2, 3, 4]);
    assert!(found[1].1.contains("model, serial, mac and csr are known"), "{}", found[1].1);
}

#[test]
fn i6_headings_must_name_all_three_columns() {
    assert_eq!(
        bad("model,mac\nA,000e08abcdef\n"),
        [(1, "the headings must name model, serial and mac".to_owned())]
    );
    assert_eq!(bad("A,1,000e08abcdef\n").len(), 0);
    let not_text: Vec<_> = reader(b"A,1,000e08abcdef\nA,\xff,x\nA,3,000e08abcde1\n").collect();
    assert!(not_text[0].is_ok() && not_text[2].is_ok());
    assert_eq!(not_text[1].as_ref().unwrap_err().message, "is not UTF-8 text");
}

#[test]
fn i9_a_line_without_an_end_is_refused_before_it_fills_the_memory() {
    for begin in
        ["A,1,000e08abcdef\n\"", "{\"model\":\"A\",\"serial\":\"1\",\"mac\":\"000e08abcdef\"}\n{\"model\":\""]
    {
        let endless = io::repeat(b'x');
        let mut list = DeviceReader::of("folder".into(), begin.as_bytes().to_vec(), Box::new(endless));
        assert!(list.next().unwrap().is_ok());
        let refused = list.next().unwrap().unwrap_err();
        assert!(refused.message.contains("longer than 65536 octets"), "{}", refused.message);
        assert!(list.next().is_none());
    }
}

#[test]
fn requests_are_named_or_stand_in_the_list() {
    let list = reader(b"model,serial,mac,csr\nA,1,000e08abcdef,one.csr\nA,2,000e08abcde0,\n");
    let requests: Vec<_> = list.map(|device| device.unwrap().request).collect();
    assert_eq!(requests, [Some(RequestSource::File("folder/one.csr".into())), None]);
}

#[test]
fn an_empty_list_has_no_devices() {
    assert_eq!(macs(""), Vec::<String>::new());
    assert_eq!(macs("model,serial,mac\n"), Vec::<String>::new());
}
