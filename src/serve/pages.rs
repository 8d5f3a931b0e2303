//! Huge pages (2 MiB), which the allocator asks the kernel for: with them each thread that touches a
//! few KiB holds 2 MiB, which is most of what an idle process holds; without them, reading many
//! Triggers misses the TLB. So only a process with many objects has them.

/// With more objects than this, memory is large enough for huge pages.
const MANY: usize = 10_000;

/// From here on memory is taken in pages of the usual size.
pub(super) fn begin_small() {
    forbid(true);
}

/// The objects are read: with many of them, what is taken from here on may be in huge pages.
pub(super) fn loaded(objects: usize) {
    if objects > MANY {
        forbid(false);
    }
}

#[cfg(target_os = "linux")]
fn forbid(huge: bool) {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(huge) {
        tracing::debug!(%error, "huge pages are left as they are");
    }
}

#[cfg(not(target_os = "linux"))]
fn forbid(_: bool) {}
