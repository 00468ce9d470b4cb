//! Token buckets in a fixed amount of memory.
//!
//! A bucket is one number: the time at which it will be full again (the generic cell rate algorithm). A table of sets
//! stores the buckets. Each set has its own lock and room for [`WAYS`] buckets. In a full set, a new bucket replaces
//! the one that is nearest to full, since that loses the least. A flood of addresses therefore costs no memory, and
//! keys above their limit are forgotten last.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Rate;

/// The number of sets. With [`WAYS`], a table has room for 32,768 buckets in about 560 KB.
const SETS: usize = 4096;

/// The number of buckets per set.
const WAYS: usize = 8;

/// A bucket: the hash of its key, seeded so that clients cannot predict it, and when it is full again.
#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    owner: u64,
    /// In nanoseconds since the table was made.
    full_at: u64,
}

/// A table with a bucket per key.
#[derive(Debug)]
pub struct Buckets {
    /// The time in which a bucket regains one request, in nanoseconds.
    interval: u64,
    /// The time in which an empty bucket becomes full, in nanoseconds.
    depth: u64,
    hasher: RandomState,
    made: Instant,
    sets: Box<[Mutex<[Bucket; WAYS]>]>,
}

impl Buckets {
    /// A table in which every bucket is full.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        let period = u64::try_from(rate.period.as_nanos()).unwrap_or(u64::MAX);
        let interval = (period / u64::from(rate.count.max(1))).max(1);
        Self {
            interval,
            depth: interval.saturating_mul(u64::from(rate.count)),
            hasher: RandomState::new(),
            made: Instant::now(),
            sets: (0..SETS).map(|_| Mutex::default()).collect(),
        }
    }

    /// Takes one request from the key's bucket.
    ///
    /// # Errors
    /// If the bucket is empty: the time until it has one request again.
    pub fn take(&self, key: &impl Hash) -> Result<(), Duration> {
        self.take_at(key, Instant::now())
    }

    fn take_at(&self, key: &impl Hash, now: Instant) -> Result<(), Duration> {
        let since = now.saturating_duration_since(self.made).as_nanos();
        let now = u64::try_from(since).unwrap_or(u64::MAX);
        let owner = self.hasher.hash_one(key);
        // The remainder is below the number of sets, which fits.
        let place = usize::try_from(owner % SETS as u64).unwrap_or(0);
        let Some(set) = self.sets.get(place) else {
            return Ok(());
        };
        // A panic under the lock cannot leave an invalid set: any numbers are valid buckets.
        let mut set = set.lock().unwrap_or_else(PoisonError::into_inner);
        let known = set.iter_mut().find(|bucket| bucket.owner == owner);
        let full_at = known.as_ref().map_or(now, |bucket| bucket.full_at.max(now));
        let full_at = full_at.saturating_add(self.interval);
        let missing = full_at - now;
        if missing > self.depth {
            return Err(Duration::from_nanos(missing - self.depth));
        }
        let bucket = match known {
            Some(bucket) => Some(bucket),
            None => set.iter_mut().min_by_key(|bucket| bucket.full_at),
        };
        if let Some(bucket) = bucket {
            *bucket = Bucket { owner, full_at };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(count: u32, seconds: u64) -> Buckets {
        Buckets::new(Rate {
            count,
            period: Duration::from_secs(seconds),
        })
    }

    #[test]
    fn so_many_at_once_and_then_one_an_interval() {
        let buckets = buckets(10, 60);
        let start = buckets.made;
        for _ in 0..10 {
            assert_eq!(buckets.take_at(&"a", start), Ok(()));
        }
        assert_eq!(buckets.take_at(&"a", start), Err(Duration::from_secs(6)));
        // A rejected request takes nothing from the bucket.
        let later = start + Duration::from_millis(5999);
        assert_eq!(buckets.take_at(&"a", later), Err(Duration::from_millis(1)));
        let later = start + Duration::from_secs(6);
        assert_eq!(buckets.take_at(&"a", later), Ok(()));
        assert!(buckets.take_at(&"a", later).is_err());
        // A long pause saves up no more than a full bucket.
        let later = start + Duration::from_secs(3600);
        let taken = (0..20).filter(|_| buckets.take_at(&"a", later).is_ok());
        assert_eq!(taken.count(), 10);
    }

    #[test]
    fn one_key_takes_nothing_from_another() {
        let buckets = buckets(1, 60);
        let now = buckets.made;
        for key in 0..100 {
            assert_eq!(buckets.take_at(&key, now), Ok(()), "{key}");
            assert!(buckets.take_at(&key, now).is_err(), "{key}");
        }
    }

    #[test]
    fn in_any_window_a_key_gets_at_most_a_bucket_and_what_the_window_gives_back() {
        let buckets = buckets(50, 1);
        let start = buckets.made;
        let taken: Vec<u64> = (0..10_000_u64)
            .filter(|ms| {
                buckets
                    .take_at(&1, start + Duration::from_millis(*ms))
                    .is_ok()
            })
            .collect();
        for (place, from) in taken.iter().enumerate() {
            for (more, to) in taken.iter().skip(place).enumerate().step_by(7) {
                let allowed = 50 + (to - from) / 20 + 1;
                assert!(more as u64 <= allowed, "{more} from {from} to {to}");
            }
        }
        assert_eq!(taken.len(), 50 + 10_000 / 20 - 1);
    }

    #[test]
    fn a_flood_of_keys_takes_no_memory_and_releases_no_key_over_its_limit() {
        let buckets = buckets(10, 60);
        let now = buckets.made;
        while buckets.take_at(&"flooder", now).is_ok() {}
        for key in 0..500_000 {
            assert_eq!(buckets.take_at(&key, now), Ok(()));
        }
        assert!(buckets.take_at(&"flooder", now).is_err());
        assert_eq!(buckets.sets.len(), SETS);
    }

    #[test]
    fn threads_that_share_a_key_get_no_more_than_one() {
        let buckets = buckets(1000, 3600);
        let taken: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..1000).filter(|_| buckets.take(&"a").is_ok()).count()))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert_eq!(taken, 1000);
    }

    /// Prints the cost of a check: `cargo test --release -p tradeline -- --ignored --nocapture costs`.
    #[test]
    #[ignore = "measures, and promises nothing"]
    fn cost_of_a_check() {
        let buckets = buckets(1_000_000, 1);
        let keys: Vec<[u128; 2]> = (0..10_000).map(|key| [key, key]).collect();
        let started = Instant::now();
        for key in keys.iter().cycle().take(1_000_000) {
            let _ = std::hint::black_box(buckets.take(key));
        }
        println!("{} ns a check", started.elapsed().as_nanos() / 1_000_000);
    }
}
