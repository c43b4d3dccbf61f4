//! The deadline of a call: the earlier of its caller's and the server's.
//!
//! tonic reports a deadline that has passed as `CANCELLED`. This layer is inside tonic's own, its timer
//! starts first, and it reports `DEADLINE_EXCEEDED`.

use std::{
    future::ready,
    time::{Duration, Instant},
};

use http::{HeaderMap, Request, Response};
use tonic::{Status, body::Body};

use super::next::Next;
use crate::{call::Deadline, error::Error};

/// Ends a call whose response has not begun in time.
pub(super) struct EnforceDeadline {
    /// Caps the caller's deadline.
    pub(super) longest: Duration,
}

impl EnforceDeadline {
    pub(super) async fn call(&self, mut request: Request<Body>, next: impl Next) -> Response<Body> {
        let timeout = grpc_timeout(request.headers());
        if let Some(deadline) = timeout.and_then(|timeout| Instant::now().checked_add(timeout)) {
            request.extensions_mut().insert(Deadline(deadline));
        }
        let is_over = timeout.is_some_and(|timeout| timeout.is_zero());
        let over = tokio::time::sleep(timeout.map_or(self.longest, |timeout| timeout.min(self.longest)));
        tokio::select! {
            biased;
            () = ready(()), if is_over => Status::from(Error::DeadlineExceeded).into_http(),
            response = next.run(request) => response,
            () = over => Status::from(Error::DeadlineExceeded).into_http(),
        }
    }
}

/// The caller's `grpc-timeout`. One that cannot be read is ignored, as tonic does.
fn grpc_timeout(headers: &HeaderMap) -> Option<Duration> {
    headers.get("grpc-timeout").and_then(|value| parse(value.to_str().ok()?))
}

/// At most eight digits and a unit: the gRPC specification, "Requests".
fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || digits.bytes().any(|byte| !byte.is_ascii_digit()) {
        return None;
    }
    let amount = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(amount * 60 * 60)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_read_as_the_specification_says() {
        for (text, expected) in [
            ("0n", Some(Duration::ZERO)),
            ("1500m", Some(Duration::from_millis(1500))),
            ("99999999H", Some(Duration::from_hours(99_999_999))),
            ("100000000S", None),
            ("x", None),
            ("S", None),
            ("", None),
            ("+1S", None),
            ("1é", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
