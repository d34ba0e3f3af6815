//! What a phone is: product, serial number, MAC address, and what its product says and asks for.

/// How a product speaks TLS and what its certificate is like.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Age {
    /// TLS 1.2 and 1.3; a certificate of today's kind.
    Modern,
    /// TLS 1.0 with AES128-SHA and no server name; a certificate signed with SHA-1 on an RSA key of 1024 bits.
    Old,
}

/// Whether a phone keeps its connection from one file of a resync to the next.
///
/// Multiplatform phones speak HTTP/1.1, whose connections stay open unless one side says otherwise, and all their
/// files lie on one server. The older firmware asks for each file by itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Connections {
    /// One for all files of a resync, closed after the last.
    Kept,
    /// One for each file, which the request asks to close.
    PerFile,
}

/// A model of phone, as it comes from its maker.
#[derive(Debug)]
pub(crate) struct Product {
    pub(crate) name: &'static str,
    pub(crate) age: Age,
    pub(crate) connections: Connections,
    /// With the guide's macros.
    pub(crate) user_agent: &'static str,
    /// `Profile_Rule`, `_B`, `_C` and `_D`, fetched in this order, with the guide's macros.
    pub(crate) rules: &'static [&'static str],
}

const MODERN: [Product; 4] = [
    Product {
        name: "CP-8841-3PCC",
        age: Age::Modern,
        connections: Connections::Kept,
        user_agent: "Cisco-CP-8841-3PCC/11.0 ($MA)",
        rules: &["/$PN.cfg", "/$MA.cfg"],
    },
    Product {
        name: "CP-7841-3PCC",
        age: Age::Modern,
        connections: Connections::Kept,
        user_agent: "Cisco-CP-7841-3PCC/12.0.1 ($MA)",
        rules: &["/$PSN.xml", "/$PN_$MA.cfg"],
    },
    Product {
        name: "CP-8861-3PCC",
        age: Age::Modern,
        connections: Connections::Kept,
        user_agent: "cisco/CP-8861-3PCC ($SN)",
        rules: &["/$PN.cfg", "/cisco/$MA.cfg", "/init/dialplan.xml"],
    },
    Product {
        name: "CP-6841-3PCC",
        age: Age::Modern,
        connections: Connections::Kept,
        user_agent: "Cisco-CP-6841-3PCC/12.0.1 ($MA)",
        rules: &["/$PSN.xml", "/config?cisco$MAU"],
    },
];

const OLD: [Product; 3] = [
    Product {
        name: "SPA-962",
        age: Age::Old,
        connections: Connections::PerFile,
        user_agent: "Linksys/SPA-962-6.1.5(a) ($SN)",
        rules: &["/$PN.cfg", "/$MA.cfg"],
    },
    Product {
        name: "SPA-942",
        age: Age::Old,
        connections: Connections::PerFile,
        user_agent: "Linksys/SPA-942-6.1.5(a) ($SN)",
        rules: &["/$MA.cfg"],
    },
    Product {
        name: "SPA525G",
        age: Age::Old,
        connections: Connections::PerFile,
        user_agent: "Cisco/SPA525G-7.4.7 ($SN)",
        rules: &["/$PN.cfg", "/cisco/$MA.cfg"],
    },
];

/// One phone.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    /// Its number in the fleet, from 0.
    pub(crate) number: usize,
    pub(crate) product: &'static Product,
    pub(crate) serial: String,
    /// Twelve lower-case hex digits.
    pub(crate) mac: String,
}

impl Device {
    /// A fleet of `count` phones, `old` of every hundred of them old, evenly mixed.
    pub(crate) fn fleet(count: usize, old: usize) -> Vec<Self> {
        let mut ages = [0, 0];
        (0..count)
            .map(|number| {
                // One more old phone whenever the share has grown by a whole one.
                let is_old = (number + 1) * old / 100 > number * old / 100;
                let (products, seen): (&'static [Product], _) =
                    if is_old { (&OLD, &mut ages[1]) } else { (&MODERN, &mut ages[0]) };
                let product = &products[*seen % products.len()];
                *seen += 1;
                Self::new(number, product)
            })
            .collect()
    }

    /// Phones of today beyond a fleet, in other hands than their owners'.
    pub(crate) fn beyond(fleet: usize, count: usize) -> Vec<Self> {
        (fleet..fleet + count).map(|number| Self::new(number, &MODERN[0])).collect()
    }

    fn new(number: usize, product: &'static Product) -> Self {
        // As the guide's example serial number, which is twelve hex digits too.
        Self {
            number,
            product,
            serial: format!("88012BA{number:05X}"),
            mac: format!("000e08{:06x}", number + 1),
        }
    }

    pub(crate) fn user_agent(&self) -> String {
        self.expand(self.product.user_agent)
    }

    /// The targets it asks for at each resync.
    pub(crate) fn targets(&self) -> Vec<String> {
        self.product.rules.iter().map(|rule| self.expand(rule)).collect()
    }

    /// A list of devices for `provision-ca device issue --csv`.
    pub(crate) fn list<'a>(devices: impl IntoIterator<Item = &'a Self>) -> String {
        let line = |device: &Self| format!("{},{},{}\n", device.product.name, device.serial, device.mac);
        devices.into_iter().map(line).collect()
    }

    /// Replaces the guide's macros.
    fn expand(&self, text: &str) -> String {
        let upper = self.mac.to_ascii_uppercase();
        let pairs: Vec<_> = (0..12).step_by(2).filter_map(|at| self.mac.get(at..at + 2)).collect();
        let short = self.product.name.strip_prefix("CP-").unwrap_or(self.product.name);
        // Longer names first: $MA is the beginning of $MAU.
        text.replace("$MAU", &upper)
            .replace("$MAC", &pairs.join(":"))
            .replace("$MA", &self.mac)
            .replace("$PSN", short)
            .replace("$PN", self.product.name)
            .replace("$SN", &self.serial)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_macros_of_the_guide_are_replaced_the_longest_name_first() {
        let phone = Device {
            number: 0,
            product: &MODERN[0],
            serial: "88012BA01234".to_owned(),
            mac: "000e08abcdef".to_owned(),
        };
        let cases = [
            ("/$PN$MA.cfg", "/CP-8841-3PCC000e08abcdef.cfg"),
            ("/$PSN.xml", "/8841-3PCC.xml"),
            ("/config?cisco$MAU", "/config?cisco000E08ABCDEF"),
            ("/$MAC.cfg", "/00:0e:08:ab:cd:ef.cfg"),
            ("x ($SN)", "x (88012BA01234)"),
        ];
        for (rule, expected) in cases {
            assert_eq!(phone.expand(rule), expected);
        }
        assert_eq!(phone.user_agent(), "Cisco-CP-8841-3PCC/11.0 (000e08abcdef)");
        assert_eq!(phone.targets(), ["/CP-8841-3PCC.cfg", "/000e08abcdef.cfg"]);
    }

    #[test]
    fn the_share_of_old_phones_is_kept_and_no_two_phones_are_the_same() {
        for (count, old, expected) in [(100, 20, 20), (30, 10, 3), (7, 0, 0), (5, 100, 5)] {
            let fleet = Device::fleet(count, old);
            assert_eq!(fleet.iter().filter(|phone| phone.product.age == Age::Old).count(), expected);
            let mut macs: Vec<_> = fleet.iter().map(|phone| &phone.mac).collect();
            macs.dedup();
            assert_eq!(macs.len(), count);
        }
    }
}
