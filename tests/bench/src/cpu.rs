//! What a process costs: CPU time, memory and the core it runs on, as the kernel tells it.

use std::{collections::BTreeMap, fs, io, time::Duration};

use rustix::thread::CpuSet;

use crate::error::BenchError;

/// The core of the system under test.
pub(crate) const CONTENDER_CORE: usize = 0;
/// The core of load generator and sink.
pub(crate) const OWN_CORE: usize = 1;

/// Fields of `/proc/PID/stat`, counted from the one after the command's closing parenthesis.
const USER_TICKS: usize = 11;
const REAPED_USER_TICKS: usize = 13;

/// Memory of a process, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Memory {
    /// What it holds now.
    pub(crate) resident: u64,
    /// The most it held since its start, or since [`forget_peak`].
    pub(crate) peak: u64,
}

/// Keeps this process, and with it every thread it will start, on [`OWN_CORE`].
///
/// # Errors
///
/// When the machine has no second core: there is nothing to measure on then.
pub(crate) fn pin_to_own_core() -> Result<(), BenchError> {
    let mut cores = CpuSet::new();
    cores.set(OWN_CORE);
    rustix::thread::sched_setaffinity(None, &cores)
        .map_err(io::Error::from)
        .map_err(BenchError::io(format!(
            "run on core {OWN_CORE}; the benchmarks need two cores"
        )))
}

/// The command that runs a program on `cores`; add the program and its arguments to it.
pub(crate) fn pinned(cores: &[usize]) -> tokio::process::Command {
    let list: Vec<String> = cores.iter().map(ToString::to_string).collect();
    let mut command = tokio::process::Command::new("taskset");
    command.arg("--cpu-list").arg(list.join(","));
    command
}

/// CPU time (user and system, every thread, ended ones too) of a process and its descendants.
pub(crate) fn of_process(pid: u32) -> Result<Duration, BenchError> {
    let mut total = ticks(&format!("/proc/{pid}/stat"), USER_TICKS)?;
    for child in children(pid) {
        // A child that ended meanwhile is counted in its parent once that has reaped it.
        total += of_process(child).unwrap_or_default();
    }
    Ok(total)
}

/// CPU time of all children that this process has waited for.
pub(crate) fn of_reaped_children() -> Result<Duration, BenchError> {
    ticks("/proc/self/stat", REAPED_USER_TICKS)
}

/// CPU time of this process: what load generator and sink cost.
pub(crate) fn of_self() -> Result<Duration, BenchError> {
    ticks("/proc/self/stat", USER_TICKS)
}

/// Memory of a process.
pub(crate) fn memory(pid: u32) -> Result<Memory, BenchError> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).map_err(BenchError::io(format!("read {path}")))?;
    let fields: BTreeMap<&str, u64> = text.lines().filter_map(kibibytes).collect();
    let bytes = |name| fields.get(name).copied().unwrap_or_default() * 1024;
    Ok(Memory {
        resident: bytes("VmRSS"),
        peak: bytes("VmHWM"),
    })
}

/// Makes the peak of a process start again from what it holds now.
pub(crate) fn forget_peak(pid: u32) -> Result<(), BenchError> {
    let path = format!("/proc/{pid}/clear_refs");
    fs::write(&path, "5").map_err(BenchError::io(format!("write {path}")))
}

/// Two neighbouring tick counts of a stat file, user and system, as one duration.
fn ticks(path: &str, first: usize) -> Result<Duration, BenchError> {
    let text = fs::read_to_string(path).map_err(BenchError::io(format!("read {path}")))?;
    let ticks = ticks_in(&text, first).ok_or(BenchError::Unreadable {
        what: "a process's stat file",
        text,
    })?;
    let a_second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_micros(ticks * 1_000_000 / a_second))
}

fn ticks_in(stat: &str, first: usize) -> Option<u64> {
    // The command may hold blanks and parentheses, so count from its last parenthesis.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(first);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let lists = threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| {
            let pids = list.split_ascii_whitespace().map(str::parse);
            pids.flatten().collect::<Vec<u32>>()
        })
        .collect()
}

fn kibibytes(line: &str) -> Option<(&str, u64)> {
    let (name, rest) = line.split_once(':')?;
    let value = rest.trim().strip_suffix(" kB")?;
    Some((name, value.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_found_behind_a_command_with_blanks_and_parentheses() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 100 0 0 0 30 12 5 3 20 0 1 0 99";
        assert_eq!(ticks_in(stat, USER_TICKS), Some(42));
        assert_eq!(ticks_in(stat, REAPED_USER_TICKS), Some(8));
    }

    #[test]
    fn a_stat_file_cut_short_has_no_ticks() {
        assert_eq!(ticks_in("7 (volley) S 1 7", USER_TICKS), None);
        assert_eq!(ticks_in("", USER_TICKS), None);
    }

    #[test]
    fn memory_lines_are_read_and_others_are_passed_over() {
        assert_eq!(kibibytes("VmHWM:\t    1234 kB"), Some(("VmHWM", 1234)));
        assert_eq!(kibibytes("Threads:\t2"), None);
    }

    #[test]
    fn this_process_holds_memory() {
        let memory = memory(std::process::id()).unwrap();
        assert!(memory.resident > 0 && memory.peak >= memory.resident);
    }
}
