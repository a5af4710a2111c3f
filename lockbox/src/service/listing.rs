//! What all listings share: prefix, delimiter, page size, resuming and encoding.

use s3s::dto::EncodingType;
use s3s::{S3Result, s3_error};

/// AWS: "returns up to 1,000 key names".
const LONGEST_PAGE: i32 = 1000;

/// Which keys a listing wants, and how it folds them.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    pub(super) prefix: String,
    pub(super) delimiter: Option<String>,
    pub(super) limit: usize,
}

/// Where a key goes in a listing.
pub(super) enum KeyPlacement<'k> {
    Outside,
    Row,
    /// Into the common prefix.
    Folded(&'k str),
}

impl Scope {
    pub(super) fn new(
        prefix: Option<&String>,
        delimiter: Option<&String>,
        max: Option<i32>,
    ) -> S3Result<Self> {
        let max = max.unwrap_or(LONGEST_PAGE).min(LONGEST_PAGE);
        let limit = usize::try_from(max).map_err(|_| {
            s3_error!(
                InvalidArgument,
                "Argument max-keys must be an integer between 0 and 2147483647"
            )
        })?;
        Ok(Self {
            prefix: prefix.cloned().unwrap_or_default(),
            delimiter: delimiter.cloned().filter(|d| !d.is_empty()),
            limit,
        })
    }

    /// The page size that the answer states.
    pub(super) fn max(&self) -> Option<i32> {
        i32::try_from(self.limit).ok()
    }

    pub(super) fn place<'k>(&self, key: &'k str) -> KeyPlacement<'k> {
        let Some(rest) = key.strip_prefix(&self.prefix) else {
            return KeyPlacement::Outside;
        };
        match self
            .delimiter
            .as_deref()
            .and_then(|d| Some(rest.find(d)? + d.len()))
        {
            Some(end) => KeyPlacement::Folded(&key[..self.prefix.len() + end]),
            None => KeyPlacement::Row,
        }
    }

    /// Whether a marker is a common prefix that the previous page ended with, rather than a key.
    pub(super) fn is_folded(&self, marker: &str) -> bool {
        matches!(self.place(marker), KeyPlacement::Folded(prefix) if prefix.len() == marker.len())
    }
}

/// The smallest string behind all strings that start with `prefix`; `None` when there is none.
pub(super) fn behind(prefix: &str) -> Option<String> {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        // The next character; ranges of `char` step over the surrogates.
        if let Some(next) = (last..=char::MAX).nth(1) {
            text.push(next);
            return Some(text);
        }
    }
    None
}

/// Encodes keys when asked to: XML 1.0 cannot carry every character of a key.
#[derive(Clone, Copy)]
pub(super) struct Encoder {
    url: bool,
}

impl Encoder {
    pub(super) fn new(asked: Option<&EncodingType>) -> S3Result<Self> {
        match asked.map(EncodingType::as_str) {
            None => Ok(Self { url: false }),
            Some(EncodingType::URL) => Ok(Self { url: true }),
            Some(_) => Err(s3_error!(
                InvalidArgument,
                "Invalid Encoding Method specified in Request"
            )),
        }
    }

    pub(super) fn text(self, text: &str) -> String {
        if !self.url {
            return text.to_owned();
        }
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~/".contains(&b);
        text.bytes().fold(String::new(), |mut out, byte| {
            if plain(byte) {
                out.push(char::from(byte));
            } else {
                out.push_str(&format!("%{byte:02X}"));
            }
            out
        })
    }

    pub(super) fn opt(self, text: Option<&String>) -> Option<String> {
        text.map(|text| self.text(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding() {
        let scope = Scope::new(Some(&"a/".into()), Some(&"/".into()), None).unwrap();
        assert!(matches!(scope.place("a/b/c"), KeyPlacement::Folded("a/b/")));
        assert!(matches!(scope.place("a/b"), KeyPlacement::Row));
        assert!(matches!(scope.place("b"), KeyPlacement::Outside));
        assert!(scope.is_folded("a/b/") && !scope.is_folded("a/b") && !scope.is_folded("a/b/c"));
    }

    #[test]
    fn the_string_behind_a_prefix() {
        assert_eq!(behind("a/").as_deref(), Some("a0"));
        assert_eq!(behind("a\u{10FFFF}").as_deref(), Some("b"));
        assert_eq!(behind("\u{D7FF}").as_deref(), Some("\u{E000}"));
        assert_eq!(behind(""), None);
        assert_eq!(behind("\u{10FFFF}"), None);
    }

    #[test]
    fn page_sizes() {
        let limit = |max| Scope::new(None, None, max).map(|scope| scope.limit);
        assert_eq!(limit(None).unwrap(), 1000);
        assert_eq!(limit(Some(5000)).unwrap(), 1000);
        assert_eq!(limit(Some(0)).unwrap(), 0);
        assert!(limit(Some(-1)).is_err());
    }
}
