//! What an answer to a request for a range of bytes says that it holds (RFC 9110, sections 14.4 and 15.3.7). A proxy, a
//! cache or a faulty store may answer with the whole, or with another part: that is said of the answer, never of the
//! object.

use std::ops::Range;

/// Every object of ours begins so: FORMAT, section 2.
const MAGIC: &[u8] = b"HFST";

/// Which bytes of a body are the ones that were asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cut {
    /// So many bytes of the body come before them.
    skip: u64,
    /// How many they are; fewer when a whole object ends before.
    take: u64,
    /// The body must have exactly so many bytes; not known of a whole.
    exact: Option<u64>,
    taken: Vec<u8>,
    seen: u64,
    /// The first bytes of a body that is said to be the whole.
    begin: Vec<u8>,
}

impl Cut {
    /// Of an answer 206 with this Content-Range.
    ///
    /// # Errors
    /// When it does not begin where it should, does not end where it should while the object goes on, or says nothing.
    pub(crate) fn part(asked: &Range<u64>, content_range: Option<&str>) -> Result<Self, String> {
        let header = content_range.ok_or("a part of an object came without saying which one")?;
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
        let len = range.end - range.start;
        Ok(Self::new(0, len, Some(len)))
    }

    /// Of an answer 200: the whole object, out of which the part is cut.
    pub(crate) const fn whole(asked: &Range<u64>) -> Self {
        Self::new(asked.start, asked.end.saturating_sub(asked.start), None)
    }

    const fn new(skip: u64, take: u64, exact: Option<u64>) -> Self {
        Self {
            skip,
            take,
            exact,
            taken: Vec::new(),
            seen: 0,
            begin: Vec::new(),
        }
    }

    /// Takes the next piece of the body. Says whether more is needed.
    ///
    /// # Errors
    /// When the body has more bytes than the answer said, or is said to be an object and does not begin as one.
    pub(crate) fn take(&mut self, piece: &[u8]) -> Result<bool, String> {
        let before = self.seen;
        self.seen = self.seen.saturating_add(piece.len() as u64);
        if self.exact.is_some_and(|exact| self.seen > exact) {
            return Err("more bytes came than the answer said".to_owned());
        }
        if self.exact.is_none() && self.begin.len() < MAGIC.len() {
            let missing = MAGIC.len() - self.begin.len();
            self.begin.extend(piece.iter().take(missing));
            if !MAGIC.starts_with(&self.begin) {
                return Err("something else than an object came".to_owned());
            }
        }
        let within = |at: u64| {
            usize::try_from(at.saturating_sub(before)).map_or(piece.len(), |at| at.min(piece.len()))
        };
        let (from, to) = (within(self.skip), within(self.skip.saturating_add(self.take)));
        self.taken.extend_from_slice(&piece[from..to]);
        Ok(self.exact.is_some() || (self.taken.len() as u64) < self.take)
    }

    /// The bytes, once the body is over or no more is needed. `None` when it broke off.
    ///
    /// # Errors
    /// When the body is said to be an object and is too short to begin as one.
    pub(crate) fn done(self) -> Result<Option<Vec<u8>>, String> {
        if self.exact.is_none() && self.begin.len() < MAGIC.len() {
            return Err("something else than an object came".to_owned());
        }
        let broke_off = self.exact.is_some_and(|exact| self.seen < exact);
        Ok((!broke_off).then_some(self.taken))
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
        Cut::part(&asked, Some(header)).ok().map(|cut| cut.take)
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
        assert!(Cut::part(&(0..1), None).is_err());
    }

    /// However the body is cut into pieces.
    #[test]
    fn a_part_is_cut_out_of_the_whole() {
        let whole = [b"HFST".as_slice(), &(4..100).collect::<Vec<u8>>()].concat();
        for step in 1..=whole.len() {
            for asked in [0..4, 0..100, 10..20, 3..5, 90..120, 100..120] {
                let mut cut = Cut::whole(&asked);
                for piece in whole.chunks(step) {
                    if !cut.take(piece).unwrap() {
                        break;
                    }
                }
                let end = usize::try_from(asked.end).unwrap().min(100);
                let expected = &whole[usize::try_from(asked.start).unwrap()..end];
                assert_eq!(
                    cut.done().unwrap().unwrap(),
                    expected,
                    "{asked:?} in steps of {step}"
                );
            }
        }
        let mut html = Cut::whole(&(0..10));
        assert!(html.take(b"<ht").is_err());
        assert!(Cut::whole(&(0..10)).done().is_err());
    }

    #[test]
    fn a_part_that_is_longer_or_shorter_than_it_says_is_none() {
        let mut cut = Cut::part(&(5..8), Some("bytes 5-7/9")).unwrap();
        assert_eq!(cut.take(b"ab"), Ok(true));
        assert_eq!(cut.clone().done(), Ok(None));
        assert!(cut.clone().take(b"cd").is_err());
        assert_eq!(cut.take(b"c"), Ok(true));
        assert_eq!(cut.done().unwrap().unwrap(), b"abc");
    }
}
