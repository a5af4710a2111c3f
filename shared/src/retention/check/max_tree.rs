//! The largest of a range.

use std::ops::Range;

use super::secs::{NOTHING, Secs};

/// The largest value in a range: a complete binary tree in an array, the leaves in its second half.
pub(super) struct MaxTree {
    nodes: Vec<Secs>,
}

impl MaxTree {
    pub(super) fn new(leaves: &[Secs]) -> Self {
        let count = leaves.len();
        let mut nodes = vec![NOTHING; count];
        nodes.extend_from_slice(leaves);
        for node in (1..count).rev() {
            nodes[node] = nodes[2 * node].max(nodes[2 * node + 1]);
        }
        Self { nodes }
    }

    /// `NOTHING` for an empty range.
    pub(super) fn max(&self, range: Range<usize>) -> Secs {
        let count = self.nodes.len() / 2;
        let (mut low, mut high) = (range.start + count, range.end.max(range.start) + count);
        let mut largest = NOTHING;
        while low < high {
            if low % 2 == 1 {
                largest = largest.max(self.nodes[low]);
                low += 1;
            }
            if high % 2 == 1 {
                high -= 1;
                largest = largest.max(self.nodes[high]);
            }
            (low, high) = (low / 2, high / 2);
        }
        largest
    }
}
