//! Whether the User-Agent field names the device that the certificate names. It is a cross-check and never grants
//! anything: on newer firmware anyone can configure it.
//!
//! What is read: after `cisco/`, `Cisco-` or `Linksys/` the product; and everywhere the serial numbers and MAC addresses in
//! the forms known from the field:
//!
//! ```text
//! cisco/CP-8841-3PCC (88012BA01234)                     product, serial number
//! Cisco-CP-8841-3PCC/11.0 (00562b043615)                product, MAC address
//! Cisco/SPA501G-7.4.4 (8843E157DDCC)(CBT141100HR)       product, MAC address, serial number
//! Linksys/SPA-942-6.1.5(a) (88019FA42805)               product, serial number
//! Yealink SIP-T20P 9.72.0.30 00:15:65:5e:16:7c          MAC address; Htek and Grandstream (DevId) alike
//! Mozilla/4.0 (compatible; snom710-SIP 8.7.5.35 1.1.5-IFX-05.01.12 000413741767)
//! ```

use std::sync::Arc;

use crate::mac::MacAddress;
use crate::principal::Device;

/// Whether a User-Agent field names another phone than the one with this product, serial number and MAC address: for those who
/// read records. Rules ask by `user-agent = "must-not-contradict"`.
pub fn user_agent_contradicts(
    user_agent: &str,
    product: Option<&str>,
    serial: Option<&str>,
    mac: Option<MacAddress>,
) -> bool {
    let device = Device {
        product: product.map(Arc::from),
        serial: serial.map(Arc::from),
        mac,
        mac_attribute: None,
        profile: Arc::from(""),
    };
    match compare(user_agent, &device) {
        Agreement::Agrees | Agreement::Silent => false,
        Agreement::OtherProduct | Agreement::OtherDevice => true,
    }
}

/// What a User-Agent field says of a device.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Agreement {
    /// It names this device, by product, serial number or MAC address, and no other.
    Agrees,
    /// It names no device in a form that is known.
    Silent,
    /// It names another product.
    OtherProduct,
    /// It names another serial number or MAC address.
    OtherDevice,
}

/// Compares a User-Agent field with the device of the certificate. Allocates nothing.
pub(super) fn compare(user_agent: &str, device: &Device) -> Agreement {
    let mut agreement = Agreement::Silent;
    let (product, rest) = named_product(user_agent);
    if let (Some(named), Some(product)) = (product, device.product()) {
        if !begins_with_product(named, product) {
            return Agreement::OtherProduct;
        }
        agreement = Agreement::Agrees;
    }
    for identifier in identifiers(product.is_some(), rest) {
        match compare_identifier(identifier, device) {
            Some(true) => agreement = Agreement::Agrees,
            Some(false) => return Agreement::OtherDevice,
            None => {}
        }
    }
    agreement
}

/// The product with whatever version follows it, and the rest after the first space.
fn named_product(user_agent: &str) -> (Option<&str>, &str) {
    let brands = ["cisco/", "cisco-", "linksys/"];
    let (first, rest) = user_agent.split_once(' ').unwrap_or((user_agent, ""));
    let brand = brands
        .iter()
        .find(|brand| first.get(..brand.len()).is_some_and(|head| head.eq_ignore_ascii_case(brand)));
    match brand.and_then(|brand| first.get(brand.len()..)) {
        Some(product) => (Some(product), rest),
        None => (None, user_agent),
    }
}

/// Whether `named` is `product`, with or without `-3PCC`, or goes on with a version after `-` or `/`. Hyphens inside a
/// product do not count (`SPA-501G`, `SPA501G`), nor does letter case.
fn begins_with_product(named: &str, product: &str) -> bool {
    let product = product.strip_suffix("-3PCC").unwrap_or(product);
    let mut letters = named.bytes().enumerate().filter(|(_, byte)| *byte != b'-');
    let mut end = 0;
    for wanted in product.bytes().filter(|byte| *byte != b'-') {
        match letters.next() {
            Some((index, found)) if found.eq_ignore_ascii_case(&wanted) => end = index + 1,
            _ => return false,
        }
    }
    end > 0 && matches!(named.as_bytes().get(end), None | Some(b'-' | b'/'))
}

/// The words that may be serial numbers or MAC addresses: what stands in brackets after a Cisco product; else the words
/// that are MAC addresses.
fn identifiers(after_product: bool, rest: &str) -> impl Iterator<Item = &str> {
    let words = rest.split([' ', '(', ')', ';']).filter(|word| !word.is_empty());
    words.filter(move |word| after_product || MacAddress::parse(word).is_ok())
}

/// Whether the identifier is this device's; `None` when there is nothing to compare it with.
fn compare_identifier(identifier: &str, device: &Device) -> Option<bool> {
    if device.serial().is_some_and(|serial| serial.eq_ignore_ascii_case(identifier)) {
        return Some(true);
    }
    match MacAddress::parse(identifier) {
        // A serial number may look like a MAC address, as the guide's own example does.
        Ok(mac) => match (device.mac(), device.serial()) {
            (Some(own), _) if own == mac => Some(true),
            (None, None) => None,
            _ => Some(false),
        },
        Err(_) => device.serial().map(|_| false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::principal::Principal;
    use crate::testing;

    fn judge(product: Option<&str>, serial: Option<&str>, mac: Option<&str>, user_agent: &str) -> Agreement {
        let Principal::Device(device) = testing::device(product, serial, mac) else { panic!("a device") };
        compare(user_agent, &device)
    }

    #[test]
    fn agrees_with_every_form_seen_in_the_field() {
        for (product, serial, mac, user_agent) in [
            ("CP-8841-3PCC", "88012BA01234", "000e08abcdef", "cisco/CP-8841-3PCC (88012BA01234)"),
            ("CP-8841-3PCC", "88012BA01234", "00562b043615", "Cisco-CP-8841-3PCC/11.0 (00562b043615)"),
            ("CP-7832", "FCH1", "00562b043615", "Cisco-CP-7832-3PCC/11.0.1 (00562b043615)"),
            ("SPA-501G", "CBT141100HR", "8843e157ddcc", "Cisco/SPA501G-7.4.4 (8843E157DDCC)(CBT141100HR)"),
            ("SPA112", "CBT1", "88755a123456", "Cisco/SPA112-1.4.1(SR5) (88755A123456)"),
            ("SPA525G", "CBT141900G7", "000e08abcdef", "Cisco/SPA525G-7.4.7 (CBT141900G7)"),
            ("SPA-942", "88019FA42805", "000e08abcdef", "Linksys/SPA-942-6.1.5(a) (88019FA42805)"),
            ("SPA-962", "4MM00F903042", "000e08abcdef", "Linksys/SPA-962-6.1.5(a) (4MM00F903042)"),
        ] {
            let found = judge(Some(product), Some(serial), Some(mac), user_agent);
            assert_eq!(found, Agreement::Agrees, "{user_agent}");
        }
        for (mac, user_agent) in [
            ("0015655e167c", "Yealink SIP-T20P 9.72.0.30 00:15:65:5e:16:7c"),
            (
                "000413741767",
                "Mozilla/4.0 (compatible; snom710-SIP 8.7.5.35 1.1.5-IFX-05.01.12 000413741767)",
            ),
            ("000413b60680", "(compatible; Snom M900 05.20.0001 000413b60680)"),
            ("c074ad2bd859", "Grandstream Model HW GXP1628 SW 1.0.4.138 DevId c074ad2bd859"),
            ("001fc11c22a9", "Htek UC903 2.0.4.2 00:1f:c1:1c:22:a9"),
        ] {
            assert_eq!(judge(None, None, Some(mac), user_agent), Agreement::Agrees, "{user_agent}");
        }
    }

    #[test]
    fn disagrees_when_one_value_differs() {
        let judge = |ua| judge(Some("CP-8841-3PCC"), Some("88012BA01234"), Some("000e08abcdef"), ua);
        assert_eq!(judge("cisco/CP-8851-3PCC (88012BA01234)"), Agreement::OtherProduct);
        assert_eq!(judge("cisco/CP-88 (88012BA01234)"), Agreement::OtherProduct);
        assert_eq!(judge("cisco/CP-88412-3PCC (88012BA01234)"), Agreement::OtherProduct);
        assert_eq!(judge("cisco/CP-8841-3PCC (88012BA01235)"), Agreement::OtherDevice);
        assert_eq!(judge("cisco/CP-8841-3PCC (000e08abcdee)"), Agreement::OtherDevice);
        assert_eq!(judge("Yealink SIP-T20P 9.72.0.30 00:15:65:5e:16:7c"), Agreement::OtherDevice);
    }

    #[test]
    fn is_silent_when_no_device_is_named() {
        let judge = |ua| judge(Some("CP-8841-3PCC"), Some("88012BA01234"), Some("000e08abcdef"), ua);
        for user_agent in ["", "curl/8.0", "FileTransport PolycomVVX-VVX_400-UA/4.1.4.7430 Type/Application"]
        {
            assert_eq!(judge(user_agent), Agreement::Silent, "{user_agent}");
        }
    }
}
