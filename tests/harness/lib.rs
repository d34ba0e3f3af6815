//! Stub.

pub mod pkits;
