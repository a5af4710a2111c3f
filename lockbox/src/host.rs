//! Which bucket the `Host` header names.

use s3s::S3Result;
use s3s::host::{S3Host, VirtualHost};

/// `BUCKET.DOMAIN` names a bucket for each known domain; every other host, such as
/// `localhost:9000`, is path style. (s3s' own `SingleDomain` takes an unknown host for a bucket.)
#[derive(Debug)]
pub(crate) struct Hosts {
    domains: Vec<String>,
}

impl Hosts {
    pub(crate) fn new(domains: &[String]) -> Self {
        let clean = |d: &String| without_port(d).trim_matches('.').to_ascii_lowercase();
        Self {
            domains: domains.iter().map(clean).filter(|d| !d.is_empty()).collect(),
        }
    }
}

impl S3Host for Hosts {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        let name = without_port(host).trim_end_matches('.').to_ascii_lowercase();
        let bucket = self.domains.iter().find_map(|domain| {
            let bucket = name.strip_suffix(domain)?.strip_suffix('.')?;
            (!bucket.is_empty()).then(|| VirtualHost::new(domain.as_str()).with_bucket(bucket.to_owned()))
        });
        Ok(bucket.unwrap_or_else(|| VirtualHost::new(host)))
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_by_host() {
        let hosts = Hosts::new(&["s3.example.com".into(), "localhost:9000".into()]);
        let bucket = |host: &str| hosts.parse_host_header(host).unwrap().bucket().map(str::to_owned);
        assert_eq!(bucket("photos.s3.example.com").as_deref(), Some("photos"));
        assert_eq!(
            bucket("my.photos.s3.EXAMPLE.com:443").as_deref(),
            Some("my.photos")
        );
        assert_eq!(bucket("b1.localhost:1234").as_deref(), Some("b1"));
        for path_style in [
            "s3.example.com",
            "localhost:9000",
            "other.org",
            ".s3.example.com",
            "xs3.example.com",
        ] {
            assert_eq!(bucket(path_style), None, "{path_style}");
        }
    }
}
