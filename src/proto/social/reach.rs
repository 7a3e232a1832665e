//! Addresses that came over a link: what they mean on this machine.

use std::net::{IpAddr, SocketAddr};

use crate::proto::lan::is_link_local;

/// Gives link-local addresses the scope of the link by which they came, drops those that can have none and another
/// machine's loopback, and puts the peer's own address first: that one is reached.
pub(super) fn sort(addresses: &mut Vec<SocketAddr>, remote: SocketAddr) {
    addresses.retain_mut(|address| match address {
        SocketAddr::V6(v6) if is_link_local(*v6.ip()) => match remote {
            SocketAddr::V6(remote) if is_link_local(*remote.ip()) => {
                v6.set_scope_id(remote.scope_id());
                true
            }
            _ => false,
        },
        other => !other.ip().to_canonical().is_loopback() || remote.ip().to_canonical().is_loopback(),
    });
    addresses.sort_by_key(|address| !same(address.ip(), remote.ip()));
}

fn same(a: IpAddr, b: IpAddr) -> bool {
    a.to_canonical() == b.to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peers_own_address_comes_first_and_scopes_are_this_sides() {
        let list = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<SocketAddr>>();
        let mut addresses = list(&["[fe80::1]:9", "10.0.0.1:9", "10.0.0.2:9"]);
        sort(&mut addresses, "10.0.0.2:5".parse().unwrap());
        assert_eq!(addresses, list(&["10.0.0.2:9", "10.0.0.1:9"]));
        // The peer's own loopback is nobody else's.
        let mut addresses = list(&["10.0.0.1:9", "127.0.0.1:9", "[::1]:9"]);
        sort(&mut addresses, "10.0.0.1:5".parse().unwrap());
        assert_eq!(addresses, list(&["10.0.0.1:9"]));
        let mut addresses = list(&["10.0.0.1:9", "127.0.0.1:9"]);
        sort(&mut addresses, "127.0.0.1:5".parse().unwrap());
        assert_eq!(addresses, list(&["127.0.0.1:9", "10.0.0.1:9"]));
        let mut addresses = list(&["10.0.0.1:9", "[fe80::1]:9"]);
        sort(&mut addresses, "[fe80::1%7]:5".parse().unwrap());
        assert_eq!(addresses, list(&["[fe80::1%7]:9", "10.0.0.1:9"]));
    }
}
