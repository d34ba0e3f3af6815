//! What an operator says of the authority that is to be.

use crate::authority::keys::StoreKind;
use crate::key::{KeyType, Token};
use crate::legacy::{Legacy, TEST_DAYS};
use crate::store::PostgresUrl;

/// How many authorities stand between a leaf and its anchor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Shape {
    /// The root signs certificates itself, as the phones' maker does.
    #[default]
    Flat,
    /// One issuing authority below each root signs them.
    Issuing,
}

impl Shape {
    /// The word the command line uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Flat => "flat",
            Self::Issuing => "issuing",
        }
    }
}

/// How to found an authority.
#[derive(Debug, Clone)]
pub struct FoundOptions {
    /// The operator's name, part of the authorities' names.
    pub name: String,
    /// How many tiers.
    pub shape: Shape,
    /// The kind of the authorities' keys.
    pub key: KeyType,
    /// Days the roots last; issuing authorities end with them.
    pub days: u32,
    /// For a test store: how old its authorities are made. They are marked as tests in their names. [`TEST_DAYS`] is what
    /// they should last, unless the operator says otherwise.
    pub test: Option<Legacy>,
    /// Where the inventory is kept when several hosts share it; in the folder when absent.
    pub database: Option<PostgresUrl>,
    /// The token in which the authorities' keys are made and stay; the passphrase is its PIN then.
    pub token: Option<Token>,
}

impl FoundOptions {
    /// Days that roots last unless said otherwise.
    pub const DAYS: u32 = 10_950;

    /// What is usual in a test store, with authorities as old as this.
    pub fn for_tests(legacy: Legacy) -> Self {
        Self { days: TEST_DAYS, test: Some(legacy), ..Self::default() }
    }

    /// What was asked for, as the store keeps it, under the names of the options.
    pub(super) fn settings(&self) -> [(&'static str, String); 7] {
        let Self { name, shape, key, days, test, database: _, token } = self;
        [
            ("test", if test.is_some() { "yes" } else { "no" }.to_owned()),
            ("legacy", test.map(|legacy| legacy.to_string()).unwrap_or_default()),
            ("name", name.clone()),
            ("shape", shape.as_str().to_owned()),
            ("key", key.as_str().to_owned()),
            ("days", days.to_string()),
            ("pkcs11-token", token.as_ref().map(|token| token.label.clone()).unwrap_or_default()),
        ]
    }

    pub(super) fn kind(&self) -> StoreKind {
        if self.test.is_some() { StoreKind::Test } else { StoreKind::Production }
    }
}

impl Default for FoundOptions {
    /// Thirty years, flat, RSA-2048: what phones of every age understand.
    fn default() -> Self {
        Self {
            name: "Provisioning".to_owned(),
            shape: Shape::Flat,
            key: KeyType::Rsa2048,
            days: Self::DAYS,
            test: None,
            database: None,
            token: None,
        }
    }
}
