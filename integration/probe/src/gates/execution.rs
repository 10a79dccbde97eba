//! Machine code that was not in the image: from memory, and from files written meanwhile.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::gate::{Call, Gate};
use crate::errno::Errno;
use crate::sys::{c_string, call, call_for_fd, open_at, prctl};

pub const GATES: &[Gate] = &[
    Gate::plain("write-exec-memory", "memory both writable and executable", map(WRITE | EXECUTE)),
    Gate::new("exec-after-write", "memory first written, then executable", exec_after_write)
        .by(Call::new(libc::SYS_mprotect, &[0, PAGE, READ | EXECUTE])),
    Gate::new("no-mdwe", "no lock on what memory may become (PR_SET_MDWE)", memory_is_not_locked),
    Gate::new("exec-memfd", "a program that is in no file", exec_memfd),
    Gate::new("exec-written", "a program that it wrote", || in_each_place(exec_written)),
    Gate::new("map-written", "a library that it wrote", || in_each_place(map_written)),
];

const PAGE: i64 = 4096;
const READ: i64 = libc::PROT_READ as i64;
const WRITE: i64 = libc::PROT_WRITE as i64;
const EXECUTE: i64 = libc::PROT_EXEC as i64;
const ANONYMOUS: i64 = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as i64;

const fn map(protection: i64) -> Call {
    Call::new(libc::SYS_mmap, &[0, PAGE, protection, ANONYMOUS, -1])
}

fn exec_after_write() -> Result<(), Errno> {
    let memory = call(
        libc::SYS_mmap,
        &mut [0.into(), PAGE.into(), (READ | WRITE).into(), ANONYMOUS.into(), (-1).into()],
    )?;
    call(libc::SYS_mprotect, &mut [memory.into(), PAGE.into(), (READ | EXECUTE).into()]).map(drop)
}

fn memory_is_not_locked() -> Result<(), Errno> {
    const PR_GET_MDWE: i32 = 66;
    match prctl(PR_GET_MDWE, 0)? {
        0 => Ok(()),
        _ => Err(Errno(libc::EPERM)),
    }
}

fn own_program() -> Result<Vec<u8>, Errno> {
    fs::read("/proc/self/exe").map_err(|error| Errno::of(&error))
}

/// Becomes that program, which ends well.
fn execute(path: &str) -> Errno {
    Errno::of(&Command::new(path).args(["exit", "0"]).exec())
}

fn exec_memfd() -> Result<(), Errno> {
    let memory = call_for_fd(libc::SYS_memfd_create, &mut [c_string("probe").as_slice().into()])?;
    let path = format!("/proc/self/fd/{}", memory.as_raw_fd());
    write(&memory, &own_program()?)?;
    Err(execute(&path))
}

fn write(file: &OwnedFd, bytes: &[u8]) -> Result<(), Errno> {
    let file = file.try_clone().map_err(|error| Errno::of(&error))?;
    std::io::Write::write_all(&mut fs::File::from(file), bytes).map_err(|error| Errno::of(&error))
}

/// Tries it with a file in each place where images or engines leave something writable: done if one allows it. The last
/// place that takes files says why not; without any, it is EROFS.
fn in_each_place(attempt: fn(&str) -> Result<(), Errno>) -> Result<(), Errno> {
    let mut answer = Err(Errno(libc::EROFS));
    for place in ["/tmp", "/var/tmp", "/run", "/dev", "/dev/shm", "/dev/mqueue", "/"] {
        let path = format!("{place}/.probe-{}", std::process::id());
        if fs::write(&path, own_program()?).is_err() {
            continue;
        }
        let outcome = crate::sys::in_child(|| attempt(&path));
        fs::remove_file(&path).map_err(|error| Errno::of(&error))?;
        match outcome {
            crate::errno::Outcome::Done(_) => return Ok(()),
            crate::errno::Outcome::Refused(errno) => answer = Err(errno),
            crate::errno::Outcome::Killed(_) => answer = Err(Errno(libc::EPERM)),
        }
    }
    answer
}

fn exec_written(path: &str) -> Result<(), Errno> {
    call(libc::SYS_chmod, &mut [c_string(path).as_slice().into(), 0o755.into()])?;
    Err(execute(path))
}

fn map_written(path: &str) -> Result<(), Errno> {
    let library = open_at(libc::AT_FDCWD, path, libc::O_RDONLY)?;
    let mut arguments = [
        0.into(),
        PAGE.into(),
        (READ | EXECUTE).into(),
        libc::MAP_PRIVATE.into(),
        library.as_raw_fd().into(),
        0.into(),
    ];
    call(libc::SYS_mmap, &mut arguments).map(drop)
}
