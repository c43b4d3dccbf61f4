//! Quotas that hold across replicas: `store.share_quotas`.
//!
//! A replica takes a portion of a principal's tokens from the store's bucket, and gives from that. So in any t seconds all
//! replicas together give at most burst + rate × t, and what each may have left of its portion from before. Each also
//! counts for itself, as without a store: that is all that holds while the store is away.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use sha2::{Digest, Sha256};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    hex,
    store::{Fill, Store, Taken},
};

/// A principal's portion is taken this often at most.
const PACE: Duration = Duration::from_millis(100);

/// A portion is so much of the burst, or of what a second gives, whichever is more.
const PART: u32 = 10;

/// How long a call waits for a portion, once. Then the store counts as away, and nobody waits for it until it answers.
const LIMIT: Duration = Duration::from_millis(50);

/// The pause before a store that is away is asked again.
const PAUSE: Duration = Duration::from_millis(500);

/// Before every key.
const PREFIX: &str = "inkpass:1:quota:";

/// The quotas that replicas share. Cloning it is cheap.
#[derive(Clone)]
pub struct SharedQuotas(Arc<Inner>);

struct Inner {
    store: Store,
    is_away: AtomicBool,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

/// What a replica has left of its portion of one limit of a principal.
#[derive(Debug, Default)]
pub(super) struct Portion {
    left: AtomicU32,
    last: Mutex<Last>,
}

/// The last portion that was taken.
#[derive(Debug, Default)]
struct Last {
    at: Option<Instant>,
    /// Until when the bucket is known to be empty.
    empty_until: Option<Instant>,
}

/// A limit of a principal: its bucket.
#[derive(Clone, Copy)]
pub(super) struct Bucket<'a> {
    pub(super) grant: &'a str,
    pub(super) principal: &'a str,
    pub(super) limit: &'static str,
    pub(super) fill: Fill,
}

impl SharedQuotas {
    /// `tasks` owns what asks whether the store is back, until `stopping`.
    #[must_use]
    pub fn new(store: Store, tasks: TaskTracker, stopping: CancellationToken) -> Self {
        Self(Arc::new(Inner { store, is_away: AtomicBool::new(false), tasks, stopping }))
    }

    /// Nobody waits for the store from now on until it answers for this bucket: in a Cluster one node may be away alone.
    fn is_away_from_now(&self, bucket: Bucket<'_>) {
        if self.0.is_away.swap(true, Relaxed) {
            return;
        }
        tracing::warn!("the store is away, so quotas hold in each replica alone");
        let (inner, key, fill) = (self.0.clone(), bucket.key(), bucket.fill);
        self.0.tasks.spawn(async move {
            while inner.stopping.run_until_cancelled(sleep(PAUSE)).await.is_some() {
                let until = Instant::now() + LIMIT;
                if inner.store.take(&key, fill, 0, 0, until).await.is_ok() {
                    tracing::info!("the store is back, and quotas hold across replicas");
                    inner.is_away.store(false, Relaxed);
                    break;
                }
            }
        });
    }
}

impl Portion {
    /// Takes so many tokens, at most the burst.
    ///
    /// # Errors
    /// When to try again.
    pub(super) async fn take(
        &self,
        bucket: Bucket<'_>,
        count: u32,
        shared: &SharedQuotas,
    ) -> Result<(), Duration> {
        let is_settled = || self.take_what_is_left(count) || shared.0.is_away.load(Relaxed);
        if is_settled() {
            return Ok(());
        }
        // In turn: what the first takes is for those behind it too.
        let mut last = self.last.lock().await;
        if is_settled() {
            return Ok(());
        }
        if let Some(left) = last.empty_until.map(|until| until.saturating_duration_since(Instant::now()))
            && !left.is_zero()
        {
            return Err(left);
        }
        if let Some(at) = last.at {
            sleep_until(at + PACE).await;
        }
        last.at = Some(Instant::now());
        let portion = bucket.portion();
        let (want, until) = (portion.max(count), Instant::now() + LIMIT);
        match shared.0.store.take(&bucket.key(), bucket.fill, want, count, until).await {
            Ok(Taken::Some(taken)) => {
                let give = |left: u32| Some(left.saturating_add(taken - count).min(portion));
                let _ = self.left.try_update(Relaxed, Relaxed, give);
                Ok(())
            }
            Ok(Taken::None(refill)) => {
                if count <= portion {
                    last.empty_until = Some(Instant::now() + refill);
                }
                Err(refill)
            }
            Err(_) => {
                shared.is_away_from_now(bucket);
                Ok(())
            }
        }
    }

    fn take_what_is_left(&self, count: u32) -> bool {
        self.left.try_update(Relaxed, Relaxed, |left| left.checked_sub(count)).is_ok()
    }
}

impl Bucket<'_> {
    fn portion(&self) -> u32 {
        self.fill.burst.max(self.fill.per_second).div_ceil(PART)
    }

    /// Of one length, whatever the names are. Another figure in the policy is another bucket.
    fn key(&self) -> String {
        let Self { grant, principal, limit, fill: Fill { per_second, burst } } = self;
        let text = format!("{grant}\n{principal}\n{limit}\n{per_second}\n{burst}");
        let digest: [u8; 32] = Sha256::digest(text).into();
        let (halves, _) = digest.as_chunks::<16>();
        format!("{PREFIX}{}", hex::encode(&halves[0]))
    }
}
