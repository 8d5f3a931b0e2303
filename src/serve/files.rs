//! How many files the process may have open, and what they are for. Nearly all of them are
//! connections.

use rustix::process::{Resource, getrlimit, setrlimit};
use volley_dispatcher::{Permits, egress::EgressOptions};

/// For storage, the admin port, descriptors of the runtime and what libraries open.
const OTHERS: usize = 128;

/// Each of these for as many as there are, so that no attempt fails for want of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Files {
    /// Connections of producers.
    pub(super) producers: usize,
    /// Connections to sinks, on one core.
    pub(super) sinks: usize,
    /// Of these, the ones that an attempt may be on at once.
    pub(super) attempts: usize,
}

impl Files {
    /// As many as the process may have: its soft limit is raised to the hard one. `wanted` are for
    /// producers.
    pub(super) fn raised(wanted: usize, cores: usize) -> Self {
        let limit = raise();
        let files = Self::within(limit, wanted, cores);
        // A few less than asked for are nothing to tell each start of.
        if files.producers < wanted / 4 * 3 {
            tracing::warn!(
                limit,
                connections = files.producers,
                wanted,
                "the limit of open files leaves less room for connections than --max-connections: raise it (ulimit -Hn, LimitNOFILE)"
            );
        }
        files
    }

    fn within(limit: usize, wanted: usize, cores: usize) -> Self {
        let cores = cores.max(1);
        let (attempts, sinks) = (
            Permits::default().all,
            EgressOptions::default().max_connections,
        );
        let all = limit.saturating_sub(OTHERS);
        // Half for each side, unless the way out has plenty with less.
        let most = (all / 2).max(all.saturating_sub(2 * attempts * cores));
        let producers = wanted.min(most).max(1);
        let out = all.saturating_sub(producers) / cores;
        Self {
            producers,
            sinks: out.clamp(1, sinks),
            attempts: attempts.min(out / 4 * 3).max(1),
        }
    }
}

/// The usual soft limit of 1,024 is for programs that use `select`; this one does not.
fn raise() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let before = limit.current;
        limit.current = limit.maximum;
        match setrlimit(Resource::Nofile, limit) {
            Ok(()) => {
                tracing::debug!(files = ?limit.current, "the limit of open files is raised");
            }
            Err(error) => {
                limit.current = before;
                tracing::warn!(%error, "the limit of open files can't be raised");
            }
        }
    }
    // `None` is no limit.
    let files = limit.current.unwrap_or(u64::MAX);
    usize::try_from(files).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_out_is_there_and_nobody_gets_nothing() {
        for limit in [
            0,
            64,
            256,
            1_024,
            4_096,
            20_000,
            65_536,
            1 << 20,
            usize::MAX,
        ] {
            for cores in [1, 2, 16, 256] {
                let files = Files::within(limit, 10_000, cores);
                assert!(files.producers >= 1 && files.attempts >= 1, "{files:?}");
                let given = files.producers + cores * files.sinks;
                let least = files.attempts == 1;
                assert!(
                    given <= limit.saturating_sub(OTHERS) || least,
                    "{limit} files, {cores} cores: {files:?}"
                );
                assert!(files.attempts <= files.sinks, "{files:?}");
            }
        }
    }

    #[test]
    fn a_server_has_the_usual_numbers_and_a_container_less() {
        let of = |limit, cores| Files::within(limit, 10_000, cores);
        let usual = of(1 << 20, 16);
        assert_eq!((usual.producers, usual.attempts), (10_000, 4_096));
        assert_eq!(usual.sinks, EgressOptions::default().max_connections);
        let small = of(1_024, 2);
        assert_eq!(
            (small.producers, small.sinks, small.attempts),
            (448, 224, 168)
        );
    }
}
