//! A parallel map on scoped threads. rayon is for work that computes: here most callers block on reads of the storage, with
//! more threads than there are cores, and some on a disk. In a pool of the whole process they would hold up whoever computes, which
//! is one caller: the one that opens listings.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Applies `work` to every item on up to `threads` scoped threads. Results are in the items' order. Panics propagate.
pub(crate) fn map<T: Sync, R: Send>(threads: usize, items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let threads = threads.min(items.len());
    if threads <= 1 {
        return items.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Relaxed);
            let Some(item) = items.get(at) else { return done };
            done.push((at, work(item)));
        }
    };
    let mut done: Vec<(usize, R)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        workers
            .into_iter()
            .flat_map(|worker_thread| {
                worker_thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    });
    done.sort_unstable_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Threads that compute.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_the_items_order() {
        let items: Vec<u32> = (0..1000).collect();
        let expected: Vec<u32> = items.iter().map(|i| i * 2).collect();
        for threads in [1, 3, 2000] {
            assert_eq!(map(threads, &items, |i| i * 2), expected);
        }
    }
}
