//! What every page has: its frame, the way to the others, and the words where there is nothing to show.

use maud::{DOCTYPE, Markup, html};

use super::text::{Plain, Told};
use crate::admin::archive::Away;
use crate::audit::{DatabaseError, DatabaseUrl};
use crate::config::certificates::Causes;

/// Seconds after which a page asks for itself anew where it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refresh {
    /// It stays as it is.
    Never,
    /// The live tail: by its script, or where there is none by the browser.
    Live,
}

const PAGES: [(&str, &str); 6] = [
    ("/", "Fleet"),
    ("/records", "Records"),
    ("/live", "Live"),
    ("/reasons", "Reasons"),
    ("/expiring", "Expiring"),
    ("/changes", "Changes"),
];

/// A whole page: `here` is its place among the others, `asked` what the search field holds.
pub(super) fn page(title: &str, here: &str, asked: &str, refresh: Refresh, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (Plain(title)) " – provision-gateway" }
                link rel="stylesheet" href="/style.css";
                link rel="icon" type="image/svg+xml" href="/icon.svg";
                @if refresh == Refresh::Live {
                    noscript { meta http-equiv="refresh" content="5"; }
                    script src="/live.js" defer {}
                }
            }
            body {
                a.skip href="#main" { "To the contents" }
                header {
                    p.name { a href="/" { "provision-gateway" } }
                    nav aria-label="Pages" {
                        ul {
                            @for (address, name) in PAGES {
                                li { a href=(address) aria-current=[(address == here).then_some("page")] { (name) } }
                            }
                        }
                    }
                    form.search role="search" action="/search" {
                        label for="q" { "Find a phone" }
                        input #q name="q" type="search" value=(Plain(asked)) placeholder="MAC, serial, request id"
                            maxlength="100" autocomplete="off" spellcheck="false";
                        button { "Find" }
                    }
                    form.leave method="post" action="/logout" { button.quiet { "Sign out" } }
                }
                main #main { h1 { (Told(title)) } (body) }
                footer { "Times are UTC. This page only shows; it changes nothing." }
            }
        }
    }
}

/// What to write into the configuration, where there is no audit database.
pub(super) fn no_database() -> Markup {
    html! {
        section {
            h2 { "There is no audit database" }
            p { "Charts, search and records come from it. Add these lines to " code { "gateway.toml" } " and reload:" }
            pre { code { (LINES) } }
            p { "Records are kept there from then on, beside the audit file." }
            p { "To look at a database that other gateways write: " code { "database = \"…\"" } " in " code { "[admin]" } "." }
        }
    }
}

/// The lines that make an audit database.
pub(super) const LINES: &str =
    "[[audit.sink]]\nkind = \"database\"\nurl = \"sqlite:audit.db\"\nkeep = \"90d\"\n";

/// Why the database gave no answer, and what to do.
pub(super) fn away(away: &Away, url: &DatabaseUrl) -> Markup {
    let told = Causes(away).to_string();
    let remedy = match away {
        Away::Busy => "It passes by itself.",
        Away::Late => {
            "Ask for less: a shorter period, or one phone. If every page does this, look at the disk or the database server."
        }
        Away::NoReader => "The system is out of threads or memory; see the gateway's log.",
        Away::Database(error) => remedy(error),
    };
    html! {
        section role="alert" {
            h2 { "The audit database does not answer" }
            p { (Told(&told)) "." }
            p { (remedy) }
            p { "It is " code { (Told(&url.to_string())) } ". Phones are served all the same." }
        }
    }
}

fn remedy(error: &DatabaseError) -> &'static str {
    match error {
        DatabaseError::File { .. } => {
            "If the file is not there yet, the gateway that writes it has not started with it; else see who may read it."
        }
        DatabaseError::Newer { .. } => "The gateway that writes it is newer than this one: update this one.",
        DatabaseError::Foreign { .. } | DatabaseError::NotAnAuditDatabase | DatabaseError::Unexpected(_) => {
            "Is it the right one?"
        }
        DatabaseError::Older { .. } => "Start the gateway that writes it once with its new version.",
        DatabaseError::Postgres(_) | DatabaseError::Transfer(_) => {
            "See whether the server runs, and whether this gateway's user may log in and read: psql with the same address tells."
        }
        DatabaseError::Sqlite(_) => "See whether the disk is full, and who may read the file and its folder.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_was_asked_for_gets_out_of_its_place() {
        let hostile = "\"><script>alert(1)</script>\u{202e}";
        let shown = page(hostile, "/", hostile, Refresh::Never, &html! {}).into_string();
        assert!(!shown.contains("<script>"), "{shown}");
        assert!(
            shown.contains("value=\"&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;\\u{202e}\""),
            "{shown}"
        );
        assert!(!shown.contains('\u{202e}'));
        assert!(shown.contains("<title>&quot;&gt;&lt;script&gt;"));
    }

    #[test]
    fn only_the_live_tail_has_a_script_and_asks_again_without_one() {
        let shown = |refresh| page("x", "/live", "", refresh, &html! {}).into_string();
        assert!(!shown(Refresh::Never).contains("script"));
        let live = shown(Refresh::Live);
        assert!(
            live.contains("<script src=\"/live.js\" defer></script>")
                && live.contains("http-equiv=\"refresh\"")
        );
        assert!(live.contains("<a href=\"/live\" aria-current=\"page\">Live</a>"));
    }
}
