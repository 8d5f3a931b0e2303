//! What this process has to do with whoever started it: systemd hears when it is ready and when it
//! stops (`Type=notify`), and the soft limit of open files becomes the hard one.
//!
//! Outside of systemd nobody listens (`NOTIFY_SOCKET` is not set), and nothing is said.

use std::{io, net::SocketAddr, os::unix::ffi::OsStrExt as _};

use rustix::process::{Resource, getrlimit, setrlimit};
use sd_notify::NotifyState;

/// Says that connections are taken.
pub(super) fn ready(data: SocketAddr) {
    let status = format!("takes events at http://{data}");
    tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
}

/// Says that the orderly end has begun.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(states: &[NotifyState<'_>]) {
    let told = match abstract_socket() {
        Some(name) => tell_abstract(&name, states),
        None => sd_notify::notify(states),
    };
    if let Err(error) = told {
        tracing::warn!(%error, "the service manager can't be told; is NOTIFY_SOCKET right?");
    }
}

/// The name in `NOTIFY_SOCKET` where that is no path (`@NAME`), which the library takes for one.
fn abstract_socket() -> Option<Vec<u8>> {
    let socket = std::env::var_os("NOTIFY_SOCKET")?;
    socket.as_bytes().strip_prefix(b"@").map(<[u8]>::to_vec)
}

#[cfg(target_os = "linux")]
fn tell_abstract(name: &[u8], states: &[NotifyState<'_>]) -> io::Result<()> {
    use std::os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr as UnixAddr, UnixDatagram},
    };

    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&UnixAddr::from_abstract_name(name)?)?;
    let lines: String = states.iter().map(|state| format!("{state}\n")).collect();
    socket.send(lines.as_bytes()).map(|_| ())
}

#[cfg(not(target_os = "linux"))]
fn tell_abstract(_: &[u8], _: &[NotifyState<'_>]) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Every connection is a file, and the usual soft limit of 1,024 is for programs that use
/// `select`; this one does not.
pub(super) fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    limit.current = limit.maximum;
    match setrlimit(Resource::Nofile, limit) {
        Ok(()) => tracing::debug!(files = ?limit.current, "the limit of open files is raised"),
        Err(error) => tracing::warn!(%error, "the limit of open files can't be raised"),
    }
}
