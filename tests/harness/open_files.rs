//! How many files this program and those it starts may have open.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the limit as far as the system allows: the usual one, 1024, is less than a region has phones.
pub fn raise_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where the system does not allow it, phones that find no socket say so.
    let _ = setrlimit(Resource::Nofile, limit);
}
