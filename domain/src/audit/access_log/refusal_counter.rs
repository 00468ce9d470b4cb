//! The memory of the access log: repeated refusals and uses of keys, which need not be written again.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use entity::{ApiKeyId, BusinessId};

use super::{By, Refused, api_key_use};

/// The time for which a repeated refusal is only counted.
const COUNTING_PERIOD: Duration = Duration::from_secs(60);
/// The most refusals, and the most keys, that are remembered.
const MAX_REMEMBERED: usize = 10_000;
/// The most queued entries of one business.
const MAX_QUEUED_PER_BUSINESS: usize = 128;
/// The number of queued entries of a business from which on entries for unverified keys are rejected.
const MAX_QUEUED_UNVERIFIED: usize = 32;

#[derive(Debug, Default)]
pub(super) struct RefusalCounter(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// The refusals that were queued within the last minute.
    refused: HashMap<Refused, Repeats>,
    waiting: HashMap<BusinessId, usize>,
    /// The time at which a use of the key was last queued.
    used: HashMap<(BusinessId, ApiKeyId), Instant>,
}

#[derive(Debug)]
struct Repeats {
    since: Instant,
    times: u32,
    /// The id of the last request.
    request_id: String,
}

impl RefusalCounter {
    /// Counts a refusal that was queued within the last minute. Returns false if it was not.
    pub(super) fn repeats(&self, refused: &Refused, request_id: &str) -> bool {
        let mut counts = self.lock();
        let Some(repeats) = counts.refused.get_mut(refused) else {
            return false;
        };
        repeats.times = repeats.times.saturating_add(1);
        request_id.clone_into(&mut repeats.request_id);
        true
    }

    /// Remembers a refusal that was queued. Without room to remember it, the next one is queued too.
    pub(super) fn remember(&self, refused: Refused) {
        let mut counts = self.lock();
        // Invented keys could fill the memory, so they get only half of it.
        let room = match refused.by {
            By::VoidKey(_) => MAX_REMEMBERED / 2,
            By::Caller(..) | By::VoidToken(_) => MAX_REMEMBERED,
        };
        if counts.refused.len() < room {
            let repeats = Repeats {
                since: Instant::now(),
                times: 0,
                request_id: String::new(),
            };
            counts.refused.insert(refused, repeats);
        }
    }

    /// Takes the repeated refusals whose minute is over, or all of them.
    pub(super) fn take_repeated(&self, all: bool) -> Vec<(Refused, u32, String)> {
        let mut counts = self.lock();
        counts
            .refused
            .extract_if(|_, repeats| all || repeats.since.elapsed() >= COUNTING_PERIOD)
            .filter(|(_, repeats)| repeats.times > 0)
            .map(|(refused, repeats)| (refused, repeats.times, repeats.request_id))
            .collect()
    }

    /// Reserves room in the queue for an entry of this business. Returns false if there is none.
    pub(super) fn may_wait(&self, business: BusinessId, proven: bool) -> bool {
        let mut counts = self.lock();
        let waiting = counts.waiting.entry(business).or_default();
        let may = *waiting
            < if proven {
                MAX_QUEUED_PER_BUSINESS
            } else {
                MAX_QUEUED_UNVERIFIED
            };
        if may {
            *waiting += 1;
        }
        may
    }

    /// Releases the room of an entry.
    pub(super) fn no_longer_wait(&self, business: BusinessId) {
        let mut counts = self.lock();
        if let Some(waiting) = counts.waiting.get_mut(&business) {
            *waiting = waiting.saturating_sub(1);
            if *waiting == 0 {
                counts.waiting.remove(&business);
            }
        }
    }

    /// Whether this is the first use of a key within a minute. It is then remembered.
    pub(super) fn is_new_use(&self, business: BusinessId, key: ApiKeyId) -> bool {
        let every = Duration::from_secs(api_key_use::NOTE_INTERVAL_SECONDS.unsigned_abs());
        let mut counts = self.lock();
        let last = counts.used.get(&(business, key));
        if last.is_some_and(|at| at.elapsed() < every) {
            return false;
        }
        if counts.used.len() >= MAX_REMEMBERED {
            // A forgotten use costs one more statement, which finds that it is recorded.
            counts.used.clear();
        }
        counts.used.insert((business, key), Instant::now());
        true
    }

    /// Forgets a use that could not be queued.
    pub(super) fn forget_use(&self, business: BusinessId, key: ApiKeyId) {
        self.lock().used.remove(&(business, key));
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use entity::UserId;

    use super::*;
    use crate::audit::access_log::Refusal;

    fn refused(by: By, path: &str) -> Refused {
        Refused {
            business: BusinessId::new(),
            by,
            refusal: Refusal {
                method: "GET".to_owned(),
                path: path.to_owned(),
                code: "forbidden",
            },
        }
    }

    #[test]
    fn a_repeated_refusal_is_counted_and_reported_once() {
        let counter = RefusalCounter::default();
        let one = refused(By::Caller(UserId::new(), "staff"), "/api/users");
        assert!(!counter.repeats(&one, "r1"));
        counter.remember(one.clone());
        for request in ["r2", "r3", "r4"] {
            assert!(counter.repeats(&one, request));
        }
        assert!(!counter.repeats(&refused(one.by, "/api/api-keys"), "r5"));
        assert_eq!(counter.take_repeated(false), [], "its minute is not over");
        assert_eq!(
            counter.take_repeated(true),
            [(one.clone(), 3, "r4".to_owned())]
        );
        assert!(!counter.repeats(&one, "r6"), "a new minute");
    }

    #[test]
    fn a_business_has_a_limit_of_its_own_and_unverified_entries_have_less() {
        let counter = RefusalCounter::default();
        let (one, other) = (BusinessId::new(), BusinessId::new());
        let taken = (0..1000).filter(|_| counter.may_wait(one, false)).count();
        assert_eq!(taken, MAX_QUEUED_UNVERIFIED);
        let taken = (0..1000).filter(|_| counter.may_wait(one, true)).count();
        assert_eq!(taken, MAX_QUEUED_PER_BUSINESS - MAX_QUEUED_UNVERIFIED);
        assert!(counter.may_wait(other, true));
        counter.no_longer_wait(one);
        assert!(counter.may_wait(one, true));
        assert!(!counter.may_wait(one, true));
    }

    #[test]
    fn made_up_keys_leave_room_to_count_refusals_of_callers() {
        let counter = RefusalCounter::default();
        for number in 0..MAX_REMEMBERED {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&number.to_be_bytes());
            counter.remember(refused(By::VoidKey(hash), "/api/users"));
        }
        let one = refused(By::Caller(UserId::new(), "staff"), "/api/users");
        counter.remember(one.clone());
        assert!(counter.repeats(&one, "r"));
        assert!(counter.lock().refused.len() <= MAX_REMEMBERED);
    }
}
