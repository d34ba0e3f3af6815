//! Being laid out.

pub mod audit;
pub mod authorize;
pub mod backend;
pub mod cli;
pub mod forward;
pub mod printer;
pub mod request;
pub mod respond;
pub mod rewrite;
