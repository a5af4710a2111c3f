//! The largest value in any range of a fixed list, in constant time.

use std::ops::Range;

/// A sparse table: level k holds the largest of each 2ᵏ neighbours. Any range is covered by two of them.
#[derive(Debug)]
pub(super) struct RangeMax<T> {
    levels: Vec<Vec<T>>,
}

impl<T: Ord + Copy> RangeMax<T> {
    pub fn new(values: Vec<T>) -> Self {
        let mut levels = vec![values];
        let mut half = 1;
        while let Some(below) = levels.last().filter(|below| below.len() > half) {
            let level = below.iter().zip(&below[half..]).map(|(a, b)| *a.max(b)).collect();
            levels.push(level);
            half *= 2;
        }
        Self { levels }
    }

    /// `None` for an empty range.
    pub fn max(&self, range: Range<usize>) -> Option<T> {
        let level = range.len().checked_ilog2()? as usize;
        let values = &self.levels[level];
        Some(values[range.start].max(values[range.end - (1 << level)]))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_range_is_answered_as_by_looking(values in prop::collection::vec(0..50u8, 0..40)) {
            let table = RangeMax::new(values.clone());
            for start in 0..=values.len() {
                for end in start..=values.len() {
                    prop_assert_eq!(table.max(start..end), values[start..end].iter().copied().max());
                }
            }
        }
    }
}
