//! Ends a call whose answer has not begun in time: by its caller's deadline, or the server's.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use http::HeaderMap;
use tokio::time::{Instant, timeout_at};

use crate::turn::Turn;

/// When a call's answer must have begun.
pub(super) struct Deadline {
    at: Instant,
    of_caller: Option<Instant>,
    /// How long its caller waits.
    patience: Option<Duration>,
}

impl Deadline {
    /// The caller's, from `grpc-timeout`, but at most `longest` after the call arrived. A timeout that cannot be read is
    /// ignored.
    pub(super) fn of(headers: &HeaderMap, arrived: Instant, longest: Duration) -> Self {
        let timeout = headers.get("grpc-timeout").and_then(|value| parse(value.to_str().ok()?));
        let at = arrived + timeout.map_or(longest, |timeout| timeout.min(longest));
        let of_caller = timeout.and_then(|timeout| arrived.checked_add(timeout));
        Self { at, of_caller, patience: timeout }
    }

    /// How long the caller waits, if it says so.
    pub(super) const fn patience(&self) -> Option<Duration> {
        self.patience
    }

    /// The caller's own, however late.
    pub(super) fn of_caller(&self) -> Option<std::time::Instant> {
        self.of_caller.map(Instant::into_std)
    }

    /// What `work` gives; `None` if that is not in time. A deadline that is over at the start leaves no time for any work.
    pub(super) async fn enforce<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        if self.of_caller.is_some_and(|deadline| deadline <= Instant::now()) {
            return None;
        }
        let mut work = pin!(work);
        if let Some(answer) = without_a_timer(work.as_mut()).await {
            return Some(answer);
        }
        timeout_at(self.at, work).await.ok()
    }
}

/// Most answers are there at once, or after one audit line: a timer for each of them would cost more than its signature.
/// `None`: `work` still waits, and is polled again.
async fn without_a_timer<T>(mut work: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    let mut turn = Turn::default();
    poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        // Whatever it waits for: the timer must run from the next poll on.
        Poll::Pending => turn.poll(context).map(|()| None),
    })
    .await
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
    use std::future::pending;

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

    #[tokio::test(start_paused = true)]
    async fn what_never_wakes_is_ended_all_the_same() {
        let arrived = Instant::now();
        let deadline = Deadline::of(&HeaderMap::new(), arrived, Duration::from_secs(20));
        assert_eq!(deadline.enforce(pending::<()>()).await, None);
        assert_eq!(arrived.elapsed().as_secs(), 20);
    }
}
