//! Work on many things at once, on all cores.

use std::{num::NonZero, thread};

/// How many things a core is given at least: a start of a thread costs about as much.
const PART: usize = 128;

/// What `make` makes of each of `all`, in their order. Each core takes a part of them, unless they
/// are so few that it would not pay.
pub(crate) fn on_all_cores<T: Sync, M: Send>(all: &[T], make: impl Fn(&T) -> M + Sync) -> Vec<M> {
    // Asking for the number of cores takes as long as parsing a few documents.
    let cores = match all.len() {
        0..=PART => 1,
        _ => thread::available_parallelism().map_or(1, NonZero::get),
    };
    let part = all.len().div_ceil(cores).max(PART);
    if all.len() <= part {
        return all.iter().map(make).collect();
    }
    thread::scope(|scope| {
        let make = &make;
        let parts = all.chunks(part);
        let running: Vec<_> = parts
            .map(|part| scope.spawn(move || part.iter().map(make).collect::<Vec<M>>()))
            .collect();
        let made = running.into_iter().map(|part| match part.join() {
            Ok(made) => made,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        made.flatten().collect()
    })
}
