//! Is this text an RFC 3339 timestamp? It is judged only; the event keeps the text as it came.

/// Checks `YYYY-MM-DDThh:mm:ss[.fraction](Z|+hh:mm)`, ranges and the length of months included.
pub(crate) fn is_rfc3339(text: &str) -> bool {
    parts(text.as_bytes()).is_some()
}

fn parts(text: &[u8]) -> Option<()> {
    let (date_time, rest) = text.split_at_checked(19)?;
    let &[
        y0,
        y1,
        y2,
        y3,
        b'-',
        m0,
        m1,
        b'-',
        d0,
        d1,
        b'T' | b't',
        h0,
        h1,
        b':',
        n0,
        n1,
        b':',
        s0,
        s1,
    ] = date_time
    else {
        return None;
    };
    let year = u32::from(two(y0, y1)?) * 100 + u32::from(two(y2, y3)?);
    let (month, day) = (two(m0, m1)?, two(d0, d1)?);
    let fits = (1..=12).contains(&month)
        && (1..=days(year, month)).contains(&day)
        && two(h0, h1)? <= 23
        && two(n0, n1)? <= 59
        // 60 is a leap second.
        && two(s0, s1)? <= 60;
    (fits && is_offset(after_fraction(rest)?)).then_some(())
}

fn after_fraction(rest: &[u8]) -> Option<&[u8]> {
    let [b'.', fraction @ ..] = rest else {
        return Some(rest);
    };
    let digits = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
    if digits == 0 {
        None
    } else {
        fraction.get(digits..)
    }
}

fn is_offset(text: &[u8]) -> bool {
    match *text {
        [b'Z' | b'z'] => true,
        [b'+' | b'-', h0, h1, b':', m0, m1] => {
            two(h0, h1).is_some_and(|hours| hours <= 23)
                && two(m0, m1).is_some_and(|minutes| minutes <= 59)
        }
        _ => false,
    }
}

fn two(tens: u8, ones: u8) -> Option<u8> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| (tens - b'0') * 10 + (ones - b'0'))
}

fn days(year: u32, month: u8) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_of_rfc_3339_are_known() {
        for text in [
            "2018-04-05T17:31:00Z",
            "2018-04-05T03:56:24.123456789123Z",
            "2018-04-05t17:31:00z",
            "2024-02-29T23:59:60+00:00",
            "2000-02-29T00:00:00-23:59",
            "0001-01-01T00:00:00Z",
            "2018-04-05T17:31:00.1+09:30",
        ] {
            assert!(is_rfc3339(text), "{text}");
        }
    }

    #[test]
    fn what_is_no_timestamp_is_refused() {
        for text in [
            "",
            "yesterday",
            "2018-04-05",
            "2018-04-05T17:31:00",
            "2018-04-05 17:31:00Z",
            "2018-13-05T17:31:00Z",
            "2018-00-05T17:31:00Z",
            "2018-02-29T17:31:00Z",
            "1900-02-29T17:31:00Z",
            "2018-04-31T00:00:00Z",
            "2018-04-05T24:00:00Z",
            "2018-04-05T17:60:00Z",
            "2018-04-05T17:31:61Z",
            "2018-04-05T17:31:00.Z",
            "2018-04-05T17:31:00+0900",
            "2018-04-05T17:31:00+24:00",
            "2018-04-05T17:31:00ZZ",
            "2018-04-05T17:31:00Z ",
            "+018-04-05T17:31:00Z",
            "2018-04-05T17:31:00€",
            "２018-04-05T17:31:00Z",
        ] {
            assert!(!is_rfc3339(text), "{text}");
        }
    }
}
