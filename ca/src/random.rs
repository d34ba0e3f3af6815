//! Random bytes, with a failure that stops the work (CA A4).

use aws_lc_rs::rand::{SecureRandom, SystemRandom};

/// Where serial numbers, salts and initialisation vectors come from.
pub trait RandomSource: Send + Sync {
    /// Fills `bytes` wholly, or fails; there is no partial success.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError>;
}

/// The random generator gave nothing; nothing may be issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system's random generator failed")]
pub struct RandomError;

/// The operating system's generator.
#[derive(Debug, Clone, Copy, Default)]
pub struct OperatingSystem;

impl RandomSource for OperatingSystem {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        SystemRandom::new().fill(bytes).map_err(|_unspecified| RandomError)
    }
}
