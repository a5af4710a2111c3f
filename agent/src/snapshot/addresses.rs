//! Addresses of the parts that a restore reads: asked for many at a time, in the order in which they will be needed, so that no
//! part costs a call of its own.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use shared::api::agent::{PARTS_PER_CALL, Part, ReadsRequest, SignedRead};

use crate::client::ClientError;

/// Addresses that nobody came for are forgotten when they are more than this: readers that gave up on damaged packs leave some.
const MAX_UNUSED: usize = 16 * PARTS_PER_CALL;

/// Addresses, of which each is used once.
#[derive(Default)]
pub(super) struct Addresses {
    book: Mutex<Book>,
    /// One asks at a time. Whoever comes meanwhile waits, and is asked for by the next one of those who wait.
    asking: Mutex<()>,
}

#[derive(Default)]
struct Book {
    signed: HashMap<Part, SignedRead>,
    /// What will be read.
    ahead: VecDeque<Part>,
    /// What somebody waits for.
    waiting: Vec<Part>,
    /// Why what somebody waits for could not be asked.
    failed: HashMap<Part, ClientError>,
}

impl Addresses {
    fn book(&self) -> MutexGuard<'_, Book> {
        // The book is whole after every statement that changes it.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These parts will be read next, in this order, before those that were named earlier.
    pub(super) fn expect(&self, parts: &[Part]) {
        let mut book = self.book();
        for part in parts.iter().rev().filter(|part| !part.is_empty()) {
            book.ahead.push_front(*part);
        }
    }

    /// The address of a part; `None` when the server gives none. `ask` asks the server.
    ///
    /// # Errors
    /// When it could not be asked.
    pub(super) fn take(
        &self,
        part: Part,
        ask: impl Fn(&ReadsRequest) -> Result<Vec<SignedRead>, ClientError>,
    ) -> Result<Option<SignedRead>, ClientError> {
        {
            let mut book = self.book();
            if let Some(read) = book.signed.remove(&part) {
                return Ok(Some(read));
            }
            book.waiting.push(part);
        }
        let _turn = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        let request = {
            let mut book = self.book();
            if let Some(at) = book.waiting.iter().position(|waiting| *waiting == part) {
                book.waiting.swap_remove(at);
            }
            let failed = book.failed.remove(&part);
            if let Some(read) = book.signed.remove(&part) {
                return Ok(Some(read));
            }
            if let Some(error) = failed {
                return Err(error);
            }
            book.next(part)
        };
        let reads = match ask(&request) {
            Ok(reads) => reads,
            // Something else than this part may be what was refused.
            Err(ClientError::Refused { .. }) if request.parts.len() > 1 => {
                let parts = vec![part];
                ask(&ReadsRequest { parts })?
            }
            Err(error) => {
                // Those who waited for the same answer have it, and do not wait for another one.
                let mut book = self.book();
                for other in book.waiting.clone() {
                    if let (true, Some(error)) = (request.parts.contains(&other), silence(&error)) {
                        book.failed.insert(other, error);
                    }
                }
                return Err(error);
            }
        };
        let mut book = self.book();
        if book.signed.len() > MAX_UNUSED {
            book.signed.clear();
        }
        book.signed
            .extend(reads.into_iter().map(|read| (read.part, read)));
        Ok(book.signed.remove(&part))
    }

    /// An address has run out: so have those that came with it or before, and they are asked for again when they are needed.
    pub(super) fn ran_out(&self, read: &SignedRead) {
        let mut book = self.book();
        let old = |other: &&SignedRead| other.expires_at <= read.expires_at;
        let old: Vec<Part> = book.signed.values().filter(old).map(|old| old.part).collect();
        for part in old {
            book.signed.remove(&part);
            book.ahead.push_front(part);
        }
    }
}

impl Book {
    /// What is asked for together with this part.
    fn next(&mut self, part: Part) -> ReadsRequest {
        let mut taken = HashSet::from([part]);
        let mut parts = vec![part];
        for waiting in &self.waiting {
            if parts.len() < PARTS_PER_CALL && taken.insert(*waiting) {
                parts.push(*waiting);
            }
        }
        while parts.len() < PARTS_PER_CALL {
            let Some(next) = self.ahead.pop_front() else {
                break;
            };
            if !self.signed.contains_key(&next) && taken.insert(next) {
                parts.push(next);
            }
        }
        ReadsRequest { parts }
    }
}

/// The same error for somebody else, when it is one that takes long to come.
fn silence(error: &ClientError) -> Option<ClientError> {
    match error {
        ClientError::Network { host, error } => Some(ClientError::Network {
            host: host.clone(),
            error: error.clone(),
        }),
        ClientError::Server(status) => Some(ClientError::Server(*status)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, sync::Barrier};

    use jiff::Timestamp;
    use shared::object::{ObjectHash, ObjectKind};

    use super::*;

    fn part(nth: u64) -> Part {
        Part::of(ObjectHash::from_bytes([1; 32]), &(nth..nth + 1))
    }

    fn parts(range: std::ops::Range<u64>) -> Vec<Part> {
        range.map(part).collect()
    }

    fn signed(request: &ReadsRequest, at: i64) -> Vec<SignedRead> {
        let sign = |part: &Part| SignedRead {
            part: *part,
            kind: ObjectKind::Pack,
            size_bytes: 1 << 20,
            url: String::new(),
            expires_at: Timestamp::from_second(at).unwrap(),
        };
        request.parts.iter().map(sign).collect()
    }

    /// A thousand parts of one pack in order: four calls, each of which asks for as many as it may.
    #[test]
    fn parts_are_asked_for_many_at_a_time() {
        let addresses = Addresses::default();
        addresses.expect(&parts(0..1_000));
        let calls = RefCell::new(Vec::new());
        for nth in 0..1_000 {
            let read = addresses.take(part(nth), |request| {
                calls.borrow_mut().push(request.parts.len());
                Ok(signed(request, 0))
            });
            assert_eq!(read.unwrap().unwrap().part, part(nth));
        }
        assert_eq!(*calls.borrow(), [256, 256, 256, 232]);
        assert!(addresses.book().signed.is_empty());
    }

    /// Parts of one phase that begin while another one is under way come first, and none is forgotten.
    #[test]
    fn what_is_expected_last_is_asked_for_first() {
        let addresses = Addresses::default();
        addresses.expect(&parts(0..10));
        addresses.expect(&parts(20..22));
        let asked = RefCell::new(Vec::new());
        let ask = |request: &ReadsRequest| {
            asked.borrow_mut().push(request.parts.clone());
            Ok(signed(request, 0))
        };
        addresses.take(part(20), ask).unwrap();
        let expected = [parts(20..22), parts(0..10)].concat();
        assert_eq!(*asked.borrow(), [expected]);
    }

    #[test]
    fn an_address_that_ran_out_takes_its_like_along() {
        let addresses = Addresses::default();
        addresses.expect(&parts(0..3));
        let calls = RefCell::new(0);
        let ask = |request: &ReadsRequest| {
            *calls.borrow_mut() += 1;
            Ok(signed(request, *calls.borrow()))
        };
        let read = addresses.take(part(0), ask).unwrap().unwrap();
        addresses.ran_out(&read);
        // One call has all three anew.
        for nth in 0..3 {
            let read = addresses.take(part(nth), ask).unwrap().unwrap();
            assert_eq!(read.expires_at.as_second(), 2);
        }
        assert_eq!(*calls.borrow(), 2);
    }

    /// One part that the server refuses does not take the others along.
    #[test]
    fn a_refused_part_is_refused_alone() {
        let addresses = Addresses::default();
        addresses.expect(&parts(0..3));
        let ask = |request: &ReadsRequest| {
            if request.parts.contains(&part(1)) {
                return Err(ClientError::Refused {
                    status: 404,
                    code: "not_found".to_owned(),
                    message: String::new(),
                });
            }
            Ok(signed(request, 0))
        };
        assert!(addresses.take(part(0), ask).unwrap().is_some());
        assert!(addresses.take(part(1), ask).is_err());
        assert!(addresses.take(part(2), ask).unwrap().is_some());
    }

    /// A server that does not answer is waited for once, not once by each reader.
    #[test]
    fn readers_that_wait_share_a_failure() {
        let addresses = Addresses::default();
        let (readers, calls) = (8, std::sync::atomic::AtomicU32::new(0));
        let together = Barrier::new(readers);
        std::thread::scope(|scope| {
            for nth in 0..readers as u64 {
                let (addresses, calls, together) = (&addresses, &calls, &together);
                scope.spawn(move || {
                    together.wait();
                    let taken = addresses.take(part(nth), |_| {
                        calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                        std::thread::sleep(std::time::Duration::from_millis(300));
                        Err(ClientError::Server(503))
                    });
                    assert!(matches!(taken, Err(ClientError::Server(503))));
                });
            }
        });
        // The first one asks for itself alone, or for some of the others; those who came meanwhile go together.
        let calls = calls.into_inner();
        assert!(calls <= 3, "{calls} calls");
    }
}
