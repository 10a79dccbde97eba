//! The socket on which a created container waits for `start`, in its state directory.

use std::os::fd::{AsRawFd, OwnedFd};

use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::state::{START_SOCKET, StateDir};
use crate::error::{Context, Error, Kind, Result};
use crate::sys::Syscall;

/// By way of `/proc/self/fd`, because the path of a state directory may be longer than a socket's may be.
fn socket_address(dir: &StateDir) -> Result<SocketAddrUnix> {
    let path = format!("/proc/self/fd/{}/{START_SOCKET}", dir.as_fd().as_raw_fd());
    SocketAddrUnix::new(path).context(|| "cannot name the start socket".to_owned())
}

/// The socket on which init waits.
///
/// # Errors
/// The failed call.
pub(super) fn listen(dir: &StateDir) -> Result<OwnedFd> {
    let what = || "cannot make the start socket".to_owned();
    let socket = stream_socket().context(what)?;
    net::bind(&socket, &socket_address(dir)?).call(|| "bind(start)".to_owned()).context(what)?;
    net::listen(&socket, 1).call(|| "listen(start)".to_owned()).context(what)?;
    Ok(socket)
}

fn stream_socket() -> Result<OwnedFd, crate::sys::CallError> {
    net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .call(|| "socket(AF_UNIX, SOCK_STREAM)".to_owned())
}

/// Connects to the start socket of a container.
///
/// # Errors
/// `WrongState` when nobody listens there any more.
pub(super) fn connect(dir: &StateDir) -> Result<OwnedFd> {
    let what = || format!("cannot start container {}", dir.id());
    let socket = stream_socket().context(what)?;
    net::connect(&socket, &socket_address(dir)?).call(|| "connect(start)".to_owned()).context(what).map_err(
        |error| Error {
            kind: Kind::WrongState,
            ..error.fix("its init is gone: remove it with `sandrun delete --force`")
        },
    )?;
    Ok(socket)
}
