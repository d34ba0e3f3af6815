//! How many files and sockets the process may have open at once.
//!
//! The system's usual soft limit, 1024, is for programs that use `select`. A gateway at that limit accepts nothing more, and says
//! so only in its log; so it takes what the hard limit allows, and warns when its own limits promise more than that.

use std::io;

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::config::Limits;

/// For listeners, the audit and configuration files, and what the runtime needs for itself.
const OWN: u64 = 64;

/// Raises the soft limit to the hard one, and gives what may be open from then on; [`u64::MAX`] is no limit.
///
/// # Errors
/// The system does not change the limit, which then stays as it was.
pub fn raise() -> io::Result<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        setrlimit(Resource::Nofile, limit)?;
    }
    Ok(limit.current.unwrap_or(u64::MAX))
}

/// How many may be open at most under these limits: each connection and one to its backend, and the backend connections that are
/// kept.
#[must_use]
pub fn needed(limits: &Limits) -> u64 {
    count(limits.connections).saturating_mul(2).saturating_add(beside_connections(limits))
}

/// What to say when `available` is not enough for these limits: the message and the remedy.
#[must_use]
pub fn shortage(limits: &Limits, available: u64) -> Option<(String, String)> {
    let needed = needed(limits);
    (available < needed).then(|| {
        let connections = limits.connections;
        let message = format!(
            "{connections} connections need up to {needed} open files, and the system allows {available}"
        );
        let room = (available.saturating_sub(beside_connections(limits)) / 2).max(1);
        let hint =
            format!("raise the hard limit (LimitNOFILE= of a service), or set limits.connections to {room}");
        (message, hint)
    })
}

fn beside_connections(limits: &Limits) -> u64 {
    count(limits.backend.kept_connections).saturating_add(OWN)
}

fn count(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_becomes_the_hard_one_and_stays() {
        let raised = raise().unwrap();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
        assert_eq!(raised, limit.maximum.unwrap_or(u64::MAX));
        assert_eq!(raise().unwrap(), raised);
    }

    #[test]
    fn one_file_too_few_is_a_shortage_and_enough_is_none() {
        let limits = Limits { connections: 1000, ..Limits::default() };
        assert_eq!(needed(&limits), 2000 + 64 + 64);
        assert_eq!(shortage(&limits, 2128), None);
        assert_eq!(shortage(&limits, u64::MAX), None);
        let (message, hint) = shortage(&limits, 2127).unwrap();
        assert_eq!(message, "1000 connections need up to 2128 open files, and the system allows 2127");
        assert_eq!(
            hint,
            "raise the hard limit (LimitNOFILE= of a service), or set limits.connections to 999"
        );
        let fewer = Limits { connections: 999, ..limits };
        assert_eq!(shortage(&fewer, 2127), None, "what the hint says is enough");
    }
}
