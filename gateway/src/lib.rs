//! Being laid out.

pub mod audit;
