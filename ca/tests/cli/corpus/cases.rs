//! The table: each request, and what each path makes of it.

use std::process::Command;
use std::sync::OnceLock;

use super::keys::{Key, Rsa, next_prime, point_on, primes, roca_prime};
use super::request::{Parts, asking, bits, extension, name, oid, replaced, signed, tlv, to_pem};

/// How far the number of a twin's device is from that of its case.
pub(super) const TWINS: usize = 1000;

pub(super) fn host(number: usize) -> String {
    format!("h{number}.example.com")
}

pub(super) fn mac(number: usize) -> String {
    format!("000e08{number:06x}")
}

/// What becomes of a request.
#[derive(Clone, Copy)]
pub(super) enum Verdict {
    /// Refused, with these words.
    Refused(&'static str),
    /// Issued as the profile says, and what was asked beyond it is told in these words.
    Reduced(&'static [&'static str]),
}

pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) hostile: Vec<u8>,
    /// What differs from it in one thing, and is accepted; none where the twin of the case before it is this one's too.
    pub(super) twin: Option<Vec<u8>>,
    pub(super) device: Verdict,
    pub(super) server: Verdict,
    /// A key for the list of blocked ones.
    pub(super) blocked: Option<Vec<u8>>,
}

use Verdict::{Reduced, Refused};

#[derive(Default)]
struct Table(Vec<Case>);

impl Table {
    /// A request made of a host and a key; its twin is the plain one of the same.
    fn add(
        &mut self,
        name: &'static str,
        device: Verdict,
        server: Verdict,
        make: impl Fn(&str, &Key) -> Vec<u8>,
    ) {
        let number = self.0.len();
        let key = Key::curve();
        let hostile = make(&host(number), &key);
        let is_refused = |verdict: Verdict| matches!(verdict, Refused(_));
        // A key that was certified has an owner, so that its twin needs another.
        let key = if is_refused(device) && is_refused(server) { key } else { Key::curve() };
        let host = host(if is_refused(server) { number } else { number + TWINS });
        let twin = Some(Parts::plain(&host, &key).signed(&key));
        self.0.push(Case { name, hostile, twin, device, server, blocked: None });
    }

    /// One that both paths refuse.
    fn refused(&mut self, name: &'static str, why: &'static str, make: impl Fn(&str, &Key) -> Vec<u8>) {
        self.add(name, Refused(why), Refused(why), make);
    }

    /// One that both paths reduce, telling of it in this word.
    fn reduced(
        &mut self,
        name: &'static str,
        word: &'static [&'static str],
        make: impl Fn(&str, &Key) -> Vec<u8>,
    ) {
        self.add(name, Reduced(word), Reduced(word), make);
    }

    /// One with an RSA key.
    fn rsa(&mut self, name: &'static str, verdict: Verdict, key: Rsa) {
        let key = Key::Rsa(key);
        let hostile = Parts::plain(&host(self.0.len()), &key).signed(&key);
        let (device, server) = (verdict, verdict);
        self.0.push(Case { name, hostile, twin: None, device, server, blocked: None });
    }
}

/// All of them, made once: finding bad primes takes a while.
pub(super) fn cases() -> &'static [Case] {
    static CASES: OnceLock<Vec<Case>> = OnceLock::new();
    CASES.get_or_init(make)
}

fn make() -> Vec<Case> {
    let mut table = Table::default();
    forms(&mut table);
    wishes(&mut table);
    names(&mut table);
    curves(&mut table);
    hashes(&mut table);
    rsa(&mut table);
    let key = Key::curve();
    let hostile = Parts::plain(&host(table.0.len()), &key).signed(&key);
    table.refused("a key on the list of blocked ones", "on the list of blocked keys", |_, _| hostile.clone());
    let last = table.0.len() - 1;
    let other = Key::curve();
    table.0[last].twin = Some(Parts::plain(&host(last), &other).signed(&other));
    table.0[last].blocked = Some(key.public());
    table.0
}

/// Requests that are changed, cut, or not written as DER has it (CA B1, B2, R12).
fn forms(table: &mut Table) {
    const CHANGED: &str = "is not signed by the key it holds";
    table.refused("a subject changed after it was signed", CHANGED, |host, key| {
        replaced(&Parts::plain(host, key).signed(key), host.as_bytes(), host.replace('h', "i").as_bytes())
    });
    table.refused("a key put in after it was signed", CHANGED, |host, key| {
        let plain = Parts::plain(host, key);
        replaced(&plain.signed(key), &plain.public_key, &Key::curve().public())
    });
    table.refused("an attribute changed after it was signed", CHANGED, |host, key| {
        let usage = extension("2.5.29.15", &[3, 2, 5, 0xa0]);
        let signed = Parts::plain(host, key).asking(&[&usage]).signed(key);
        replaced(&signed, &[3, 2, 5, 0xa0], &[3, 2, 5, 0xe0])
    });
    table.refused("an octet behind it", "trailing data", |host, key| {
        [Parts::plain(host, key).signed(key), vec![0]].concat()
    });
    table.refused("two requests in one file", "found 2", |host, key| {
        to_pem("CERTIFICATE REQUEST", &Parts::plain(host, key).signed(key)).repeat(2)
    });
    table.refused("the label of a certificate", "CERTIFICATE", |host, key| {
        to_pem("CERTIFICATE", &Parts::plain(host, key).signed(key))
    });
    table.refused("text without end", "ends inside a block", |host, key| {
        let pem = to_pem("CERTIFICATE REQUEST", &Parts::plain(host, key).signed(key));
        pem[..pem.len() - 20].to_vec()
    });
    table.refused("the indefinite length of BER", "length that is not DER", |host, key| {
        let plain = Parts::plain(host, key).signed(key);
        [&[0x30, 0x80], &plain[3..], &[0, 0]].concat()
    });
    table.refused("a length with an octet too many", "length that is not DER", |host, key| {
        let info = Parts::plain(host, key).info();
        let content = &info[info.len() - usize::from(info[if info[1] == 0x81 { 2 } else { 1 }])..];
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        signed(&[&[0x30, 0x82], &length[..], content].concat(), key)
    });
    table.refused("a truth that is not FF", "invalid BOOLEAN", |host, key| {
        let critical = tlv(0x30, &[&oid("2.5.29.15"), &[1, 1, 1], &tlv(4, &[&[3, 2, 5, 0xa0]])]);
        Parts::plain(host, key).asking(&[&critical]).signed(key)
    });
    table.refused("version 1", "version 1", |host, key| {
        Parts { version: vec![2, 1, 1], ..Parts::plain(host, key) }.signed(key)
    });
    table.refused("version -1", "invalid INTEGER", |host, key| {
        Parts { version: vec![2, 1, 0xff], ..Parts::plain(host, key) }.signed(key)
    });
    table.refused("no version", "expected a version", |host, key| {
        Parts { version: Vec::new(), ..Parts::plain(host, key) }.signed(key)
    });
    table.refused("nothing", "truncated value", |_, _| Vec::new());
    table.refused("an empty sequence", "truncated value", |_, _| vec![0x30, 0]);
    table.refused("a first part of nothing", "truncated value", |_, key| signed(&[0x30, 0], key));
    table.refused("a file of 300 kB", "is larger than any request", |_, _| vec![0x30; 300_000]);
    table.refused("a request of 100 kB", "more than the 65536 allowed", |host, key| {
        Parts { subject: name("2.5.4.3", &vec![b'a'; 100_000]), ..Parts::plain(host, key) }.signed(key)
    });
    table.refused("a hundred attributes", "very many attributes", |host, key| {
        let many: Vec<Vec<u8>> =
            (0..100).map(|one| tlv(0x30, &[&oid(&format!("1.2.3.{one}")), &tlv(0x31, &[&[5, 0]])])).collect();
        let many: Vec<&[u8]> = many.iter().map(Vec::as_slice).collect();
        Parts::plain(host, key).with(&many).signed(key)
    });
    table.refused("the same extension twice", "2.5.29.15", |host, key| {
        let usage = extension("2.5.29.15", &[3, 2, 5, 0xa0]);
        Parts::plain(host, key).asking(&[&usage, &usage]).signed(key)
    });
    table.refused("two lists of extensions", "repeated attribute", |host, key| {
        let usage = asking(&[&extension("2.5.29.15", &[3, 2, 5, 0xa0])]);
        Parts::plain(host, key).with(&[&usage, &usage]).signed(key)
    });
}

/// What a request may wish for and does not get (CA B3, B9, R11).
fn wishes(table: &mut Table) {
    let context = |number: u8, content: &[u8]| tlv(0x80 | number, &[content]);
    let uri = || context(6, b"http://evil.example/x");
    table.reduced("to be an authority", &["basic constraints", "key usage"], |host, key| {
        let authority = extension("2.5.29.19", &tlv(0x30, &[&[1, 1, 0xff]]));
        let usage = extension("2.5.29.15", &[3, 2, 1, 6]);
        Parts::plain(host, key).asking(&[&authority, &usage]).signed(key)
    });
    table.reduced("other purposes", &["extended key usage"], |host, key| {
        let purposes =
            tlv(0x30, &[&oid("1.3.6.1.5.5.7.3.1"), &oid("1.3.6.1.5.5.7.3.3"), &oid("2.5.29.37.0")]);
        Parts::plain(host, key).asking(&[&extension("2.5.29.37", &purposes)]).signed(key)
    });
    table.reduced("name constraints", &["name constraints"], |host, key| {
        let permitted = tlv(0xa0, &[&tlv(0x30, &[&context(2, b"bank.example")])]);
        Parts::plain(host, key).asking(&[&extension("2.5.29.30", &tlv(0x30, &[&permitted]))]).signed(key)
    });
    table.reduced("another revocation list", &["CRL distribution points"], |host, key| {
        let point = tlv(0x30, &[&tlv(0xa0, &[&tlv(0xa0, &[&uri()])])]);
        Parts::plain(host, key).asking(&[&extension("2.5.29.31", &tlv(0x30, &[&point]))]).signed(key)
    });
    table.reduced("another OCSP responder", &["authority information access"], |host, key| {
        let access = tlv(0x30, &[&oid("1.3.6.1.5.5.7.48.1"), &uri()]);
        let value = tlv(0x30, &[&access]);
        Parts::plain(host, key).asking(&[&extension("1.3.6.1.5.5.7.1.1", &value)]).signed(key)
    });
    table.reduced(
        "key identifiers",
        &["a subject key identifier", "an authority key identifier"],
        |host, key| {
            let subject = extension("2.5.29.14", &tlv(4, &[&[7; 20]]));
            let authority = extension("2.5.29.35", &tlv(0x30, &[&context(0, &[7; 20])]));
            Parts::plain(host, key).asking(&[&subject, &authority]).signed(key)
        },
    );
    table.reduced("policies", &["certificate policies"], |host, key| {
        let policies = tlv(0x30, &[&tlv(0x30, &[&oid("2.23.140.1.1")])]);
        Parts::plain(host, key).asking(&[&extension("2.5.29.32", &policies)]).signed(key)
    });
    table.reduced("an extension that nobody knows", &["1.2.3.4"], |host, key| {
        Parts::plain(host, key).asking(&[&extension("1.2.3.4", b"anything")]).signed(key)
    });
    table.reduced("a password", &[], |host, key| {
        let password = tlv(0x30, &[&oid("1.2.840.113549.1.9.7"), &tlv(0x31, &[&tlv(0x0c, &[b"secret"])])]);
        Parts::plain(host, key).with(&[&password]).signed(key)
    });
    table.reduced("no purposes at all", &["extended key usage"], |host, key| {
        Parts::plain(host, key).asking(&[&extension("2.5.29.37", &[0x30, 0])]).signed(key)
    });
    table.reduced("no usages at all", &["key usage"], |host, key| {
        Parts::plain(host, key).asking(&[&extension("2.5.29.15", &[3, 1, 0])]).signed(key)
    });
    table.reduced("rubbish for usages", &["key usage", "basic constraints"], |host, key| {
        let usage = extension("2.5.29.15", b"rubbish");
        Parts::plain(host, key).asking(&[&usage, &extension("2.5.29.19", b"")]).signed(key)
    });
    table.refused("no names at all", "empty list of names", |host, key| {
        Parts::plain(host, key).asking(&[&extension("2.5.29.17", &[0x30, 0])]).signed(key)
    });
    table.refused("rubbish for names", "expected a list of names", |host, key| {
        Parts::plain(host, key).asking(&[&extension("2.5.29.17", b"rubbish")]).signed(key)
    });
    table.refused("a list of no extensions", "empty list of extensions", |host, key| {
        Parts::plain(host, key).asking(&[]).signed(key)
    });
    table.refused("an attribute without values", "truncated value", |host, key| {
        let empty = tlv(0x30, &[&oid("1.2.840.113549.1.9.14"), &[0x31, 0]]);
        Parts::plain(host, key).with(&[&empty]).signed(key)
    });
    table.refused("an attribute of nothing", "truncated value", |host, key| {
        Parts::plain(host, key).with(&[&[0x30, 0]]).signed(key)
    });
    table.reduced("no attributes, as old units leave them out", &[], |host, key| {
        Parts { attributes: Vec::new(), ..Parts::plain(host, key) }.signed(key)
    });
}

/// Names that a server may not have; a phone's come from the operator, and what a request says is only told (CA B4, group D).
fn names(table: &mut Table) {
    let told: Verdict = Reduced(&["the subject"]);
    let subject = |text: Vec<u8>| {
        move |host: &str, key: &Key| {
            Parts { subject: name("2.5.4.3", &text), ..Parts::plain(host, key) }.signed(key)
        }
    };
    let refused = "asks for a name that cannot be given";
    table.add("a NUL in the name", told, Refused(refused), subject(b"h.example.com\0.evil.example".to_vec()));
    table.add("an escape in the name", told, Refused(refused), subject(b"h.example.com\x1b[2J\x07".to_vec()));
    table.add(
        "a line feed in the name",
        told,
        Refused(refused),
        subject(b"h.example.com\nerror: all is well".to_vec()),
    );
    table.add(
        "a name that turns the writing round",
        told,
        Refused(refused),
        subject("h\u{202e}moc.example".into()),
    );
    table.add("a name of another script", told, Refused(refused), subject("h\u{435}.example.com".into()));
    table.add(
        "65 characters",
        told,
        Refused("64 are allowed"),
        subject(format!("{}.example.com", "a".repeat(53)).into_bytes()),
    );
    table.add(
        "a label of 64 characters",
        told,
        Refused(refused),
        subject(format!("{}.com", "a".repeat(64)).into_bytes()),
    );
    table.add("ten thousand characters", told, Refused(refused), subject(vec![b'a'; 10_000]));
    table.add("an empty name", told, Refused(refused), subject(Vec::new()));
    table.add("a wildcard", told, Refused(refused), subject(b"*.example.com".to_vec()));
    table.add("no subject", Reduced(&[]), Refused("names no host"), |host, key| {
        Parts { subject: vec![0x30, 0], ..Parts::plain(host, key) }.signed(key)
    });
    table.add("what is no UTF-8 in a name", told, Refused("it is no text"), subject(vec![0xff, 0xfe, 0x80]));
    table.refused("an RDN of nothing", "empty relative distinguished name", |host, key| {
        Parts { subject: tlv(0x30, &[&[0x31, 0]]), ..Parts::plain(host, key) }.signed(key)
    });
    table.add(
        "an alternative name with a NUL",
        Reduced(&[]),
        Refused("only letters, digits and hyphens"),
        |host, key| {
            let names = tlv(0x30, &[&tlv(0x82, &[b"a.example.com\0.evil.example"])]);
            Parts::plain(host, key).asking(&[&extension("2.5.29.17", &names)]).signed(key)
        },
    );
}

/// Keys on curves (CA B6, R1).
fn curves(table: &mut Table) {
    const P256: &str = "1.2.840.10045.3.1.7";
    let with = |point: Vec<u8>| {
        move |host: &str, key: &Key| {
            Parts { public_key: point_on(P256, &point), ..Parts::plain(host, key) }.signed(key)
        }
    };
    let off = "its point is not on its curve";
    table.refused("a point that is not on the curve", off, with([&[4][..], &[7; 64]].concat()));
    table.refused("the point nought", off, with([&[4][..], &[0; 64]].concat()));
    table.refused("the point at infinity", "its point is the point at infinity", with(vec![0]));
    table.refused("no point at all", "invalid point of an elliptic curve", with(Vec::new()));
    table.refused("half a point", "invalid point of an elliptic curve", with([&[4][..], &[7; 32]].concat()));
    table.refused("a compressed point", "compressed", |host, key| {
        let whole = key.public();
        let (x, y) = (&whole[27..59], whole[90]);
        let public_key = point_on(P256, &[&[2 + (y & 1)], x].concat());
        Parts { public_key, ..Parts::plain(host, key) }.signed(key)
    });
    table.refused("a curve given by its numbers", "its curve is given by its numbers", |host, key| {
        let point = key.public()[26..].to_vec();
        let numbers = tlv(0x30, &[&[2, 1, 1]]);
        let public_key = tlv(0x30, &[&tlv(0x30, &[&oid("1.2.840.10045.2.1"), &numbers]), &bits(&point)]);
        Parts { public_key, ..Parts::plain(host, key) }.signed(key)
    });
    for (name, reason, kind) in [
        ("a key on secp256k1", "its curve is secp256k1", "EC:secp256k1"),
        ("a key on P-521", "its curve is P-521", "EC:P-521"),
        ("an Ed25519 key", "neither RSA nor ECDSA", "ED25519"),
    ] {
        table.refused(name, reason, |host, _| of_openssl(None, kind, host, &[]));
    }
    table.reduced("R1: a key on P-256 and SHA-384", &[], |host, key| {
        of_openssl(Some(key), "", host, &["-sha384"])
    });
    table.reduced("R1: a key on P-384 and SHA-256", &[], |host, _| {
        of_openssl(None, "EC:P-384", host, &["-sha256"])
    });
}

/// Signatures that anyone can forge (CA B5).
fn hashes(table: &mut Table) {
    table.refused("ECDSA with SHA-1", "signed with SHA-1", |host, key| {
        of_openssl(Some(key), "", host, &["-sha1"])
    });
    for (name, reason, options) in [
        ("RSA with SHA-1", "signed with SHA-1", &["-sha1"][..]),
        ("RSA with MD5", "signed with MD5", &["-md5"]),
        (
            "RSA-PSS with SHA-1",
            "signed with SHA-1",
            &["-sha1", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"],
        ),
        (
            "RSA-PSS with more salt than usual",
            "with RSA-PSS and 222 octets of salt, which is not verified: 32 are usual",
            &["-sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:max"],
        ),
        (
            "RSA-PSS with no salt",
            "with RSA-PSS and 0 octets of salt, which is not verified: 64 are usual",
            &["-sha512", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:0"],
        ),
    ] {
        table.refused(name, reason, |host, _| of_openssl(None, "RSA:2048", host, options));
    }
    let pss = ["-sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"];
    table.reduced("a key for everything, signed with RSA-PSS", &[], |host, _| {
        of_openssl(None, "RSA:2048", host, &pss)
    });
    table.refused("a key for RSA-PSS alone", "for RSA-PSS alone", |host, _| {
        of_openssl(None, "RSA-PSS:2048", host, &["-sha256"])
    });
}

/// RSA keys that others can compute, all like the one that is accepted but for one thing (CA B6, R16).
fn rsa(table: &mut Table) {
    let (p, q) = primes(2048);
    let one = num_bigint::BigUint::from(1_u32);
    table.rsa("a good RSA key", Reduced(&[]), Rsa::of(&p, &q, 65_537));
    table.rsa("R16: the exponent 3", Refused("exponent is 3,"), Rsa::of(&p, &q, 3));
    table.rsa("the exponent 1", Refused("exponent is 1,"), Rsa::of(&p, &q, 1));
    table.rsa("an even exponent", Refused("exponent is 65538, an even number"), Rsa::of(&p, &q, 65_538));
    table.rsa("the exponent nought", Refused("exponent is 0, an even number"), Rsa::of(&p, &q, 0));
    let two = num_bigint::BigUint::from(2_u32);
    table.rsa(
        "an even modulus",
        Refused("divisible by 2"),
        Rsa::of(&two, &((&one << 2046_u32) + &p), 65_537),
    );
    let (short, other) = primes(1024);
    table.rsa("1024 bits", Refused("has 1024 bits"), Rsa::of(&short, &other, 65_537));
    let long = next_prime(&((&one << 2037_u32) + &p));
    let small = num_bigint::BigUint::from(751_u32) * 2_u32;
    let long =
        if (&long * 751_u32).bits() == 2048 { long } else { next_prime(&((&one << 2048_u32) / &small + &p)) };
    let factor = num_bigint::BigUint::from(751_u32);
    table.rsa("a small factor", Refused("divisible by 751"), Rsa::of(&factor, &long, 65_537));
    table.rsa(
        "two primes next to each other",
        Refused("Fermat"),
        Rsa::of(&p, &next_prime(&(&p + 2_u32)), 65_537),
    );
    let (weak, other) = (roca_prime(&p), roca_prime(&q));
    table.rsa("a key of the broken generator of 2017", Refused("ROCA"), Rsa::of(&weak, &other, 65_537));
}

/// A request that OpenSSL makes, with this key or a new one of this kind, DER.
fn of_openssl(key: Option<&Key>, kind: &str, host: &str, options: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output = Command::new("openssl").current_dir(folder.path()).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    match (key, kind.split_once(':')) {
        #[expect(clippy::disallowed_methods, reason = "an input of the test, written before anyone reads it")]
        (Some(key), _) => std::fs::write(folder.path().join("key"), key.private()).unwrap(),
        (None, Some(("EC", curve))) => {
            let curve = format!("ec_paramgen_curve:{curve}");
            run(&["genpkey", "-algorithm", "EC", "-pkeyopt", &curve, "-out", "key"]);
        }
        (None, Some((algorithm, size))) => {
            let size = format!("rsa_keygen_bits:{size}");
            run(&["genpkey", "-algorithm", algorithm, "-pkeyopt", &size, "-out", "key"]);
        }
        (None, None) => {
            run(&["genpkey", "-algorithm", kind, "-out", "key"]);
        }
    }
    let subject = format!("/CN={host}");
    run(&[&["req", "-new", "-key", "key", "-outform", "DER", "-subj", &subject], options].concat())
}
