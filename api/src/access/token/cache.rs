//! The cache of recently verified tokens.
//!
//! It stores the result of verification, and no decision based on it: whether the user may still act is checked each
//! time. It stores only valid tokens, so only holders of valid tokens can fill it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::Utc;
use sha2::{Digest, Sha256};

use super::Verified;

/// The longest time that a verification is cached. Once a reading of an issuer's keys lacks a withdrawn key, that key
/// verifies nothing new. Tokens verified with it before are rejected after this time at the latest.
pub(super) const MAX_AGE: Duration = Duration::from_secs(20);

/// The number of entries, about 150 bytes each.
const CAPACITY: usize = 16_384;

/// SHA-256 of the whole token. It has a fixed size, and the time of a comparison reveals nothing about the token.
pub(super) type Key = [u8; 32];

#[derive(Debug, Default)]
pub(super) struct Cache {
    entries: Mutex<HashMap<Key, Entry>>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    verified: Verified,
    until: Instant,
}

impl Entry {
    /// Uses both clocks: the monotonic one, and the one of the token's times, which can be set.
    fn is_good(&self, now: Instant, timestamp: i64) -> bool {
        now < self.until && timestamp < self.verified.expires_at()
    }
}

impl Cache {
    pub(super) fn key(token: &str) -> Key {
        Sha256::digest(token).into()
    }

    /// The verified content of a token, if it was verified within [`MAX_AGE`] and has not expired since.
    pub(super) fn get(&self, key: &Key) -> Option<Verified> {
        let entry = self.entries().get(key).copied()?;
        entry
            .is_good(Instant::now(), Utc::now().timestamp())
            .then_some(entry.verified)
    }

    pub(super) fn put(&self, key: Key, verified: Verified) {
        self.put_at(key, verified, Instant::now());
    }

    fn put_at(&self, key: Key, verified: Verified, now: Instant) {
        let mut entries = self.entries();
        if entries.len() >= CAPACITY {
            let timestamp = Utc::now().timestamp();
            entries.retain(|_, entry| entry.is_good(now, timestamp));
            // Clearing costs one verification per token. Finding the oldest entry would cost every insertion.
            if entries.len() >= CAPACITY {
                entries.clear();
            }
        }
        let until = now + MAX_AGE;
        entries.insert(key, Entry { verified, until });
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<Key, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use domain::Authority;
    use entity::{BusinessId, UserId};

    use super::*;
    use crate::access::token::Claims;

    fn verified(seconds: i64) -> Verified {
        let now = Utc::now().timestamp();
        Verified::Own(Claims {
            user_id: UserId::new(),
            business_id: BusinessId::new(),
            authority: Authority::Staff,
            version: None,
            login: None,
            issued_at: now,
            expires_at: now + seconds,
        })
    }

    #[test]
    fn a_verification_is_found_under_its_own_token_only() {
        let cache = Cache::default();
        let said = verified(60);
        cache.put(Cache::key("a token"), said);
        assert_eq!(cache.get(&Cache::key("a token")), Some(said));
        assert_eq!(cache.get(&Cache::key("a tokeN")), None);
    }

    #[test]
    fn an_entry_ends_with_its_token_and_after_a_while_at_the_latest() {
        let cache = Cache::default();
        cache.put(Cache::key("ended"), verified(0));
        assert_eq!(cache.get(&Cache::key("ended")), None);
        let earlier = |seconds| Instant::now().checked_sub(Duration::from_secs(seconds));
        cache.put_at(Cache::key("young"), verified(600), earlier(10).unwrap());
        assert!(cache.get(&Cache::key("young")).is_some());
        cache.put_at(Cache::key("old"), verified(600), earlier(21).unwrap());
        assert_eq!(cache.get(&Cache::key("old")), None);
    }

    #[test]
    fn it_never_holds_more_than_its_capacity() {
        let cache = Cache::default();
        for number in 0..CAPACITY + 10 {
            cache.put(Cache::key(&number.to_string()), verified(600));
            assert!(cache.entries().len() <= CAPACITY);
        }
        let last = Cache::key(&(CAPACITY + 9).to_string());
        assert!(cache.get(&last).is_some());
    }

    #[test]
    fn ended_entries_are_evicted_before_others() {
        let cache = Cache::default();
        let kept = Cache::key("kept");
        cache.put(kept, verified(600));
        for number in 0..CAPACITY {
            cache.put(Cache::key(&number.to_string()), verified(0));
        }
        assert!(cache.get(&kept).is_some());
    }
}
