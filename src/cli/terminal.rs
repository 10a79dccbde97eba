//! The foreground: the caller's terminal and signals for the container's process, until it ends.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions, waitid};
use rustix::termios::{
    OptionalActions, OutputModes, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize,
};

use super::shielded;
use crate::error::{Context, Result};
use crate::sys::process::{pidfd_signal, stdio};
use crate::sys::{CallError, Syscall, socket};

/// Signals that are ours to handle, held back from before the child is made: none can be lost between.
pub(super) struct Signals {
    fd: SignalFd,
}

impl Signals {
    /// Blocks every signal that can be passed on.
    pub fn block() -> Result<Self> {
        let what = || "cannot hold signals back".to_owned();
        let mut set = SigSet::all();
        // Faults are ours, and a stopped caller must really stop.
        for signal in [
            Signal::SIGSEGV,
            Signal::SIGBUS,
            Signal::SIGFPE,
            Signal::SIGILL,
            Signal::SIGSYS,
            Signal::SIGTRAP,
            Signal::SIGABRT,
            Signal::SIGTTIN,
            Signal::SIGTTOU,
        ] {
            set.remove(signal);
        }
        set.thread_block().context(what)?;
        let fd = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).context(what)?;
        Ok(Self { fd })
    }

    fn next(&self) -> Option<i32> {
        let info = self.fd.read_signal().ok().flatten()?;
        i32::try_from(info.ssi_signo).ok()
    }
}

/// Receives the terminal that init has sent, and makes ours a mere window onto it.
pub(super) struct Console {
    master: OwnedFd,
    /// What our own terminal was before.
    saved: Option<Termios>,
}

impl Console {
    /// A pair of sockets: one to hand to the container, the other to receive from.
    pub fn sockets() -> Result<(OwnedFd, OwnedFd)> {
        use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
        socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
            .call(|| "socketpair(2)".to_owned())
            .context(|| "cannot prepare the terminal".to_owned())
    }

    /// Takes the terminal; raw from here on, so that every key reaches the container.
    pub fn receive(socket: &OwnedFd) -> Result<Self> {
        let what = || "cannot receive the container's terminal".to_owned();
        let mut descriptors = Vec::new();
        socket::receive_descriptors(socket, &mut descriptors).context(what)?;
        let master = descriptors.pop().ok_or("none was sent").context(what)?;
        let [input, output, _] = stdio();
        if !isatty(output) {
            plain_lines(&master).context(what)?;
        }
        let saved = if isatty(input) { tcgetattr(input).ok() } else { None };
        if let Some(saved) = &saved {
            let mut raw = saved.clone();
            raw.make_raw();
            tcsetattr(input, OptionalActions::Now, &raw).call(|| "tcsetattr(2)".to_owned()).context(what)?;
        }
        let console = Self { master, saved };
        console.follow_size();
        Ok(console)
    }

    /// The container's terminal gets the size of ours, if ours has one.
    fn follow_size(&self) {
        let [input, ..] = stdio();
        if self.saved.is_some()
            && let Ok(size) = tcgetwinsize(input)
        {
            // A terminal that is gone has no size to follow.
            tcsetwinsize(&self.master, size).unwrap_or_default();
        }
    }
}

/// Lines that end as a program writes them: there is no screen to return the carriage of.
fn plain_lines(master: &OwnedFd) -> Result<(), CallError> {
    let mut modes = tcgetattr(master).call(|| "tcgetattr(2)".to_owned())?;
    modes.output_modes.remove(OutputModes::ONLCR);
    tcsetattr(master, OptionalActions::Now, &modes).call(|| "tcsetattr(2)".to_owned())
}

impl Drop for Console {
    fn drop(&mut self) {
        let [input, ..] = stdio();
        if let Some(saved) = &self.saved {
            // Our terminal may be gone; nobody is left to see it then.
            tcsetattr(input, OptionalActions::Now, saved).unwrap_or_default();
        }
    }
}

/// Passes signals and the terminal through until the process ends; its exit code, or 128 and the signal.
pub(super) fn attend(pidfd: BorrowedFd<'_>, signals: &Signals, console: Option<&Console>) -> Result<u8> {
    let [input, output, _] = stdio();
    let mut reading = console.is_some();
    let mut ended_by = None;
    // What is not there is watched as the process is, and for nothing.
    let master = console.map_or(pidfd, |console| console.master.as_fd());
    loop {
        let wanted = |wanted: bool| if wanted { PollFlags::IN } else { PollFlags::empty() };
        let mut watched = [
            PollFd::from_borrowed_fd(pidfd, PollFlags::IN),
            PollFd::from_borrowed_fd(signals.fd.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(master, wanted(console.is_some())),
            PollFd::from_borrowed_fd(if reading { input } else { pidfd }, wanted(reading)),
        ];
        match poll(&mut watched, None) {
            Err(Errno::INTR) => continue,
            polled => {
                polled.call(|| "poll(2)".to_owned()).context(|| "cannot wait for the container".to_owned())?
            }
        };
        let events = watched.map(|watched| watched.revents());
        let ready = |index: usize| events.get(index).is_some_and(|flags| !flags.is_empty());
        if let Some(console) = console {
            if ready(2) {
                copy(console.master.as_fd(), output);
            }
            if reading && ready(3) {
                let keys = copy(input, console.master.as_fd());
                reading = !keys.is_empty();
                ended_by = ended_by.or(shielded::dropped_key(pidfd, &console.master, &keys));
            }
        }
        if ready(1) {
            ended_by = ended_by.or(pass_on(pidfd, signals, console));
        }
        if ended_by.is_some() {
            send(pidfd, libc::SIGKILL);
        }
        if ready(0) {
            drain(console, output);
            return exit_code(pidfd, ended_by);
        }
    }
}

/// The result is a signal that the process is to end by, and will not of itself.
fn pass_on(pidfd: BorrowedFd<'_>, signals: &Signals, console: Option<&Console>) -> Option<i32> {
    let mut ended_by = None;
    while let Some(signal) = signals.next() {
        match (signal, console) {
            (libc::SIGCHLD, _) => {}
            (libc::SIGWINCH, Some(console)) => console.follow_size(),
            _ if shielded::is_shielded(pidfd, signal) => ended_by = Some(signal),
            _ => send(pidfd, signal),
        }
    }
    ended_by
}

/// The process may just have ended, which is seen next.
fn send(pidfd: BorrowedFd<'_>, signal: i32) {
    pidfd_signal(pidfd, signal).unwrap_or_default();
}

/// Copies what is there, and returns it; nothing at the end.
fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Vec<u8> {
    let mut buffer = vec![0u8; 8192];
    let count = rustix::io::read(from, &mut buffer).unwrap_or_default();
    buffer.truncate(count);
    let mut rest = buffer.as_slice();
    while !rest.is_empty() {
        match rustix::io::write(to, rest) {
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(_) => return Vec::new(),
        }
    }
    buffer
}

/// What the process wrote before it ended; others may hold the terminal open, so there is no end to wait for.
fn drain(console: Option<&Console>, output: BorrowedFd<'_>) {
    let Some(console) = console else { return };
    loop {
        let mut watched = [PollFd::new(&console.master, PollFlags::IN)];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        let ready = poll(&mut watched, Some(&now)).is_ok_and(|count| count > 0);
        if !ready || copy(console.master.as_fd(), output).is_empty() {
            return;
        }
    }
}

/// Its code, or 128 and the signal that ended it, or that it was ended for.
fn exit_code(pidfd: BorrowedFd<'_>, ended_by: Option<i32>) -> Result<u8> {
    let what = || "cannot learn how the container ended".to_owned();
    let status = waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED)
        .call(|| "waitid(P_PIDFD)".to_owned())
        .context(what)?
        .ok_or("it has not")
        .context(what)?;
    let code = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code & 0xff,
        (_, Some(libc::SIGKILL)) => 128 + ended_by.unwrap_or(libc::SIGKILL),
        (_, Some(signal)) => 128 + signal,
        _ => 255,
    };
    Ok(u8::try_from(code).unwrap_or(255))
}
