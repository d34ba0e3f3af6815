//! The online certificate status protocol (RFC 6960, in the narrow form of RFC 5019; CA G7).
//!
//! A request is read strictly and bounded; the answer comes from the inventory, is signed by a delegated responder, and
//! is never *good* for a serial number that no finished certificate has.

mod message;
mod request;
mod responder;

pub(crate) use request::MAX_SIZE;
pub(crate) use responder::{Answered, Inventory, Responder, Responders, Status};
