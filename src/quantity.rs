//! Durations and sizes as people write them: `250ms`, `1h30m`, `7d`; `65536`, `1MiB`.

use std::time::Duration;

/// The longest duration that a flag takes: 100 years.
const LONGEST: Duration = Duration::from_secs(100 * 366 * 86_400);

const UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

const SIZES: [(&str, u32); 5] = [("B", 0), ("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];

/// Reads a duration: whole numbers, each with its unit.
///
/// The error is a sentence for the user.
pub(crate) fn duration(written: &str) -> Result<Duration, String> {
    const FORM: &str = "write a number and its unit: 250ms, 25s, 5m, 2h or 7d";
    if written == "0" {
        return Ok(Duration::ZERO);
    }
    let mut millis: u64 = 0;
    let mut rest = written;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, behind) = rest.split_at(digits);
        let letters = behind.len()
            - behind
                .trim_start_matches(|c: char| c.is_ascii_alphabetic())
                .len();
        let (unit, behind) = behind.split_at(letters);
        let known = UNITS.iter().find(|(name, _)| *name == unit);
        let (Some((_, factor)), false) = (known, number.is_empty()) else {
            return Err(FORM.to_owned());
        };
        let part = number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(*factor));
        let sum = part.and_then(|part| millis.checked_add(part));
        millis = sum.ok_or_else(too_long)?;
        rest = behind;
    }
    if written.is_empty() {
        return Err(FORM.to_owned());
    }
    let read = Duration::from_millis(millis);
    if read > LONGEST {
        return Err(too_long());
    }
    Ok(read)
}

/// A duration for people, in two units at most: `200ms`, `25.6s`, `3m24s`, `2h5m`, `9d`.
pub(crate) fn spoken(duration: Duration) -> String {
    let millis = duration.as_millis();
    let seconds = duration.as_secs();
    let two = |large: u64, unit: &str, small: u64, part: &str| match small {
        0 => format!("{large}{unit}"),
        small => format!("{large}{unit}{small}{part}"),
    };
    match seconds {
        0 => format!("{millis}ms"),
        1..60 => {
            let tenths = (millis % 1_000) / 100;
            match tenths {
                0 => format!("{seconds}s"),
                tenths => format!("{seconds}.{tenths}s"),
            }
        }
        60..3_600 => two(seconds / 60, "m", seconds % 60, "s"),
        3_600..172_800 => two(seconds / 3_600, "h", seconds / 60 % 60, "m"),
        172_800..3_153_600_000 => two(seconds / 86_400, "d", seconds / 3_600 % 24, "h"),
        _ => "100 years or more".to_owned(),
    }
}

fn too_long() -> String {
    "it is longer than 100 years".to_owned()
}

/// Reads a number of bytes: plain, or with KiB, MiB, GiB or TiB.
///
/// The error is a sentence for the user.
pub(crate) fn size(written: &str) -> Result<u64, String> {
    let digits = written.len()
        - written
            .trim_start_matches(|c: char| c.is_ascii_digit())
            .len();
    let (number, unit) = written.split_at(digits);
    let known = SIZES.iter().find(|(name, _)| *name == unit);
    let shift = match (known, unit) {
        (Some((_, shift)), _) => *shift,
        (None, "") => 0,
        (None, _) => return Err("write bytes as 65536, 64KiB, 1MiB or 2GiB".to_owned()),
    };
    if number.is_empty() {
        return Err("write bytes as 65536, 64KiB, 1MiB or 2GiB".to_owned());
    }
    let bytes = number.parse::<u64>().ok();
    let bytes = bytes.and_then(|bytes| bytes.checked_mul(1 << shift));
    bytes.ok_or_else(|| "it is more bytes than any machine has".to_owned())
}

/// A reader of sizes from `least` to `most`.
pub(crate) fn size_within(
    least: u64,
    most: u64,
) -> impl Fn(&str) -> Result<u64, String> + Clone + Send + Sync + 'static {
    move |written| {
        let bytes = size(written)?;
        if (least..=most).contains(&bytes) {
            return Ok(bytes);
        }
        Err(format!(
            "it must be from {} to {}",
            shown(least),
            shown(most)
        ))
    }
}

/// `bytes` in the largest unit that divides it.
fn shown(bytes: u64) -> String {
    let fits = |(_, shift): &&(&str, u32)| bytes >= 1 << shift && bytes.trailing_zeros() >= *shift;
    match SIZES.iter().rev().find(fits) {
        Some((unit, shift)) => format!("{}{unit}", bytes >> shift),
        None => format!("{bytes}B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (written, millis) in [
            ("0", 0),
            ("0s", 0),
            ("250ms", 250),
            ("25s", 25_000),
            ("1h30m", 5_400_000),
            ("7d", 604_800_000),
        ] {
            assert_eq!(
                duration(written),
                Ok(Duration::from_millis(millis)),
                "{written}"
            );
        }
        for wrong in ["", "5", "s", "1w", "-1s", "1.5s", "1 s", "PT5S", "1s2", "ä"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        for long in ["36601d", "99999999999999999999s", "18446744073709551615d"] {
            assert_eq!(duration(long), Err(too_long()), "{long}");
        }
    }

    #[test]
    fn sizes_are_bytes_or_have_units() {
        for (written, bytes) in [
            ("0", 0),
            ("65536", 65_536),
            ("64KiB", 65_536),
            ("1MiB", 1 << 20),
            ("2GiB", 2 << 30),
            ("1B", 1),
        ] {
            assert_eq!(size(written), Ok(bytes), "{written}");
        }
        for wrong in [
            "",
            "MiB",
            "1MB",
            "1mib",
            "-1",
            "1.5MiB",
            "1 MiB",
            "17000000TiB",
        ] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_size_out_of_range_is_told_the_range() {
        let read = size_within(64 << 10, 1 << 30);
        assert_eq!(read("1MiB"), Ok(1 << 20));
        let told = "it must be from 64KiB to 1GiB".to_owned();
        assert_eq!(read("65535"), Err(told.clone()));
        assert_eq!(read("2GiB"), Err(told));
    }
}
