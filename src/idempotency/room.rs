//! What one replica has the store keep, shared out among callers: so neither a caller nor a million ids fill the store.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::types::{MOST_DROPPED, RETENTION, UNDER_WAY};
use crate::{
    clock::Clock,
    shares::{Holder, Refused, Share, Shares},
};

/// The room of one replica, in bytes.
pub(super) struct Room {
    clock: Arc<dyn Clock>,
    shares: Arc<Shares>,
    /// What the store keeps, the oldest first, by the monotonic clock.
    kept: Mutex<VecDeque<(Duration, Share)>>,
}

impl Room {
    pub(super) fn new(clock: Arc<dyn Clock>, capacity: usize) -> Self {
        Self { clock, shares: Shares::new("request_ids", capacity), kept: Mutex::default() }
    }

    pub(super) const fn shares(&self) -> &Arc<Shares> {
        &self.shares
    }

    /// Takes room for a call that is under way.
    pub(super) fn take(&self, caller: &str) -> Result<Share, Refused> {
        let now = self.clock.monotonic();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..MOST_DROPPED {
            let is_over = |(began, _): &(Duration, Share)| now.saturating_sub(*began) >= RETENTION;
            if kept.front().is_none_or(|oldest| !is_over(oldest)) {
                break;
            }
            kept.pop_front();
        }
        self.shares.take(Holder::Principal(caller), UNDER_WAY)
    }

    /// Holds room for as long as the store keeps an outcome.
    pub(super) fn keep(&self, share: Share) {
        let now = self.clock.monotonic();
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).push_back((now, share));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ManualClock, UnixMillis};

    /// Has the store keep as much as a caller may.
    fn fill(room: &Room, caller: &str) -> (usize, Refused) {
        for count in 0..100 {
            match room.take(caller) {
                Ok(share) => room.keep(share),
                Err(refused) => return (count, refused),
            }
        }
        panic!("there is no end");
    }

    #[test]
    fn one_caller_has_the_store_keep_half_of_a_replica_s_part_for_ten_minutes() {
        let clock = Arc::new(ManualClock::new(UnixMillis::EPOCH));
        let what = "request_ids";
        let room = Room::new(clock.clone(), 16 * UNDER_WAY);
        assert_eq!(fill(&room, "key:greedy"), (8, Refused::OwnShare { what }));
        assert!(fill(&room, "key:other").0 > 0);
        clock.advance(Duration::from_secs(599));
        assert_eq!(fill(&room, "key:greedy").0, 0, "it is kept");
        clock.advance(Duration::from_secs(1));
        assert_eq!(fill(&room, "key:greedy").0, 8);
    }
}
