//! Client hellos byte for byte: what a TLS library of today would never offer must be offered to find out who takes it.

use aws_lc_rs::rand;
use policies::{CipherSuite, TlsVersion};

/// SSL 3.0, which no phone of today's should be answered in.
pub(super) const SSL3: TlsVersion = TlsVersion(0x0300);

/// What a hello offers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offer<'a> {
    /// The one version, or the highest of a client before TLS 1.3.
    pub(super) version: TlsVersion,
    pub(super) suites: &'a [CipherSuite],
    /// The server name, where one is sent.
    pub(super) server_name: Option<&'a str>,
    pub(super) extensions: Extensions,
}

/// Which extensions there are beside the server name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Extensions {
    /// None, as the phones of the guide's table.
    None,
    /// What the version needs to agree on anything, and a request for a session ticket.
    Usual,
}

/// secp256r1, secp384r1, secp521r1, x25519
const GROUPS: [u16; 4] = [29, 23, 24, 25];
const SCHEMES: [u16; 14] = [
    0x0403, 0x0503, 0x0603, 0x0807, 0x0804, 0x0805, 0x0806, 0x0809, 0x0401, 0x0501, 0x0601, 0x0201, 0x0203,
    0x0101,
];

impl Offer<'_> {
    /// The hello in one TLS record.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub(super) fn record(&self) -> Result<Vec<u8>, aws_lc_rs::error::Unspecified> {
        let mut random = [0; 64];
        rand::fill(&mut random)?;
        let (random, share) = random.split_at(32);
        let is_tls13 = self.version == TlsVersion::TLS1_3;
        let mut body = self.version.0.min(TlsVersion::TLS1_2.0).to_be_bytes().to_vec();
        body.extend_from_slice(random);
        body.push(0);
        vector16(&mut body, |out| self.suites.iter().for_each(|suite| out.extend(suite.0.to_be_bytes())));
        body.extend([1, 0]);
        let extensions = self.extension_block(is_tls13, share);
        if !extensions.is_empty() {
            vector16(&mut body, |out| out.extend(extensions));
        }
        let mut message = vec![1, 0];
        vector16(&mut message, |out| out.extend(body));
        // The first record of a client says TLS 1.0 at the most, or old servers do not answer (RFC 8446 §5.1).
        let mut record = vec![22];
        record.extend(self.version.0.min(TlsVersion::TLS1_0.0).to_be_bytes());
        vector16(&mut record, |out| out.extend(message));
        Ok(record)
    }

    fn extension_block(&self, is_tls13: bool, share: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(name) = self.server_name {
            extension(&mut out, 0, |data| {
                vector16(data, |list| {
                    list.push(0);
                    vector16(list, |entry| entry.extend(name.as_bytes()));
                });
            });
        }
        if self.extensions == Extensions::None || self.version == SSL3 {
            return out;
        }
        extension(&mut out, 10, |data| numbers(data, &GROUPS));
        if is_tls13 {
            extension(&mut out, 13, |data| numbers(data, &SCHEMES));
            extension(&mut out, 43, |data| data.extend([2, 3, 4]));
            extension(&mut out, 45, |data| data.extend([1, 1]));
            // Any 32 bytes are a public key of x25519 (RFC 7748 §5).
            extension(&mut out, 51, |data| {
                vector16(data, |list| {
                    list.extend([0, 29]);
                    vector16(list, |key| key.extend(share));
                });
            });
            return out;
        }
        extension(&mut out, 11, |data| data.extend([1, 0]));
        extension(&mut out, 35, |_| {});
        extension(&mut out, 0xff01, |data| data.push(0));
        if self.version == TlsVersion::TLS1_2 {
            extension(&mut out, 13, |data| numbers(data, &SCHEMES));
        }
        out
    }
}

fn extension(out: &mut Vec<u8>, number: u16, write: impl FnOnce(&mut Vec<u8>)) {
    out.extend(number.to_be_bytes());
    vector16(out, write);
}

fn numbers(out: &mut Vec<u8>, numbers: &[u16]) {
    vector16(out, |list| numbers.iter().for_each(|number| list.extend(number.to_be_bytes())));
}

/// What `write` adds, behind its length in two bytes. All that is written here is far below 64 KiB; a longer text would be
/// cut, never sent with a wrong length.
fn vector16(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let mut content = Vec::new();
    write(&mut content);
    content.truncate(usize::from(u16::MAX));
    out.extend(u16::try_from(content.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend(content);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client_hello::ClientHello;

    fn parsed(offer: &Offer<'_>) -> ClientHello {
        let record = offer.record().unwrap();
        ClientHello::parse(&record[9..]).unwrap()
    }

    #[test]
    fn every_version_is_offered_as_the_reader_reads_it() {
        let suites = [CipherSuite(0x002f), CipherSuite(0x1301)];
        for (number, versions) in [
            (0x0301, vec![0x0301, 0x0300]),
            (0x0303, vec![0x0303, 0x0302, 0x0301, 0x0300]),
            (0x0304, vec![0x0304]),
        ] {
            let version = TlsVersion(number);
            let name = Some("prov.example.com");
            let hello =
                parsed(&Offer { version, suites: &suites, server_name: name, extensions: Extensions::Usual });
            assert_eq!(hello.versions().iter().map(|version| version.0).collect::<Vec<_>>(), versions);
            assert_eq!((hello.suites.as_slice(), hello.server_name.as_deref()), (&suites[..], name));
        }
        let bare = Offer {
            version: TlsVersion::TLS1_0,
            suites: &suites,
            server_name: None,
            extensions: Extensions::None,
        };
        assert!(parsed(&bare).extensions.is_empty());
    }
}
