//! Follows conversions: one poller a conversion, whoever and however many watch it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, time::sleep};
use tokio_util::task::TaskTracker;

use crate::{
    entropy::Entropy,
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
    entropy: Arc<dyn Entropy>,
    settings: Settings,
    tasks: TaskTracker,
    pollers: Mutex<HashMap<Key, Arc<watch::Sender<State>>>>,
}

/// `signer`, the access key, stands for the project.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    signer: String,
    region: Region,
    uuid: String,
}

/// The last that was seen; `None`: nothing yet.
type State = Option<Result<Conversion, Error>>;

impl Watcher {
    /// `tasks`: owns the pollers.
    pub fn new(
        whiteboard: Whiteboard,
        entropy: Arc<dyn Entropy>,
        settings: Settings,
        tasks: TaskTracker,
    ) -> Arc<Self> {
        Arc::new(Self { whiteboard, entropy, settings, tasks, pollers: Mutex::default() })
    }

    /// How long a watch may last.
    #[must_use]
    pub fn max_duration(&self) -> Duration {
        self.settings.max_duration
    }

    /// Begins to watch. The poller is shared, and ends with its last watch.
    pub fn watch(self: &Arc<Self>, access: Access, uuid: PathUuid<'_>) -> Watch {
        let signer = access.key.access_key().to_owned();
        let key = Key { signer, region: access.region, uuid: uuid.as_str().to_owned() };
        let mut pollers = self.pollers.lock().unwrap_or_else(PoisonError::into_inner);
        let states = if let Some(states) = pollers.get(&key) {
            states.subscribe()
        } else {
            let (states, seen) = watch::channel(None);
            let states = Arc::new(states);
            pollers.insert(key.clone(), states.clone());
            self.tasks.spawn(self.clone().run(key, access, states));
            seen
        };
        Watch { states, is_new: true }
    }

    async fn run(self: Arc<Self>, key: Key, access: Access, states: Arc<watch::Sender<State>>) {
        tokio::select! {
            () = self.until_unwatched(&key, &states) => {}
            () = self.poll(&key, &access, &states) => self.forget(&key),
        }
    }

    /// Polls until nothing more can come.
    async fn poll(&self, key: &Key, access: &Access, states: &watch::Sender<State>) {
        let Some(uuid) = PathUuid::new(&key.uuid) else { return };
        let mut pause = self.settings.poll_interval;
        loop {
            let moved = publish(states, self.whiteboard.conversion(access, uuid).await);
            if states.borrow().as_ref().is_some_and(is_last) {
                return;
            }
            pause = if moved { self.settings.poll_interval } else { slower(pause) };
            sleep(with_jitter(pause, &*self.entropy)).await;
        }
    }

    async fn until_unwatched(&self, key: &Key, states: &watch::Sender<State>) {
        loop {
            states.closed().await;
            if self.forget_if_unwatched(key, states) {
                return;
            }
        }
    }

    fn forget(&self, key: &Key) {
        self.pollers.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// Under the same lock as a new watch, so that none joins a poller that ends.
    fn forget_if_unwatched(&self, key: &Key, states: &watch::Sender<State>) -> bool {
        let mut pollers = self.pollers.lock().unwrap_or_else(PoisonError::into_inner);
        let unwatched = states.receiver_count() == 0;
        if unwatched {
            pollers.remove(key);
        }
        unwatched
    }
}

/// Tells the watches what is new to them; whether anything was.
fn publish(states: &watch::Sender<State>, read: Result<Conversion, Error>) -> bool {
    if read.as_ref().is_err_and(may_pass) {
        return false;
    }
    states.send_if_modified(|state| {
        let moved = match (&*state, &read) {
            (Some(Ok(before)), Ok(now)) => before != now,
            _ => true,
        };
        if moved {
            *state = Some(read);
        }
        moved
    })
}

/// A hiccup of the upstream, which does not end a watch.
fn may_pass(error: &Error) -> bool {
    matches!(error, Error::Unreachable { .. } | Error::RateLimited { .. } | Error::UnexpectedAnswer { .. })
}

fn is_last(state: &Result<Conversion, Error>) -> bool {
    state.as_ref().map_or(true, |conversion| conversion.known_status().is_final())
}

fn slower(pause: Duration) -> Duration {
    (pause * 3 / 2).min(LONGEST_PAUSE.max(pause))
}

/// Up to a fifth longer, never shorter.
fn with_jitter(pause: Duration, entropy: &dyn Entropy) -> Duration {
    pause + pause / 5 * u32::from(entropy.bytes()[0]) / 255
}

/// One watch of a conversion.
pub struct Watch {
    states: watch::Receiver<State>,
    is_new: bool,
}

impl Watch {
    /// The conversion as it is, at first; then each change. `None` after the last, or after an
    /// error, which is final.
    pub async fn next(&mut self) -> Option<Result<Conversion, Error>> {
        loop {
            if !std::mem::take(&mut self.is_new) {
                self.states.changed().await.ok()?;
            }
            if let Some(state) = self.states.borrow_and_update().clone() {
                return Some(state);
            }
        }
    }
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
