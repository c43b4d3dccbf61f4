//! Follows conversions. All watches of a conversion share one poller.

mod poller;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::time::sleep;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;

use self::poller::Poller;
pub use self::poller::{Subscription, WatchError};
use crate::{
    entropy::{Entropy, lengthened},
    keyring::Keyring,
    principal::Principal,
    region::Region,
    whiteboard::{Access, Conversion, Error, PathUuid, Whiteboard},
};

/// The longest pause between two polls.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// `[watch]`.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The longest watch. Its caller watches again after it.
    pub max_duration: Duration,
    /// The shortest pause between two polls.
    pub poll_interval: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { max_duration: Duration::from_mins(4), poll_interval: Duration::from_secs(3) }
    }
}

/// All pollers.
pub struct Watcher {
    whiteboard: Whiteboard,
    keyring: Arc<ArcSwap<Keyring>>,
    entropy: Arc<dyn Entropy>,
    settings: Settings,
    tasks: TaskTracker,
    stopping: CancellationToken,
    pollers: Mutex<Pollers>,
}

type Pollers = HashMap<PollerKey, Arc<Poller>>;

/// What a poller reads. The access key `signer` also identifies the project.
#[derive(Clone, PartialEq, Eq, Hash)]
struct PollerKey {
    signer: String,
    region: Region,
    uuid: String,
}

impl Watcher {
    /// `tasks`: owns the pollers, which end when `stopping` is cancelled.
    pub fn new(
        whiteboard: Whiteboard,
        keyring: Arc<ArcSwap<Keyring>>,
        entropy: Arc<dyn Entropy>,
        settings: Settings,
        tasks: TaskTracker,
        stopping: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self { whiteboard, keyring, entropy, settings, tasks, stopping, pollers: Mutex::default() })
    }

    /// How long a watch may last.
    #[must_use]
    pub fn max_duration(&self) -> Duration {
        self.settings.max_duration
    }

    /// Subscribes to a conversion. Its poller is shared, and ends with the last subscription.
    pub fn watch(self: &Arc<Self>, access: &Access, uuid: PathUuid<'_>) -> Subscription {
        let key = PollerKey::new(access, uuid);
        let mut pollers = self.pollers();
        if let Some(poller) = pollers.get(&key) {
            return poller.subscribe(self.settings.poll_interval);
        }
        let poller = Arc::new(Poller { caller: Some(access.caller.clone()), ..Poller::default() });
        let subscription = poller.subscribe(self.settings.poll_interval);
        pollers.insert(key.clone(), poller.clone());
        self.tasks.spawn(self.clone().run(key, poller).in_current_span());
        subscription
    }

    /// A conversion was changed through this replica: the next subscription begins with a new read.
    pub fn changed(&self, access: &Access, uuid: PathUuid<'_>) {
        if let Some(poller) = self.pollers().get(&PollerKey::new(access, uuid)) {
            poller.state.send_modify(|state| state.read_at = None);
            poller.wake.notify_one();
        }
    }

    /// How many subscriptions there are, and to how many conversions.
    pub fn counts(&self) -> (usize, usize) {
        let pollers = self.pollers();
        (pollers.values().map(|poller| poller.state.receiver_count()).sum(), pollers.len())
    }

    async fn run(self: Arc<Self>, key: PollerKey, poller: Arc<Poller>) {
        let guard = PollerGuard { watcher: &self, key: &key, poller: &poller };
        self.stopping.run_until_cancelled(self.poll(&guard)).await;
    }

    /// Polls until the conversion is final or has no subscription. It ends an interval after its last
    /// read at the earliest, so that short watches in a row do not poll more often.
    async fn poll(&self, guard: &PollerGuard<'_>) {
        let (poller, shortest) = (guard.poller, self.settings.poll_interval);
        let mut pause = shortest;
        loop {
            let has_changed = poller.publish(self.read(guard.key, poller.caller.as_ref()).await);
            pause = if has_changed { shortest } else { slower(pause) };
            let rest = lengthened(pause, &*self.entropy).saturating_sub(shortest);
            sleep(shortest).await;
            tokio::select! {
                () = sleep(rest) => {}
                () = poller.wake.notified() => {}
                () = poller.state.closed() => {}
            }
            if guard.leave_if_done(self.settings.max_duration) {
                return;
            }
        }
    }

    /// Reads with the current key: a poller does not keep one that was replaced.
    async fn read(&self, key: &PollerKey, caller: Option<&Principal>) -> Result<Conversion, WatchError> {
        let keyring = self.keyring.load();
        let found = keyring
            .find(&key.signer)
            .map(|(project, _)| project)
            .and_then(|project| Some((project.shared_name(), project.signing_key(&key.signer)?.clone())));
        drop(keyring);
        let (project, signer) = found.ok_or(WatchError::KeyReplaced)?;
        let own = Access::own(project, signer, key.region);
        let access = Access { caller: caller.cloned().unwrap_or(own.caller), ..own };
        let uuid = PathUuid::new(&key.uuid).ok_or(WatchError::Upstream(Error::NotFound))?;
        self.whiteboard.conversion(&access, uuid).await.map_err(WatchError::Upstream)
    }

    fn pollers(&self) -> MutexGuard<'_, Pollers> {
        self.pollers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PollerKey {
    fn new(access: &Access, uuid: PathUuid<'_>) -> Self {
        let signer = access.key.access_key().to_owned();
        Self { signer, region: access.region, uuid: uuid.as_str().to_owned() }
    }
}

/// Removes a poller when it is dropped, however its task ends.
struct PollerGuard<'a> {
    watcher: &'a Watcher,
    key: &'a PollerKey,
    poller: &'a Arc<Poller>,
}

impl PollerGuard<'_> {
    /// `longest`: the longest watch, also of a caller that does not read its stream.
    fn leave_if_done(&self, longest: Duration) -> bool {
        // Under one lock with `watch`, so that no subscription joins a poller that ends.
        let mut pollers = self.watcher.pollers();
        let subscribed_at = *self.poller.subscribed_at.lock().unwrap_or_else(PoisonError::into_inner);
        let is_done = self.poller.state.receiver_count() == 0
            || self.poller.state.borrow().is_last()
            || subscribed_at.is_some_and(|at| at.elapsed() > longest);
        if is_done {
            self.leave(&mut pollers);
        }
        is_done
    }

    /// Another poller may have replaced it already.
    fn leave(&self, pollers: &mut Pollers) {
        if pollers.get(self.key).is_some_and(|poller| Arc::ptr_eq(poller, self.poller)) {
            pollers.remove(self.key);
        }
    }
}

impl Drop for PollerGuard<'_> {
    fn drop(&mut self) {
        self.leave(&mut self.watcher.pollers());
    }
}

fn slower(pause: Duration) -> Duration {
    (pause * 3 / 2).min(LONGEST_PAUSE.max(pause))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversion_that_does_not_move_is_polled_more_slowly_up_to_a_limit() {
        let mut pause = Duration::from_secs(3);
        let mut pauses = Vec::new();
        for _ in 0..8 {
            pause = slower(pause);
            pauses.push(pause.as_millis());
        }
        assert_eq!(pauses, [4500, 6750, 10125, 15187, 22781, 30000, 30000, 30000]);
    }
}
