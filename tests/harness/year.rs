//! A year of a fleet's audit records, to measure answers with: phones that fetch their profiles day by day, with the refusals that
//! a real fleet has.

use certs::Timestamp;

/// 2026-01-01, when the year begins, in seconds since 1970.
pub const START: i64 = 1_767_225_600;
/// Records of one batch: what a busy gateway hands over at a time.
pub const BATCH: u64 = 2000;

/// So many records of the year, in batches of lines.
pub fn batches(records: u64, devices: u64) -> impl Iterator<Item = String> {
    (0..records.div_ceil(BATCH)).map(move |batch| {
        let places = batch * BATCH..records.min((batch + 1) * BATCH);
        places.map(|at| record(at, records, devices)).collect()
    })
}

/// One record of a year in which the devices call again and again, in an order that looks like chance.
fn record(at: u64, records: u64, devices: u64) -> String {
    let seconds = i64::try_from(at * 365 * 86_400 / records).unwrap();
    let time =
        Timestamp::from_unix(START + seconds).to_string().replace('Z', &format!(".{:06}Z", at % 1_000_000));
    // Four records in a row are one visit: profile, model file, ring tones, the end of the connection.
    let (visit, step) = (at / 4, at % 4);
    let device = (visit * 7919) % devices;
    let (mac, serial) = (format!("000e08{device:06x}"), format!("FCH{device:08}"));
    let product =
        ["CP-8841-3PCC", "CP-7841-3PCC", "CP-8851-3PCC", "SPA504G"][usize::try_from(device % 4).unwrap()];
    let (major, renewed) = if at > records / 2 { (12, "III") } else { (11, "II") };
    let certificate = format!(
        r#""certificate":{{"subject":"SN={mac},L={serial},OU={product}","issuer":"CN=Cisco Manufacturing CA {renewed},O=Cisco","serial":"{visit:016X}","sha256":"{device:032x}{major:032x}","key_sha256":"{device:032x}{major:032x}","not_after":"20{}-{:02}-15T00:00:00Z","depth":1}}"#,
        if major == 12 { 36 } else { 27 + device % 3 },
        device % 12 + 1
    );
    let connection = format!("{visit:016x}");
    let peer = format!("10.{}.{}.{}:40000", device / 62_500 % 250, device / 250 % 250, device % 250);
    let hello = r#""hello":{"versions":["TLSv1.3","TLSv1.2"],"suites":["TLS_AES_128_GCM_SHA256","TLS_AES_256_GCM_SHA384","TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"],"sni":"prov.example.com","extensions":[0,11,10,35,22,23,13,43,45,51],"groups":["x25519","secp256r1"],"signature_algorithms":["rsa_pss_rsae_sha256","rsa_pkcs1_sha256"],"ja3":"0123456789abcdef0123456789abcdef","ja4":"t13d0310h0_0123456789ab_cdef01234567"}"#;
    let of_connection = format!(
        r#""connection":"{connection}","peer":"{peer}","listener":"192.0.2.1:443","host":"prov.example.com""#
    );
    // A phone in fifty has a certificate that is refused now and then.
    if device % 50 == 7 && visit % 3 == 0 {
        return format!(
            "{{\"v\":1,\"time\":\"{time}\",\"event\":\"connection\",{of_connection},\"engine\":\"modern\",{hello},\"alert\":\"sent \
             certificate_expired\",{certificate},\"decision\":\"deny\",\"reason\":\"expired\",\"detail\":\"certificate 0 expired \
             2026-01-01T00:00:00Z\",\"duration_us\":5200}}\n"
        );
    }
    let of_device = format!(
        r#""engine":"modern",{hello},"tls":{{"version":"TLSv1.3","suite":"TLS_AES_128_GCM_SHA256","resumed":{}}},{certificate},"device":{{"kind":"device","product":"{product}","serial":"{serial}","mac":"{mac}","profile":"cisco-small-business"}}"#,
        visit % 2 == 0
    );
    let request = |path: String, end: &str| {
        format!(
            r#""event":"request","request":"{connection}-{}",{of_connection},{of_device},"method":"GET","path":"{path}","user_agent":"Cisco-{product}/{major}.0.3 ({serial})",{end},"duration_us":912,"backend":"http://127.0.0.1:8080""#,
            step + 1
        )
    };
    let served = r#""status":200,"bytes":8192,"rule":"own profile","decision":"permit""#;
    let members = match step {
        0 => request(format!("/{mac}.cfg"), served),
        1 => request(format!("/{product}.cfg"), served),
        2 => request(
            "/ringtones.dat".to_owned(),
            r#""status":403,"decision":"deny","reason":"no_rule_matched","detail":"no rule allows GET /ringtones.dat""#,
        ),
        _ => format!(
            r#""event":"closed",{of_connection},{of_device},"requests":3,"bytes":16384,"duration_us":60912"#
        ),
    };
    format!("{{\"v\":1,\"time\":\"{time}\",{members}}}\n")
}
