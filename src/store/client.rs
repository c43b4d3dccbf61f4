//! A call of the store: sent, timed, counted.

use std::{sync::Arc, time::Duration};

use redis::{RedisError, cmd};
use tokio::time::{Instant, timeout_at};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument, Level, Span, field::Empty};

use super::{
    address::Address,
    failure::{fault_of, is_lost, shortened},
    link::{Connected, Link},
};
use crate::{
    tally::Tally,
    telemetry::{StoreCall, StoreFault, StoreMetrics, traced_span},
};

/// How many lines of the log a kind of failure has in a second.
const LINES: u64 = 5;

/// Compares and swaps: of a value that is not expected 8 KiB are read, and ours are shorter. What is as it is to be is not
/// removed again, so that a store that takes no writes can say so.
const SWAP: &str = r"
local held = redis.pcall('GET', KEYS[1])
if type(held) == 'table' then
  if string.sub(held.err, 1, 9) ~= 'WRONGTYPE' then return held end
  held = 'a value of another type'
elseif held == '' then
  held = 'an empty value'
end
held = held or ''
if held ~= ARGV[1] and held ~= ARGV[2] then
  return {0, string.sub(held, 1, 8192), redis.call('PTTL', KEYS[1])}
end
if ARGV[2] ~= '' then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
elseif held ~= '' then
  redis.call('DEL', KEYS[1])
end
local _, replicas = string.gsub(redis.call('INFO', 'replication'), 'state=online', '')
return {1, '', replicas}
";

/// `[store]`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it is.
    pub address: Address,
    /// Whether quotas hold across replicas too.
    pub share_quotas: bool,
}

/// The store. Cloning it is cheap.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    link: Link,
    metrics: StoreMetrics,
    log: StoreLog,
}

/// Which failures have lines of their own.
pub(crate) type StoreLog = Tally<(Level, &'static str)>;

/// What a compare and swap came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Swapped {
    /// The value is there now.
    Yes,
    /// There was another one, or none where it is empty; and how long it is still kept. Nothing was changed.
    No {
        /// The value.
        held: Vec<u8>,
        /// How long it is kept from now on; `None`: for ever.
        ends_in: Option<Duration>,
    },
}

/// One compare and swap. An empty value stands for none.
#[derive(Clone, Copy, Debug)]
pub struct Swap<'a> {
    /// The key.
    pub key: &'a str,
    /// What must be there.
    pub from: &'a [u8],
    /// What is to be there.
    pub to: &'a [u8],
    /// For how long.
    pub keep: Duration,
    /// Whether it counts only once a replica of the store has it, where there is one.
    pub replicated: bool,
}

/// The store did not answer in time, or refused. What was asked may have been done all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store does not answer in time, or refuses")]
pub struct Unavailable {
    /// Whether anything was sent.
    pub was_sent: bool,
}

impl Store {
    /// `tasks` owns what connects, until `stopping`.
    #[must_use]
    pub fn new(
        address: Address,
        metrics: StoreMetrics,
        tasks: TaskTracker,
        stopping: CancellationToken,
    ) -> Self {
        let log =
            Tally::of_reasons(LINES, tasks.clone(), "more calls of the store failed in the last second");
        let link = Link::new(address, metrics.clone(), tasks, stopping);
        Self(Arc::new(Inner { link, metrics, log }))
    }

    /// Connects already, before the first call.
    pub fn connect(&self) {
        self.0.link.connect(None);
    }

    /// Its metrics.
    #[must_use]
    pub fn metrics(&self) -> &StoreMetrics {
        &self.0.metrics
    }

    /// Which failures have lines of their own.
    pub(crate) fn log(&self) -> &StoreLog {
        &self.0.log
    }

    /// Compares and swaps. Doing so twice is doing so once: so it is done again where the connection turns out to be lost,
    /// as one is that the store closed because nobody used it.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn swap(&self, swap: Swap<'_>, until: Instant) -> Result<Swapped, Unavailable> {
        let connected = self.connection(StoreCall::Swap, until).await?;
        match self.swap_on(&connected, swap, until).await {
            Err(_) if Instant::now() < until && !self.0.link.is_current(&connected) => {
                let connected = self.connection(StoreCall::Swap, until).await;
                let connected = connected.map_err(|_| Unavailable { was_sent: true })?;
                self.swap_on(&connected, swap, until).await
            }
            ended => ended,
        }
    }

    async fn swap_on(
        &self,
        connected: &Connected,
        swap: Swap<'_>,
        until: Instant,
    ) -> Result<Swapped, Unavailable> {
        let Swap { key, from, to, keep, replicated } = swap;
        let mut command = cmd("EVAL");
        command.arg(SWAP).arg(1).arg(key).arg(from).arg(to).arg(millis(keep));
        let mut connection = connected.connection.clone();
        let sent = async { connection.send(&command).await };
        let (is_swapped, held, number): (bool, Vec<u8>, i64) =
            self.observe(StoreCall::Swap, connected, key, sent, until).await?;
        if !is_swapped {
            return Ok(Swapped::No { held, ends_in: u64::try_from(number).ok().map(Duration::from_millis) });
        }
        if replicated && number > 0 {
            self.wait_for_a_replica(connected, key, until).await?;
        }
        Ok(Swapped::Yes)
    }

    /// Waits until a replica has what this connection wrote.
    async fn wait_for_a_replica(
        &self,
        connected: &Connected,
        key: &str,
        until: Instant,
    ) -> Result<(), Unavailable> {
        let left = until.saturating_duration_since(Instant::now());
        let mut command = cmd("WAIT");
        // It holds up what others send on the connection: a part of their time must be left.
        command.arg(1).arg(millis(left / 2).max(1));
        let mut connection = connected.connection.clone();
        let sent = async { connection.send_to(key, command).await };
        let replicas: i64 = self.observe(StoreCall::Wait, connected, key, sent, until).await?;
        if replicas > 0 { Ok(()) } else { Err(Unavailable { was_sent: true }) }
    }

    pub(super) async fn connection(&self, call: StoreCall, until: Instant) -> Result<Connected, Unavailable> {
        self.0.link.connection(until).await.ok_or_else(|| {
            self.0.metrics.failed(call, StoreFault::NotConnected);
            Unavailable { was_sent: false }
        })
    }

    pub(super) async fn observe<T>(
        &self,
        call: StoreCall,
        connected: &Connected,
        key: &str,
        sent: impl Future<Output = Result<T, RedisError>>,
        until: Instant,
    ) -> Result<T, Unavailable> {
        let span = span_of(call);
        let began = Instant::now();
        let answer = timeout_at(until, sent).instrument(span.clone()).await;
        let (fault, error) = match answer {
            Ok(Ok(answer)) => {
                self.0.metrics.answered(call, began.elapsed());
                return Ok(answer);
            }
            Ok(Err(error)) => (fault_of(&error), Some(error)),
            Err(_) => (StoreFault::Timeout, None),
        };
        span.record("error.type", fault.as_str());
        span.record("otel.status_code", "ERROR");
        self.0.metrics.failed(call, fault);
        match error {
            None => self.0.link.replace(connected, key, "it does not answer in time"),
            Some(error) if is_lost(&error) => self.0.link.replace(connected, key, &shortened(&error)),
            Some(error) if self.0.log.has_line((Level::WARN, fault.as_str()), 1) => {
                tracing::warn!(error = shortened(&error), call = call.as_str(), "the store refuses");
            }
            Some(_) => {}
        }
        Err(Unavailable { was_sent: true })
    }
}

fn span_of(call: StoreCall) -> Span {
    traced_span!(
        "store",
        otel.name = call.as_str(),
        otel.kind = "client",
        otel.status_code = Empty,
        db.system.name = "redis",
        db.operation.name = call.as_str(),
        error.r#type = Empty,
    )
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
