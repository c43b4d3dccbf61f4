//! What is wrong with the upstream: whether its breaker counts it, and whether a call may be made again.

use reqwest::StatusCode;

/// What is wrong with the upstream, and not with the call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// No connection could be made, so that nothing was sent.
    Connect,
    /// The connection broke, or there was no answer in time.
    Broken,
    /// 429.
    Limited,
    /// A gateway's 502, 503 or 504.
    Gateway,
    /// Another 5xx.
    Server,
}

impl Fault {
    pub(super) fn of(status: StatusCode) -> Option<Self> {
        match status.as_u16() {
            429 => Some(Self::Limited),
            502..=504 => Some(Self::Gateway),
            500.. => Some(Self::Server),
            _ => None,
        }
    }

    /// Whether the breaker counts it.
    pub(super) fn is_failure(self) -> bool {
        self != Self::Limited
    }

    /// Whether the same call may be made again. What changes something may, as long as nothing of it was sent.
    pub(super) fn may_repeat(self, is_read: bool) -> bool {
        match self {
            Self::Connect => true,
            Self::Limited | Self::Gateway => is_read,
            Self::Broken | Self::Server => false,
        }
    }
}
