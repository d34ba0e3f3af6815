//! The page for people, in a real Chromium: what it shows is what the database holds, on a telephone too, whatever phones say.

mod fleet;
mod million;

use std::{fs, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use gateway::audit::{
    AuditDatabase, DatabaseUrl,
    entry::{Outcome, Subject},
    query::{By, DevicesBy, Filter},
};
use harness::{
    admin::{self, TOKEN, ask},
    browser::{Browser, Scheme},
    expect::{all_present, eventually, now},
    gateway::{Gateway, Scene, phone_template},
    pki::Template,
};
use policies::{MacAddress, Reason};
use serde_json::Value;

use fleet::{HOSTILE, Story};

use crate::verdict::{admitted, answered, refused};

/// Every page, with what a person would look for on it.
const PAGES: [(&str, &str); 9] = [
    ("/?since=24h", "fleet"),
    ("/?since=30d", "month"),
    ("/device/000e08abcd01", "phone"),
    ("/device/000e08abcdee", "hostile"),
    ("/records?outcome=refused", "records"),
    ("/reasons/expired", "reason"),
    ("/expiring?within=365d", "expiring"),
    ("/changes", "changes"),
    ("/live", "live"),
];

fn scene() -> Scene {
    let mut scene = Scene::new();
    scene.folder.write_private("admin.token", TOKEN);
    scene.config.tables.push(format!("{}\ndatabase = \"sqlite:audit.db\"", admin::table()));
    scene
}

fn database(scene: &Scene) -> AuditDatabase {
    AuditDatabase::open(&DatabaseUrl::parse("sqlite:audit.db", scene.folder.path()).unwrap()).unwrap()
}

fn at(gateway: &Gateway, path: &str) -> String {
    format!("http://{}{path}", gateway.admin.expect("an admin listener"))
}

/// Signs in as a person does.
fn sign_in(browser: &Browser, gateway: &Gateway) {
    browser.open(&at(gateway, "/"));
    assert!(browser.url().ends_with("/login"), "{}", browser.url());
    browser.type_into("#token", &format!("{TOKEN}\n"));
    eventually("the first page", || browser.url().ends_with(&at(gateway, "/")).then_some(()));
}

/// The numbers in the cells of a table, row by row: what stands first, then each number.
fn rows(browser: &Browser, table: &str) -> Vec<(String, Vec<u64>)> {
    let script = format!(
        "return [...document.querySelectorAll('{table} tbody tr')].map(row => [row.querySelector('th').textContent.trim(), \
         [...row.querySelectorAll('td data')].map(cell => Number(cell.value))])"
    );
    serde_json::from_value(browser.run(&script)).unwrap()
}

#[test]
fn what_the_page_shows_is_what_the_database_holds() {
    let test = "what_the_page_shows_is_what_the_database_holds";
    if !all_present(test, &Browser::PEERS) {
        return;
    }
    let scene = scene();
    let mut database = database(&scene);
    Story::write(&mut database);
    let gateway = scene.start();
    let browser = Browser::start();
    sign_in(&browser, &gateway);

    let since = Story::hours_ago(23);
    let mut count = |subject, outcome: Outcome| -> u64 {
        let tallies = database.summary(By::All, subject, Some(since)).unwrap();
        tallies.iter().filter(|tally| tally.outcome == outcome).map(|tally| tally.count).sum()
    };
    for (chart, subject) in [("connections", Subject::Connection), ("requests", Subject::Request)] {
        let shown = rows(&browser, &format!("#{chart}-table"));
        let (name, sums) = shown.last().unwrap();
        let held =
            [Outcome::Served, Outcome::Refused, Outcome::Failed].map(|outcome| count(subject, outcome));
        assert_eq!((name.as_str(), sums.as_slice()), ("all", &held[..]), "{chart}");
        assert!(held.iter().take(2).all(|count| *count > 0), "a chart of nothing proves nothing: {held:?}");
        assert!(shown.len() > 20, "hour by hour");
    }
    let tables = [By::Reason, By::Version, By::Suite, By::Exception, By::Product, By::Issuer, By::Rule];
    for by in tables {
        let mut held = std::collections::BTreeMap::<String, Vec<u64>>::new();
        for (column, subject) in [Subject::Connection, Subject::Request].into_iter().enumerate() {
            for tally in database.summary(by, subject, Some(since)).unwrap() {
                held.entry(tally.value).or_insert_with(|| vec![0, 0])[column] += tally.count;
            }
        }
        let shown = rows(&browser, &format!("#by-{}", by.as_str()));
        assert!(!shown.is_empty(), "{by:?}");
        assert_eq!(shown.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(), held, "{by:?}");
        let sums: Vec<u64> = shown.iter().map(|(_, counts)| counts.iter().sum()).collect();
        assert!(sums.is_sorted_by(|a, b| a >= b), "the most frequent first: {sums:?}");
    }
    let held: u64 = database.expiry_by_month().unwrap().iter().map(|month| month.devices).sum();
    let shown: u64 = rows(&browser, "#expiry-table").last().unwrap().1.iter().sum();
    assert_eq!(shown, held);

    // A reason's count leads to its records, and its name to what it means.
    browser.click("#by-reason tbody tr td a");
    let first = rows_of_reason(&database_counts(&mut database, since));
    assert!(browser.url().contains(&format!("reason={first}")), "{}", browser.url());
    let listed = browser.run("return document.querySelectorAll('li.record').length").as_u64().unwrap();
    let reason = Reason::from_code(&first).unwrap();
    let filter = Filter { reason: Some(reason), since: Some(since), ..Filter::default() };
    let held = database.records(&filter, 1000).unwrap().len();
    assert_eq!(listed, u64::try_from(held.min(50)).unwrap());
    browser.click("main p a");
    assert!(browser.url().ends_with(&format!("/reasons/{first}")));
    assert!(browser.text("main").contains(&reason.remedy().replace('`', "")), "code is shown as code");

    assert_eq!(browser.console(), Vec::<String>::new());
    let ours = at(&gateway, "/");
    // The browser's own first page, before ours, is not counted.
    let elsewhere: Vec<_> = browser
        .requests()
        .into_iter()
        .filter(|url| !url.starts_with(&ours) && !url.starts_with("chrome:") && !url.starts_with("data:"))
        .collect();
    assert_eq!(elsewhere, Vec::<String>::new(), "nothing is fetched from elsewhere");
}

fn database_counts(
    database: &mut AuditDatabase,
    since: gateway::audit::moment::Moment,
) -> Vec<(String, u64)> {
    let mut sums = std::collections::BTreeMap::<String, u64>::new();
    for subject in [Subject::Connection, Subject::Request] {
        for tally in database.summary(By::Reason, subject, Some(since)).unwrap() {
            *sums.entry(tally.value).or_default() += tally.count;
        }
    }
    sums.into_iter().collect()
}

fn rows_of_reason(sums: &[(String, u64)]) -> String {
    sums.iter().max_by_key(|(_, count)| *count).unwrap().0.clone()
}

#[test]
fn a_phone_is_found_by_any_spelling_and_its_story_is_told_newest_first() {
    let test = "a_phone_is_found_by_any_spelling_and_its_story_is_told_newest_first";
    if !all_present(test, &Browser::PEERS) {
        return;
    }
    let scene = scene();
    let mut database = database(&scene);
    Story::write(&mut database);
    let gateway = scene.start();
    let browser = Browser::start();
    sign_in(&browser, &gateway);
    for typed in
        ["000E08ABCD01", "00:0e:08:ab:cd:01", "00-0E-08-AB-CD-01", "000e.08ab.cd01", "FCH0001", "abcd01"]
    {
        browser.type_into("#q", &format!("{typed}\n"));
        eventually("the phone's page", || browser.url().ends_with("/device/000e08abcd01").then_some(()));
        browser.open(&at(&gateway, "/reasons"));
    }
    browser.open(&at(&gateway, "/device/000e08abcd01"));
    let mac = MacAddress::parse("000e08abcd01").unwrap();
    let held = database.device(mac).unwrap().unwrap();
    let total = browser.run("return Number(document.querySelector('#total data').value)").as_u64();
    assert_eq!(total, Some(held.records));
    assert!(browser.text("main").contains(held.user_agent.as_deref().unwrap()));
    let all = database.records(&Filter { mac: Some(mac), ..Filter::default() }, 10_000).unwrap();
    assert!(all.len() > 60, "more than one page");
    let mut seen: Vec<i64> = Vec::new();
    loop {
        let ids = browser
            .run("return [...document.querySelectorAll('li.record')].map(one => Number(one.dataset.id))");
        seen.extend(serde_json::from_value::<Vec<i64>>(ids).unwrap());
        if browser.run("return document.querySelector('a[rel=next]') === null") == Value::Bool(true) {
            break;
        }
        browser.click("a[rel=next]");
    }
    assert_eq!(seen, all.iter().map(|record| record.id.number()).collect::<Vec<_>>());

    browser.open(&at(&gateway, "/device/000e08abcd01"));
    let text = browser.text("main");
    assert!(text.contains("The phone says: the resync from https://prov.example.com:443/000e08abcd01.cfg failed: TCP connection timeout."), "{text}");
    assert_eq!(browser.run("return document.querySelectorAll('.mark.said').length"), 3);

    // A request by the identifier on the page that refused it.
    let refused = all.iter().find_map(|record| record.entry().unwrap().request).unwrap();
    browser.type_into("#q", &format!("{refused}\n"));
    eventually("the request", || browser.url().contains("/search").then_some(()));
    assert_eq!(browser.run("return document.querySelectorAll('li.record').length"), 1);
    assert!(
        browser.run("return document.querySelector('pre').textContent").as_str().unwrap().contains(&refused)
    );

    // What is only claimed is told apart, and a renewal does not alarm.
    browser.open(&at(&gateway, "/device/000e08abcd02"));
    assert_eq!(browser.run("return document.querySelectorAll('.flags .alarm').length"), 0);
    assert!(browser.text(".flags .normal").contains("Renewed, which is normal"));
    browser.open(&at(&gateway, "/device/000e08abcd03"));
    assert!(browser.text(".flags").contains("two phones may have this identity"), "{}", browser.text("main"));
    assert!(browser.text(".flags").contains("Many networks"));
    assert!(browser.text(".flags").contains("Another phone's name"));
    browser.open(&at(&gateway, "/device/000e08abcdfe"));
    assert!(browser.text("main").contains("never proven itself"), "{}", browser.text("main"));
    browser.open(&at(&gateway, "/device/000e08ffffff"));
    assert!(browser.text("main").contains("Nothing was ever recorded"));
    assert!(database.devices(None, DevicesBy::LastSeen, 1000).unwrap().len() > 40);
}

#[test]
fn sec_65_what_phones_say_stays_text_on_every_page() {
    let test = "sec_65_what_phones_say_stays_text_on_every_page";
    if !all_present(test, &Browser::PEERS) {
        return;
    }
    let scene = scene();
    let mut database = database(&scene);
    Story::write(&mut database);
    Story::write_hostile(&mut database);
    let gateway = scene.start();
    let browser = Browser::start();
    sign_in(&browser, &gateway);
    let mut shown = String::new();
    for (path, _) in PAGES.into_iter().chain([("/search?q=%3Cscript%3Ealert(1)%3C/script%3E", "search")]) {
        let text = admin::get(gateway.admin.unwrap(), path);
        assert_eq!(text.status, 200, "{path}");
        for wrong in ['\u{202e}', '\u{0}', '\u{1b}', '\u{7}', '\u{200b}'] {
            assert!(!text.body.contains(wrong), "{path} has {wrong:?}");
        }
        browser.open(&at(&gateway, path));
        let scripts = u64::from(path == "/live");
        let found = browser.run(
            "return [document.scripts.length, document.querySelectorAll('img, b, iframe, [onload], [onerror]').length, \
             document.title.includes('pwned'), Math.max(0, ...[...document.querySelectorAll('bdi')].map(one => one.textContent.length))]",
        );
        assert_eq!(found[0], scripts, "{path}");
        assert_eq!(found[1], 0, "{path}");
        assert_eq!(found[2], false, "{path}");
        assert!(found[3].as_u64().unwrap() < 400, "{path}: a text of 10 kB is cut");
        shown.push_str(&browser.text("main"));
        assert_eq!(browser.console(), Vec::<String>::new(), "{path}");
    }
    for hostile in HOSTILE {
        let begins: String = hostile.chars().take(12).take_while(char::is_ascii).collect();
        assert!(shown.contains(&begins), "{begins}");
    }
}

#[test]
fn every_page_fits_a_telephone_and_reads_well_in_light_and_dark() {
    let test = "every_page_fits_a_telephone_and_reads_well_in_light_and_dark";
    if !all_present(test, &Browser::PEERS) {
        return;
    }
    let scene = scene();
    let mut database = database(&scene);
    Story::write(&mut database);
    Story::write_hostile(&mut database);
    let gateway = scene.start();
    let browser = Browser::start();
    sign_in(&browser, &gateway);
    for (width, scheme, looks) in [
        (360, Scheme::Light, "phone-light"),
        (360, Scheme::Dark, "phone-dark"),
        (1280, Scheme::Light, "desk-light"),
        (1280, Scheme::Dark, "desk-dark"),
    ] {
        browser.looks(width, scheme);
        for (path, name) in PAGES {
            browser.open(&at(&gateway, path));
            let wide = browser.run("return document.documentElement.scrollWidth").as_u64().unwrap();
            assert!(wide <= u64::from(width), "{path} is {wide} wide at {width}");
            let faults = browser.run(CHECKS);
            assert_eq!(faults, serde_json::json!([]), "{path} {looks}");
            keep_picture(&browser, &format!("{name}-{looks}"));
        }
        browser.open(&at(&gateway, "/login"));
        assert_eq!(browser.run(CHECKS), serde_json::json!([]), "/login {looks}");
        keep_picture(&browser, &format!("login-{looks}"));
    }
    assert_eq!(browser.console(), Vec::<String>::new());
}

/// What an ear or an eye would miss: headings, captions and labels, and the contrast of each text with what is behind it
/// (WCAG 2.2, 1.3.1, 1.4.3, 4.1.2).
const CHECKS: &str = r#"
    const faults = [];
    const say = (what, one) => faults.push(what + ': ' + one.outerHTML.slice(0, 120));
    if (document.documentElement.lang !== 'en') faults.push('no language');
    if (document.querySelectorAll('h1').length !== 1) faults.push('not one h1');
    let level = 1;
    for (const heading of document.querySelectorAll('h1, h2, h3')) {
        const next = Number(heading.tagName[1]);
        if (next > level + 1) say('skipped a heading level', heading);
        level = next;
    }
    for (const table of document.querySelectorAll('table')) {
        if (!table.caption) say('no caption', table);
        if (table.querySelector('th:not([scope])')) say('a th without scope', table);
    }
    for (const field of document.querySelectorAll('input:not([hidden]), select')) if (!field.labels.length) say('no label', field);
    for (const chart of document.querySelectorAll('svg')) {
        const named = (chart.getAttribute('aria-labelledby') || '').split(' ').every(id => document.getElementById(id)?.textContent.trim());
        if (chart.getAttribute('aria-hidden') !== 'true' && !(chart.getAttribute('role') === 'img' && named)) say('a chart without name', chart);
    }
    const ids = [...document.querySelectorAll('[id]')].map(one => one.id);
    if (new Set(ids).size !== ids.length) faults.push('an id is there twice: ' + ids);
    const parse = (text) => (text.match(/[\d.]+/g) || []).map(Number);
    const luminance = ([r, g, b]) => [r, g, b].map(part => part / 255)
        .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
        .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
    const behind = (one) => {
        for (; one; one = one.parentElement) {
            const colour = parse(getComputedStyle(one).backgroundColor);
            if (colour.length === 3 || colour[3] === 1) return colour;
        }
        return [255, 255, 255];
    };
    const ratio = (a, b) => { const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
    for (const one of document.querySelectorAll('body *')) {
        const style = getComputedStyle(one);
        const shows = [...one.childNodes].some(node => node.nodeType === 3 && node.textContent.trim()) && one.getClientRects().length;
        if (shows) {
            const colour = parse(one.closest('svg') ? style.fill : style.color);
            const found = ratio(colour, behind(one));
            if (found < 4.5) say('contrast ' + found.toFixed(2), one);
        }
        if (one.tagName === 'rect' && !one.classList.contains('room') && style.fill !== 'none') {
            const found = ratio(parse(style.fill), behind(one));
            if (found < 3) say('contrast of a chart ' + found.toFixed(2), one);
        }
    }
    return faults.slice(0, 5);
"#;

/// For a person to look at: `PROVISION_PICTURES=/tmp/pictures cargo test … every_page_fits`.
fn keep_picture(browser: &Browser, name: &str) {
    let Some(folder) = std::env::var_os("PROVISION_PICTURES") else { return };
    fs::create_dir_all(&folder).unwrap();
    let bytes = STANDARD.decode(browser.picture()).unwrap();
    #[expect(clippy::disallowed_methods, reason = "nobody reads it while it is written")]
    fs::write(Path::new(&folder).join(format!("{name}.png")), bytes).unwrap();
}

#[test]
fn the_live_tail_shows_new_records_with_and_without_scripts() {
    let test = "the_live_tail_shows_new_records_with_and_without_scripts";
    if !all_present(test, &Browser::PEERS) {
        return;
    }
    let scene = scene();
    let mut database = database(&scene);
    Story::write(&mut database);
    let gateway = scene.start();
    let browser = Browser::start();
    sign_in(&browser, &gateway);
    let first = "return document.querySelector('li.record').textContent";
    browser.open(&at(&gateway, "/live"));
    browser.run("document.body.dataset.mark = 'the same page'");
    Story::append(
        &mut database,
        2,
        r#""event":"connection","peer":"192.0.2.99:1","decision":"deny","reason":"revoked","detail":"<i>new</i>""#,
    );
    eventually("the new record", || {
        browser.run(first).as_str().unwrap().contains("192.0.2.99").then_some(())
    });
    assert_eq!(browser.run("return document.body.dataset.mark"), "the same page");
    assert!(browser.run(first).as_str().unwrap().contains("<i>new</i>"));

    browser.set_scripting(false);
    browser.open(&at(&gateway, "/live?outcome=refused"));
    Story::append(
        &mut database,
        3,
        r#""event":"connection","peer":"192.0.2.100:1","decision":"deny","reason":"expired""#,
    );
    eventually("the next record", || browser.text("main").contains("192.0.2.100").then_some(()));
    assert_eq!(browser.console(), Vec::<String>::new());
}

#[test]
fn what_happens_now_is_on_the_pages_a_moment_later() {
    let mut scene = Scene::new();
    scene.folder.write_private("admin.token", TOKEN);
    scene.config.tables.push(admin::table());
    // The pages are drawn from the database that the gateway itself writes.
    scene.config.audit.push_str("\n[[audit.sink]]\nkind = \"database\"\nurl = \"sqlite:audit.db\"\n");
    let gateway = scene.start();
    let admin = gateway.admin.unwrap();
    admitted(&gateway, &scene.client(&gateway, &scene.phone()));
    answered(&gateway, &scene.client(&gateway, &scene.phone()), "/000e08abcdf0.cfg", 403);
    let expired = scene.client_authority.issue(&Template { not_after: now() - 60, ..phone_template() });
    refused(&gateway, &scene.client(&gateway, &expired), Reason::Expired);
    let page = eventually("the three records", || {
        let page = admin::get(admin, "/device/000e08abcdef").body;
        (page.contains("/000e08abcdf0.cfg") && page.contains("/reasons/expired")).then_some(page)
    });
    assert!(page.contains("was answered with 200") && page.contains("was refused with 403"), "{page}");
    assert!(page.contains("Not proven"), "the refused certificate is only a claim");
    let listed = admin::get(admin, "/records?reason=expired&since=24h").body;
    assert_eq!(listed.matches("<li class=\"record").count(), 1, "{listed}");
    assert_eq!(admin::get(admin, "/live").body.matches("<li class=\"record refused").count(), 2);
}

#[test]
fn without_a_database_the_page_says_what_to_add_and_with_one_that_is_away_why() {
    let mut scene = Scene::new();
    scene.folder.write_private("admin.token", TOKEN);
    scene.config.tables.push(admin::table());
    let mut gateway = scene.start();
    let admin = gateway.admin.unwrap();
    for path in ["/", "/records", "/device/000e08abcdef", "/search?q=abc", "/live", "/expiring", "/changes"] {
        let shown = admin::get(admin, path);
        assert_eq!(shown.status, 200, "{path}");
        assert!(shown.body.contains("kind = &quot;database&quot;"), "{path}: {}", shown.body);
    }
    assert!(
        admin::get(admin, "/reasons/expired").body.contains(Reason::Expired.meaning()),
        "which needs none"
    );

    scene.config.tables = vec![format!("{}\ndatabase = \"sqlite:audit.db\"", admin::table())];
    scene.write_config();
    gateway.reload();
    let away = admin::get(admin, "/");
    assert_eq!(away.status, 503);
    assert!(
        away.body.contains("cannot be opened") && away.body.contains("has not started with it"),
        "{}",
        away.body
    );
    Story::write(&mut database(&scene));
    assert_eq!(admin::get(admin, "/").status, 200, "as soon as it is there");
}

#[test]
fn addresses_that_lead_nowhere_say_so_and_pages_need_the_token() {
    let scene = scene();
    Story::write(&mut database(&scene));
    let gateway = scene.start();
    let admin = gateway.admin.unwrap();
    for (path, status) in [
        ("/records?reason=expierd", 400),
        ("/records?peer=somewhere", 400),
        ("/records?since=ever", 400),
        ("/?since=%00", 400),
        ("/device/xyz", 400),
        ("/device/000e08abcd01?before=x", 400),
        ("/live/records", 400),
        ("/reasons/nothing", 400),
        ("/device/000e08000000", 404),
        ("/nothing", 404),
        ("/records?reason=expired&unknown=1", 200),
    ] {
        assert_eq!(admin::get(admin, path).status, status, "{path}");
    }
    for (path, _) in PAGES {
        let shut = ask(admin, &format!("GET {path}"), &[], "");
        assert_eq!(shut.status, 401, "{path}");
        let form = ask(admin, &format!("GET {path}"), &["Accept: text/html"], "");
        assert_eq!((form.status, form.field("location")), (303, Some("/login")), "{path}");
        assert!(!shut.body.contains("000e08"), "{path}");
    }
    assert_eq!(ask(admin, "GET /live/records?after=1", &[], "").status, 401);
    for open in ["/style.css", "/icon.svg"] {
        assert_eq!(ask(admin, &format!("GET {open}"), &[], "").status, 200, "{open}");
    }
    let policy = admin::get(admin, "/");
    let policy = policy.field("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
}
