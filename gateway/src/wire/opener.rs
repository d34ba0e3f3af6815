//! Opens what one direction of a connection encrypts, with its secret: AEAD suites at TLS 1.2 (RFC 5246 §6.2.3.3, RFC 7905)
//! and 1.3 (RFC 8446 §5.2).

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{hkdf, tls_prf};
use policies::CipherSuite;
use zeroize::Zeroizing;

use super::Side;

/// The keys of one direction, and where in its count of records it is.
pub struct Opener {
    suite: Suite,
    keys: Keys,
    count: u64,
}

enum Keys {
    /// What a TLS 1.2 nonce begins with: four bytes for AES-GCM, twelve for ChaCha20.
    Tls12 { key: LessSafeKey, iv: Vec<u8> },
    Tls13 {
        key: LessSafeKey,
        iv: [u8; 12],
        /// From which the next one is made (RFC 8446 §7.2).
        secret: Zeroizing<Vec<u8>>,
    },
}

#[derive(Clone, Copy)]
enum Cipher {
    Aes128,
    Aes256,
    ChaCha20,
}

#[derive(Clone, Copy)]
struct Suite {
    cipher: Cipher,
    sha384: bool,
}

impl Suite {
    /// The AEAD suites of the modern engine.
    const fn of(suite: CipherSuite) -> Option<Self> {
        let (cipher, sha384) = match suite.0 {
            0x1301 | 0xc02b | 0xc02f | 0x009c | 0x009e => (Cipher::Aes128, false),
            0x1302 | 0xc02c | 0xc030 | 0x009d | 0x009f => (Cipher::Aes256, true),
            0x1303 | 0xcca8..=0xccaa => (Cipher::ChaCha20, false),
            _ => return None,
        };
        Some(Self { cipher, sha384 })
    }

    const fn aead(self) -> &'static aead::Algorithm {
        match self.cipher {
            Cipher::Aes128 => &aead::AES_128_GCM,
            Cipher::Aes256 => &aead::AES_256_GCM,
            Cipher::ChaCha20 => &aead::CHACHA20_POLY1305,
        }
    }

    const fn hkdf(self) -> hkdf::Algorithm {
        if self.sha384 { hkdf::HKDF_SHA384 } else { hkdf::HKDF_SHA256 }
    }
}

impl Opener {
    /// The keys of a TLS 1.3 traffic secret; `None` for a suite that is not known here.
    #[must_use]
    pub fn tls13(suite: CipherSuite, secret: &[u8]) -> Option<Self> {
        let suite = Suite::of(suite)?;
        Some(Self { suite, keys: tls13_keys(suite, secret)?, count: 0 })
    }

    /// One side's keys of a TLS 1.2 master secret; `None` for a suite that is not known here.
    #[must_use]
    pub fn tls12(
        suite: CipherSuite,
        master: &[u8],
        client_random: &[u8],
        server_random: &[u8],
        side: Side,
    ) -> Option<Self> {
        let suite = Suite::of(suite)?;
        let algorithm = suite.aead();
        let (key_length, iv_length) = match suite.cipher {
            Cipher::Aes128 | Cipher::Aes256 => (algorithm.key_len(), 4),
            Cipher::ChaCha20 => (algorithm.key_len(), 12),
        };
        let prf = if suite.sha384 { &tls_prf::P_SHA384 } else { &tls_prf::P_SHA256 };
        let master = tls_prf::Secret::new(prf, master).ok()?;
        let seed = [server_random, client_random].concat();
        // RFC 5246 §6.3; an AEAD has no MAC keys.
        let block = master.derive(b"key expansion", &seed, 2 * (key_length + iv_length)).ok()?;
        let (keys, ivs) = block.as_ref().split_at_checked(2 * key_length)?;
        let (client_key, server_key) = keys.split_at_checked(key_length)?;
        let (client_iv, server_iv) = ivs.split_at_checked(iv_length)?;
        let (key, iv) = match side {
            Side::Client => (client_key, client_iv),
            Side::Server => (server_key, server_iv),
        };
        let key = LessSafeKey::new(UnboundKey::new(algorithm, key).ok()?);
        Some(Self { suite, keys: Keys::Tls12 { key, iv: iv.to_vec() }, count: 0 })
    }

    /// Opens a record's payload: the content type inside and the plain bytes. `None` where these keys do not fit, and then
    /// the record does not count.
    pub fn open(&mut self, outer: u8, version: u16, payload: &[u8]) -> Option<(u8, Vec<u8>)> {
        let count = self.count.to_be_bytes();
        let opened = match &self.keys {
            Keys::Tls12 { key, iv } => {
                let tag = self.suite.aead().tag_len();
                let (nonce, sealed) = match self.suite.cipher {
                    Cipher::Aes128 | Cipher::Aes256 => {
                        let (explicit, sealed) = payload.split_first_chunk::<8>()?;
                        (<[u8; 12]>::try_from([iv.as_slice(), explicit].concat()).ok()?, sealed)
                    }
                    Cipher::ChaCha20 => (masked(iv.as_slice().try_into().ok()?, count), payload),
                };
                let length = u16::try_from(sealed.len().checked_sub(tag)?).ok()?.to_be_bytes();
                let aad = [&count[..], &[outer], &version.to_be_bytes(), &length].concat();
                (outer, plain(key, nonce, &aad, sealed)?)
            }
            Keys::Tls13 { key, iv, .. } => {
                let length = u16::try_from(payload.len()).ok()?.to_be_bytes();
                let aad = [&[outer][..], &version.to_be_bytes(), &length].concat();
                let mut inner = plain(key, masked(*iv, count), &aad, payload)?;
                // RFC 8446 §5.4: zeros fill up behind the content type.
                let end = inner.iter().rposition(|byte| *byte != 0)?;
                inner.truncate(end + 1);
                (inner.pop()?, inner)
            }
        };
        self.count = self.count.checked_add(1)?;
        Some(opened)
    }

    /// Goes on to the next keys after a KeyUpdate (RFC 8446 §7.2).
    pub fn update(&mut self) {
        let Keys::Tls13 { secret, .. } = &self.keys else { return };
        let next = expand(self.suite, secret, "traffic upd", secret.len());
        if let Some(keys) = next.and_then(|next| tls13_keys(self.suite, &next)) {
            self.keys = keys;
            self.count = 0;
        }
    }
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Opener(..)")
    }
}

fn tls13_keys(suite: Suite, secret: &[u8]) -> Option<Keys> {
    let algorithm = suite.aead();
    let key = expand(suite, secret, "key", algorithm.key_len())?;
    let iv = expand(suite, secret, "iv", 12)?;
    Some(Keys::Tls13 {
        key: LessSafeKey::new(UnboundKey::new(algorithm, &key).ok()?),
        iv: iv.as_slice().try_into().ok()?,
        secret: Zeroizing::new(secret.to_vec()),
    })
}

/// HKDF-Expand-Label with an empty context (RFC 8446 §7.1).
fn expand(suite: Suite, secret: &[u8], label: &str, length: usize) -> Option<Zeroizing<Vec<u8>>> {
    struct Length(usize);
    impl hkdf::KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    let label = [b"tls13 ", label.as_bytes()].concat();
    let info =
        [&u16::try_from(length).ok()?.to_be_bytes()[..], &[u8::try_from(label.len()).ok()?], &label, &[0]]
            .concat();
    let mut out = Zeroizing::new(vec![0; length]);
    let prk = hkdf::Prk::new_less_safe(suite.hkdf(), secret);
    prk.expand(&[&info], Length(length)).ok()?.fill(&mut out).ok()?;
    Some(out)
}

/// The record's nonce: the count of records over the end of the IV (RFC 8446 §5.3).
fn masked(mut iv: [u8; 12], count: [u8; 8]) -> [u8; 12] {
    for (byte, of_count) in iv.iter_mut().skip(4).zip(count) {
        *byte ^= of_count;
    }
    iv
}

fn plain(key: &LessSafeKey, nonce: [u8; 12], aad: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = sealed.to_vec();
    let nonce = Nonce::assume_unique_for_key(nonce);
    let length = key.open_in_place(nonce, Aad::from(aad), &mut bytes).ok()?.len();
    bytes.truncate(length);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::record::content;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    /// RFC 8448 §3: the server's application keys and its first record under them.
    #[test]
    fn opens_the_record_of_the_rfcs_trace() {
        let secret = hex(
            "a1 1a f9 f0 55 31 f8 56 ad 47 11 6b 45 a9 50 32 82 04 b4 f4 4b fb 6b 3a 4b 4f 1f 3f cb 63 16 43",
        );
        let record = hex(
            "3a 6b 8f 90 41 4a 97 d6 95 9c 34 87 68 0d e5 13 4a 2b 24 0e 6c ff ac 11 6e 95 d4 1d 6a f8 f6 b5 \
             80 dc f3 d1 1d 63 c7 58 db 28 9a 01 59 40 25 2f 55 71 3e 06 1d c1 3e 07 88 91 a3 8e fb cf 57 53 \
             ad 8e f1 70 ad 3c 73 53 d1 6d 9d a7 73 b9 ca 7f 2b 9f a1 b6 c0 d4 a3 d0 3f 75 e0 9c 30 ba 1e 62 \
             97 2a c4 6f 75 f7 b9 81 be 63 43 9b 29 99 ce 13 06 46 15 13 98 91 d5 e4 c5 b4 06 f1 6e 3f c1 81 \
             a7 7c a4 75 84 00 25 db 2f 0a 77 f8 1b 5a b0 5b 94 c0 13 46 75 5f 69 23 2c 86 51 9d 86 cb ee ac \
             87 aa c3 47 d1 43 f9 60 5d 64 f6 50 db 4d 02 3e 70 e9 52 ca 49 fe 51 37 12 1c 74 bc 26 97 68 7e \
             24 87 46 d6 df 35 30 05 f3 bc e1 86 96 12 9c 81 53 55 6b 3b 6c 67 79 b3 7b f1 59 85 68 4f",
        );
        let mut opener = Opener::tls13(CipherSuite(0x1301), &secret).unwrap();
        let (kind, message) = opener.open(23, 0x0303, &record).unwrap();
        assert_eq!((kind, message.first()), (content::HANDSHAKE, Some(&4)), "a NewSessionTicket");
        assert_eq!(message.len(), 4 + 201);
        assert!(opener.open(23, 0x0303, &record).is_none(), "the twin with the next count");
    }

    #[test]
    fn another_suite_has_no_opener() {
        assert!(Opener::tls13(CipherSuite(0x002f), &[0; 32]).is_none());
        assert!(Opener::tls13(CipherSuite(0x1303), &[0; 32]).is_some());
    }
}
