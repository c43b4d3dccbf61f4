//! Follows conversions: one poller a conversion, whoever and however many watch it.

mod poller;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::sleep;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;

use self::poller::Poller;
pub use self::poller::{Failure, Watch};
use crate::{
    entropy::Entropy,
    keyring::LiveKeyring,
    region::Region,
    whiteboard::{Access, Conversion, Error, PathUuid, Whiteboard},
};

/// The longest pause between two polls.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// `[watch]`.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// A watch ends after this, and its caller resumes it.
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
    keyring: Arc<LiveKeyring>,
    entropy: Arc<dyn Entropy>,
    settings: Settings,
    tasks: TaskTracker,
    stopping: CancellationToken,
    pollers: Mutex<Pollers>,
}

type Pollers = HashMap<Key, Arc<Poller>>;

/// `signer`, the access key, stands for the project.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    signer: String,
    region: Region,
    uuid: String,
}

impl Watcher {
    /// `tasks`: owns the pollers, which end when `stopping` is cancelled. `keyring`: lends each read its
    /// key.
    pub fn new(
        whiteboard: Whiteboard,
        keyring: Arc<LiveKeyring>,
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

    /// Begins to watch. The poller is shared, and ends with its last watch.
    pub fn watch(self: &Arc<Self>, access: &Access, uuid: PathUuid<'_>) -> Watch {
        let key = Key::new(access, uuid);
        let mut pollers = self.pollers();
        if let Some(poller) = pollers.get(&key) {
            return poller.watch(self.settings.poll_interval);
        }
        let poller = Arc::new(Poller::default());
        let watch = poller.watch(self.settings.poll_interval);
        pollers.insert(key.clone(), poller.clone());
        self.tasks.spawn(self.clone().run(key, poller).in_current_span());
        watch
    }

    /// What was changed through here is read anew before it is told to whoever watches next.
    pub fn changed(&self, access: &Access, uuid: PathUuid<'_>) {
        if let Some(poller) = self.pollers().get(&Key::new(access, uuid)) {
            poller.known.send_modify(|known| known.read_at = None);
            poller.wake.notify_one();
        }
    }

    async fn run(self: Arc<Self>, key: Key, poller: Arc<Poller>) {
        let entry = Entry { watcher: &self, key: &key, poller: &poller };
        self.stopping.run_until_cancelled(self.poll(&entry)).await;
    }

    /// Polls until nothing more can come, or nobody listens. It stays for one interval after its
    /// last read, so that watches that come and go do not read more often.
    async fn poll(&self, entry: &Entry<'_>) {
        let (poller, shortest) = (entry.poller, self.settings.poll_interval);
        let mut pause = shortest;
        loop {
            let moved = poller.tell(self.read(entry.key).await);
            pause = if moved { shortest } else { slower(pause) };
            let rest = with_jitter(pause, &*self.entropy).saturating_sub(shortest);
            sleep(shortest).await;
            tokio::select! {
                () = sleep(rest) => {}
                () = poller.wake.notified() => {}
                () = poller.known.closed() => {}
            }
            if entry.leave_if_done(self.settings.max_duration) {
                return;
            }
        }
    }

    /// With the key as it is now: a poller keeps none that was replaced.
    async fn read(&self, key: &Key) -> Result<Conversion, Failure> {
        let now = self.keyring.now();
        let signer = now.find(&key.signer).and_then(|(project, _)| project.signing_key(&key.signer));
        let signer = signer.cloned().ok_or(Failure::KeyReplaced)?;
        drop(now);
        let access = Access { key: signer, region: key.region };
        let uuid = PathUuid::new(&key.uuid).ok_or(Failure::Upstream(Error::NotFound))?;
        self.whiteboard.conversion(&access, uuid).await.map_err(Failure::Upstream)
    }

    fn pollers(&self) -> MutexGuard<'_, Pollers> {
        self.pollers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Key {
    fn new(access: &Access, uuid: PathUuid<'_>) -> Self {
        let signer = access.key.access_key().to_owned();
        Self { signer, region: access.region, uuid: uuid.as_str().to_owned() }
    }
}

/// A poller among the others: it leaves them when this is dropped, however its task ends.
struct Entry<'a> {
    watcher: &'a Watcher,
    key: &'a Key,
    poller: &'a Arc<Poller>,
}

impl Entry<'_> {
    /// `longest`: no watch lasts longer, also where its caller does not look.
    fn leave_if_done(&self, longest: Duration) -> bool {
        // Under the same lock as a new watch, so that none joins a poller that ends.
        let mut pollers = self.watcher.pollers();
        let joined_at = *self.poller.joined_at.lock().unwrap_or_else(PoisonError::into_inner);
        let is_done = self.poller.known.receiver_count() == 0
            || self.poller.known.borrow().is_last()
            || joined_at.is_some_and(|at| at.elapsed() > longest);
        if is_done {
            self.leave(&mut pollers);
        }
        is_done
    }

    /// Another poller may stand in its place already.
    fn leave(&self, pollers: &mut Pollers) {
        if pollers.get(self.key).is_some_and(|poller| Arc::ptr_eq(poller, self.poller)) {
            pollers.remove(self.key);
        }
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.leave(&mut self.watcher.pollers());
    }
}

fn slower(pause: Duration) -> Duration {
    (pause * 3 / 2).min(LONGEST_PAUSE.max(pause))
}

/// Up to a fifth longer, never shorter.
fn with_jitter(pause: Duration, entropy: &dyn Entropy) -> Duration {
    pause + pause / 5 * u32::from(entropy.bytes()[0]) / 255
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;

    #[test]
    fn jitter_never_polls_faster_than_the_interval() {
        let pause = Duration::from_secs(3);
        for _ in 0..1000 {
            let jittered = with_jitter(pause, &SystemEntropy);
            assert!(jittered >= pause && jittered <= pause + pause / 5, "{jittered:?}");
        }
    }

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
