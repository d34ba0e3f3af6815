//! Principals for the tests of other crates (feature `testing`). Programs get theirs from
//! [`Admission::admit`](crate::Admission::admit) alone.

use std::sync::Arc;

use crate::mac::MacAddress;
use crate::principal::{Device, Generic, Operator, Principal};

/// A device with these values, as profile `cisco-small-business` would give it.
///
/// # Panics
///
/// If `mac` is no MAC address.
pub fn device(product: Option<&str>, serial: Option<&str>, mac: Option<&str>) -> Principal {
    let mac = mac.map(|text| MacAddress::parse(text).expect("a test names a MAC address"));
    Principal::Device(Device {
        product: product.map(Arc::from),
        serial: serial.map(Arc::from),
        mac,
        mac_attribute: mac.map(|_| Arc::from("surname")),
        profile: Arc::from("cisco-small-business"),
    })
}

/// The guide's own example: CP-8841-3PCC, serial 88012BA01234, MAC 000e08abcdef.
pub fn guide_device() -> Principal {
    device(Some("CP-8841-3PCC"), Some("88012BA01234"), Some("000e08abcdef"))
}

/// A certificate that many phones share.
pub fn generic() -> Principal {
    Principal::Generic(Generic { profile: Arc::from("cisco-small-business") })
}

/// A technician.
pub fn operator() -> Principal {
    Principal::Operator(Operator { profile: Arc::from("operator") })
}
