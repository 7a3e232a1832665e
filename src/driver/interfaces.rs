//! The usable interfaces: listed through `if-addrs`, filtered by the user's choice.
//!
//! The list is read again every two seconds while sockets are open: the system's notifications miss address changes.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use if_addrs::IfAddr;

use super::Config;
use crate::proto::io::Interface;

/// Every address of every interface that is up and that the configuration allows, in a fixed order.
pub(super) fn list(config: &Config) -> io::Result<Vec<Interface>> {
    let mut all: Vec<Interface> =
        if_addrs::get_if_addrs()?.into_iter().filter(if_addrs::Interface::is_oper_up).filter_map(convert).collect();
    all.retain(|interface| allowed(config, &interface.name, interface.address, interface.loopback));
    all.sort();
    all.dedup();
    Ok(all)
}

/// Whether the configuration allows an interface's address.
pub(super) fn allowed(config: &Config, name: &str, address: IpAddr, loopback: bool) -> bool {
    if config.loopback_only && !loopback {
        return false;
    }
    config.interfaces.is_empty()
        || config
            .interfaces
            .iter()
            .any(|wanted| wanted == name || wanted.parse::<IpAddr>().is_ok_and(|wanted| wanted == address))
}

fn convert(raw: if_addrs::Interface) -> Option<Interface> {
    let loopback = raw.is_loopback();
    // Without an index neither scope nor arrival interface can be told.
    let index = raw.index?;
    let (address, prefix, broadcast) = match &raw.addr {
        IfAddr::V4(v4) => (IpAddr::V4(v4.ip), v4.prefixlen, directed(v4.ip, v4.prefixlen, v4.broadcast, loopback)),
        IfAddr::V6(v6) => (IpAddr::V6(v6.ip), v6.prefixlen, None),
    };
    if address.is_unspecified() || address.is_multicast() {
        return None;
    }
    let wireless = wireless(&raw.name);
    Some(Interface {
        index,
        address,
        prefix,
        broadcast,
        loopback,
        point_to_point: raw.is_p2p,
        wireless,
        name: raw.name,
        port: 0,
        deaf: None,
    })
}

/// The subnet's broadcast address. Loopback names none, but 127.255.255.255 reaches every process on this machine.
fn directed(address: Ipv4Addr, prefix: u8, told: Option<Ipv4Addr>, loopback: bool) -> Option<Ipv4Addr> {
    // /31 and /32 have no broadcast address (RFC 3021).
    if prefix > 30 || prefix == 0 {
        return None;
    }
    let computed = Ipv4Addr::from(u32::from(address) | (u32::MAX >> prefix));
    match told {
        Some(told) if told != address && !told.is_unspecified() => Some(told),
        _ => loopback.then_some(computed),
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn wireless(name: &str) -> bool {
    std::path::Path::new("/sys/class/net").join(name).join("wireless").exists() || name.starts_with("wlan")
}

/// By the usual names elsewhere; Apple's en0 is Wi-Fi on every phone and nearly every laptop, so wrong guesses only make
/// this side a little quieter.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn wireless(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let apple = cfg!(target_vendor = "apple") && (lower == "en0" || lower.starts_with("awdl"));
    apple || ["wlan", "wi-fi", "wifi", "wireless", "iwm", "iwx", "ath"].iter().any(|start| lower.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_listed_with_its_broadcast_address() {
        let config = Config { loopback_only: true, ..Config::default() };
        let list = list(&config).unwrap();
        let v4 = list.iter().find(|i| i.address == IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
        assert!(v4.loopback);
        assert_eq!(v4.broadcast, Some(Ipv4Addr::new(127, 255, 255, 255)));
        assert!(list.iter().all(|i| i.loopback));
    }

    #[test]
    fn a_choice_is_by_name_or_address() {
        let by = |wanted: &str| Config { interfaces: vec![wanted.into()], ..Config::default() };
        let address: IpAddr = [192, 168, 1, 5].into();
        assert!(allowed(&by("eth0"), "eth0", address, false));
        assert!(allowed(&by("192.168.1.5"), "eth0", address, false));
        assert!(!allowed(&by("eth1"), "eth0", address, false));
        assert!(!allowed(&by("192.168.1.6"), "eth0", address, false));
        let loopback = Config { loopback_only: true, ..Config::default() };
        assert!(!allowed(&loopback, "eth0", address, false));
    }

    #[test]
    fn directed_broadcasts() {
        let address = Ipv4Addr::new(10, 0, 0, 5);
        let told = Ipv4Addr::new(10, 0, 0, 255);
        assert_eq!(directed(address, 24, Some(told), false), Some(told));
        assert_eq!(directed(address, 32, Some(told), false), None);
        assert_eq!(directed(address, 24, None, false), None, "an interface that names none does not broadcast");
        assert_eq!(directed(address, 24, Some(address), false), None, "a tunnel's peer field is no broadcast");
    }
}
