//! What this process has to do with whoever started it: systemd hears when it is ready and when it
//! stops (`Type=notify`).
//!
//! Outside of systemd nobody listens (`NOTIFY_SOCKET` is not set), and nothing is said.

use std::{io, net::SocketAddr, os::unix::ffi::OsStrExt as _};

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
