//! What an answer to a request for a range of bytes says that it holds (RFC 9110, sections 14.4 and 15.3.7). A proxy, a
//! cache or a faulty store may answer with the whole, or with another part: that is said of the answer, never of the
//! object, and nothing of it is used.

use std::ops::Range;

/// The body of an answer 206.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeBody {
    /// The body must have exactly so many bytes: fewer than were asked for when the object ends before.
    exact: u64,
    taken: Vec<u8>,
}

impl RangeBody {
    /// Of an answer 206 with this Content-Range.
    ///
    /// # Errors
    /// When it does not begin where it should, does not end where it should while the object goes on, or says nothing.
    pub fn part(asked: &Range<u64>, content_range: Option<&str>) -> Result<Self, String> {
        let header =
            content_range.ok_or("a part of an object came, or all of it, without saying which one")?;
        let wrong = || {
            let (begin, end) = (asked.start, asked.end.saturating_sub(1));
            format!(
                "bytes {begin}-{end} were asked for, and `{}` came",
                printable(header)
            )
        };
        let (range, total) = parse(header).ok_or_else(wrong)?;
        let ends = range.end == asked.end || (total == Some(range.end) && range.end < asked.end);
        if range.start != asked.start || !ends {
            return Err(wrong());
        }
        Ok(Self {
            exact: range.end - range.start,
            taken: Vec::new(),
        })
    }

    /// Takes the next piece of the body.
    ///
    /// # Errors
    /// When the body has more bytes than the answer said.
    pub fn take(&mut self, piece: &[u8]) -> Result<(), String> {
        if self.taken.len() as u64 + piece.len() as u64 > self.exact {
            return Err("more bytes came than the answer said".to_owned());
        }
        self.taken.extend_from_slice(piece);
        Ok(())
    }

    /// The bytes, once the body is over. `None` when it broke off.
    #[must_use]
    pub fn done(self) -> Option<Vec<u8>> {
        (self.taken.len() as u64 == self.exact).then_some(self.taken)
    }
}

/// `bytes 0-99/1234`, or `*` for the length. The end is exclusive.
fn parse(header: &str) -> Option<(Range<u64>, Option<u64>)> {
    let (range, total) = header.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last): (u64, u64) = (number(first)?, number(last)?);
    let total = match total {
        "*" => None,
        total => Some(number(total)?),
    };
    let is_sound = first <= last && total.is_none_or(|total| last < total);
    is_sound.then_some((first..last.checked_add(1)?, total))
}

fn number(text: &str) -> Option<u64> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| text.parse().ok())?
}

/// What a stranger wrote, as it may be shown.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(asked: Range<u64>, header: &str) -> Option<u64> {
        RangeBody::part(&asked, Some(header)).ok().map(|body| body.exact)
    }

    #[test]
    fn only_the_range_that_was_asked_for_is_taken() {
        assert_eq!(part(10..20, "bytes 10-19/100"), Some(10));
        assert_eq!(part(10..20, "bytes 10-19/*"), Some(10));
        // The object ends before the range does.
        assert_eq!(part(10..20, "bytes 10-14/15"), Some(5));
        for other in [
            "bytes 0-9/100",
            "bytes 11-19/100",
            "bytes 10-18/100",
            "bytes 10-20/100",
            "bytes 10-14/*",
            "bytes 10-14/16",
            "bytes 10-19/19",
            "bytes 19-10/100",
            "bytes */100",
            "bytes +10-19/100",
            "bytes=10-19/100",
            "lines 10-19/100",
            "bytes 10-18446744073709551615/*",
            "",
        ] {
            assert_eq!(part(10..20, other), None, "{other}");
        }
        assert!(RangeBody::part(&(0..1), None).is_err());
    }

    #[test]
    fn a_part_that_is_longer_or_shorter_than_it_says_is_none() {
        let mut body = RangeBody::part(&(5..8), Some("bytes 5-7/9")).unwrap();
        assert_eq!(body.take(b"ab"), Ok(()));
        assert_eq!(body.clone().done(), None);
        assert!(body.clone().take(b"cd").is_err());
        assert_eq!(body.take(b"c"), Ok(()));
        assert_eq!(body.done().unwrap(), b"abc");
    }
}
