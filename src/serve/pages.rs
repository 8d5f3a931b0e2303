//! Huge pages (2 MiB), which the allocator asks the kernel for: with them each thread that touches a
//! few KiB holds 2 MiB, which is most of what an idle process holds; without them, reading many
//! Triggers misses the TLB. So only a process with many objects has them.

/// With more objects than this, memory is large enough for huge pages.
const MANY: usize = 10_000;

/// A ban on huge pages that is ours to lift.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Small(bool);

/// From here on memory is taken in pages of the usual size; call it before anything takes any.
pub(crate) fn begin_small() -> Small {
    let ours = !is_forbidden();
    if ours {
        forbid(true);
    }
    Small(ours)
}

impl Small {
    /// The objects are read: with many of them, what is taken from here on may be in huge pages.
    pub(super) fn loaded(self, objects: usize) {
        if objects > MANY {
            self.end();
        }
    }

    /// What is taken from here on may be in huge pages.
    pub(crate) fn end(self) {
        if self.0 {
            forbid(false);
        }
    }
}

/// Whether whoever started this process does not want them.
#[cfg(target_os = "linux")]
fn is_forbidden() -> bool {
    rustix::thread::transparent_huge_pages_are_disabled().unwrap_or(true)
}

#[cfg(not(target_os = "linux"))]
fn is_forbidden() -> bool {
    true
}

#[cfg(target_os = "linux")]
fn forbid(huge: bool) {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(huge) {
        tracing::debug!(%error, "huge pages are left as they are");
    }
}

#[cfg(not(target_os = "linux"))]
fn forbid(_: bool) {}
