//! Keeps one connection to the store, and makes a new one where it is lost. Nobody waits for that longer than for a call.
//!
//! The crate's own manager does not ask Sentinels again, so it would stay with a former master for ever.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use redis::RedisResult;
use tokio::{
    sync::{Mutex, watch},
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{address::Address, connection::Connection, failure::shortened};
use crate::telemetry::StoreMetrics;

/// How long a caller waits for the store, all of its messages included. With what the call takes beside, its refusal is
/// there within 250 ms.
pub const LIMIT: Duration = Duration::from_millis(200);

/// How long connecting may take, all questions to Sentinels or nodes included: some of them may be lost.
const LONGEST_CONNECT: Duration = Duration::from_secs(4);

/// The pause after a connection that failed, or was lost at once: doubled from the first one to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// What is lost sooner was lost at once, as that to a master that has become a replica.
const SHORTEST_LIFE: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub(super) struct Link(Arc<Inner>);

struct Inner {
    address: Address,
    current: watch::Sender<Option<Connected>>,
    /// Counts connections.
    count: AtomicU64,
    is_connecting: AtomicBool,
    /// When the last one was made, and after which pause. Only who connects takes it.
    last: Mutex<Option<(Instant, Duration)>>,
    metrics: StoreMetrics,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

/// A connection, by its number.
#[derive(Clone)]
pub(super) struct Connected {
    number: u64,
    pub(super) connection: Connection,
}

impl Link {
    pub(super) fn new(
        address: Address,
        metrics: StoreMetrics,
        tasks: TaskTracker,
        stopping: CancellationToken,
    ) -> Self {
        let (count, is_connecting) = (AtomicU64::new(0), AtomicBool::new(false));
        let (current, last) = (watch::Sender::new(None), Mutex::default());
        Self(Arc::new(Inner { address, current, count, is_connecting, last, metrics, tasks, stopping }))
    }

    /// The connection; `None`: there is none until then.
    pub(super) async fn connection(&self, until: Instant) -> Option<Connected> {
        let mut current = self.0.current.subscribe();
        if let Some(connected) = current.borrow_and_update().clone() {
            return Some(connected);
        }
        self.connect(None);
        let connected = timeout_at(until, current.wait_for(Option::is_some)).await.ok()?.ok()?;
        connected.clone()
    }

    /// Whether calls still get this connection.
    pub(super) fn is_current(&self, connected: &Connected) -> bool {
        self.0.current.borrow().as_ref().is_some_and(|current| current.number == connected.number)
    }

    /// Replaces a connection, unless that is done already. That to a Cluster serves on until another one reaches what has
    /// the key: one node may be lost, and the others are not.
    pub(super) fn replace(&self, lost: &Connected, key: &str, why: &str) {
        let serves_on = matches!(lost.connection, Connection::Cluster(_));
        let mut is_current = false;
        self.0.current.send_if_modified(|current| {
            is_current = current.as_ref().is_some_and(|current| current.number == lost.number);
            let ends = is_current && !serves_on;
            if ends {
                *current = None;
                self.0.metrics.set_connected(false);
            }
            ends
        });
        let key = serves_on.then(|| key.to_owned());
        if is_current && self.connect(key) {
            tracing::warn!(why, "the store is lost; connecting again");
        }
    }

    /// Connects to what has the key, or to any, in a task of its own; `false`: one does already.
    pub(super) fn connect(&self, key: Option<String>) -> bool {
        let is_first = !self.0.is_connecting.swap(true, SeqCst);
        if is_first {
            let inner = self.0.clone();
            self.0.tasks.spawn(async move { inner.connect_until_it_works(key.as_deref()).await });
        }
        is_first
    }
}

impl Inner {
    async fn connect_until_it_works(&self, key: Option<&str>) {
        let mut last = self.last.lock().await;
        let lost_at_once = last.filter(|(made, _)| made.elapsed() < SHORTEST_LIFE);
        let (mut pause, mut was_told) =
            (lost_at_once.map_or(Duration::ZERO, |(_, pause)| longer(pause)), false);
        let connection = loop {
            if self.stopping.run_until_cancelled(sleep(pause)).await.is_none() {
                break None;
            }
            let why = match timeout(LONGEST_CONNECT, self.connect_to(key)).await {
                Ok(Ok(Some(connection))) => break Some(connection),
                Ok(Err(error)) => shortened(&error),
                Ok(Ok(None)) | Err(_) => "it does not answer in time".to_owned(),
            };
            self.metrics.set_connected(false);
            if !was_told {
                tracing::warn!(why, "the store cannot be reached; trying on");
                was_told = true;
            }
            pause = longer(pause);
        };
        *last = Some((Instant::now(), pause));
        drop(last);
        // First, so that who loses this connection at once finds nobody who connects.
        self.is_connecting.store(false, SeqCst);
        if let Some(connection) = connection {
            let number = self.count.fetch_add(1, SeqCst);
            self.metrics.set_connected(true);
            tracing::info!("connected to the store");
            self.current.send_replace(Some(Connected { number, connection }));
        }
    }
}

impl Inner {
    /// `None`: what has the key does not answer.
    async fn connect_to(&self, key: Option<&str>) -> RedisResult<Option<Connection>> {
        let mut connection = self.address.connect().await?;
        let answers = match key {
            Some(key) => timeout(LIMIT, connection.answers(key)).await.unwrap_or(false),
            None => true,
        };
        Ok(answers.then_some(connection))
    }
}

fn longer(pause: Duration) -> Duration {
    LONGEST_PAUSE.min(FIRST_PAUSE.max(pause * 2))
}
