//! Just enough DER to write certificates that no issuing library would: each test has one thing wrong.

/// One element.
pub fn element(tag: u8, contents: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match u8::try_from(contents.len()) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let length = u32::try_from(contents.len()).unwrap().to_be_bytes();
            let length: Vec<u8> = length.into_iter().skip_while(|byte| *byte == 0).collect();
            out.push(0x80 | u8::try_from(length.len()).unwrap());
            out.extend(length);
        }
    }
    out.extend_from_slice(contents);
    out
}

/// SEQUENCE of already encoded parts.
pub fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    element(0x30, &parts.concat())
}

/// SET of already encoded parts, in the order DER wants.
pub fn set(parts: &[Vec<u8>]) -> Vec<u8> {
    let mut parts = parts.to_vec();
    parts.sort();
    element(0x31, &parts.concat())
}

/// A context-specific constructed element, `[number] EXPLICIT`.
pub fn explicit(number: u8, contents: &[u8]) -> Vec<u8> {
    element(0xa0 | number, contents)
}

/// INTEGER from its content bytes, as given.
pub fn integer(bytes: &[u8]) -> Vec<u8> {
    element(0x02, bytes)
}

/// INTEGER from a small number.
pub fn small_integer(value: u32) -> Vec<u8> {
    let mut bytes: Vec<u8> = value.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
    if bytes.first().is_none_or(|first| *first >= 0x80) {
        bytes.insert(0, 0);
    }
    integer(&bytes)
}

/// BOOLEAN TRUE.
pub fn truth() -> Vec<u8> {
    element(0x01, &[0xff])
}

/// NULL.
pub fn null() -> Vec<u8> {
    element(0x05, &[])
}

/// OCTET STRING.
pub fn octets(contents: &[u8]) -> Vec<u8> {
    element(0x04, contents)
}

/// BIT STRING of whole bytes.
pub fn bits(contents: &[u8]) -> Vec<u8> {
    element(0x03, &[&[0], contents].concat())
}

/// OBJECT IDENTIFIER from its dotted text.
///
/// # Panics
/// The text is none.
pub fn oid(dotted: &str) -> Vec<u8> {
    let arcs: Vec<u64> = dotted.split('.').map(|arc| arc.parse().unwrap()).collect();
    let [first, second, rest @ ..] = arcs.as_slice() else { panic!("{dotted} is no OID") };
    let mut contents = Vec::new();
    for arc in std::iter::once(first * 40 + second).chain(rest.iter().copied()) {
        let mut groups = vec![u8::try_from(arc & 0x7f).unwrap()];
        let mut arc = arc >> 7;
        while arc > 0 {
            groups.push(0x80 | u8::try_from(arc & 0x7f).unwrap());
            arc >>= 7;
        }
        contents.extend(groups.into_iter().rev());
    }
    element(0x06, &contents)
}

/// A time as RFC 5280 §4.1.2.5 writes it: UTCTime until 2049, GeneralizedTime from 2050.
///
/// # Panics
/// The year does not exist in a calendar.
pub fn time(unix: i64) -> Vec<u8> {
    let time = time::OffsetDateTime::from_unix_timestamp(unix).unwrap();
    let (year, month, day) = (time.year(), u8::from(time.month()), time.day());
    let (hour, minute, second) = (time.hour(), time.minute(), time.second());
    let rest = format!("{month:02}{day:02}{hour:02}{minute:02}{second:02}Z");
    if (1950..2050).contains(&year) {
        element(0x17, format!("{:02}{rest}", year % 100).as_bytes())
    } else {
        element(0x18, format!("{year:04}{rest}").as_bytes())
    }
}

/// PEM armour.
pub fn pem(label: &str, der: &[u8]) -> String {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new(label, der), config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_x690_shows() {
        assert_eq!(oid("1.2.840.113549"), [0x06, 6, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d]);
        assert_eq!(small_integer(0), [2, 1, 0]);
        assert_eq!(small_integer(128), [2, 2, 0, 128]);
        assert_eq!(element(4, &[0; 200])[..3], [4, 0x81, 200]);
        assert_eq!(time(0), *b"\x17\x0d700101000000Z");
        assert_eq!(time(2_524_608_000), *b"\x18\x0f20500101000000Z");
    }
}
