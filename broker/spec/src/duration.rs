//! ISO 8601 durations as Knative takes them: `PT0.2S`, `P1DT12H`, `P2W`.
//!
//! `PnYnMnWnDTnHnMnS`, upper case, each part at most once and in this order, at least one; the
//! last part may have a fraction with a point or a comma. A year is 365.2425 days, a month a
//! twelfth of it. A sign is read (Knative's parser does) and what may not be negative says so.

use std::time::Duration;

/// The longest duration that is taken: 100 years.
pub const LONGEST: Duration = Duration::from_secs(36_525 * 86_400);

const NANOS: u128 = 1_000_000_000;
const DAY: u128 = 86_400;
/// Seconds in 365.2425 days: exact, and so is a twelfth.
const YEAR: u128 = 31_556_952;
const DATE: [(char, u128); 4] = [('Y', YEAR), ('M', YEAR / 12), ('W', 7 * DAY), ('D', DAY)];
const TIME: [(char, u128); 3] = [('H', 3_600), ('M', 60), ('S', 1)];

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DurationError {
    /// It does not have the form.
    #[error("invalid value: {written}")]
    Malformed {
        /// The text.
        written: String,
    },
    /// It is below zero.
    #[error("invalid value: {written} is negative")]
    Negative {
        /// The text.
        written: String,
    },
    /// It is longer than [`LONGEST`].
    #[error("invalid value: {written} is longer than 100 years")]
    TooLong {
        /// The text.
        written: String,
    },
}

impl DurationError {
    /// What to write instead.
    pub fn hint(&self) -> String {
        match self {
            Self::Malformed { written } => {
                from_short(written).or_else(|| nearly(written)).map_or_else(
                    || "write an ISO 8601 duration such as PT0.2S, PT30S, PT5M or P1D".to_owned(),
                    |iso| format!("write it as {iso}"),
                )
            }
            Self::Negative { .. } => "leave the minus sign out".to_owned(),
            Self::TooLong { .. } => "use a shorter duration such as PT1H".to_owned(),
        }
    }
}

/// Reads an ISO 8601 duration.
///
/// # Errors
///
/// When the text has another form, is negative (a negative zero is zero) or over [`LONGEST`];
/// [`DurationError::hint`] says what to write instead.
pub fn parse(written: &str) -> Result<Duration, DurationError> {
    let malformed = || DurationError::Malformed {
        written: written.to_owned(),
    };
    let (negative, unsigned) = match written.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, written.strip_prefix('+').unwrap_or(written)),
    };
    let body = unsigned.strip_prefix('P').ok_or_else(malformed)?;
    let (date, time) = match body.split_once('T') {
        Some((date, time)) => (date, Some(time)),
        None => (body, None),
    };
    let date = components(date, &DATE, time.is_none()).ok_or_else(malformed)?;
    let time = match time {
        Some("") => return Err(malformed()),
        Some(time) => components(time, &TIME, true).ok_or_else(malformed)?,
        None => 0,
    };
    if body.is_empty() {
        return Err(malformed());
    }
    let nanos = date.saturating_add(time);
    if nanos > LONGEST.as_nanos() {
        return Err(DurationError::TooLong {
            written: written.to_owned(),
        });
    }
    if negative && nanos > 0 {
        return Err(DurationError::Negative {
            written: written.to_owned(),
        });
    }
    let seconds = u64::try_from(nanos / NANOS).map_err(|_| malformed())?;
    let rest = u32::try_from(nanos % NANOS).map_err(|_| malformed())?;
    Ok(Duration::new(seconds, rest))
}

/// Reads `500ms`, `30s`, `5m`, `2h` or `7d`: the form that Volley's own settings have.
pub fn parse_short(written: &str) -> Option<Duration> {
    let digits = written.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = written.split_at(digits);
    let scale = match unit {
        "ms" => NANOS / 1_000,
        "s" => NANOS,
        "m" => 60 * NANOS,
        "h" => 3_600 * NANOS,
        "d" => DAY * NANOS,
        _ => return None,
    };
    let nanos = scaled(number, scale, true)?;
    let nanos = u64::try_from(nanos).ok()?;
    let duration = Duration::from_nanos(nanos);
    (duration <= LONGEST).then_some(duration)
}

/// The duration that is meant by one in lower case, or without its T.
fn nearly(written: &str) -> Option<String> {
    let upper = written.to_ascii_uppercase();
    let with_time = upper.strip_prefix('P').map(|rest| format!("PT{rest}"));
    [Some(upper), with_time]
        .into_iter()
        .flatten()
        .find(|meant| parse(meant).is_ok())
}

/// For people: the two largest units that are not zero, such as `3 d 4 h`, `2 min` or `0.2 s`.
pub fn in_words(duration: Duration) -> String {
    const UNITS: [(u64, &str); 5] = [
        (365 * 86_400, "y"),
        (86_400, "d"),
        (3_600, "h"),
        (60, "min"),
        (1, "s"),
    ];
    const MILLENNIUM: u64 = 1_000 * 365 * 86_400;
    let seconds = duration.as_secs();
    if seconds >= MILLENNIUM {
        return "more than 1,000 years".to_owned();
    }
    if seconds < 60 {
        let tenths = duration.as_millis() / 100;
        return match (tenths / 10, tenths % 10) {
            (0, 0) => format!("{} ms", duration.as_millis()),
            (whole, 0) => format!("{whole} s"),
            (whole, tenth) => format!("{whole}.{tenth} s"),
        };
    }
    let mut rest = seconds;
    let mut words = Vec::new();
    for (unit, name) in UNITS {
        let count = rest / unit;
        rest %= unit;
        if count > 0 {
            words.push(format!("{count} {name}"));
        } else if !words.is_empty() {
            break;
        }
        if words.len() == 2 {
            break;
        }
    }
    words.join(" ")
}

/// The nanoseconds of `text`'s parts, which must stand in the order of `units`.
fn components(text: &str, units: &[(char, u128)], may_end_in_fraction: bool) -> Option<u128> {
    let mut rest = text;
    let mut units = units.iter();
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let (number, tail) = rest.split_at(end);
        let letter = tail.chars().next()?;
        rest = &tail[1..];
        let (_, seconds) = units.find(|(unit, _)| *unit == letter)?;
        let last = rest.is_empty() && may_end_in_fraction;
        total = total.saturating_add(scaled(number, seconds * NANOS, last)?);
    }
    Some(total)
}

/// `number` times `scale`; a fraction beyond the ninth digit is left out.
fn scaled(number: &str, scale: u128, may_have_fraction: bool) -> Option<u128> {
    let (whole, fraction) = match number.split_once(['.', ',']) {
        Some((whole, fraction)) if may_have_fraction => (whole, fraction),
        Some(_) => return None,
        None => (number, "0"),
    };
    let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    // Twenty digits are beyond the longest duration in every unit: no need to know how far.
    let whole: u128 = if whole.trim_start_matches('0').len() > 20 {
        u128::from(u64::MAX)
    } else {
        whole.parse().ok()?
    };
    let fraction: String = fraction
        .chars()
        .chain("000000000".chars())
        .take(9)
        .collect();
    let fraction: u128 = fraction.parse().ok()?;
    Some(
        whole
            .saturating_mul(scale)
            .saturating_add(fraction.saturating_mul(scale) / NANOS),
    )
}

/// The ISO form of `30s` and the like, for hints.
fn from_short(written: &str) -> Option<String> {
    parse_short(written)?;
    let (number, unit) = written.split_at(written.find(|c: char| c.is_ascii_alphabetic())?);
    Some(match unit {
        "ms" => {
            let seconds = parse_short(written)?.as_secs_f64();
            format!("PT{seconds}S")
        }
        "d" => format!("P{number}D"),
        unit => format!("PT{number}{}", unit.to_ascii_uppercase()),
    })
}

#[cfg(test)]
mod tests;
