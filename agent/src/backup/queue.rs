//! What the threads of a walk have to do: a stack, so that the walk goes down before it goes on and few folders are open at
//! once.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Tasks for several threads, and parts of those under way. It is at its end when every task and part is done and none has brought
/// another.
pub(super) struct Queue<T, P> {
    inner: Mutex<Inner<T, P>>,
    changed: Condvar,
}

/// What a thread is to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<T, P> {
    /// A task.
    Task(T),
    /// A part of somebody's task.
    Part(P),
}

struct Inner<T, P> {
    stack: Vec<T>,
    /// Parts of tasks under way, for whoever has nothing else to do.
    offered: Vec<P>,
    /// Threads that wait.
    idle: usize,
    /// Tasks and parts that wait or are under way.
    open: usize,
    stopped: bool,
}

impl<T, P> Queue<T, P> {
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

    /// What to do next; waits for it. `None` when there will be nothing.
    pub(super) fn next(&self) -> Option<Next<T, P>> {
        let mut inner = self.lock();
        inner.idle += 1;
        let task = loop {
            if inner.stopped {
                break None;
            }
            if let Some(part) = inner.offered.pop() {
                break Some(Next::Part(part));
            }
            if let Some(task) = inner.stack.pop() {
                break Some(Next::Task(task));
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
    pub(super) fn offer(&self, part: P) {
        let mut inner = self.lock();
        inner.offered.push(part);
        inner.open += 1;
        self.changed.notify_one();
    }

    /// A part that was offered and that nobody has taken.
    pub(super) fn take_back(&self) -> Option<P> {
        self.lock().offered.pop()
    }

    /// A task or a part is done, and has pushed what came of it.
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

    fn lock(&self) -> MutexGuard<'_, Inner<T, P>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    /// Each task brings two smaller ones: all are done, and every thread ends.
    #[test]
    fn every_task_is_done_once_and_then_it_ends() {
        let queue = Queue::new(vec![12u32]);
        let count = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while let Some(next) = queue.next() {
                        let (Next::Task(task) | Next::Part(task)) = next;
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
        let queue = Queue::<_, ()>::new(vec![1, 2]);
        assert_eq!(queue.next(), Some(Next::Task(2)));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                assert_eq!(queue.next(), Some(Next::Task(1)));
                assert_eq!(queue.next(), None, "the first task is never done");
            });
            std::thread::sleep(std::time::Duration::from_millis(20));
            queue.stop();
        });
        assert!(queue.is_stopped());
    }
}
