//! Whether this replica can do what it is for. One that can only refuse says why, at `/readyz`, in the log and as a
//! metric.
//!
//! It stays ready, unless it is set otherwise: reads and `VerifyToken` still work, and a cause that all replicas share
//! would leave callers no replica at all.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::health::Health;
use crate::{audit::Audit, names::names, stability::Stability, telemetry::Metrics, tls::Tls};

/// How often it is looked at.
const TICK: Duration = Duration::from_secs(1);

/// How long a cause must last, and must be gone, before readiness changes.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a replica can only refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    Audit,
    Clock,
    Certificate,
}

names! { pub(super) Cause { Audit = "audit", Clock = "clock", Certificate = "certificate" } }

impl Cause {
    /// For an operator.
    pub(super) const fn describe(self) -> &'static str {
        match self {
            Self::Audit => "the audit trail cannot be written, so nothing is minted or changed",
            Self::Clock => "the wall clock was stepped, so nothing is signed until it is stable",
            Self::Certificate => "the TLS certificate is not valid now, so callers refuse it",
        }
    }
}

/// What is looked at, and what was seen.
pub(super) struct Readiness {
    pub(super) audit: Option<Arc<Audit>>,
    pub(super) stability: Arc<Stability>,
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) health: Health,
    /// Whether it is unready while there is a cause.
    pub(super) unready_when_refusing: bool,
    pub(super) seen: Mutex<Seen>,
}

/// The causes, and since when there is one, or none.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    causes: Vec<Cause>,
    since: Instant,
}

impl Default for Seen {
    fn default() -> Self {
        Self { causes: Vec::new(), since: Instant::now() }
    }
}

impl Readiness {
    /// The causes as they were seen last.
    pub(super) fn causes(&self) -> Vec<Cause> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).causes.clone()
    }

    /// Looks every [`TICK`]. It never ends by itself.
    pub(super) async fn watch(&self) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            self.look(Instant::now());
        }
    }

    fn look(&self, now: Instant) {
        let causes: Vec<_> = Cause::ALL.into_iter().filter(|cause| self.is_there(*cause)).collect();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        for cause in Cause::ALL {
            let (was, is) = (seen.causes.contains(&cause), causes.contains(&cause));
            if is && !was {
                tracing::error!(cause = cause.as_str(), "this replica can only refuse: {}", cause.describe());
            } else if was && !is {
                tracing::info!(
                    cause = cause.as_str(),
                    "this replica does not refuse for this cause any more"
                );
            }
            self.metrics.set_refusing(cause.as_str(), is);
        }
        if seen.causes.is_empty() != causes.is_empty() {
            seen.since = now;
        }
        seen.causes = causes;
        if self.unready_when_refusing && now - seen.since >= PATIENCE {
            let is_ready = seen.causes.is_empty();
            if self.health.set_ready(is_ready) {
                let status = if is_ready { "SERVING" } else { "NOT_SERVING" };
                tracing::warn!(status, "readiness changed, because of what this replica can do");
            }
        }
    }

    fn is_there(&self, cause: Cause) -> bool {
        match cause {
            Cause::Audit => self.audit.as_deref().is_some_and(Audit::refuses),
            Cause::Clock => !self.stability.is_stable(),
            Cause::Certificate => {
                let now = self.stability.wall_time();
                self.tls.as_deref().is_some_and(|tls| !tls.is_valid_at(now))
            }
        }
    }
}
