//! Where a server or a storage is: scheme, host and port. https, except on this machine itself.

use std::{fmt, net::IpAddr, str::FromStr};

use reqwest::Url;
use serde::{Deserialize, Serialize};

/// Scheme, host and port, in the one spelling that addresses are compared in: lower case, no port that goes without saying.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Origin(String);

/// An address that this agent does not speak to, whoever names it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// Not an address, or one with a user name in it.
    #[error("`{0}` is no address of a server or a storage: use https://HOST or https://HOST:PORT")]
    NotAnAddress(String),
    /// http to another machine.
    #[error(
        "`{0}` is not encrypted, and everybody on the way can read and change what is sent: use https. Only this machine \
         itself (127.0.0.1, ::1, localhost) is spoken to over http"
    )]
    NotHttps(String),
}

impl Origin {
    /// Where an address leads to.
    ///
    /// # Errors
    /// See [`OriginError`].
    pub fn of(url: &Url) -> Result<Self, OriginError> {
        let origin = url.origin().ascii_serialization();
        let has_user = !url.username().is_empty() || url.password().is_some();
        if !matches!(url.scheme(), "http" | "https") || has_user || url.host_str().is_none_or(str::is_empty) {
            return Err(OriginError::NotAnAddress(short(&origin)));
        }
        if url.scheme() == "http" && !is_loopback(url) {
            return Err(OriginError::NotHttps(short(&origin)));
        }
        Ok(Self(origin))
    }

    /// Whether it is on this machine itself.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        Url::parse(&self.0).is_ok_and(|url| is_loopback(&url))
    }
}

/// The names of this machine itself. A name that somebody's resolver leads here is none of them.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    match address.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host == "localhost",
    }
}

/// Enough of an address to find it again: a signed one is a secret, and may be long.
fn short(text: &str) -> String {
    shared::text::shown(&text.chars().take(100).collect::<String>())
}

impl FromStr for Origin {
    type Err = OriginError;

    /// Of a text that is an origin and nothing else. A host alone is meant over https.
    fn from_str(text: &str) -> Result<Self, OriginError> {
        let text = text.trim();
        let wrong = || OriginError::NotAnAddress(short(text));
        let url = if text.contains("://") {
            text.to_owned()
        } else {
            format!("https://{text}")
        };
        let url = Url::parse(&url).map_err(|_| wrong())?;
        let is_origin = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if !is_origin {
            return Err(wrong());
        }
        Self::of(&url)
    }
}

impl TryFrom<String> for Origin {
    type Error = OriginError;

    fn try_from(text: String) -> Result<Self, OriginError> {
        text.parse()
    }
}

impl From<Origin> for String {
    fn from(origin: Origin) -> Self {
        origin.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str) -> Result<String, OriginError> {
        Origin::of(&Url::parse(url).unwrap()).map(String::from)
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        for (url, origin) in [
            (
                "https://S3.Example.com/bucket/key?X-Amz-Signature=1",
                "https://s3.example.com",
            ),
            ("https://s3.example.com:443/", "https://s3.example.com"),
            ("https://s3.example.com:8443/", "https://s3.example.com:8443"),
            ("https://b.s3.example.com/", "https://b.s3.example.com"),
            ("http://127.0.0.1:9000/bucket", "http://127.0.0.1:9000"),
            ("http://127.1:9000/bucket", "http://127.0.0.1:9000"),
            ("http://[::1]:9000/", "http://[::1]:9000"),
            ("http://LOCALHOST/", "http://localhost"),
        ] {
            assert_eq!(of(url).as_deref(), Ok(origin), "{url}");
        }
        for (text, origin) in [
            ("s3.example.com", "https://s3.example.com"),
            (" https://s3.example.com/ ", "https://s3.example.com"),
            ("s3.example.com:8443", "https://s3.example.com:8443"),
        ] {
            assert_eq!(
                text.parse::<Origin>().map(String::from).as_deref(),
                Ok(origin),
                "{text}"
            );
        }
    }

    #[test]
    fn http_is_for_this_machine_alone() {
        for url in [
            "http://s3.example.com/",
            "http://10.0.0.1:9000/",
            "http://0.0.0.0/",
            "http://[::ffff:10.0.0.1]/",
            "http://localhost.example.com/",
            "http://127.0.0.1.example.com/",
            "http://localhost./",
        ] {
            assert!(matches!(of(url), Err(OriginError::NotHttps(_))), "{url}");
        }
        for url in [
            "ftp://s3.example.com/",
            "file:///etc/passwd",
            "data:x",
            "https://user@s3.example.com/",
            "https://u:p@h/",
        ] {
            assert!(matches!(of(url), Err(OriginError::NotAnAddress(_))), "{url}");
        }
        for text in [
            "",
            "https://",
            "https://s3.example.com/bucket",
            "https://s3.example.com?x",
            "a b",
        ] {
            assert!(text.parse::<Origin>().is_err(), "{text}");
        }
    }
}
