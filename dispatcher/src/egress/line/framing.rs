//! Where an answer's body ends (RFC 9112, 6 and 7.1).

use bytes::{Buf as _, Bytes, BytesMut};
use httparse::Status;

/// The longest line that opens a chunk, extensions included.
const CHUNK_LINE: usize = 4 << 10;
/// The most that may stand behind the last chunk.
const TRAILERS: u64 = 64 << 10;

/// What of a body is still to come.
#[derive(Debug)]
pub(super) struct Framing {
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// So many bytes.
    Length(u64),
    /// The line that opens a chunk.
    Opening,
    /// So many bytes of a chunk.
    Chunk(u64),
    /// The line end behind a chunk.
    Closing,
    /// Lines behind the last chunk; so many bytes of them came.
    Trailers(u64),
    /// All until the other side closes.
    UntilClose,
    Over,
}

/// What the bytes that are there make.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Data(Bytes),
    /// More bytes are needed.
    More,
    Over,
}

impl Framing {
    pub(super) fn empty() -> Self {
        Self::of(State::Over)
    }

    pub(super) fn length(length: u64) -> Self {
        match length {
            0 => Self::empty(),
            length => Self::of(State::Length(length)),
        }
    }

    pub(super) fn chunked() -> Self {
        Self::of(State::Opening)
    }

    pub(super) fn until_close() -> Self {
        Self::of(State::UntilClose)
    }

    fn of(state: State) -> Self {
        Self { state }
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// How many bytes of data will come at least, as far as that was declared.
    pub(super) fn declared(&self) -> u64 {
        match self.state {
            State::Length(length) => length,
            _ => 0,
        }
    }

    /// Does the end of the connection end the body well?
    pub(super) fn ends_with_connection(&self) -> bool {
        matches!(self.state, State::UntilClose | State::Over)
    }

    /// Takes the next piece out of what came.
    ///
    /// # Errors
    ///
    /// The chunks are none; why, for people.
    pub(super) fn step(&mut self, came: &mut BytesMut) -> Result<Step, String> {
        loop {
            match self.state {
                State::Over => return Ok(Step::Over),
                _ if came.is_empty() => return Ok(Step::More),
                State::UntilClose => return Ok(Step::Data(came.split().freeze())),
                State::Length(left) => {
                    let (data, left) = part(came, left);
                    self.state = match left {
                        0 => State::Over,
                        left => State::Length(left),
                    };
                    return Ok(Step::Data(data));
                }
                State::Chunk(left) => {
                    let (data, left) = part(came, left);
                    self.state = match left {
                        0 => State::Closing,
                        left => State::Chunk(left),
                    };
                    return Ok(Step::Data(data));
                }
                State::Opening => match opening(came)? {
                    None => return Ok(Step::More),
                    Some(0) => self.state = State::Trailers(0),
                    Some(size) => self.state = State::Chunk(size),
                },
                State::Closing => match came.iter().position(|byte| *byte == b'\n') {
                    Some(0) => self.go_on(came, 1, State::Opening),
                    Some(1) if came[0] == b'\r' => self.go_on(came, 2, State::Opening),
                    None if came.len() == 1 && came[0] == b'\r' => return Ok(Step::More),
                    _ => return Err("a chunk is longer than it says".to_owned()),
                },
                State::Trailers(seen) => {
                    let end = came.iter().position(|byte| *byte == b'\n');
                    let length = end.map_or(came.len(), |end| end + 1);
                    if seen + length as u64 > TRAILERS {
                        return Err("what stands behind the last chunk has no end".to_owned());
                    }
                    match end {
                        None => return Ok(Step::More),
                        Some(end) if came[..end].trim_ascii().is_empty() => {
                            self.go_on(came, length, State::Over);
                        }
                        Some(_) => {
                            self.go_on(came, length, State::Trailers(seen + length as u64));
                        }
                    }
                }
            }
        }
    }

    fn go_on(&mut self, came: &mut BytesMut, used: usize, state: State) {
        came.advance(used);
        self.state = state;
    }
}

/// Up to `left` bytes of what came, and how many are left after them.
fn part(came: &mut BytesMut, left: u64) -> (Bytes, u64) {
    let here = usize::try_from(left).map_or(came.len(), |left| left.min(came.len()));
    (came.split_to(here).freeze(), left - here as u64)
}

/// The size of the chunk whose line came, if all of it did.
fn opening(came: &mut BytesMut) -> Result<Option<u64>, String> {
    match httparse::parse_chunk_size(came) {
        // The parser takes a line without digits for a zero, and with it for the end.
        Ok(_) if !came[0].is_ascii_hexdigit() => Err("a chunk has no size".to_owned()),
        Ok(Status::Complete((length, size))) => {
            came.advance(length);
            Ok(Some(size))
        }
        Ok(Status::Partial) if came.len() <= CHUNK_LINE => Ok(None),
        Ok(Status::Partial) => Err("the line of a chunk has no end".to_owned()),
        Err(_) => Err("a chunk has no size".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body that `bytes` hold when they come in pieces of `size`, and what is left over.
    fn read(mut framing: Framing, bytes: &[u8], size: usize) -> Result<(Vec<u8>, usize), String> {
        let (mut came, mut body) = (BytesMut::new(), Vec::new());
        for piece in bytes.chunks(size) {
            came.extend_from_slice(piece);
            while let Step::Data(data) = framing.step(&mut came)? {
                body.extend_from_slice(&data);
            }
        }
        assert!(framing.is_over(), "not over");
        Ok((body, came.len()))
    }

    #[test]
    fn chunks_are_read_however_they_are_cut() {
        let text = b"3\r\nabc\r\n1f;name=value\r\n0123456789012345678901234567890\r\n\
                     00\r\nx-trailer: 1\r\n\r\nHTTP";
        for size in 1..text.len() {
            let (body, left) = read(Framing::chunked(), text, size).unwrap();
            assert_eq!(body, b"abc0123456789012345678901234567890", "{size}");
            assert_eq!(left, 4, "{size}");
        }
    }

    #[test]
    fn what_is_no_chunk_is_an_error() {
        for text in [
            &b"x\r\n"[..],
            b"-1\r\nx\r\n",
            b"\r\n",
            b"3\r\nabcd\r\n",
            b"3\r\nabc\rx",
            b"fffffffffffffffff\r\n",
            &b"1;".repeat(CHUNK_LINE),
            &[b"0\r\n".as_slice(), &b"x: y\r\n".repeat(20_000)].concat(),
        ] {
            let shown = String::from_utf8_lossy(&text[..text.len().min(20)]).into_owned();
            assert!(read(Framing::chunked(), text, 7).is_err(), "{shown:?}");
        }
    }

    #[test]
    fn a_length_is_exact() {
        assert_eq!(
            read(Framing::length(3), b"abcd", 1).unwrap(),
            (b"abc".to_vec(), 1)
        );
        assert_eq!(read(Framing::length(0), b"a", 1).unwrap(), (vec![], 1));
    }
}
