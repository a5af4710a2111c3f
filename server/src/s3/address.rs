//! Where storage endpoints may be: the rule of the instance, so that a tenant's storage account is no way into the server's own
//! network. An address is judged where it is used, at each connect, after the name was resolved.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::Uri;
use ipnet::IpNet;

/// Where storage endpoints may be: at public addresses over https, and besides in the networks that the operator names, there
/// also over http.
#[derive(Debug, Clone, Default)]
pub struct AddressRule {
    networks: Vec<IpNet>,
}

/// Why an endpoint's address is refused before anything is asked of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not scheme, host and port alone.
    #[error(
        "endpoint: give the address of an S3 endpoint, such as https://s3.example.com, without a user name, path or query."
    )]
    NotAnEndpoint,
    /// http where only https is allowed.
    #[error(
        "endpoint: use https. This server uses http only in private networks that its operator allows \
         (HOLDFAST_STORAGE_NETWORKS)."
    )]
    NotHttps,
    /// An IP address that the rule does not allow.
    #[error(
        "endpoint: this server uses storage at public addresses only. Its operator can allow a private network \
         (HOLDFAST_STORAGE_NETWORKS)."
    )]
    NotPublic,
}

impl AddressRule {
    /// Public addresses over https, and `networks` over http and https.
    #[must_use]
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self { networks }
    }

    /// Whether a connection to this address may be opened.
    #[must_use]
    pub fn allows(&self, address: IpAddr, https: bool) -> bool {
        (https && is_public(address)) || self.networks.iter().any(|network| network.contains(&address))
    }

    /// The address of an endpoint as it is stored: scheme, host in lower case, port. Names are not resolved here.
    ///
    /// # Errors
    /// For anything but scheme, host and port, and where the rule refuses scheme or address.
    pub fn endpoint(&self, text: &str) -> Result<String, AddressError> {
        let text = text.trim().trim_end_matches('/');
        // The parser drops fragments, and keeps user names.
        if text.contains(['@', '?', '#', '\\']) {
            return Err(AddressError::NotAnEndpoint);
        }
        let uri: Uri = text.parse().map_err(|_| AddressError::NotAnEndpoint)?;
        if uri.path() != "/" {
            return Err(AddressError::NotAnEndpoint);
        }
        self.judge(&uri)?;
        Ok(text.to_ascii_lowercase())
    }

    /// What can be told of an address without resolving its name.
    ///
    /// # Errors
    /// Where there is no host, or the rule refuses scheme or address.
    pub fn judge(&self, uri: &Uri) -> Result<(), AddressError> {
        let https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(AddressError::NotAnEndpoint),
        };
        let host = uri.host().ok_or(AddressError::NotAnEndpoint)?;
        if !https && self.networks.is_empty() {
            return Err(AddressError::NotHttps);
        }
        match literal(host)? {
            Some(address) if !self.allows(address, https) => Err(AddressError::NotPublic),
            _ => Ok(()),
        }
    }
}

/// The address that a host is, or `None` for a name. A host whose last part is a number is an address, and is read only in its
/// usual spelling: resolvers also take 2130706433, 0x7f000001, 0177.0.0.1 and 127.1 for addresses.
fn literal(host: &str) -> Result<Option<IpAddr>, AddressError> {
    if let Some(inner) = host.strip_prefix('[') {
        let inner = inner.strip_suffix(']').ok_or(AddressError::NotAnEndpoint)?;
        let address: Ipv6Addr = inner.parse().map_err(|_| AddressError::NotAnEndpoint)?;
        return Ok(Some(address.into()));
    }
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    let hex = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    let number = match hex {
        Some(digits) => digits.bytes().all(|digit| digit.is_ascii_hexdigit()),
        None => last.bytes().all(|digit| digit.is_ascii_digit()),
    };
    if !number {
        return Ok(None);
    }
    let address: Ipv4Addr = host.parse().map_err(|_| AddressError::NotAnEndpoint)?;
    Ok(Some(address.into()))
}

/// Whether an address is one of the public internet, where no part of a private network, of a cloud's own services or of
/// another protocol's translation is reached: the IANA special-purpose registries (RFC 6890 and its updates), Azure's wire
/// server, and no IPv6 address that carries an IPv4 address inside.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !matches!(
        address.octets(),
        // "This network", private, loopback, link-local (and the clouds' metadata), private.
        [0 | 10 | 127, ..] | [169, 254, ..] | [172, 16..=31, ..] | [192, 168, ..]
        // Carriers' shared addresses (and Alibaba's metadata), protocol assignments, 6to4 relays.
        | [100, 64..=127, ..] | [192, 0, 0, _] | [192, 88, 99, _]
        // Documentation and benchmarks.
        | [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] | [198, 18..=19, ..]
        // Multicast, reserved, broadcast.
        | [224..=255, ..]
        // Azure's wire server, a public address that means the host itself.
        | [168, 63, 129, 16]
    )
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    // Outside of 2000::/3 are unspecified, loopback, IPv4-mapped, NAT64, unique local, link-local and multicast.
    first & 0xe000 == 0x2000
        // Protocol assignments, among them Teredo; documentation; 6to4.
        && !(first == 0x2001 && second < 0x0200)
        && !(first == 0x2001 && second == 0x0db8)
        && !(first == 0x3fff && second < 0x1000)
        && first != 0x2002
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(networks: &[&str]) -> AddressRule {
        AddressRule::new(networks.iter().map(|text| text.parse().unwrap()).collect())
    }

    #[test]
    fn only_the_public_internet_is_public() {
        for public in [
            "1.1.1.1",
            "8.8.8.8",
            "52.95.110.1",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "169.253.255.255",
            "192.0.1.1",
            "198.20.0.1",
            "223.255.255.255",
            "2001:4860:4860::8888",
            "2600:1f18::1",
            "2a00:1450:4001::1",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for other in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.100.100.200",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            // IPv4-compatible, -mapped and -translated, NAT64 with the well-known and a local prefix, 6to4, Teredo.
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::ffff:0:127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::808:808",
            "64:ff9b:1::7f00:1",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
            "3fff::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "100::1",
            "5f00::1",
        ] {
            assert!(!is_public(other.parse().unwrap()), "{other}");
        }
    }

    #[test]
    fn http_is_for_the_networks_that_the_operator_names() {
        let public = "8.8.8.8".parse().unwrap();
        let loopback = "127.0.0.1".parse().unwrap();
        let mapped = "::ffff:127.0.0.1".parse().unwrap();
        assert!(rule(&[]).allows(public, true));
        assert!(!rule(&[]).allows(public, false));
        assert!(!rule(&[]).allows(loopback, true));
        let named = rule(&["127.0.0.0/8", "::1/128"]);
        assert!(named.allows(loopback, true) && named.allows(loopback, false));
        assert!(named.allows("::1".parse().unwrap(), false));
        assert!(!named.allows(public, false));
        assert!(!named.allows(mapped, true));
        assert!(!named.allows("10.0.0.1".parse().unwrap(), true));
    }

    #[test]
    fn endpoints_are_scheme_host_and_port() {
        for good in [
            "https://s3.eu-central-1.amazonaws.com",
            "https://s3.example.com:9000",
            "https://8.8.8.8",
            "https://[2600:1f18::1]:8443",
        ] {
            assert_eq!(rule(&[]).endpoint(good).as_deref(), Ok(good));
        }
        assert_eq!(
            rule(&[]).endpoint(" HTTPS://S3.Example.COM/ ").as_deref(),
            Ok("https://s3.example.com")
        );
        for bad in [
            "",
            "s3.example.com",
            "ftp://s3.example.com",
            "file:///etc/passwd",
            "https://",
            "https:///",
            "https://s3.example.com/bucket",
            "https://s3.example.com?x=1",
            "https://s3.example.com#x",
            "https://user:password@s3.example.com",
            "https://user@s3.example.com",
            "https://s3.example.com@127.0.0.1",
            "https://s3.example.com\\@127.0.0.1",
            "https://s3 .example.com",
            "https://s3.example.com\r\nHost: x",
            // Other spellings of 127.0.0.1.
            "https://2130706433",
            "https://0x7f000001",
            "https://0X7F.0.0.1",
            "https://017700000001",
            "https://0177.0.0.1",
            "https://127.1",
            "https://127.0.0.1.",
            "https://127.0.0.0x1",
            "https://[::1",
            "https://[::1%25lo]",
            "https://[127.0.0.1]",
        ] {
            assert_eq!(rule(&[]).endpoint(bad), Err(AddressError::NotAnEndpoint), "{bad}");
        }
        for inside in [
            "https://127.0.0.1",
            "https://127.0.0.2:9000",
            "https://10.1.2.3",
            "https://169.254.169.254",
            "https://0.0.0.0",
            "https://[::1]",
            "https://[::]",
            "https://[::ffff:127.0.0.1]",
            "https://[0:0:0:0:0:ffff:7f00:1]",
            "https://[64:ff9b::7f00:1]",
            "https://[fe80::1]",
            "https://[fd00:ec2::254]",
        ] {
            assert_eq!(
                rule(&[]).endpoint(inside),
                Err(AddressError::NotPublic),
                "{inside}"
            );
        }
        assert_eq!(
            rule(&[]).endpoint("http://s3.example.com"),
            Err(AddressError::NotHttps)
        );
        assert_eq!(
            rule(&["127.0.0.0/8"])
                .endpoint("http://127.0.0.1:9000")
                .as_deref(),
            Ok("http://127.0.0.1:9000")
        );
        assert_eq!(
            rule(&["127.0.0.0/8"]).endpoint("http://8.8.8.8"),
            Err(AddressError::NotPublic)
        );
    }
}
