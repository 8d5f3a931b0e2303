//! `Retry-After`: seconds, or a date.

use std::time::{Duration, UNIX_EPOCH};

use http::HeaderValue;

/// The longest wait that is reported; what a delivery obeys is cut further by its own limit.
pub(super) const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// How long a sink asks to be left alone, seen from `wall_ms` (milliseconds since 1970).
///
/// A date that is over asks for nothing; what is neither seconds nor a date counts as absent.
pub(super) fn read(value: &HeaderValue, wall_ms: u64) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // Digits alone can only fail by being too many.
        let seconds = text.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(seconds).min(LONGEST));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    let at = date.duration_since(UNIX_EPOCH).unwrap_or_default();
    Some(
        at.saturating_sub(Duration::from_millis(wall_ms))
            .min(LONGEST),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> Option<Duration> {
        // 1994-11-06 08:49:37 is second 784,111,777.
        read(&HeaderValue::from_str(text).unwrap(), 784_111_777_000)
    }

    #[test]
    fn seconds_and_dates_are_understood() {
        assert_eq!(asked("0"), Some(Duration::ZERO));
        assert_eq!(asked(" 120 "), Some(Duration::from_secs(120)));
        assert_eq!(
            asked("Sun, 06 Nov 1994 08:49:47 GMT"),
            Some(Duration::from_secs(10))
        );
        assert_eq!(
            asked("Sunday, 06-Nov-94 08:49:47 GMT"),
            Some(Duration::from_secs(10))
        );
    }

    #[test]
    fn a_date_that_is_over_asks_for_nothing() {
        assert_eq!(asked("Sun, 06 Nov 1994 08:49:36 GMT"), Some(Duration::ZERO));
    }

    #[test]
    fn what_is_huge_is_cut_and_what_is_garbage_is_absent() {
        assert_eq!(asked("99999999999999999999999999"), Some(LONGEST));
        assert_eq!(asked("Fri, 31 Dec 9999 23:59:59 GMT"), Some(LONGEST));
        for garbage in [
            "",
            "-1",
            "1.5",
            "soon",
            "+5",
            "1s",
            "0x10",
            "Sun, 99 Nov 1994 08:49:36 GMT",
        ] {
            assert_eq!(asked(garbage), None, "{garbage:?}");
        }
        assert_eq!(read(&HeaderValue::from_bytes(b"\xff").unwrap(), 0), None);
    }
}
