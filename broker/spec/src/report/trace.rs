//! The trace that an event's producer is part of, as W3C Trace Context writes it in `traceparent`.

/// Which trace, and which span of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    /// The trace.
    pub id: u128,
    /// The producer's span.
    pub span: u64,
    /// Whether the producer records it.
    pub sampled: bool,
}

impl Trace {
    /// Reads `VERSION-TRACE-SPAN-FLAGS` in lower-case hexadecimal; a version after `00` may say
    /// more behind that. `None` when it is no such text.
    pub fn read(written: &str) -> Option<Self> {
        let mut parts = written.split('-');
        let version = hex(parts.next()?, 2)?;
        let id = hex(parts.next()?, 32)?;
        let span = u64::try_from(hex(parts.next()?, 16)?).ok()?;
        let flags = hex(parts.next()?, 2)?;
        let whole = version != 0 || parts.next().is_none();
        (version != 0xff && id != 0 && span != 0 && whole).then_some(Self {
            id,
            span,
            sampled: flags & 1 == 1,
        })
    }
}

fn hex(text: &str, digits: usize) -> Option<u128> {
    let plain = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let fits = text.len() == digits && text.bytes().all(plain);
    u128::from_str_radix(text, 16).ok().filter(|_| fits)
}

#[cfg(test)]
mod tests {
    use super::Trace;

    #[test]
    fn a_traceparent_is_read_as_the_recommendation_has_it() {
        let read = Trace::read("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        let trace = Trace {
            id: 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c,
            span: 0xb7ad_6b71_6920_3331,
            sampled: true,
        };
        assert_eq!(read, Some(trace));
        let later = Trace::read("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00-more");
        assert_eq!(later.map(|trace| trace.sampled), Some(false));
    }

    #[test]
    fn what_is_no_traceparent_is_none() {
        for written in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-äaf7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
        ] {
            assert_eq!(Trace::read(written), None, "{written}");
        }
    }
}
