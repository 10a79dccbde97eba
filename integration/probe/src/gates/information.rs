//! What tells of the host: its hardware, its kernel, its other workloads.

use std::fs;
use std::io::Read;

use super::gate::{Call, Gate};
use crate::errno::Errno;
use crate::sys::{call, open_at};

pub const GATES: &[Gate] = &[
    Gate::new("syslog", "the kernel's log and its addresses", syslog)
        .by(Call::new(libc::SYS_syslog, &[SYSLOG_ACTION_READ_ALL, 0, 64])),
    Gate::new("interrupts", "the rhythm of others' keys and packets", || tells("/proc/interrupts")),
    Gate::new("kernel-config", "which bugs the kernel was built with", || tells("/proc/config.gz")),
    Gate::new("kernel-command-line", "how the host was booted", || tells("/proc/cmdline")),
    Gate::new("kernel-notes", "the exact build of the kernel", || tells("/sys/kernel/notes")),
    Gate::new("kernel-addresses", "where the kernel's functions are", kernel_addresses),
    Gate::new("page-frames", "which physical pages are whose", || tells("/proc/kpageflags")),
    Gate::new("slab-counts", "the state of the kernel's heap", || tells("/proc/slabinfo")),
    Gate::new("host-paths", "where on the host its files are", host_paths),
];

const SYSLOG_ACTION_READ_ALL: i64 = 3;

fn syslog() -> Result<(), Errno> {
    let mut buffer = [0; 64];
    call(libc::SYS_syslog, &mut [SYSLOG_ACTION_READ_ALL.into(), buffer.as_mut_slice().into(), 64.into()])
        .map(drop)
}

/// A file that is masked is there, and empty.
fn tells(path: &str) -> Result<(), Errno> {
    let mut file = fs::File::from(open_at(libc::AT_FDCWD, path, libc::O_RDONLY | libc::O_NONBLOCK)?);
    match file.read(&mut [0; 64]).map_err(|error| Errno::of(&error))? {
        0 => Err(Errno(libc::ENODATA)),
        _ => Ok(()),
    }
}

/// Whoever may not know them reads zeroes.
fn kernel_addresses() -> Result<(), Errno> {
    let symbols = fs::read_to_string("/proc/kallsyms").map_err(|error| Errno::of(&error))?;
    let known = |line: &str| line.split(' ').next().is_some_and(|address| address.contains(|c| c != '0'));
    if symbols.lines().any(known) { Ok(()) } else { Err(Errno(libc::ENODATA)) }
}

/// The root of the root mount within its filesystem, or the layers of an overlay.
fn host_paths() -> Result<(), Errno> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").map_err(|error| Errno::of(&error))?;
    let tells = |line: &str| {
        let root = line.split(' ').nth(4) == Some("/");
        root && (line.split(' ').nth(3) != Some("/") || line.contains("lowerdir"))
    };
    if mounts.lines().any(tells) { Ok(()) } else { Err(Errno(libc::ENODATA)) }
}
