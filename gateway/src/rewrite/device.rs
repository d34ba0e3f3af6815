//! `Device-Kind` and, for a device, `Device-Product`, `Device-Serial` and `Device-MAC`.

use policies::{Device, Principal};

use super::Separator;
use super::peer_fields::{Fields, name, printable};

pub(super) fn set(fields: &mut Fields, separator: Separator, principal: &Principal) {
    fields.set(name(separator, "device-kind"), principal.kind());
    let Some(device) = principal.device() else { return };
    let mac = device.mac().map(|mac| mac.to_string());
    let values = [
        ("device-product", Device::product(device)),
        ("device-serial", Device::serial(device)),
        ("device-mac", mac.as_deref()),
    ];
    for (field, value) in values {
        if let Some(value) = value {
            fields.set(name(separator, field), &printable(value));
        }
    }
}
