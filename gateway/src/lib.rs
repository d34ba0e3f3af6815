//! Being laid out.

pub mod audit;
pub mod backend;
pub mod cli;
pub mod printer;
pub mod request;
pub mod respond;
