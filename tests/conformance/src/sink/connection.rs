//! One connection of a sink: read a request, record it, play its turn, go on.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::{Instant, sleep},
};

use super::{Move, Seen, Shared};
use crate::wire::{drain, read_body, read_head};

/// Whether the connection can carry another request.
enum After {
    GoOn,
    Over,
}

/// Serves a connection until it ends. Trouble on it is what the tests are about, so it only ends.
pub(super) async fn run(stream: TcpStream, shared: Shared) {
    let mut stream = BufReader::new(stream);
    // An answer in several writes must leave at once: its cuts are part of the test.
    if stream.get_ref().set_nodelay(true).is_err() {
        return;
    }
    if let Some(moves) = shared.accepted() {
        // A failed write means that the peer went first; the script is over either way.
        if let Ok(After::Over) | Err(_) = play(&mut stream, &moves, || {}).await {
            return;
        }
    }
    while let Ok(After::GoOn) = request(&mut stream, &shared).await {}
}

async fn request(stream: &mut BufReader<TcpStream>, shared: &Shared) -> io::Result<After> {
    let Some(head) = read_head(stream).await? else {
        return Ok(After::Over);
    };
    // A query belongs to its path, so that a followed redirect is seen where it started.
    let path = head
        .word(1)
        .split('?')
        .next()
        .unwrap_or_default()
        .to_owned();
    let turn = shared.turn(&path, &head);
    let body = if turn.early {
        Vec::new()
    } else {
        read_body(stream, &head).await?
    };
    let asks_to_close = head
        .get("connection")
        .is_some_and(|value| value.contains("close"));
    let number = shared.record(
        &path,
        Seen {
            head,
            body,
            whole: !turn.early,
            at: Instant::now(),
            answering: None,
            status: turn.says(),
        },
    );
    let _playing = shared.playing();
    let after = play(stream, &turn.moves, || shared.answering(&path, number)).await?;
    Ok(if asks_to_close || turn.early {
        After::Over
    } else {
        after
    })
}

/// Makes the moves; `answering` is called before anything is said.
async fn play(
    stream: &mut BufReader<TcpStream>,
    moves: &[Move],
    answering: impl Fn(),
) -> io::Result<After> {
    for step in moves {
        match step {
            Move::ReadSlowly { chunk, every } => read_slowly(stream, *chunk, *every).await?,
            Move::Wait(wait) => sleep(*wait).await,
            Move::Say(bytes) => {
                answering();
                stream.write_all(bytes).await?;
                stream.flush().await?;
            }
            Move::Repeat {
                bytes,
                times,
                every,
            } => {
                for _ in 0..*times {
                    stream.write_all(bytes).await?;
                    if !every.is_zero() {
                        sleep(*every).await;
                    }
                }
            }
            Move::Hold => {
                drain(stream).await;
                return Ok(After::Over);
            }
            Move::HalfClose => {
                stream.shutdown().await?;
                drain(stream).await;
                return Ok(After::Over);
            }
            Move::Close => {
                stream.shutdown().await?;
                return Ok(After::Over);
            }
            Move::Reset => {
                stream.get_ref().set_zero_linger()?;
                return Ok(After::Over);
            }
        }
    }
    Ok(After::GoOn)
}

/// Reads until a pause brings nothing new for a while, or the peer closes.
async fn read_slowly(
    stream: &mut BufReader<TcpStream>,
    chunk: usize,
    every: Duration,
) -> io::Result<()> {
    let mut scratch = vec![0; chunk];
    loop {
        let quiet = Duration::from_millis(500);
        match tokio::time::timeout(quiet, stream.read(&mut scratch)).await {
            Ok(Ok(read)) if read > 0 => sleep(every).await,
            _ => return Ok(()),
        }
    }
}
