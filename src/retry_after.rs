//! `Retry-After`, by which a server asks for a pause.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, header::RETRY_AFTER};

/// The longest `Retry-After` that is honoured.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// Of an answer's headers, in seconds or as a date, at most a minute: RFC 9110, section 10.2.3. `now`: our own wall clock.
pub(crate) fn retry_after(answer: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = answer.get(RETRY_AFTER)?.to_str().ok()?;
    if let Ok(date) = httpdate::parse_http_date(value) {
        return Some(date.duration_since(now).unwrap_or_default().min(LONGEST_PAUSE));
    }
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| value.parse().map_or(LONGEST_PAUSE, Duration::from_secs).min(LONGEST_PAUSE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_taken_in_seconds_or_until_a_date_and_never_for_long() {
        // Sun, 06 Nov 1994 08:49:37 GMT.
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (value, expected) in [
            ("2", Some(2)),
            ("0", Some(0)),
            ("99999999", Some(60)),
            ("99999999999999999999999", Some(60)),
            ("-1", None),
            ("", None),
            ("1.5", None),
            ("soon", None),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sunday, 06-Nov-94 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 09:49:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:49:36 GMT", Some(0)),
        ] {
            let answer = HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]);
            assert_eq!(retry_after(&answer, now), expected.map(Duration::from_secs), "{value}");
        }
    }
}
