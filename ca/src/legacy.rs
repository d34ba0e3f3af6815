//! What old units carry and nobody should make any more, for the certificates of test stores.

use std::fmt;

use certs::{Certificate, Hash, KeyAlgorithm, Version};

/// Days that everything in a test store lasts unless said otherwise.
pub const TEST_DAYS: u32 = 90;

/// The words of the test authorities' names. Authorities of a production store never say them.
pub(crate) const TEST_UNIT: &str = "TEST - NOT FOR PRODUCTION";

/// What the common names of test authorities begin with.
pub(crate) const TEST_PREFIX: &str = "TEST ";

/// Bits of the short keys.
pub(crate) const SHORT_RSA: u32 = 1024;

/// One thing that old units' certificates have and new ones must not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum LegacyTrait {
    /// Signed with SHA-1.
    #[value(name = "sha1")]
    Sha1,
    /// Signed with MD5.
    #[value(name = "md5")]
    Md5,
    /// An RSA key of 1024 bits.
    #[value(name = "rsa-1024")]
    Rsa1024,
    /// X.509 version 1: no extensions, so no purpose and no key usage either.
    #[value(name = "x509-v1")]
    X509V1,
}

impl LegacyTrait {
    /// Every one, in the order they are written.
    pub const ALL: [Self; 4] = [Self::Sha1, Self::Md5, Self::Rsa1024, Self::X509V1];

    /// The word that the command line, the store and the gateway's exceptions use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Md5 => "md5",
            Self::Rsa1024 => "rsa-1024",
            Self::X509V1 => "x509-v1",
        }
    }
}

/// How far a certificate is made as old units carry it. By default not at all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Legacy {
    /// Signed with MD5; wins over SHA-1, for a certificate has one signature.
    pub md5: bool,
    /// An RSA key of 1024 bits.
    pub rsa_1024: bool,
    /// Signed with SHA-1.
    pub sha1: bool,
    /// X.509 version 1, without extensions.
    pub x509_v1: bool,
}

impl Legacy {
    /// All of these traits at once.
    pub fn of(traits: &[LegacyTrait]) -> Self {
        let mut legacy = Self::default();
        for one in traits {
            match one {
                LegacyTrait::Sha1 => legacy.sha1 = true,
                LegacyTrait::Md5 => legacy.md5 = true,
                LegacyTrait::Rsa1024 => legacy.rsa_1024 = true,
                LegacyTrait::X509V1 => legacy.x509_v1 = true,
            }
        }
        legacy.normal()
    }

    /// The same with one signature.
    pub(crate) fn normal(self) -> Self {
        Self { sha1: self.sha1 && !self.md5, ..self }
    }

    /// Whether there is nothing old about it.
    pub fn is_none(self) -> bool {
        self == Self::default()
    }

    /// The traits it has.
    pub fn traits(self) -> impl Iterator<Item = LegacyTrait> {
        LegacyTrait::ALL.into_iter().filter(move |one| match one {
            LegacyTrait::Sha1 => self.sha1,
            LegacyTrait::Md5 => self.md5,
            LegacyTrait::Rsa1024 => self.rsa_1024,
            LegacyTrait::X509V1 => self.x509_v1,
        })
    }

    /// The hash that the signature is to have.
    pub(crate) fn hash(self) -> Hash {
        match self {
            Self { md5: true, .. } => Hash::Md5,
            Self { sha1: true, .. } => Hash::Sha1,
            Self { .. } => Hash::Sha256,
        }
    }

    /// Whether the signature needs an RSA key, as all the old ones do.
    pub(crate) fn signs_weakly(self) -> bool {
        self.md5 || self.sha1
    }

    /// What is old about this certificate.
    pub(crate) fn found_in(certificate: &Certificate) -> Self {
        let hash = certificate.signature_algorithm().hash();
        Self {
            md5: hash == Some(Hash::Md5),
            sha1: hash == Some(Hash::Sha1),
            rsa_1024: is_short(certificate.public_key().algorithm()),
            x509_v1: certificate.version() == Version::V1,
        }
    }
}

/// Whether a key is of the kind that only test stores certify.
pub(crate) fn is_short(key: KeyAlgorithm) -> bool {
    matches!(key, KeyAlgorithm::Rsa { bits } if bits < 2048)
}

impl fmt::Display for Legacy {
    /// As the command line takes it: `sha1,rsa-1024`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, one) in self.traits().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            f.write_str(one.as_str())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_has_one_signature_and_md5_wins() {
        let both = Legacy::of(&[LegacyTrait::Sha1, LegacyTrait::Md5, LegacyTrait::Rsa1024]);
        assert_eq!(both.hash(), Hash::Md5);
        assert_eq!(both.to_string(), "md5,rsa-1024");
        assert_eq!(Legacy::of(&[LegacyTrait::Sha1]).hash(), Hash::Sha1);
        assert!(Legacy::of(&[]).is_none());
        assert_eq!(Legacy::default().hash(), Hash::Sha256);
    }
}
