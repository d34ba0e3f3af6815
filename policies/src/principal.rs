//! Who asks: a device, a generic certificate, an operator, or nobody known.

use std::fmt;
use std::sync::Arc;

use crate::mac::MacAddress;

/// Who a certificate speaks for. [`Admission::admit`](crate::Admission::admit) makes it from a verified chain; what
/// [`IdentityProfile::identify`](crate::IdentityProfile::identify) makes of a bare subject is only what that claims. Nothing
/// else makes one that names somebody; [`Principal::Anonymous`] anyone may make.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Principal {
    /// No certificate was presented, where none is required.
    Anonymous,
    /// One phone.
    Device(Device),
    /// A certificate that many phones share: genuine, and nobody's identity (SEC-22).
    Generic(Generic),
    /// A technician or a monitor.
    Operator(Operator),
}

impl Principal {
    /// `anonymous`, `device`, `generic` or `operator`, as in a rule's `for` and in audit records.
    pub fn kind(&self) -> &'static str {
        self.role().as_str()
    }

    /// The kind as a value.
    pub fn role(&self) -> Role {
        match self {
            Self::Anonymous => Role::Anonymous,
            Self::Device(_) => Role::Device,
            Self::Generic(_) => Role::Generic,
            Self::Operator(_) => Role::Operator,
        }
    }

    /// The device, if it is one.
    pub fn device(&self) -> Option<&Device> {
        match self {
            Self::Device(device) => Some(device),
            Self::Anonymous | Self::Generic(_) | Self::Operator(_) => None,
        }
    }

    /// The identity profile that recognised the certificate.
    pub fn profile(&self) -> Option<&Arc<str>> {
        match self {
            Self::Anonymous => None,
            Self::Device(device) => Some(&device.profile),
            Self::Generic(generic) => Some(&generic.profile),
            Self::Operator(operator) => Some(&operator.profile),
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())?;
        if let Some(device) = self.device() {
            let named = [
                ("product", device.product.as_deref().map(str::to_owned)),
                ("serial", device.serial.as_deref().map(str::to_owned)),
                ("mac", device.mac.map(|mac| mac.to_string())),
            ];
            for (name, value) in named {
                if let Some(value) = value {
                    write!(f, " {name} {}", value.escape_debug())?;
                }
            }
        }
        match self.profile() {
            Some(profile) => write!(f, " (identity profile {profile})"),
            None => Ok(()),
        }
    }
}

/// The kind of a principal.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Role {
    /// No certificate was presented.
    Anonymous,
    /// One phone.
    Device,
    /// A shared certificate.
    Generic,
    /// A technician or a monitor.
    Operator,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Anonymous, Self::Device, Self::Generic, Self::Operator];

    /// The word used in rules and records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Device => "device",
            Self::Generic => "generic",
            Self::Operator => "operator",
        }
    }
}

/// One phone, as its certificate names it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Device {
    pub(crate) product: Option<Arc<str>>,
    pub(crate) serial: Option<Arc<str>>,
    pub(crate) mac: Option<MacAddress>,
    pub(crate) mac_attribute: Option<Arc<str>>,
    pub(crate) profile: Arc<str>,
}

impl Device {
    /// The product, as in `CP-8841-3PCC`.
    pub fn product(&self) -> Option<&str> {
        self.product.as_deref()
    }

    /// The product without its `CP-`, as the phones' `$PSN`.
    pub fn short_product(&self) -> Option<&str> {
        self.product().map(|product| product.strip_prefix("CP-").unwrap_or(product))
    }

    /// The serial number, as printed on the unit.
    pub fn serial(&self) -> Option<&str> {
        self.serial.as_deref()
    }

    /// The MAC address.
    pub fn mac(&self) -> Option<MacAddress> {
        self.mac
    }

    /// The attribute the MAC address stood in, by its name: `surname` or `stateOrProvinceName`, say.
    pub fn mac_attribute(&self) -> Option<&str> {
        self.mac_attribute.as_deref()
    }

    /// The identity profile that recognised the certificate.
    pub fn profile(&self) -> &Arc<str> {
        &self.profile
    }
}

/// A certificate that many phones share.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Generic {
    pub(crate) profile: Arc<str>,
}

impl Generic {
    /// The identity profile that recognised the certificate.
    pub fn profile(&self) -> &Arc<str> {
        &self.profile
    }
}

/// A technician or a monitor: any subject below an anchor that is for them alone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Operator {
    pub(crate) profile: Arc<str>,
}

impl Operator {
    /// The identity profile that recognised the certificate.
    pub fn profile(&self) -> &Arc<str> {
        &self.profile
    }
}
