//! What the journal remembers, so that little of it has to be written.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use entity::{ApiKeyId, BusinessId};

use super::{By, Refused, api_key_use};

/// For how long a refusal that comes again is only counted.
const COUNTED_FOR: Duration = Duration::from_secs(60);
/// Of how many refusals, and of how many keys, something is remembered.
const REMEMBERED: usize = 10_000;
/// How many entries of one business may wait.
const OF_ONE: usize = 128;
/// How many may wait before nothing more is taken in that nobody has proven.
const UNPROVEN: usize = 32;

#[derive(Debug, Default)]
pub(super) struct RefusalCounter(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// The refusals that were sent within a minute.
    refused: HashMap<Refused, Repeats>,
    waiting: HashMap<BusinessId, usize>,
    /// When the use of a key was last sent.
    used: HashMap<(BusinessId, ApiKeyId), Instant>,
}

#[derive(Debug)]
struct Repeats {
    since: Instant,
    times: u32,
    /// The last request.
    request_id: String,
}

impl RefusalCounter {
    /// Whether this was refused before within the minute, and now once more.
    pub(super) fn repeats(&self, refused: &Refused, request_id: &str) -> bool {
        let mut counts = self.lock();
        let Some(repeats) = counts.refused.get_mut(refused) else {
            return false;
        };
        repeats.times = repeats.times.saturating_add(1);
        request_id.clone_into(&mut repeats.request_id);
        true
    }

    /// This was refused and sent. Where there is no room to remember it, the next one is sent too.
    pub(super) fn remember(&self, refused: Refused) {
        let mut counts = self.lock();
        // Anyone can make up as many keys as there is room: they must leave some.
        let room = match refused.by {
            By::VoidKey(_) => REMEMBERED / 2,
            By::Caller(..) | By::VoidToken(_) => REMEMBERED,
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

    /// What has come again in a minute that is over, or in any when all is wanted.
    pub(super) fn take_repeated(&self, all: bool) -> Vec<(Refused, u32, String)> {
        let mut counts = self.lock();
        counts
            .refused
            .extract_if(|_, repeats| all || repeats.since.elapsed() >= COUNTED_FOR)
            .filter(|(_, repeats)| repeats.times > 0)
            .map(|(refused, repeats)| (refused, repeats.times, repeats.request_id))
            .collect()
    }

    /// Makes room for another entry of this business to wait, if there may be one.
    pub(super) fn may_wait(&self, business: BusinessId, proven: bool) -> bool {
        let mut counts = self.lock();
        let waiting = counts.waiting.entry(business).or_default();
        let may = *waiting < if proven { OF_ONE } else { UNPROVEN };
        if may {
            *waiting += 1;
        }
        may
    }

    /// One of this business waits no longer.
    pub(super) fn no_longer_wait(&self, business: BusinessId) {
        let mut counts = self.lock();
        if let Some(waiting) = counts.waiting.get_mut(&business) {
            *waiting = waiting.saturating_sub(1);
            if *waiting == 0 {
                counts.waiting.remove(&business);
            }
        }
    }

    /// Whether this use of a key is the first within a minute, which it then was.
    pub(super) fn is_new_use(&self, business: BusinessId, key: ApiKeyId) -> bool {
        let every = Duration::from_secs(api_key_use::NOTE_EVERY.unsigned_abs());
        let mut counts = self.lock();
        let last = counts.used.get(&(business, key));
        if last.is_some_and(|at| at.elapsed() < every) {
            return false;
        }
        if counts.used.len() >= REMEMBERED {
            // What is forgotten is asked of the database once more, which knows.
            counts.used.clear();
        }
        counts.used.insert((business, key), Instant::now());
        true
    }

    /// That use was not sent.
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
    fn a_refusal_that_comes_again_is_counted_and_told_once() {
        let tally = RefusalCounter::default();
        let one = refused(By::Caller(UserId::new(), "staff"), "/api/users");
        assert!(!tally.repeats(&one, "r1"));
        tally.remember(one.clone());
        for request in ["r2", "r3", "r4"] {
            assert!(tally.repeats(&one, request));
        }
        assert!(!tally.repeats(&refused(one.by, "/api/api-keys"), "r5"));
        assert_eq!(tally.take_repeated(false), [], "its minute is not over");
        assert_eq!(
            tally.take_repeated(true),
            [(one.clone(), 3, "r4".to_owned())]
        );
        assert!(!tally.repeats(&one, "r6"), "a new minute");
    }

    #[test]
    fn a_business_has_room_of_its_own_and_what_nothing_proves_has_less() {
        let tally = RefusalCounter::default();
        let (one, other) = (BusinessId::new(), BusinessId::new());
        let taken = (0..1000).filter(|_| tally.may_wait(one, false)).count();
        assert_eq!(taken, UNPROVEN);
        let taken = (0..1000).filter(|_| tally.may_wait(one, true)).count();
        assert_eq!(taken, OF_ONE - UNPROVEN);
        assert!(tally.may_wait(other, true));
        tally.no_longer_wait(one);
        assert!(tally.may_wait(one, true));
        assert!(!tally.may_wait(one, true));
    }

    #[test]
    fn made_up_keys_leave_room_to_count_what_callers_are_refused() {
        let tally = RefusalCounter::default();
        for number in 0..REMEMBERED {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&number.to_be_bytes());
            tally.remember(refused(By::VoidKey(hash), "/api/users"));
        }
        let one = refused(By::Caller(UserId::new(), "staff"), "/api/users");
        tally.remember(one.clone());
        assert!(tally.repeats(&one, "r"));
        assert!(tally.lock().refused.len() <= REMEMBERED);
    }
}
