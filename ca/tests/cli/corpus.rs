//! Hostile requests, each on every path that takes one: refused with its reason, or reduced to the profile; and beside each a
//! twin that differs in one thing and is accepted (CA group B, R1, R11, R12, R16).

mod cases;
mod keys;
mod request;

use std::collections::BTreeMap;

use certs::{Certificate, CertificationRequest};

use self::cases::{Case, Verdict, cases};
use self::keys::Key;
use self::request::Parts;
use crate::support::{Said, Workplace, openssl_is_here};

/// A store, with the list of blocked keys that some cases need.
fn workplace(cases: &[Case]) -> Workplace {
    let here = Workplace::with_authorities(&[]);
    let blocked: String = cases
        .iter()
        .filter_map(|case| case.blocked.as_ref())
        .map(|spki| format!("{}\n", certs::Fingerprint::of(spki)))
        .collect();
    here.write("blocked", blocked);
    here
}

/// What a refused request must leave as it was.
fn state(here: &Workplace) -> (Vec<String>, i64, i64) {
    let files = here.files("provision-ca").into_iter();
    let files = files.filter(|file| !file.contains("ca.sqlite-") && !file.ends_with("/audit.log"));
    (
        files.collect(),
        here.number("SELECT count(*) FROM certificate"),
        here.number("SELECT count(*) FROM audit"),
    )
}

/// What is wrong with a case; all of them are told together.
type Judged = Result<(), String>;

fn ensure(holds: bool, why: impl FnOnce() -> String) -> Judged {
    if holds { Ok(()) } else { Err(why()) }
}

/// Nothing that steers a terminal reaches the operator's.
fn is_printable(said: &Said) -> Judged {
    let text = format!("{}{}", said.stdout, said.stderr);
    let odd = text.chars().find(|one| one.is_control() && *one != '\n');
    ensure(odd.is_none(), || format!("{odd:?} in {text:?}"))?;
    ensure(text.len() < 16_384, || format!("a message of {} octets", text.len()))?;
    ensure(!text.contains("panicked"), || text.clone())
}

/// The refusal, its reason, and that nothing was left behind.
fn refuses(here: &Workplace, reason: &str, run: impl Fn() -> Said) -> Judged {
    let before = state(here);
    let said = run();
    is_printable(&said)?;
    ensure(said.code == Some(1), || format!("{:?} {}{}", said.code, said.stdout, said.stderr))?;
    ensure(said.stderr.contains(reason), || format!("not {reason:?}: {}", said.stderr))?;
    ensure(state(here) == before, || "a refused request left something behind".to_owned())
}

/// The certificate has the request's key, octet for octet, and nothing that the request asked for (CA B3, B5).
fn is_of_the_profile(here: &Workplace, folder: &str, request: &[u8], plain: &Certificate) -> Judged {
    let certificate = Certificate::parse_pem(here.read(&format!("{folder}/cert.pem"))).unwrap();
    let request = CertificationRequest::parse_file(request).unwrap();
    let same = certificate.public_key().spki_der() == request.public_key().spki_der();
    ensure(same, || "another key".to_owned())?;
    let shape = |one: &Certificate| -> Vec<(String, bool, Vec<u8>)> {
        let own = ["2.5.29.14", "2.5.29.15", "2.5.29.17"]; // of its own key, and its own name
        one.extensions()
            .iter()
            .map(|part| (part.oid.to_string(), part.critical, part.value.to_vec()))
            .map(|(oid, critical, value)| {
                let value = if own.contains(&oid.as_str()) { Vec::new() } else { value };
                (oid, critical, value)
            })
            .collect()
    };
    ensure(shape(&certificate) == shape(plain), || format!("{:?}", shape(&certificate)))?;
    let usage: Vec<_> = certificate.key_usage().unwrap().names().collect();
    let usual = ["digital signature", "key encipherment", "digitalSignature", "keyEncipherment"];
    ensure(usage.iter().all(|one| usual.contains(one)), || format!("{usage:?}"))?;
    let attributes = |one: &Certificate| -> Vec<String> {
        one.subject().attributes().map(|one| one.oid().to_string()).collect()
    };
    ensure(attributes(&certificate) == attributes(plain), || certificate.subject().to_rfc4514())
}

/// One path by which a request comes in.
struct Path {
    /// Whether the twins come by it too.
    with_twins: bool,
    verdict: fn(&Case) -> &Verdict,
    issue: fn(&Workplace, usize, &str) -> Said,
    folder: fn(usize) -> String,
}

impl Path {
    fn judge(&self, here: &Workplace, number: usize, case: &Case, plain: &Certificate) -> Judged {
        here.write("hostile.csr", &case.hostile);
        let issue = || (self.issue)(here, number, "hostile.csr");
        let verdict = (self.verdict)(case);
        match verdict {
            Verdict::Refused(reason) => refuses(here, reason, issue)?,
            Verdict::Reduced(reported) => {
                let said = issue();
                is_printable(&said)?;
                for word in *reported {
                    ensure(said.stderr.contains(word), || format!("no word of {word}: {}", said.stderr))?;
                }
                ensure(said.code == Some(0), || said.stderr.clone())?;
                is_of_the_profile(here, &(self.folder)(number), &case.hostile, plain)?;
            }
        }
        let Some(twin) = case.twin.as_ref().filter(|_| self.with_twins) else { return Ok(()) };
        here.write("twin.csr", twin);
        let number = if matches!(verdict, Verdict::Refused(_)) { number } else { number + cases::TWINS };
        let said = (self.issue)(here, number, "twin.csr");
        ensure(said.code == Some(0), || format!("its twin: {}", said.stderr))?;
        is_of_the_profile(here, &(self.folder)(number), twin, plain)
    }
}

fn by_one_path(path: &Path, test: &str) {
    if !openssl_is_here(test) {
        return;
    }
    let cases = cases();
    let here = workplace(cases);
    // One that asks for nothing but what it is: what all others are measured by.
    let (number, key) = (9000, Key::curve());
    here.write("plain.csr", Parts::plain(&cases::host(number), &key).signed(&key));
    (path.issue)(&here, number, "plain.csr").done();
    let text = here.read(&format!("{}/cert.pem", (path.folder)(number)));
    let plain = Certificate::parse_pem(text).unwrap();
    let mut wrong = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        let judged = path.judge(&here, number, case, &plain);
        wrong.extend(judged.err().map(|why| format!("{}: {why}", case.name)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    here.run(&["store", "check"]).done();
    here.run(&["audit", "verify"]).done();
}

#[test]
fn b1_b9_hostile_requests_of_phones_are_refused_or_reduced() {
    let path = Path {
        with_twins: false, // the list has them
        verdict: |case| &case.device,
        issue: |here, number, file| {
            let (serial, mac) = (format!("FCH{number}"), cases::mac(number));
            let phone =
                ["device", "issue", "--model", "CP-8841-3PCC", "--csr", file, "--key-blocklist", "blocked"];
            here.run(&[&phone[..], &["--serial", &serial, "--mac", &mac]].concat())
        },
        folder: |number| format!("provision-ca/devices/{}", cases::mac(number)),
    };
    by_one_path(&path, "b1_b9_hostile_requests_of_phones_are_refused_or_reduced");
}

#[test]
fn b1_b9_hostile_requests_of_servers_are_refused_or_reduced() {
    let path = Path {
        with_twins: true,
        verdict: |case| &case.server,
        issue: |here, _, file| here.run(&["server", "issue", "--csr", file, "--key-blocklist", "blocked"]),
        folder: |number| format!("provision-ca/server/{}", cases::host(number)),
    };
    by_one_path(&path, "b1_b9_hostile_requests_of_servers_are_refused_or_reduced");
}

#[test]
fn b1_b9_a_list_full_of_hostile_requests_issues_the_good_ones_and_says_why_of_each_other() {
    let test = "b1_b9_a_list_full_of_hostile_requests_issues_the_good_ones_and_says_why_of_each_other";
    if !openssl_is_here(test) {
        return;
    }
    let cases = cases();
    let here = workplace(cases);
    let mut list = "model,serial,mac,csr\n".to_owned();
    let mut expected: BTreeMap<String, Result<&str, &str>> = BTreeMap::new();
    for (number, case) in cases.iter().enumerate() {
        let Case { name, hostile, twin, device, .. } = case;
        let mut add = |number: usize, content: &[u8], outcome: Result<&'static str, &'static str>| {
            let (mac, file) = (cases::mac(number), format!("{number}.csr"));
            here.write(&file, content);
            list.push_str(&format!("CP-8841-3PCC,FCH{number},{mac},{file}\n"));
            expected.insert(mac, outcome);
        };
        add(number, hostile, if let Verdict::Refused(reason) = device { Err(reason) } else { Ok(name) });
        if let Some(twin) = twin {
            add(number + cases::TWINS, twin, Ok(name));
        }
    }
    here.write("devices.csv", list);
    let issue =
        ["device", "issue", "--csv", "devices.csv", "--key-blocklist", "blocked", "--report", "report.csv"];
    let said = here.run(&issue);
    is_printable(&said).unwrap();
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    let report = here.read("report.csv");
    assert!(report.chars().all(|one| one == '\n' || !one.is_control()), "{report:?}");
    let wrong: Vec<&str> = report
        .lines()
        .skip(1)
        .filter(|line| {
            let outcome = expected.iter().find(|(mac, _)| line.contains(mac.as_str())).unwrap().1;
            !match outcome {
                Ok(_) => line.contains(",issued,"),
                Err(reason) => line.contains(",failed,") && line.contains(reason),
            }
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(report.lines().count() - 1, expected.len());
    let good = expected.values().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(here.run(&["list", "kind=device"]).done().lines().count() - 1, good);
    here.run(&["store", "check"]).done();
}

#[test]
fn b7_a_phones_key_belongs_to_one_phone_no_authority_and_no_thief() {
    if !openssl_is_here("b7_a_phones_key_belongs_to_one_phone_no_authority_and_no_thief") {
        return;
    }
    let here = Workplace::with_authorities(&[]);
    let key = Key::curve();
    here.write("phone.csr", Parts::plain("phone", &key).signed(&key));
    let issue = |number: usize, file: &str, more: &[&str]| {
        let (serial, mac) = (format!("FCH{number}"), cases::mac(number));
        let phone = ["device", "issue", "--model", "CP-8841-3PCC", "--csr", file];
        here.run(&[&phone[..], &["--serial", &serial, "--mac", &mac], more].concat())
    };
    issue(1, "phone.csr", &[]).done();
    refuses(&here, "the public key is that of device", || issue(2, "phone.csr", &[])).unwrap();
    let authority = "provision-ca/authorities/client-root/key.pem";
    let ask = ["req", "-new", "-key", authority, "-out", "authority.csr", "-subj", "/CN=phone"];
    here.openssl(&ask).done();
    refuses(&here, "that of authority client-root", || issue(2, "authority.csr", &[])).unwrap();
    here.write("list.csv", format!("model,serial,mac,csr\nCP-8841-3PCC,FCH2,{},phone.csr\n", cases::mac(2)));
    let said = here.run(&["device", "issue", "--csv", "list.csv"]);
    assert!(said.stderr.contains("the public key is that of device"), "{}", said.stderr);
    // The same phone may keep its key, until it was compromised.
    issue(1, "phone.csr", &["--force"]).done();
    here.run(&["revoke", &cases::mac(1), "--reason", "keyCompromise"]).done();
    refuses(&here, "revoked for keyCompromise", || issue(1, "phone.csr", &["--force"])).unwrap();
    let other = Key::curve();
    here.write("other.csr", Parts::plain("phone", &other).signed(&other));
    issue(1, "other.csr", &["--force"]).done();
    // What was begun for another and given up is nobody's: a wrong address that was typed is put right.
    let third = Key::curve();
    here.write("third.csr", Parts::plain("phone", &third).signed(&third));
    issue(3, "third.csr", &[]).done();
    refuses(&here, "the public key is that of device", || issue(4, "third.csr", &[])).unwrap();
    let wrong = cases::mac(3);
    here.change(&format!(
        "UPDATE certificate SET state = 'abandoned', certificate = NULL WHERE name = '{wrong}'"
    ));
    issue(4, "third.csr", &[]).done();
}
