//! How long ago, in the few letters that kubectl uses.

use jiff::Timestamp;

/// The time from `then` (RFC 3339) to `now_ms`; `<unknown>` when it is no time.
pub(in crate::command) fn since(then: Option<&str>, now_ms: u64) -> String {
    let Some(then) = then.and_then(|then| then.parse::<Timestamp>().ok()) else {
        return "<unknown>".to_owned();
    };
    let now = i64::try_from(now_ms).unwrap_or(i64::MAX);
    let millis = now.saturating_sub(then.as_millisecond());
    letters(u64::try_from(millis).unwrap_or_default() / 1_000)
}

/// Two units at most, the second one only where it still tells something.
fn letters(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    let two = |large: u64, unit: &str, small: u64, part: &str| match small {
        0 => format!("{large}{unit}"),
        small => format!("{large}{unit}{small}{part}"),
    };
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => two(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, "d", hours % 24, "h"),
        _ if days < 730 => format!("{days}d"),
        _ if days < 2_920 => two(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_read_as_in_kubectl() {
        for (seconds, shown) in [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (190, "3m10s"),
            (3_600, "60m"),
            (11_000, "3h3m"),
            (36_000, "10h"),
            (180_000, "2d2h"),
            (86_400 * 30, "30d"),
            (86_400 * 800, "2y70d"),
            (86_400 * 4_000, "10y"),
        ] {
            assert_eq!(letters(seconds), shown, "{seconds}");
        }
    }

    #[test]
    fn an_age_is_taken_from_a_time_and_never_negative() {
        let then = Some("2026-01-01T00:00:00Z");
        assert_eq!(since(then, 1_767_225_605_000), "5s");
        assert_eq!(since(then, 0), "0s");
        assert_eq!(since(None, 0), "<unknown>");
        assert_eq!(since(Some("yesterday"), 0), "<unknown>");
    }
}
