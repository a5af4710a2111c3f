//! Where a request comes from: the address of the connection or, behind a reverse proxy that the operator named, the one that the
//! proxy tells in `X-Forwarded-For`.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::http::HeaderMap;
use ipnet::IpNet;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The reverse proxies whose word is taken. None, unless the operator names some.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Those in these networks.
    #[must_use]
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this address is one of them.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Where a request comes from that `peer` sent. The list in the header is read from its end, where the nearest proxy wrote,
    /// as far as proxies are trusted; what a client wrote in front of that is never reached.
    #[must_use]
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        let values: Vec<&str> = headers
            .get_all(FORWARDED_FOR)
            .iter()
            .map(|value| value.to_str().unwrap_or(""))
            .collect();
        let mut hops = values.iter().flat_map(|value| value.split(',')).rev();
        while self.contains(client) {
            match hops.next().and_then(|hop| parse(hop.trim())) {
                Some(hop) => client = hop,
                None => break,
            }
        }
        client
    }
}

/// An address as proxies write it: alone, in brackets, or with a port.
fn parse(hop: &str) -> Option<IpAddr> {
    let bare = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']'));
    let address = bare.unwrap_or(hop).parse::<IpAddr>();
    let address = address.or_else(|_| hop.parse::<SocketAddr>().map(|socket| socket.ip()));
    address.ok().map(|address| address.to_canonical())
}

/// What is counted as one client: an IPv4 address, or the /64 that a subscriber gets of IPv6.
#[must_use]
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(FORWARDED_FOR, value.parse().unwrap());
        }
        headers
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()]);
        for (peer, told, expected) in [
            // Nobody's word is taken who is not named.
            ("192.0.2.1", &["203.0.113.9"][..], "192.0.2.1"),
            ("10.0.0.1", &["203.0.113.9"], "203.0.113.9"),
            ("::ffff:10.0.0.1", &["203.0.113.9"], "203.0.113.9"),
            ("fd00::1", &["[2001:db8::1]:4711"], "2001:db8::1"),
            ("fd00::1", &["[2001:db8::1]"], "2001:db8::1"),
            ("10.0.0.1", &["203.0.113.9:4711"], "203.0.113.9"),
            // The client wrote the first part itself.
            ("10.0.0.1", &["1.2.3.4, 203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", &["1.2.3.4", "203.0.113.9, 10.0.0.2"], "203.0.113.9"),
            // A chain of proxies, and one that says nothing or rubbish.
            ("10.0.0.1", &["203.0.113.9, 10.0.0.3, 10.0.0.2"], "203.0.113.9"),
            ("10.0.0.1", &["10.0.0.7"], "10.0.0.7"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.9, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.9, \u{fc}"], "10.0.0.1"),
        ] {
            assert_eq!(
                proxies.client(address(peer), &headers(told)),
                address(expected),
                "{peer} {told:?}"
            );
        }
        let nobody = TrustedProxies::default();
        assert_eq!(
            nobody.client(address("127.0.0.1"), &headers(&["203.0.113.9"])),
            address("127.0.0.1")
        );
    }

    #[test]
    fn a_subscriber_of_ipv6_counts_once() {
        for (one, network_of) in [
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("192.0.2.1", "192.0.2.1"),
        ] {
            assert_eq!(network(address(one)), address(network_of));
        }
    }
}
