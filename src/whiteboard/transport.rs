//! The way of every call: a place taken, a token made, attempts as far as they are safe, the answer read.

use std::{
    array, io,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use tokio::time::{sleep, timeout_at};
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::{
    access::Access,
    answer::{self, Reading, Received},
    attempt::{Attempt, Attempts},
    authority::Authority,
    breaker::{Breaker, Pass},
    call::{Call, Signed, is_late},
    circuit::Circuit,
    error::Error,
    failures::Failures,
    fault::Fault,
    fields::FromAnswer,
    hosts::Hosts,
    pacing::{self, LONGEST_WAIT, Pauses, RetryBudget},
    settings::Settings,
    single_flight::{Change, SingleFlight},
    unread::UnreadLog,
};
use crate::{
    clock::UnixMillis,
    entropy::Entropy,
    region::Region,
    shares::{Holder, Share, Shares},
    stability::Stability,
    telemetry::UpstreamMetrics,
    token::{Claims, Nonce},
};

/// Less than what calls have at the end of the process, so that its result is still recorded.
const CALL_TIMEOUT: Duration = Duration::from_secs(14);
const TOKEN_TTL: Duration = Duration::from_mins(1);

/// How many reads, and how many calls that change something, may be upstream at once.
const MOST_READS: usize = 256;
const MOST_WRITES: usize = 256;

/// How often a call is made at most.
const MOST_ATTEMPTS: u32 = 3;

#[derive(Clone)]
pub(super) struct Transport(Arc<Inner>);

struct Inner {
    attempts: Attempts,
    entropy: Arc<dyn Entropy>,
    reads: SingleFlight<Read, Signed, Result<Received, Error>>,
    /// Counts the beginnings and ends of what was changed through here.
    changes: AtomicU64,
    read_places: Arc<Shares>,
    write_places: Arc<Shares>,
    /// By region: of what changes something, and of reads.
    breakers: [[Breaker; 2]; Region::ALL.len()],
    budget: RetryBudget,
    pauses: Pauses,
    failures: Failures,
    unread: UnreadLog,
    tasks: TaskTracker,
}

/// The key of a single flight: equal reads have the same. The access key stands for the project, and the
/// path for the token's scope.
#[derive(PartialEq, Eq, Hash)]
struct Read {
    path: String,
    region: Region,
    access_key: String,
    /// A read never joins one that began before a change began or ended: it must see that change.
    after_change: u64,
}

impl Transport {
    pub(super) fn new(
        settings: &Settings,
        stability: Arc<Stability>,
        entropy: Arc<dyn Entropy>,
        metrics: UpstreamMetrics,
        tasks: TaskTracker,
    ) -> io::Result<Self> {
        let hosts = Hosts::new(settings)?;
        let breakers = array::from_fn(|region| {
            let region = Region::ALL[region];
            Breaker::of(&hosts.of(region).name, region)
        });
        Ok(Self(Arc::new(Inner {
            attempts: Attempts { hosts, stability, metrics, propagates: settings.propagate_trace },
            entropy,
            reads: SingleFlight::new(),
            changes: AtomicU64::new(0),
            read_places: Shares::new("upstream reads", MOST_READS),
            write_places: Shares::new("upstream writes", MOST_WRITES),
            breakers,
            budget: RetryBudget::default(),
            pauses: Pauses::default(),
            failures: Failures::new(tasks.clone()),
            unread: UnreadLog::new(tasks.clone()),
            tasks,
        })))
    }

    pub(super) fn places(&self) -> [Arc<Shares>; 2] {
        [&self.0.read_places, &self.0.write_places].map(Arc::clone)
    }

    pub(super) fn repeats_left(&self) -> u32 {
        self.0.budget.left()
    }

    pub(super) fn circuits(&self) -> impl Iterator<Item = (Region, &'static str, Circuit)> {
        self.0.breakers.iter().flatten().map(Breaker::circuit)
    }

    /// Sends a read, or joins an equal one that is under way, and reads its answer.
    pub(super) async fn read<T: FromAnswer>(&self, access: &Access, call: Call<'_>) -> Result<T, Error> {
        self.read_about(access, call, |_| Ok(())).await
    }

    /// The same, where the answer must be about what was asked for.
    pub(super) async fn read_about<T: FromAnswer>(
        &self,
        access: &Access,
        call: Call<'_>,
        check: impl FnOnce(&T) -> Result<(), Error>,
    ) -> Result<T, Error> {
        let inner = &self.0;
        let key = Read {
            path: call.request.path.clone(),
            region: access.region,
            access_key: access.key.access_key().to_owned(),
            after_change: inner.changes.load(Ordering::SeqCst),
        };
        // Signed before it is known whether the call is coalesced: that is cheap.
        let call = Arc::new(inner.sign(access, call)?);
        let (call, flight) = inner.reads.join(key, call, Instant::now(), |call| {
            // Whoever joins it takes no place.
            let place = take(&inner.read_places, access)?;
            let inner = inner.clone();
            let read = async move {
                let _place = place;
                let waiting = inner.failures.watch(&call);
                let received = inner.exchange(&call).await;
                waiting.end();
                inner.failures.log(&call, received)
            };
            Ok(read.boxed())
        })?;
        call.wait_until(access.deadline);
        let received = flight.await?;
        let read = answer::read(&received, &inner.reading(&call));
        inner.log(&call, &received, read.and_then(|read| check(&read).map(|()| read)))
    }

    /// Takes the place of a call that changes something.
    pub(super) fn place(&self, access: &Access) -> Result<Arc<Share>, Error> {
        take(&self.0.write_places, access).map(Arc::new)
    }

    /// Sends what changes something, once, and reads its answer.
    pub(super) async fn send<T: FromAnswer + Send + 'static>(
        &self,
        access: &Access,
        call: Call<'_>,
    ) -> Result<T, Error> {
        self.send_and(access, call, answer::read).await
    }

    /// The same with a reading of its own. It goes on to its end, or its own timeout, when its caller leaves.
    pub(super) async fn send_and<T: Send + 'static>(
        &self,
        access: &Access,
        call: Call<'_>,
        read: impl FnOnce(&Received, &Reading<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        if is_late(access.deadline, Instant::now()) {
            return Err(Error::TooLate);
        }
        let place = match &access.place {
            Some(place) => place.clone(),
            None => self.place(access)?,
        };
        let call = self.0.sign(access, call)?;
        let inner = self.0.clone();
        let sent = async move {
            let _place = place;
            let change = Change::begin(&inner.changes);
            let received = inner.exchange(&call).await;
            drop(change);
            let received = inner.failures.log(&call, received)?;
            let read = read(&received, &inner.reading(&call));
            inner.log(&call, &received, read)
        };
        let sent = self.0.tasks.spawn(sent.in_current_span()).await;
        sent.unwrap_or_else(|_| Err(Error::OutcomeUnknown { detail: "the call broke off".to_owned() }))
    }
}

/// A place upstream, for as long as the call is under way.
fn take(places: &Arc<Shares>, access: &Access) -> Result<Share, Error> {
    places.take(Holder::Principal(access.caller.as_str()), 1).map_err(Error::NoShare)
}

impl Inner {
    fn reading(&self, call: &Signed) -> Reading<'_> {
        Reading { rpc: call.request.rpc, resource: call.request.resource, unread: &self.unread }
    }

    /// Signs the weakest token that permits the call, valid for one minute.
    fn sign(&self, access: &Access, call: Call<'_>) -> Result<Signed, Error> {
        let now = self.attempts.stability.now().map_err(|_| Error::ClockUnstable)?;
        let expire_at = now.checked_add(TOKEN_TTL).unwrap_or(UnixMillis::MAX);
        let Authority { scope, role } = call.authority;
        let claims = Claims { scope, role, expire_at: Some(expire_at) };
        let token = access.key.sign(&claims, &Nonce::random(self.entropy.bytes()));
        Ok(Signed::new(access, call.request, token))
    }

    /// Logs what an answer of success says of a failure.
    fn log<T>(&self, call: &Signed, received: &Received, result: Result<T, Error>) -> Result<T, Error> {
        if result.is_err() {
            call.failed_with(received);
        }
        self.failures.log(call, result)
    }

    /// A call, and again where that is safe, the budget allows it and there is time.
    async fn exchange(&self, call: &Signed) -> Result<Received, Error> {
        self.budget.give();
        let began = Instant::now();
        let mut last = None;
        for attempt in 1..=MOST_ATTEMPTS {
            if let Some(left) = self.pauses.left(&call.project, call.region, Instant::now()) {
                return last.unwrap_or(Err(Error::RateLimited { retry_after: Some(left) }));
            }
            let breaker = &self.breakers[call.region as usize][usize::from(call.is_read())];
            let mut pass = match breaker.pass(Instant::now()) {
                Ok(pass) => pass,
                Err(retry_after) => return last.unwrap_or(Err(Error::CircuitOpen { retry_after })),
            };
            let limit = CALL_TIMEOUT.saturating_sub(began.elapsed());
            let Attempt { result, fault, pause, .. } =
                watched(call, &mut pass, self.attempts.make(call, attempt, limit)).await;
            if matches!(result, Err(Error::TooLate)) {
                // Nothing was sent: the pass is dropped, and says something of the upstream only if that took long.
                return result;
            }
            pass.settle(fault.is_some_and(Fault::is_failure), Instant::now());
            if let Some(pause) = pause {
                let now = Instant::now();
                self.attempts.metrics.paused(call.region);
                self.pauses.begin(&call.project, call.region, now + pause, now);
            }
            let pause = pause.unwrap_or_default();
            let wait = pause.max(pacing::backoff(attempt, self.entropy.bytes()[0]));
            let may_repeat =
                fault.is_some_and(|fault| fault.may_repeat(call.is_read())) && pause <= LONGEST_WAIT;
            if !may_repeat || attempt == MOST_ATTEMPTS || !has_time(call, began, wait) || !self.budget.take()
            {
                return result;
            }
            last = Some(result);
            sleep(wait).await;
        }
        last.unwrap_or(Err(Error::Unreachable { detail: "no attempt was made".to_owned() }))
    }
}

/// An attempt. What changes something goes on when its caller leaves, and is given up for the breaker then.
async fn watched(call: &Signed, pass: &mut Pass<'_>, attempt: impl Future<Output = Attempt>) -> Attempt {
    let Some(deadline) = call.deadline().filter(|_| !call.is_read()) else { return attempt.await };
    let mut attempt = pin!(attempt);
    if let Ok(attempt) = timeout_at(deadline.into(), &mut attempt).await {
        return attempt;
    }
    pass.give_up(Instant::now());
    attempt.await
}

/// Whether one more attempt after this wait could still be answered in time.
fn has_time(call: &Signed, began: Instant, wait: Duration) -> bool {
    let then = Instant::now() + wait;
    !is_late(call.deadline(), then) && then.saturating_duration_since(began) < CALL_TIMEOUT / 2
}
