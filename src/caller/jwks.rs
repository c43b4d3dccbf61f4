//! An issuer's keys: fetched from time to time, and once more for a key that is not among them.
//!
//! The last known good keys are kept for a day. A caller who asks for an unknown key cannot make us
//! fetch more than once in [`LEAST_PAUSE`], so that made-up key ids are no way to flood the issuer. A few callers wait for
//! a fetch, and others are refused while it runs: whoever has a new key, and calls again, is known after the next.

use std::{cmp::min, sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use jsonwebtoken::{Algorithm, DecodingKey};
use tokio::{
    sync::{Semaphore, watch},
    time::{sleep, timeout},
};

use super::{Cause, IssuerSettings, fetch, jwk::Key};
use crate::{
    clock::Clock,
    outgoing::Route,
    telemetry::{JwksMetrics, Metrics},
};

/// How long keys are used when no newer ones can be had.
const LONGEST_USE: Duration = Duration::from_hours(24);

/// The least time between two fetches for a key that is not there.
const LEAST_PAUSE: Duration = Duration::from_secs(1);

/// The longest time between two tries after a failure.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How many callers may wait for a fetch.
const MOST_WAITING: usize = 64;

/// The time to the first try after a failure; it doubles from try to try.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// How long a caller waits for a fetch: a little longer than one takes.
const LONGEST_WAIT: Duration = Duration::from_millis(5_500);

pub(super) struct Jwks {
    settings: IssuerSettings,
    route: Route,
    keys: ArcSwapOption<Keys>,
    fetches: watch::Sender<Fetches>,
    waiting: Semaphore,
    clock: Arc<dyn Clock>,
    metrics: JwksMetrics,
}

struct Keys {
    keys: Vec<Key>,
    /// When they were fetched, by the monotonic clock.
    fetched: Duration,
}

/// The fetches of this process, by their number.
#[derive(Default)]
struct Fetches {
    begun: u64,
    ended: u64,
    /// When the last one began, by the monotonic clock.
    last: Option<Duration>,
    /// Whether one more is wanted.
    wanted: bool,
}

impl Jwks {
    pub(super) fn new(
        settings: IssuerSettings,
        route: &Route,
        clock: Arc<dyn Clock>,
        metrics: &Metrics,
    ) -> Self {
        let metrics = metrics.jwks(&settings.name);
        // The cluster's own server is never behind a proxy, whatever it is called.
        let route = if settings.kubernetes { Route::Direct } else { route.clone() };
        let (keys, fetches) = (ArcSwapOption::empty(), watch::Sender::default());
        Self { settings, route, keys, fetches, waiting: Semaphore::new(MOST_WAITING), clock, metrics }
    }

    pub(super) fn settings(&self) -> &IssuerSettings {
        &self.settings
    }

    /// The key of this id, for this algorithm.
    pub(super) fn find(&self, kid: &str, algorithm: Algorithm) -> Result<Arc<DecodingKey>, Cause> {
        let keys = self.keys.load();
        let is_old = |keys: &Keys| self.clock.monotonic().saturating_sub(keys.fetched) > LONGEST_USE;
        let keys = match keys.as_deref() {
            Some(keys) if !is_old(keys) => &keys.keys,
            _ => return Err(Cause::KeysUnavailable),
        };
        let mut named = keys.iter().filter(|key| key.kid == kid).peekable();
        if named.peek().is_none() {
            return Err(Cause::KeyUnknown);
        }
        named.find(|key| key.algorithm == algorithm).map(|key| key.public.clone()).ok_or(Cause::Algorithm)
    }

    /// Waits for a fetch that is under way, or lets one begin if the last is long enough ago.
    /// Returns at once if there is nothing to wait for; `false` if too many wait already.
    pub(super) async fn renew(&self) -> bool {
        let Ok(_waiting) = self.waiting.try_acquire() else { return false };
        let now = self.clock.monotonic();
        let mut number = None;
        self.fetches.send_if_modified(|fetches| {
            if fetches.begun > fetches.ended {
                number = Some(fetches.begun);
                return false;
            }
            let is_allowed = fetches.last.is_none_or(|last| now.saturating_sub(last) >= LEAST_PAUSE);
            fetches.wanted |= is_allowed;
            number = fetches.wanted.then_some(fetches.begun + 1);
            is_allowed
        });
        if let Some(number) = number {
            let mut fetches = self.fetches.subscribe();
            let _ = timeout(LONGEST_WAIT, fetches.wait_for(|fetches| fetches.ended >= number)).await;
        }
        true
    }

    /// Fetches at once, then every `interval`, sooner after a failure or on request. It never
    /// ends by itself.
    pub(super) async fn run(&self, interval: Duration) {
        let mut wanted = self.fetches.subscribe();
        let mut failure: Option<String> = None;
        let mut pause = FIRST_PAUSE;
        loop {
            let wait = match self.fetch().await {
                Ok(()) => {
                    self.succeeded(failure.take().is_some());
                    pause = FIRST_PAUSE;
                    interval
                }
                Err(error) => {
                    self.failed(&error, failure.as_deref());
                    failure = Some(error);
                    let wait = min(pause, interval);
                    pause = min(pause * 2, LONGEST_PAUSE);
                    wait
                }
            };
            tokio::select! {
                () = sleep(wait) => {}
                _ = wanted.wait_for(|fetches| fetches.wanted) => {}
            }
        }
    }

    async fn fetch(&self) -> Result<(), String> {
        let began = self.clock.monotonic();
        self.fetches.send_modify(|fetches| {
            *fetches = Fetches { begun: fetches.begun + 1, last: Some(began), wanted: false, ..*fetches };
        });
        let IssuerSettings { jwks_url, ca_file, jwks_token_file, .. } = self.settings.clone();
        let fetched = fetch::keys(jwks_url, self.route.clone(), ca_file, jwks_token_file).await;
        let result = fetched.map(|keys| {
            self.keys.store(Some(Arc::new(Keys { keys, fetched: began })));
        });
        self.fetches.send_modify(|fetches| fetches.ended = fetches.begun);
        result
    }

    fn succeeded(&self, was_failing: bool) {
        self.metrics.fetched(self.clock.now());
        if was_failing {
            tracing::info!(issuer = self.settings.name, "an issuer's keys can be fetched again");
        }
    }

    /// What failed in the same way before is not logged again.
    fn failed(&self, error: &str, before: Option<&str>) {
        self.metrics.failed();
        if before != Some(error) {
            let issuer = &*self.settings.name;
            tracing::warn!(issuer, error, "an issuer's keys cannot be fetched; those known stay in use");
        }
    }
}
