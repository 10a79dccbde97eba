//! Terminals that somebody else reads from.

use std::os::fd::{AsRawFd, IntoRawFd, RawFd};

use super::gate::{Call, Gate};
use crate::errno::Errno;
use crate::sys::{call, call_for_fd, open_at, pipe};

pub const GATES: &[Gate] = &[
    Gate::new("tiocsti", "keystrokes on the caller's terminal", || on_terminal(libc::TIOCSTI as i64))
        .by(ioctl(libc::TIOCSTI as i64))
        .past(&[libc::ENOTTY]),
    Gate::new("tioclinux", "the console's clipboard", || on_terminal(libc::TIOCLINUX as i64))
        .by(ioctl(libc::TIOCLINUX as i64))
        .past(&[libc::ENOTTY]),
    Gate::new("tiocsetd", "a line discipline of the kernel", || on_terminal(libc::TIOCSETD as i64))
        .by(ioctl(libc::TIOCSETD as i64))
        .past(&[libc::ENOTTY]),
];

const fn ioctl(request: i64) -> Call {
    Call::new(libc::SYS_ioctl, &[0, request])
}

/// With a zero: a keystroke that types nothing, no request of the console, and the line discipline that is there.
fn on_terminal(request: i64) -> Result<(), Errno> {
    match own_terminal() {
        Ok(terminal) => made(terminal, request),
        // Where no terminal can be had: ENOTTY once the call has been let through.
        Err(_) => made(pipe()?.0.into_raw_fd(), request),
    }
}

fn made(on: RawFd, request: i64) -> Result<(), Errno> {
    call(libc::SYS_ioctl, &mut [on.into(), request.into(), b"\0\0\0\0".into()]).map(drop)
}

/// A new terminal that controls this process. It and its other end stay open until we end: closing one hangs up.
fn own_terminal() -> Result<RawFd, Errno> {
    call(libc::SYS_setsid, &mut [])?;
    let main = open_at(libc::AT_FDCWD, "/dev/ptmx", libc::O_RDWR | libc::O_NOCTTY)?;
    let unlocked = 0_i32.to_ne_bytes();
    let mut unlock = [main.as_raw_fd().into(), (libc::TIOCSPTLCK as i64).into(), (&unlocked).into()];
    call(libc::SYS_ioctl, &mut unlock)?;
    let mut open = [main.as_raw_fd().into(), (libc::TIOCGPTPEER as i64).into(), libc::O_RDWR.into()];
    let terminal = call_for_fd(libc::SYS_ioctl, &mut open)?;
    let _main = main.into_raw_fd();
    Ok(terminal.into_raw_fd())
}
