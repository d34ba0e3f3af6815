//! Who may look: the token as a Bearer credential (RFC 6750 §2.1) or, after it was typed into the form once, a cookie.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::{constant_time, digest, hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use certs::Timestamp;
use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE};
use tokio::time::Instant;

use crate::config::Token;

/// The cookie's name.
const COOKIE_NAME: &str = "provision_admin";
/// How long a cookie is good, in seconds: a working day.
const COOKIE_LIFETIME: i64 = 12 * 60 * 60;

/// Wrong tries that an address has in a minute.
const TRIES: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// So many addresses are remembered; where there are more, all are forgotten, but for the one that asks.
const MOST_ADDRESSES: usize = 4096;

/// Judges tokens and cookies. Lives as long as the process, so that a reload loses neither counts nor cookies.
#[derive(Debug)]
pub(super) struct Access {
    /// Seals the cookies of this process.
    secret: [u8; 32],
    tries: Mutex<HashMap<IpAddr, Tries>>,
}

#[derive(Debug, Clone, Copy)]
struct Tries {
    wrong: u32,
    since: Instant,
}

/// What is said of somebody who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Allowed,
    /// A token was shown, and it is not ours.
    Wrong,
    /// No token was shown.
    Unknown,
    /// Too many wrong ones came from there: no token is looked at for so many seconds.
    Wait(u64),
}

impl Access {
    /// # Errors
    /// The system has no random numbers.
    pub(super) fn new() -> Result<Self, aws_lc_rs::error::Unspecified> {
        let mut secret = [0; 32];
        rand::fill(&mut secret)?;
        Ok(Self { secret, tries: Mutex::default() })
    }

    /// Judges a request's fields.
    pub(super) fn judge(&self, token: &Token, fields: &HeaderMap, peer: IpAddr, now: Timestamp) -> Verdict {
        if cookies(fields).any(|value| self.is_ours(token, value, now)) {
            return Verdict::Allowed;
        }
        let mut credentials = fields.get_all(AUTHORIZATION).iter();
        match (credentials.next(), credentials.next()) {
            (None, _) => Verdict::Unknown,
            (Some(one), None) => match one.to_str().ok().and_then(bearer) {
                Some(shown) => self.try_token(token, shown, peer, Instant::now()),
                None => Verdict::Unknown,
            },
            (Some(_), Some(_)) => Verdict::Unknown,
        }
    }

    /// Judges a token that was shown, and counts a wrong one.
    pub(super) fn try_token(&self, token: &Token, shown: &str, peer: IpAddr, now: Instant) -> Verdict {
        let peer = site_of(peer);
        let mut all = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tries) = all.get(&peer) {
            let since = now.saturating_duration_since(tries.since);
            if since >= WINDOW {
                all.remove(&peer);
            } else if tries.wrong >= TRIES {
                return Verdict::Wait((WINDOW - since).as_secs().max(1));
            }
        }
        // Hashed, so that not even the length shows in the time.
        let hash = |text: &str| digest::digest(&digest::SHA256, text.as_bytes());
        let same =
            constant_time::verify_slices_are_equal(hash(shown).as_ref(), hash(token.reveal()).as_ref());
        if same.is_ok() {
            return Verdict::Allowed;
        }
        if all.len() >= MOST_ADDRESSES {
            all.retain(|_, tries| now.saturating_duration_since(tries.since) < WINDOW);
            if all.len() >= MOST_ADDRESSES {
                all.clear();
            }
        }
        all.entry(peer).or_insert(Tries { wrong: 0, since: now }).wrong += 1;
        Verdict::Wrong
    }

    /// The `Set-Cookie` value for somebody who has shown the token (RFC 6265 §4.1).
    pub(super) fn cookie(&self, token: &Token, is_encrypted: bool, now: Timestamp) -> String {
        let until = now.plus_seconds(COOKIE_LIFETIME).unix().to_be_bytes();
        let tag = hmac::sign(&self.key(token), &until);
        let value = URL_SAFE_NO_PAD.encode([&until, tag.as_ref()].concat());
        let secure = if is_encrypted { "; Secure" } else { "" };
        format!("{COOKIE_NAME}={value}; Path=/; Max-Age={COOKIE_LIFETIME}; HttpOnly; SameSite=Strict{secure}")
    }

    /// The `Set-Cookie` value that takes the cookie away.
    pub(super) fn no_cookie() -> String {
        format!("{COOKIE_NAME}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict")
    }

    fn is_ours(&self, token: &Token, value: &str, now: Timestamp) -> bool {
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(value) else { return false };
        let Some((until, tag)) = bytes.split_first_chunk::<8>() else { return false };
        hmac::verify(&self.key(token), until, tag).is_ok() && now.unix() < i64::from_be_bytes(*until)
    }

    /// Depends on the token too, so that a new token ends the cookies of the old one.
    fn key(&self, token: &Token) -> hmac::Key {
        let base = hmac::Key::new(hmac::HMAC_SHA256, &self.secret);
        hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&base, token.reveal().as_bytes()).as_ref())
    }
}

/// The token of `Bearer TOKEN`.
fn bearer(credentials: &str) -> Option<&str> {
    let (scheme, token) = credentials.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn cookies(fields: &HeaderMap) -> impl Iterator<Item = &str> {
    let texts = fields.get_all(COOKIE).iter().filter_map(|field| field.to_str().ok());
    let pairs = texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(name, _)| *name == COOKIE_NAME).map(|(_, value)| value)
}

/// Whoever has one IPv6 address has 2^64 of them.
fn site_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            std::net::Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const PHONE_HOUSE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 8));
    const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);

    fn token() -> Token {
        "0123456789abcdef0123456789abcdef".to_owned().into()
    }

    fn fields(name: http::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn the_token_opens_and_another_does_not() {
        let access = Access::new().unwrap();
        let judge = |value: &str| access.judge(&token(), &fields(AUTHORIZATION, value), PHONE_HOUSE, NOW);
        assert_eq!(judge("Bearer 0123456789abcdef0123456789abcdef"), Verdict::Allowed);
        assert_eq!(judge("bearer 0123456789abcdef0123456789abcdef"), Verdict::Allowed);
        assert_eq!(judge("Bearer 0123456789abcdef0123456789abcdeF"), Verdict::Wrong);
        assert_eq!(judge("Basic 0123456789abcdef0123456789abcdef"), Verdict::Unknown);
        assert_eq!(access.judge(&token(), &HeaderMap::new(), PHONE_HOUSE, NOW), Verdict::Unknown);
    }

    #[test]
    fn after_ten_wrong_tries_an_address_waits_and_no_other_does() {
        let access = Access::new().unwrap();
        let start = Instant::now();
        for _ in 0..TRIES {
            assert_eq!(access.try_token(&token(), "wrong", PHONE_HOUSE, start), Verdict::Wrong);
        }
        let right = |peer, after| {
            access.try_token(&token(), token().reveal(), peer, start + Duration::from_secs(after))
        };
        assert_eq!(right(PHONE_HOUSE, 1), Verdict::Wait(59), "not even the right one is looked at");
        assert_eq!(right(OTHER, 1), Verdict::Allowed);
        assert_eq!(right(PHONE_HOUSE, 60), Verdict::Allowed);
    }

    #[test]
    fn a_cookie_is_good_for_half_a_day_under_the_same_token_and_process() {
        let access = Access::new().unwrap();
        let set = access.cookie(&token(), false, NOW);
        assert!(set.contains("; HttpOnly; SameSite=Strict") && !set.contains("Secure"));
        assert!(access.cookie(&token(), true, NOW).ends_with("; Secure"));
        let (pair, _) = set.split_once(';').unwrap();
        let sent = fields(COOKIE, &format!("other=1; {pair}"));
        let judge = |access: &Access, token: &Token, after| {
            access.judge(token, &sent, PHONE_HOUSE, NOW.plus_seconds(after))
        };
        assert_eq!(judge(&access, &token(), COOKIE_LIFETIME - 1), Verdict::Allowed);
        assert_eq!(judge(&access, &token(), COOKIE_LIFETIME), Verdict::Unknown);
        let changed = "another token of thirty-two bytes".to_owned().into();
        assert_eq!(judge(&access, &changed, 0), Verdict::Unknown);
        assert_eq!(judge(&Access::new().unwrap(), &token(), 0), Verdict::Unknown);
        let forged = fields(COOKIE, &format!("{COOKIE_NAME}={}", URL_SAFE_NO_PAD.encode([0x7f; 40])));
        assert_eq!(access.judge(&token(), &forged, PHONE_HOUSE, NOW), Verdict::Unknown);
    }

    #[test]
    fn one_house_has_one_count_however_many_addresses() {
        let one = site_of("2001:db8:1:2::1".parse().unwrap());
        assert_eq!(one, site_of("2001:db8:1:2:3::9".parse().unwrap()));
        assert_ne!(one, site_of("2001:db8:1:3::1".parse().unwrap()));
        assert_eq!(site_of("::ffff:192.0.2.7".parse().unwrap()), PHONE_HOUSE);
    }
}
