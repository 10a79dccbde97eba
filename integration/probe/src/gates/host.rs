//! Who the workload is on the host, what it was handed, and how much it may take.

use std::fs;

use super::gate::Gate;
use crate::errno::Errno;
use crate::{load, reach, sys};

pub const GATES: &[Gate] = &[
    Gate::new("host-root", "root of the host, were it to get out", host_root),
    Gate::new("leaked-directory", "a directory of the host that was left open", leaked_directory),
    Gate::new("core-dump", "its memory in a file of the host's", core_dump),
    Gate::new("forks", "3,000 processes at once", || load::crowd(3_000).failed.map_or(Ok(()), Err)),
];

/// Root inside whose user namespace, if it has one, makes it root outside too.
fn host_root() -> Result<(), Errno> {
    let map = fs::read_to_string("/proc/self/uid_map").map_err(|error| Errno::of(&error))?;
    let own = sys::call(libc::SYS_geteuid, &mut [])?;
    let outside = map.lines().find_map(|line| {
        let numbers: Vec<i64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [inside, outside, count] = numbers.try_into().ok()?;
        (inside..inside + count).contains(&own).then_some(own - inside + outside)
    });
    if outside == Some(0) { Ok(()) } else { Err(Errno(libc::EPERM)) }
}

/// Descriptor 3, where the caller has left it open.
fn leaked_directory() -> Result<(), Errno> {
    reach::list_through(3).unwrap_or(Err(Errno(libc::EBADF)))
}

fn core_dump() -> Result<(), Errno> {
    match sys::limit(libc::RLIMIT_CORE as _)? {
        (_, 0) => Err(Errno(libc::EPERM)),
        _ => Ok(()),
    }
}
