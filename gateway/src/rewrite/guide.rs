//! The `guide` preset: Apache's mod_ssl variables as fields, each value in Apache's exact format.
//!
//! | Field | Value |
//! | --- | --- |
//! | `SSL-Client-Verify` | `SUCCESS`, or `NONE` without a certificate |
//! | `SSL-Client-M-Version`, `-M-Serial` | `3`; upper-case hexadecimal, an even number of digits |
//! | `SSL-Client-S-DN`, `-I-DN` | the whole subject and issuer, RFC 2253 in UTF-8, last attribute first |
//! | `SSL-Client-S-DN-x`, `-I-DN-x` | the first attribute of type x: `C ST L O OU CN T I G S D UID Email SerialNumber`; further ones `-x-1`, `-x-2` |
//! | `SSL-Client-I-DN-OU`, `-L`, `-S` | with `issuer-fields = "guide"` (default) the *device's* product, serial number and MAC, absent for anyone else; with `"mod_ssl"` the issuer's |
//! | `SSL-Client-V-Start`, `-V-End`, `-V-Remain` | `Jan  2 03:04:05 2026 GMT`; whole days left, `0` when expired |
//! | `SSL-Client-A-Sig`, `-A-Key` | OpenSSL's long names, as `sha256WithRSAEncryption`, `rsaEncryption` |
//! | `SSL-Client-SAN-DNS-n`, `-SAN-Email-n` | the first eight of each, counted from 0 |
//! | `SSL-Client-Cert` | the certificate as PEM with spaces for line ends, only when asked for |
//! | `SSL-Protocol`, `SSL-Cipher`, `SSL-Cipher-UseKeySize` | `TLSv1.2`, `ECDHE-RSA-AES128-GCM-SHA256`, `128` |
//! | `SSL-Session-Resumed`, `SSL-TLS-SNI` | `Initial` or `Resumed`; the server name, if one was sent |
//!
//! `S` is the surname (2.5.4.4), as in Apache, not stateOrProvinceName, which is `ST`.

use certs::oid::{self, Oid};
use certs::{Certificate, DistinguishedName, Timestamp};
use policies::Device;

use super::peer_fields::{Fields, PeerFacts, name, printable, spelled};
use super::{HeaderConfig, IssuerFields, Separator, openssl_names};

/// One of Apache's attribute types, and the fields of its first value in the subject and in the issuer.
struct AttributeFields {
    oid: Oid,
    subject: &'static str,
    issuer: &'static str,
}

macro_rules! attribute_fields {
    ($($oid:ident $key:literal)*) => {
        [$(AttributeFields {
            oid: oid::$oid,
            subject: concat!("ssl-client-s-dn-", $key),
            issuer: concat!("ssl-client-i-dn-", $key),
        },)*]
    };
}

/// Apache's attribute types. `S-DN-x` is complete for these and has nothing else.
const ATTRIBUTES: [AttributeFields; 14] = attribute_fields! {
    COUNTRY "c"
    STATE "st"
    LOCALITY "l"
    ORGANIZATION "o"
    ORGANIZATIONAL_UNIT "ou"
    COMMON_NAME "cn"
    TITLE "t"
    INITIALS "i"
    GIVEN_NAME "g"
    SURNAME "s"
    DESCRIPTION "d"
    USER_ID "uid"
    EMAIL "email"
    SERIAL_NUMBER "serialnumber"
};

/// How many alternative names of one kind are passed on.
const ALTERNATIVE_NAMES: usize = 8;

pub(super) fn set(fields: &mut Fields, config: &HeaderConfig, facts: &PeerFacts<'_>) {
    let separator = config.separator;
    set_connection(fields, separator, facts);
    let Some(chain) = facts.chain else {
        fields.set(name(separator, "ssl-client-verify"), "NONE");
        return;
    };
    let leaf = chain.leaf();
    fields.set(name(separator, "ssl-client-verify"), "SUCCESS");
    set_certificate(fields, separator, leaf, facts.now);
    set_attributes(fields, separator, |field| field.subject, leaf.subject(), |_| true);
    match config.issuer_fields {
        IssuerFields::ModSsl => {
            set_attributes(fields, separator, |field| field.issuer, leaf.issuer(), |_| true)
        }
        IssuerFields::Guide => {
            // The three names never carry the issuer's values here, whoever asks: a backend must not mistake them.
            let others = |oid: &Oid| ![oid::ORGANIZATIONAL_UNIT, oid::LOCALITY, oid::SURNAME].contains(oid);
            set_attributes(fields, separator, |field| field.issuer, leaf.issuer(), others);
            if let Some(device) = facts.principal.device() {
                set_device(fields, separator, device);
            }
        }
    }
    if config.certificate {
        let pem = leaf.to_pem();
        fields.set(name(separator, "ssl-client-cert"), &pem.trim_end().replace('\n', " "));
    }
}

fn set_connection(fields: &mut Fields, separator: Separator, facts: &PeerFacts<'_>) {
    fields.set(name(separator, "ssl-protocol"), &openssl_names::version(facts.version));
    let suite = openssl_names::suite(facts.suite);
    fields.set(name(separator, "ssl-cipher"), &suite.name);
    if let Some(bits) = suite.key_bits {
        fields.set(name(separator, "ssl-cipher-usekeysize"), bits);
    }
    let session = if facts.resumed { "Resumed" } else { "Initial" };
    fields.set(name(separator, "ssl-session-resumed"), session);
    if let Some(server_name) = facts.server_name {
        fields.set(name(separator, "ssl-tls-sni"), &printable(server_name));
    }
}

fn set_certificate(fields: &mut Fields, separator: Separator, leaf: &Certificate, now: Timestamp) {
    let validity = leaf.validity();
    let texts = [
        ("ssl-client-m-version", leaf.version().number().to_string()),
        ("ssl-client-m-serial", leaf.serial().to_string()),
        ("ssl-client-s-dn", whole_name(leaf.subject())),
        ("ssl-client-i-dn", whole_name(leaf.issuer())),
        ("ssl-client-v-start", asn1_time(validity.not_before)),
        ("ssl-client-v-end", asn1_time(validity.not_after)),
        ("ssl-client-v-remain", days_left(validity.not_after, now).to_string()),
        ("ssl-client-a-sig", openssl_names::signature(leaf.signature_algorithm()).to_owned()),
        ("ssl-client-a-key", openssl_names::key(leaf.public_key().algorithm()).to_owned()),
    ];
    for (field, text) in texts {
        fields.set(name(separator, field), &text);
    }
    let Some(names) = leaf.subject_alternative_names() else { return };
    for (at, dns) in names.dns_names().take(ALTERNATIVE_NAMES).enumerate() {
        fields.set(spelled(separator, format!("ssl-client-san-dns-{at}")), &printable(dns));
    }
    for (at, email) in names.emails().take(ALTERNATIVE_NAMES).enumerate() {
        fields.set(spelled(separator, format!("ssl-client-san-email-{at}")), &printable(email));
    }
}

/// RFC 2253 in UTF-8. A space at the end of a field is lost on the way, and only the backslash before it would arrive: it
/// is written `\20` (RFC 4514 §2.4), which means the same.
fn whole_name(name: &DistinguishedName) -> String {
    let text = name.to_rfc2253_utf8();
    match text.strip_suffix("\\ ") {
        Some(rest) => format!("{rest}\\20"),
        None => text,
    }
}

/// One field for each attribute of Apache's types whose type `wanted` names, as `StdEnvVars` does.
fn set_attributes(
    fields: &mut Fields,
    separator: Separator,
    field: impl Fn(&AttributeFields) -> &'static str,
    subject: &DistinguishedName,
    wanted: impl Fn(&Oid) -> bool,
) {
    for fields_of in ATTRIBUTES.iter().filter(|one| wanted(&one.oid)) {
        let first = field(fields_of);
        for (at, attribute) in subject.values_of(&fields_of.oid).enumerate() {
            // An encoding that cannot be read gives no field rather than a guess (SEC-17).
            let Ok(text) = attribute.text() else { continue };
            let field = match at {
                0 => name(separator, first),
                _ => spelled(separator, format!("{first}-{at}")),
            };
            fields.set(field, &printable(&text));
        }
    }
}

/// What a CGI script written from the phones' guide reads.
fn set_device(fields: &mut Fields, separator: Separator, device: &Device) {
    if let Some(product) = device.product() {
        fields.set(name(separator, "ssl-client-i-dn-ou"), &printable(product));
    }
    if let Some(serial) = device.serial() {
        fields.set(name(separator, "ssl-client-i-dn-l"), &printable(serial));
    }
    if let Some(mac) = device.mac() {
        fields.set(name(separator, "ssl-client-i-dn-s"), &mac.to_string());
    }
}

/// As OpenSSL's `ASN1_TIME_print`: `Jan  2 03:04:05 2026 GMT`.
fn asn1_time(time: Timestamp) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (year, month, day, hour, minute, second) = time.civil();
    let month =
        usize::try_from(month).ok().and_then(|month| MONTHS.get(month.checked_sub(1)?)).unwrap_or(&"Jan");
    format!("{month} {day:2} {hour:02}:{minute:02}:{second:02} {year} GMT")
}

fn days_left(not_after: Timestamp, now: Timestamp) -> i64 {
    (not_after.unix().saturating_sub(now.unix()) / 86_400).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_times_as_openssl_does() {
        for (unix, text) in [
            (1_767_323_045, "Jan  2 03:04:05 2026 GMT"),
            (0, "Jan  1 00:00:00 1970 GMT"),
            (253_402_300_799, "Dec 31 23:59:59 9999 GMT"),
            (951_782_400, "Feb 29 00:00:00 2000 GMT"),
        ] {
            assert_eq!(asn1_time(Timestamp::from_unix(unix)), text);
        }
    }

    #[test]
    fn counts_whole_days_and_never_below_zero() {
        let end = Timestamp::from_unix(10 * 86_400);
        assert_eq!(days_left(end, Timestamp::from_unix(0)), 10);
        assert_eq!(days_left(end, Timestamp::from_unix(1)), 9);
        assert_eq!(days_left(end, Timestamp::from_unix(10 * 86_400 + 1)), 0);
        assert_eq!(days_left(end, Timestamp::from_unix(i64::MAX)), 0);
        assert_eq!(days_left(end, Timestamp::from_unix(30 * 86_400)), 0);
    }
}
