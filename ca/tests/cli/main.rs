//! The program as an operator meets it: real processes, judged by their output, their files, and by OpenSSL.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod bulk;
mod commands;
mod corpus;
mod database;
mod foreign_keys;
mod hierarchy;
mod hostile;
mod import;
mod last_try;
mod legacy;
mod lifecycle;
mod memory;
mod mirror;
mod ocsp;
mod openssl;
mod others;
mod pkilint;
mod rebuild;
mod requests;
mod root;
mod serve;
mod shards;
#[path = "../both/stores.rs"]
mod stores;
mod support;
mod survival;
mod token;
mod upkeep;
