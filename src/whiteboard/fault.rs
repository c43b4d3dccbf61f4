//! What is wrong with the upstream: whether its breaker counts it, and whether a call may be made again.

use std::{error::Error, io};

use h2::Reason;
use reqwest::StatusCode;

/// What is wrong with the upstream, and not with the call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// No connection could be made, so that nothing was sent.
    Connect,
    /// The upstream says that it has not looked at the request: it refused the stream, or closes the connection.
    Refused,
    /// The connection broke, or there was no answer in time.
    Broken,
    /// What came is not HTTP, or has too many or too long headers.
    Garbled,
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

    /// Of a call that has no answer.
    pub(super) fn of_error(error: &reqwest::Error) -> Self {
        if error.is_connect() {
            return Self::Connect;
        }
        // What refuses a stream after it began to answer it contradicts itself.
        let is_headless = error.is_request();
        let mut cause = error.source();
        while let Some(error) = cause {
            if is_headless && error.downcast_ref().is_some_and(was_refused) {
                return Self::Refused;
            }
            let is_bad_chunk = |error: &io::Error| error.kind() == io::ErrorKind::InvalidInput;
            if error.downcast_ref().is_some_and(hyper::Error::is_parse)
                || error.downcast_ref().is_some_and(is_bad_chunk)
                // The protocol was broken, which h2 has found out by itself.
                || error.downcast_ref().is_some_and(h2::Error::is_library)
            {
                return Self::Garbled;
            }
            cause = error.source();
        }
        Self::Broken
    }

    /// Whether nothing was done of the request.
    pub(super) fn is_unsent(self) -> bool {
        matches!(self, Self::Connect | Self::Refused)
    }

    /// Whether the breaker counts it.
    pub(super) fn is_failure(self) -> bool {
        self != Self::Limited
    }

    /// Whether the same call may be made again. What changes something may, as long as nothing of it was done.
    pub(super) fn may_repeat(self, is_read: bool) -> bool {
        match self {
            Self::Connect | Self::Refused => true,
            Self::Limited | Self::Gateway => is_read,
            Self::Broken | Self::Garbled | Self::Server => false,
        }
    }
}

/// RFC 9113, section 8.7: a refused stream, and one that is above the last of a closing connection, were not processed. h2 gives
/// the GOAWAY as the error of the latter alone.
fn was_refused(error: &h2::Error) -> bool {
    error.is_remote()
        && match error.reason() {
            Some(Reason::REFUSED_STREAM) => error.is_reset(),
            Some(Reason::NO_ERROR) => error.is_go_away(),
            _ => false,
        }
}
