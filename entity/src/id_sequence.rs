//! The sequence behind all ids: UUIDs of version 7 (RFC 9562, section 6.2, method 1).
//!
//! An id begins with the millisecond of its making, followed by a counter of 17 bits. These 65 bits rise from one id
//! to the next, so that no two ids of one process share them, and ids of all kinds sort by their making. The number of
//! an order consists of these bits ([`crate::OrderNumber`]). The crate's own generator counts further right, where
//! orders of one millisecond would share the number.
//!
//! The counter starts each millisecond at a random value, so that two processes seldom make the same 65 bits.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use uuid::{ClockSequence, Timestamp, Uuid};

/// The bits of the counter.
pub(crate) const COUNTER_BITS: u32 = 17;

/// The counter starts below half of its range, which leaves at least 65,536 ids for the rest of a millisecond. Beyond
/// them, the next millisecond begins early.
const START_BITS: u32 = COUNTER_BITS - 1;

/// The sequence of this process.
static IDS: Sequence = Sequence(AtomicU64::new(0));

/// A new id. It is greater than all earlier ones of this process, also when the clock was put back.
pub(crate) fn next() -> Uuid {
    Uuid::new_v7(Timestamp::now(&IDS))
}

/// The milliseconds since 1970 of the newest id, followed by its counter.
struct Sequence(AtomicU64);

impl ClockSequence for Sequence {
    type Output = u64;

    fn generate_sequence(&self, seconds: u64, subsec_nanos: u32) -> u64 {
        self.generate_timestamp_sequence(seconds, subsec_nanos).0
    }

    fn generate_timestamp_sequence(&self, seconds: u64, subsec_nanos: u32) -> (u64, u64, u32) {
        let millis = seconds * 1000 + u64::from(subsec_nanos / 1_000_000);
        let start = rand::random::<u64>() >> (u64::BITS - START_BITS);
        let fresh = (millis << COUNTER_BITS) | start;
        let next = |newest: u64| fresh.max(newest + 1);
        let made = next(self.0.update(Ordering::Relaxed, Ordering::Relaxed, next));
        let (millis, counter) = (made >> COUNTER_BITS, made % (1 << COUNTER_BITS));
        let rest = Duration::from_millis(millis % 1000);
        (counter, millis / 1000, rest.subsec_nanos())
    }

    fn usable_bits(&self) -> usize {
        COUNTER_BITS as usize
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::thread;
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;

    fn leading_bits(id: Uuid) -> u128 {
        id.as_u128() >> (u128::BITS - 48 - 4 - 12 - 2 - 5)
    }

    #[test]
    fn no_two_ids_of_a_process_share_their_leading_bits() {
        let makers: Vec<_> = (0..4)
            .map(|_| thread::spawn(|| (0..50_000).map(|_| next()).collect::<Vec<_>>()))
            .collect();
        let mut leading = HashSet::new();
        for maker in makers {
            let ids = maker.join().unwrap();
            assert!(ids.is_sorted());
            leading.extend(ids.into_iter().map(leading_bits));
        }
        assert_eq!(leading.len(), 200_000);
    }

    #[test]
    fn an_id_is_a_uuid_of_version_7_with_the_present_time() {
        let id = next();
        assert_eq!(id.get_version_num(), 7);
        assert_eq!(id.get_variant(), uuid::Variant::RFC4122);
        let (seconds, _) = id.get_timestamp().unwrap().to_unix();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        assert!(now.as_secs().abs_diff(seconds) <= 60, "{seconds}");
    }

    #[test]
    fn ids_go_on_rising_when_the_clock_is_put_back() {
        let ids = Sequence(AtomicU64::new(0));
        let (counter, seconds, nanos) = ids.generate_timestamp_sequence(4, 5_000_000);
        let (later_counter, later, later_nanos) = ids.generate_timestamp_sequence(3, 0);
        assert!((seconds, nanos, counter) < (later, later_nanos, later_counter));
    }

    #[test]
    fn a_full_millisecond_begins_the_next() {
        let ids = Sequence(AtomicU64::new(0));
        let (mut newest, mut ends) = ((0, 0, 0), 0);
        for _ in 0..(1 << COUNTER_BITS) {
            let (counter, seconds, nanos) = ids.generate_timestamp_sequence(1, 0);
            ends += usize::from(nanos != 0);
            assert!(newest < (seconds, nanos, counter));
            newest = (seconds, nanos, counter);
        }
        assert!(ends > 0);
    }
}
