//! What the end-to-end tests share: the real programs as processes, real peers (Apache, curl, `openssl`), certificates
//! made at run time, and clients and servers that say byte for byte what a test wants said.
//!
//! Nothing here sleeps to wait: every wait is for a line, a record, an exit or an end of stream, under one deadline.
//! Every process ends with the value that owns it, and shows what it wrote when the test fails.
//!
//! | module | what it gives |
//! | --- | --- |
//! | [`binary`] | the programs under test, built when they are missing or out of date |
//! | [`process`], [`parent_death`] | a child process with its output, and one that ends with this program whatever happens |
//! | [`workdir`] | a folder that every peer may read |
//! | [`authority`] | `provision-ca` with a store, and the certificates of many devices |
//! | [`port`], [`open_files`] | ports that can be taken again, and enough open files for thousands of connections |
//! | [`der`], [`pki`] | certificates and CRLs with one thing different |
//! | [`gateway`], [`audit`] | the gateway with a configuration, and its records |
//! | [`client`] | a TLS client that sends any bytes |
//! | [`cpu`], [`memory`] | what a process with its children has spent, and what it holds |
//! | [`process_tree`] | a process and those it started |
//! | [`hello`] | client hellos byte for byte |
//! | [`origin`] | a backend that keeps what it received, byte for byte |
//! | [`browser`] | a real Chromium that types, presses and shows |
//! | [`apache`], [`curl`], [`old_stack`], [`openssl`], [`postgres`], [`rsyslog`] | the peers |
//! | [`pkits`] | NIST's path validation suite, case by case |
//! | [`year`] | audit records of a fleet, to measure answers with |
//! | [`expect`] | waiting, and what is missing |

// A test that cannot be set up has failed: the panic names the line.
#![expect(clippy::unwrap_used, reason = "the harness runs only inside tests")]

pub mod admin;
pub mod apache;
pub mod audit;
pub mod authority;
pub mod binary;
pub mod browser;
pub mod client;
pub mod cpu;
pub mod curl;
pub mod der;
pub mod expect;
pub mod gateway;
pub mod hello;
pub mod http;
pub mod memory;
pub mod old_stack;
pub mod open_files;
pub mod openssl;
pub mod origin;
pub mod parent_death;
pub mod pki;
pub mod pkits;
pub mod port;
pub mod postgres;
pub mod process;
pub mod process_tree;
pub mod rsyslog;
pub mod workdir;
pub mod year;
