//! Being laid out.

pub mod audit;
pub mod backend;
pub mod request;
pub mod respond;
