//! A network, as `--peer 192.0.2.0/24` writes it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::audit::database::address_bytes;

/// A network, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    address: IpAddr,
    length: u8,
}

/// A text that is no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write an address or a network, such as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32")]
pub struct NotACidr;

impl Cidr {
    /// Whether an address lies in it.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        let (first, last) = self.bounds();
        let address = address_bytes(address.to_canonical());
        first.as_slice() <= address.as_slice() && address.as_slice() <= last.as_slice()
    }

    /// The first and the last address, as the database keeps them.
    pub(super) fn bounds(self) -> (Vec<u8>, Vec<u8>) {
        let length = match self.address {
            IpAddr::V4(_) => 96 + u32::from(self.length),
            IpAddr::V6(_) => u32::from(self.length),
        };
        let address = u128::from_be_bytes(address_bytes(self.address));
        let host = u128::MAX.checked_shr(length).unwrap_or(0);
        ((address & !host).to_be_bytes().to_vec(), (address | host).to_be_bytes().to_vec())
    }
}

impl FromStr for Cidr {
    type Err = NotACidr;

    fn from_str(text: &str) -> Result<Self, NotACidr> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NotACidr)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                text.parse().map_err(|_| NotACidr)?
            }
            Some(_) => return Err(NotACidr),
            None => most,
        };
        if length > most { Err(NotACidr) } else { Ok(Self { address, length }) }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.address, self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(network: &str, address: &str) -> bool {
        let (first, last) = network.parse::<Cidr>().unwrap().bounds();
        let address = address_bytes(address.parse().unwrap()).to_vec();
        first <= address && address <= last
    }

    #[test]
    fn a_network_holds_its_first_and_last_address_and_no_more() {
        assert!(holds("192.0.2.0/24", "192.0.2.0") && holds("192.0.2.9/24", "192.0.2.255"));
        assert!(!holds("192.0.2.0/24", "192.0.1.255") && !holds("192.0.2.0/24", "192.0.3.0"));
        assert!(holds("192.0.2.7", "192.0.2.7") && !holds("192.0.2.7", "192.0.2.8"));
        assert!(holds("0.0.0.0/0", "255.255.255.255") && !holds("0.0.0.0/0", "2001:db8::1"));
        assert!(holds("2001:db8::/32", "2001:db8:ffff::1") && !holds("2001:db8::/32", "2001:db9::"));
        assert!(holds("::/0", "2001:db8::1") && holds("::1/128", "::1") && !holds("::1/128", "::2"));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for wrong in ["", "x", "192.0.2.0/33", "192.0.2.0/+8", "192.0.2.0/", "::/129", "192.0.2/24"] {
            assert_eq!(wrong.parse::<Cidr>(), Err(NotACidr), "{wrong}");
        }
    }
}
