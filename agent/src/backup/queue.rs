//! What the crew of a walk has to do: a stack, so that the walk goes down before it goes on and few folders are open at
//! once.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Tasks for several threads. It is at its end when every task is done and none has brought another.
pub(super) struct Queue<T> {
    inner: Mutex<Inner<T>>,
    changed: Condvar,
}

struct Inner<T> {
    stack: Vec<T>,
    /// Parts of tasks under way, for whoever has nothing else to do.
    offered: Vec<T>,
    /// Threads that wait.
    idle: usize,
    /// Tasks that wait or are under way.
    open: usize,
    stopped: bool,
}

impl<T> Queue<T> {
    pub(super) fn new(tasks: Vec<T>) -> Self {
        Self {
            inner: Mutex::new(Inner {
                open: tasks.len(),
                stack: tasks,
                offered: Vec::new(),
                idle: 0,
                stopped: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// The next task; waits for one. `None` when there will be none.
    pub(super) fn next(&self) -> Option<T> {
        let mut inner = self.lock();
        inner.idle += 1;
        let task = loop {
            if inner.stopped {
                break None;
            }
            if let Some(task) = inner.offered.pop().or_else(|| inner.stack.pop()) {
                break Some(task);
            }
            if inner.open == 0 {
                break None;
            }
            inner = self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
        };
        inner.idle -= 1;
        task
    }

    /// Adds tasks; the last of them is done first.
    pub(super) fn push(&self, tasks: impl IntoIterator<Item = T>) {
        let mut inner = self.lock();
        let before = inner.stack.len();
        inner.stack.extend(tasks);
        inner.open += inner.stack.len() - before;
        if inner.idle > 0 {
            self.changed.notify_all();
        }
    }

    /// Whether a thread waits for which nothing has been offered yet.
    pub(super) fn is_hungry(&self) -> bool {
        let inner = self.lock();
        inner.idle > inner.offered.len() + inner.stack.len()
    }

    /// Adds a part of a task under way, to be done before everything else.
    pub(super) fn offer(&self, task: T) {
        let mut inner = self.lock();
        inner.offered.push(task);
        inner.open += 1;
        self.changed.notify_one();
    }

    /// A part that was offered and that nobody has taken.
    pub(super) fn take_back(&self) -> Option<T> {
        self.lock().offered.pop()
    }

    /// A task is done, and has pushed what came of it.
    pub(super) fn done(&self) {
        let mut inner = self.lock();
        inner.open -= 1;
        if inner.open == 0 {
            self.changed.notify_all();
        }
    }

    /// No more tasks are given out.
    pub(super) fn stop(&self) {
        let mut inner = self.lock();
        inner.stopped = true;
        // Dropped here, with the handles that they hold.
        inner.stack.clear();
        inner.offered.clear();
        self.changed.notify_all();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.lock().stopped
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    /// Each task brings two smaller ones: all are done, and everybody goes home.
    #[test]
    fn every_task_is_done_once_and_then_it_ends() {
        let queue = Queue::new(vec![12u32]);
        let count = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while let Some(task) = queue.next() {
                        count.fetch_add(1, Relaxed);
                        if task > 0 {
                            queue.push([task - 1]);
                            if queue.is_hungry() {
                                queue.offer(task - 1);
                            } else {
                                queue.push([task - 1]);
                            }
                        }
                        queue.done();
                    }
                });
            }
        });
        assert_eq!(count.into_inner(), (1 << 13) - 1);
    }

    #[test]
    fn a_stopped_queue_lets_everybody_go() {
        let queue = Queue::new(vec![1, 2]);
        assert_eq!(queue.next(), Some(2));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                assert_eq!(queue.next(), Some(1));
                assert_eq!(queue.next(), None, "the first task is never done");
            });
            std::thread::sleep(std::time::Duration::from_millis(20));
            queue.stop();
        });
        assert!(queue.is_stopped());
    }
}
