//! A container's first process, which its pid namespace shields from signals (`pid_namespaces(7)`, "The
//! namespace init process"): one that it has no handler for is dropped, even if nobody else could send it.
//!
//! Whoever runs a command in the foreground expects Ctrl-C to end it. A signal of theirs that the kernel would
//! drop becomes the end that it means.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::termios::{LocalModes, SpecialCodeIndex, tcgetattr, tcgetpgrp};

/// Signals by which people and service managers end a program.
const ENDING: [i32; 4] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM];

/// Whether a process would end by the signal, and is kept from it.
pub(super) fn is_shielded(pidfd: BorrowedFd<'_>, signal: i32) -> bool {
    ENDING.contains(&signal) && pid(pidfd).is_some_and(|pid| drops(pid, signal))
}

/// The signal that keys mean on a terminal, if its foreground is a shielded process that has no handler for it.
pub(super) fn dropped_key(pidfd: BorrowedFd<'_>, terminal: impl AsFd, keys: &[u8]) -> Option<i32> {
    let modes = tcgetattr(&terminal).ok().filter(|modes| modes.local_modes.contains(LocalModes::ISIG))?;
    let codes = [(SpecialCodeIndex::VINTR, libc::SIGINT), (SpecialCodeIndex::VQUIT, libc::SIGQUIT)];
    let pressed = |code: SpecialCodeIndex| keys.contains(&modes.special_codes[code]);
    let (_, signal) = codes.into_iter().find(|(code, _)| pressed(*code))?;
    let pid = pid(pidfd)?;
    let in_foreground = tcgetpgrp(&terminal).is_ok_and(|group| group.as_raw_nonzero().get() == pid);
    (in_foreground && drops(pid, signal)).then_some(signal)
}

fn drops(pid: i32, signal: i32) -> bool {
    let Ok(status) = std::fs::read_to_string(format!("/proc/{pid}/status")) else { return false };
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let is_first = field("NSpid:").is_some_and(|pids| pids.split_whitespace().skip(1).last() == Some("1"));
    let deals_with = |name: &str| {
        let mask = field(name).and_then(|text| u64::from_str_radix(text, 16).ok());
        mask.is_none_or(|mask| mask & (1 << (signal - 1)) != 0)
    };
    is_first && !["SigBlk:", "SigIgn:", "SigCgt:"].into_iter().any(deals_with)
}

/// The number of a pidfd's process (`proc_pid_fdinfo(5)`); none once it has ended.
fn pid(pidfd: BorrowedFd<'_>) -> Option<i32> {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).ok()?;
    let number = text.lines().find_map(|line| line.strip_prefix("Pid:"))?;
    number.trim().parse().ok().filter(|&pid| pid > 0)
}
