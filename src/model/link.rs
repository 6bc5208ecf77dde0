//! The operator's choice of links: entries as they are written, read and shown.
//!
//! An entry names an interface (`wwan0`, `usb*`), a gateway (`192.168.43.1`), a network (`10.11.0.0/16`), or is the word
//! `metered`. What fits an entry is told by `uplink::link`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// An address and how many of its first bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// One entry of the operator's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkRule {
    /// With `*` at its end: every interface whose name begins so.
    Interface(String),
    Gateway(IpAddr),
    Network(Network),
    Metered,
}

/// `pause_on` and `only_on`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkChoice {
    pub pause_on: Vec<LinkRule>,
    /// Empty: any link that is not one to pause on.
    pub only_on: Vec<LinkRule>,
}

impl Network {
    /// None: more bits than the address has.
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        (prefix <= bits_of(address)).then_some(Self { address, prefix })
    }

    pub fn holds(&self, other: IpAddr) -> bool {
        let (mine, theirs) = (number(self.address), number(other.to_canonical()));
        let ignored = u32::from(bits_of(self.address) - self.prefix);
        self.address.is_ipv4() == other.to_canonical().is_ipv4()
            && mine.checked_shr(ignored).unwrap_or(0) == theirs.checked_shr(ignored).unwrap_or(0)
    }

    pub fn address(&self) -> IpAddr {
        self.address
    }
}

fn bits_of(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(a) => u128::from(a.to_bits()),
        IpAddr::V6(a) => a.to_bits(),
    }
}

impl LinkChoice {
    /// Whether the operator chose at all: if not, nobody need look.
    pub fn is_free(&self) -> bool {
        self.pause_on.is_empty() && self.only_on.is_empty()
    }

    /// Whether anybody need ask what is metered.
    pub fn asks_what_is_metered(&self) -> bool {
        self.pause_on.contains(&LinkRule::Metered)
    }
}

impl FromStr for LinkRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text == "metered" {
            return Ok(Self::Metered);
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Gateway(address.to_canonical()));
        }
        if let Some((address, prefix)) = text.split_once('/') {
            return network(address, prefix)
                .map(Self::Network)
                .ok_or_else(|| format!("'{}' is not a network; write it like \"10.11.0.0/16\"", text.escape_debug()));
        }
        if is_interface(text) {
            return Ok(Self::Interface(text.to_owned()));
        }
        Err(format!(
            "'{}' is neither an interface (\"wwan0\", \"usb*\"), nor a gateway (\"192.168.43.1\"), nor a network \
             (\"10.11.0.0/16\"), nor \"metered\"; write one of these",
            text.escape_debug()
        ))
    }
}

fn network(address: &str, prefix: &str) -> Option<Network> {
    let plain = !prefix.is_empty() && prefix.bytes().all(|b| b.is_ascii_digit());
    let network = Network::new(address.parse().ok()?, prefix.parse().ok().filter(|_| plain)?)?;
    if network.address.to_canonical() != network.address {
        return None;
    }
    // An address that was meant is not silently taken for its whole network.
    let ignored = u32::from(bits_of(network.address) - network.prefix);
    let rest = 1_u128.checked_shl(ignored).map_or(u128::MAX, |n| n - 1);
    (number(network.address) & rest == 0).then_some(network)
}

/// As the kernel allows them (`dev_valid_name`: at most 15 bytes, no `/`, no `:`, no space), and no digits and dots alone,
/// which is an address written wrongly.
fn is_interface(name: &str) -> bool {
    let stem = name.strip_suffix('*').unwrap_or(name);
    (1..16).contains(&name.len())
        && stem.bytes().all(|b| b.is_ascii_graphic() && !b"/:*".contains(&b))
        && name.bytes().any(|b| !b.is_ascii_digit() && b != b'.')
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl fmt::Display for LinkRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interface(name) => f.write_str(name),
            Self::Gateway(address) => address.fmt(f),
            Self::Network(network) => network.fmt(f),
            Self::Metered => f.write_str("metered"),
        }
    }
}
