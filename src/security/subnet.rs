//! A block of IP addresses, as it is written for people.

use crate::failure::printable;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A block of IP addresses that begin with the same bits ([RFC 4632](https://www.rfc-editor.org/rfc/rfc4632)): `10.0.0.0/8`,
/// `2001:db8::/32`, or one address.
///
/// ```
/// use peermq::Subnet;
///
/// let office: Subnet = "192.0.2.0/24".parse()?;
/// assert!(office.contains("192.0.2.7".parse()?));
/// assert!(!office.contains("192.0.3.7".parse()?));
///
/// let wrong = "192.0.2.7/24".parse::<Subnet>().unwrap_err();
/// assert_eq!(wrong.to_string(), "192.0.2.7/24: it has bits beyond the first 24; the block is 192.0.2.0/24");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subnet {
    /// Bits beyond `prefix` are zero. IPv4 addresses in IPv6's clothes are IPv4 ones.
    first: IpAddr,
    prefix: u32,
}

/// What was to be a [`Subnet`] is none. Shown, it says what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {why}", printable(.text.as_bytes()))]
pub struct InvalidSubnet {
    text: String,
    why: String,
}

impl Subnet {
    /// Makes the block of all addresses whose first bits, so many, are those of this one. `None` if the address has not so
    /// many bits (32, or 128), or has others set.
    pub fn new(first: IpAddr, prefix: u32) -> Option<Self> {
        let subnet = Subnet { first, prefix }.canonical();
        let is_one = prefix <= bits(first) && masked(subnet.first, subnet.prefix) == subnet.first;
        is_one.then_some(subnet)
    }

    /// Returns whether this address is one of the block. An IPv4 address is the same if it is written as IPv6's
    /// `::ffff:192.0.2.7`.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.first.is_ipv4() && masked(address, self.prefix) == self.first
    }

    fn canonical(self) -> Self {
        const CLOTHES: u32 = 96;
        match self.first.to_canonical() {
            first if first.is_ipv4() && self.first.is_ipv6() && self.prefix >= CLOTHES => Subnet {
                first,
                prefix: self.prefix - CLOTHES,
            },
            _ => self,
        }
    }
}

impl From<IpAddr> for Subnet {
    fn from(address: IpAddr) -> Self {
        let first = address.to_canonical();
        let prefix = bits(first);
        Subnet { first, prefix }
    }
}

impl FromStr for Subnet {
    type Err = InvalidSubnet;

    fn from_str(text: &str) -> Result<Self, InvalidSubnet> {
        let wrong = |why: String| InvalidSubnet {
            text: text.to_owned(),
            why,
        };
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address
            .parse()
            .map_err(|_| wrong("it does not begin with an IP address".to_owned()))?;
        let Some(prefix) = prefix else {
            return Ok(address.into());
        };
        let most = bits(address);
        let prefix = match prefix.parse() {
            Ok(number) if number <= most && !prefix.starts_with('+') => number,
            _ => return Err(wrong(format!("behind the slash stands a number of bits, 0 to {most}"))),
        };
        Subnet::new(address, prefix).ok_or_else(|| {
            let first = masked(address, prefix);
            wrong(format!(
                "it has bits beyond the first {prefix}; the block is {first}/{prefix}"
            ))
        })
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Subnet { first, prefix } = self;
        match *prefix == bits(*first) {
            true => write!(f, "{first}"),
            false => write!(f, "{first}/{prefix}"),
        }
    }
}

/// Bits of an address.
fn bits(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(_) => u32::BITS,
        IpAddr::V6(_) => u128::BITS,
    }
}

/// An address with all but its first bits, so many, zero.
fn masked(address: IpAddr, prefix: u32) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(u32::BITS.saturating_sub(prefix)).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(u128::BITS.saturating_sub(prefix)).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & mask).into())
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    #[test]
    fn a_block_has_the_addresses_that_begin_with_its_bits() {
        for (block, inside, outside) in [
            ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
            ("10.0.0.128/25", "10.0.0.128", "10.0.0.127"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
            ("0.0.0.0/0", "255.0.0.1", "::1"),
            ("::/0", "2001:db8::1", "10.0.0.1"),
            ("2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::"),
            ("::1", "::1", "::2"),
            ("::ffff:10.0.0.0/104", "10.1.2.3", "11.0.0.1"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "::ffff:11.1.2.3"),
        ] {
            let block = subnet(block);
            assert!(block.contains(inside.parse().unwrap()), "{block} has {inside}");
            assert!(!block.contains(outside.parse().unwrap()), "{block} has not {outside}");
        }
    }

    #[test]
    fn a_block_is_shown_as_it_was_written() {
        for text in ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::1", "0.0.0.0/0", "::/0"] {
            assert_eq!(subnet(text).to_string(), text);
        }
        assert_eq!(subnet("192.0.2.7/32").to_string(), "192.0.2.7");
        assert_eq!(subnet("::ffff:10.0.0.0/104").to_string(), "10.0.0.0/8");
        assert_eq!(Subnet::from("::1".parse::<IpAddr>().unwrap()), subnet("::1/128"));
    }

    #[test]
    fn what_is_no_block_says_why() {
        let bits = "behind the slash stands a number of bits, 0 to";
        for (text, why) in [
            ("", "it does not begin with an IP address"),
            ("host/8", "it does not begin with an IP address"),
            ("10.0.0/8", "it does not begin with an IP address"),
            ("10.0.0.0/", &format!("{bits} 32")),
            ("10.0.0.0/33", &format!("{bits} 32")),
            ("10.0.0.0/+8", &format!("{bits} 32")),
            ("10.0.0.0/8/8", &format!("{bits} 32")),
            ("::/129", &format!("{bits} 128")),
            ("::/4294967297", &format!("{bits} 128")),
            ("10.0.0.1/8", "it has bits beyond the first 8; the block is 10.0.0.0/8"),
            ("::1/0", "it has bits beyond the first 0; the block is ::/0"),
        ] {
            let wrong = text.parse::<Subnet>().unwrap_err().to_string();
            assert_eq!(wrong, format!("{text}: {why}"));
        }
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(Subnet::new(address("10.0.0.0"), 33), None);
        assert_eq!(Subnet::new(address("10.0.0.1"), 8), None);
        assert_eq!(Subnet::new(address("::"), u32::MAX), None);
    }

    #[test]
    fn what_is_wrong_is_told_in_one_line() {
        let wrong = "10.0.0.0/8\n\x1b[2J".parse::<Subnet>().unwrap_err().to_string();
        assert_eq!(
            wrong,
            "10.0.0.0/8\\n\\x1b[2J: behind the slash stands a number of bits, 0 to 32"
        );
    }
}
