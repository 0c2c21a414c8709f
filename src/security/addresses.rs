//! From where peers may come.

use super::Subnet;
use std::net::IpAddr;

/// The addresses that connections are taken from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Addresses {
    /// `None`: all.
    allowed: Option<Vec<Subnet>>,
    /// They are not taken, even if they are allowed.
    denied: Vec<Subnet>,
}

impl Addresses {
    pub(super) fn allow(&mut self, subnets: impl IntoIterator<Item = Subnet>) {
        self.allowed.get_or_insert_default().extend(subnets);
    }

    pub(super) fn deny(&mut self, subnets: impl IntoIterator<Item = Subnet>) {
        self.denied.extend(subnets);
    }

    /// Whether connections are taken from everywhere.
    pub(crate) fn are_all(&self) -> bool {
        self.allowed.is_none() && self.denied.is_empty()
    }

    /// Whether one is taken from here; else why not.
    pub(crate) fn judge(&self, address: Option<IpAddr>) -> Result<(), String> {
        if self.are_all() {
            return Ok(());
        }
        let address = address.ok_or("where it comes from is not known")?;
        let has = |subnets: &[Subnet]| subnets.iter().any(|subnet| subnet.contains(address));
        if has(&self.denied) {
            return Err(format!("{address} is one of the addresses that are denied"));
        }
        match &self.allowed {
            Some(allowed) if !has(allowed) => Err(format!("{address} is none of the addresses that are allowed")),
            _ => Ok(()),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn denied_is_denied_whatever_is_allowed() {
        let subnets = |all: &[&str]| all.iter().map(|one| one.parse().unwrap()).collect::<Vec<Subnet>>();
        let judge = |addresses: &Addresses, from: &str| addresses.judge(from.parse().ok());
        let mut addresses = Addresses::default();
        assert!(addresses.are_all());
        assert_eq!(judge(&addresses, "192.0.2.7"), Ok(()));

        addresses.deny(subnets(&["10.0.0.5", "10.0.0.6"]));
        assert!(!addresses.are_all());
        assert_eq!(judge(&addresses, "192.0.2.7"), Ok(()));

        addresses.allow(subnets(&["10.0.0.0/24"]));
        addresses.allow(subnets(&["::1"]));
        for inside in ["10.0.0.4", "::1"] {
            assert_eq!(judge(&addresses, inside), Ok(()));
        }
        let denied = "10.0.0.6 is one of the addresses that are denied";
        assert_eq!(judge(&addresses, "10.0.0.6"), Err(denied.to_owned()));
        let absent = "192.0.2.7 is none of the addresses that are allowed";
        assert_eq!(judge(&addresses, "192.0.2.7"), Err(absent.to_owned()));

        assert!(addresses.judge(None).is_err());

        let mut nobody = Addresses::default();
        nobody.allow([]);
        assert!(judge(&nobody, "10.0.0.4").is_err());
    }
}
