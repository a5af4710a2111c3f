//! Pseudo-random bytes that are the same each time.

use std::fmt::Write as _;

/// A stream of them.
pub struct Random(blake3::OutputReader);

const WORDS: [&str; 24] = [
    "invoice", "delivery", "oak", "veneer", "customer", "offer", "hinge", "Tuesday", "measure", "window",
    "frame", "paid", "open", "reminder", "glue", "beech", "drawing", "revision", "workshop", "order",
    "metre", "pine", "stair", "handle",
];

impl Random {
    /// The stream of a name.
    pub fn new(name: &str) -> Self {
        Self(blake3::Hasher::new().update(name.as_bytes()).finalize_xof())
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes) % limit
    }

    /// Bytes that do not compress.
    pub fn bytes(&mut self, count: u64) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(count).unwrap_or(0)];
        self.0.fill(&mut bytes);
        bytes
    }

    /// Text that compresses as letters and lists do.
    pub fn text(&mut self, count: u64) -> Vec<u8> {
        let count = usize::try_from(count).unwrap_or(0);
        let mut text = String::with_capacity(count + 16);
        while text.len() < count {
            let roll = self.below(1 << 32);
            let word = WORDS[usize::try_from(roll % WORDS.len() as u64).unwrap_or(0)];
            text.push_str(word);
            match (roll >> 8) % 12 {
                0 => text.push('\n'),
                1 => {
                    let _ = write!(text, " {} ", roll >> 12);
                }
                _ => text.push(' '),
            }
        }
        text.truncate(count);
        text.into_bytes()
    }
}
