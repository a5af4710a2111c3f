//! Fields of storage accounts and of a backup set's place.

use super::{
    error::InputError,
    text::{bounded, text},
};
use crate::{limits::Limit, text as letters};

/// The address of an S3 endpoint, as far as it can be judged without the server: which addresses may be asked is the server's
/// rule.
///
/// # Errors
/// When it is too long or no web address.
pub fn endpoint(typed: &str) -> Result<String, InputError> {
    bounded("endpoint", typed.len(), Limit::Endpoint)?;
    let typed = typed.trim();
    let lower = typed.to_ascii_lowercase();
    let host = lower
        .strip_prefix("https://")
        .or_else(|| lower.strip_prefix("http://"));
    let host = host.map(|host| host.trim_end_matches('/'));
    let is_other =
        |letter: char| letter.is_whitespace() || letters::is_hidden(letter) || "@?#\\/".contains(letter);
    if host.is_none_or(|host| host.is_empty() || host.contains(is_other)) {
        return Err(InputError::new(
            "endpoint",
            "endpoint: give the address of an S3 endpoint, such as https://s3.example.com, without a user name, path or query.",
        ));
    }
    Ok(typed.to_owned())
}

/// A region.
///
/// # Errors
/// When it is empty, too long, or has a hidden character in it; likewise below.
pub fn region(typed: &str) -> Result<String, InputError> {
    text(
        "region",
        typed,
        Limit::Region,
        "the provider's region, such as us-east-1",
    )
}

/// An access key.
pub fn access_key(typed: &str) -> Result<String, InputError> {
    text("access_key", typed, Limit::AccessKey, "the access key")
}

/// A secret key.
pub fn secret_key(typed: &str) -> Result<String, InputError> {
    text("secret_key", typed, Limit::SecretKey, "the secret key")
}

/// A bucket's name.
pub fn bucket(typed: &str) -> Result<String, InputError> {
    text("bucket", typed, Limit::Bucket, "the bucket's name")
}

/// What every key begins with: empty, or ending in a slash. Keys without `+`, `%` or spaces list the same way at every provider.
///
/// # Errors
/// When it has other characters, an empty part, `.` or `..` in it, or is too long.
pub fn prefix(typed: &str) -> Result<String, InputError> {
    let typed = typed.trim().trim_matches('/');
    if typed.is_empty() {
        return Ok(String::new());
    }
    let fits = |part: &str| {
        !part.is_empty()
            && part != "."
            && part != ".."
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    if typed.len() > Limit::Prefix.max() || !typed.split('/').all(fits) {
        return Err(InputError::new(
            "prefix",
            "prefix: use letters, digits, `-`, `_` and `.`, with `/` between the parts, 200 characters at most.",
        ));
    }
    Ok(format!("{typed}/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_end_in_a_slash_or_are_empty() {
        assert_eq!(prefix(" ").unwrap(), "");
        assert_eq!(prefix("/acme/office/").unwrap(), "acme/office/");
        for bad in ["a b", "a+b", "a%20", "a//b", "../a", "ä"] {
            assert!(prefix(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn endpoints_are_web_addresses() {
        for good in ["https://s3.example.com", " HTTP://127.0.0.1:9000/ "] {
            assert_eq!(endpoint(good).as_deref(), Ok(good.trim()));
        }
        for bad in [
            "",
            "s3.example.com",
            "https://",
            "ftp://a",
            "https://a b",
            "https://a\0b",
            "https://a/b",
            "https://u@a",
            "https://a?x",
        ] {
            assert_eq!(endpoint(bad).unwrap_err().field(), "endpoint", "{bad}");
        }
    }
}
