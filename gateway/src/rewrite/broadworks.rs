//! `macaddress`, as BroadWorks' device management reads it.

use http::header::HeaderName;
use policies::Device;

use super::peer_fields::Fields;

pub(super) fn set(fields: &mut Fields, device: Option<&Device>) {
    if let Some(mac) = device.and_then(Device::mac) {
        fields.set(HeaderName::from_static("macaddress"), &mac.to_string());
    }
}
