//! `--pidfd-socket`: the process by descriptor, which can never come to mean another one.

use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::error::{Context, Result};

/// What runc writes with the pidfd of a container's first process.
pub const FIRST: &[u8] = b"standard";
/// What it writes with that of an exec.
pub const EXEC: &[u8] = b"setns";

/// Sends the pidfd to whoever listens on the socket, with the caller's rights.
///
/// # Errors
/// When nobody listens.
pub fn send(path: &Path, pidfd: BorrowedFd<'_>, kind: &[u8]) -> Result<()> {
    let what = || format!("cannot send the pidfd to {}", path.display());
    let socket = UnixStream::connect(path).context(what)?;
    crate::sys::socket::send_with_data(&socket, kind, &[pidfd]).context(what)
}
