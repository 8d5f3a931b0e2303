//! The hop count (TTL): how often an event may still enter a broker before it counts as looping.
//!
//! Producers and other brokers know it as the attribute `knativebrokerttl`. Here it is a field of
//! the event and never an attribute: it is taken off at the door.

use crate::EventError;

/// The attribute that carries the hop count on the wire.
pub const ATTRIBUTE: &str = "knativebrokerttl";

/// The hop count of an event that came without one, and the largest there is.
pub const MAX_HOPS: u8 = 255;

/// What a hop count that came with an event is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// At the door: it counts, and used up is an error.
    Counts,
    /// On a reply: it is taken off and forgotten, the delivery knows better.
    Ignored,
}

impl Rule {
    /// The hops that `text` gives an event. What is no number counts as absent.
    pub(crate) fn hops(self, text: Option<&str>) -> Result<u8, EventError> {
        match (self, text.and_then(number)) {
            (Self::Ignored, _) | (Self::Counts, None) => Ok(MAX_HOPS),
            (Self::Counts, Some(0)) => Err(EventError::hops_used_up()),
            (Self::Counts, Some(hops)) => Ok(hops),
        }
    }
}

/// An integer, held to 0..=255 however large or small it is.
fn number(text: &str) -> Option<u8> {
    let (negative, digits) = match text.as_bytes() {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    if negative {
        return Some(0);
    }
    let value = digits.iter().fold(0u8, |sum, d| {
        sum.saturating_mul(10).saturating_add(d - b'0')
    });
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_capped_and_what_is_none_counts_as_absent() {
        let hops = |text| Rule::Counts.hops(text);
        assert_eq!(hops(None), Ok(255));
        assert_eq!(hops(Some("7")), Ok(7));
        assert_eq!(hops(Some("+7")), Ok(7));
        assert_eq!(hops(Some("0012")), Ok(12));
        assert_eq!(hops(Some("255")), Ok(255));
        assert_eq!(hops(Some("256")), Ok(255));
        assert_eq!(hops(Some("99999999999999999999999")), Ok(255));
        for absent in ["", "-", "+", "seven", "7.5", " 7", "0x7", "٣"] {
            assert_eq!(hops(Some(absent)), Ok(255), "{absent:?}");
        }
    }

    #[test]
    fn zero_and_less_is_used_up_at_the_door_and_nothing_on_a_reply() {
        for used_up in ["0", "-0", "000", "-3"] {
            let error = Rule::Counts.hops(Some(used_up)).unwrap_err();
            assert_eq!(error.problem(), crate::Problem::HopsUsedUp);
            assert_eq!(error.attribute_name(), Some("knativebrokerttl"));
            assert_eq!(Rule::Ignored.hops(Some(used_up)), Ok(255));
        }
    }
}
