//! Who the process is: groups, group, user, file mode creation mask.

use std::os::fd::BorrowedFd;

use rustix::fs::{FileType, Mode, OFlags, Uid, fchown, fcntl_getfl, fstat, makedev};
use rustix::io::Errno;
use rustix::process::Gid;
use rustix::thread::{set_keep_capabilities, set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use crate::enforce::init::{Init, hide};
use crate::error::{Context, Result};
use crate::plan::Workload;
use crate::sys::{Syscall, process::stdio};

/// Becomes the user; permitted capabilities stay until they are set as a whole.
pub fn set(workload: &Workload, _: &mut Init) -> Result<()> {
    let user = &workload.user;
    let what = || format!("cannot become user {}:{}", user.uid, user.gid);
    rustix::process::umask(Mode::from_raw_mode(user.umask.unwrap_or(0o022)));
    own_stdio(user.uid).context(what)?;
    set_keep_capabilities(true).call(|| "prctl(PR_SET_KEEPCAPS, 1)".to_owned()).context(what)?;
    let groups: Vec<Gid> = user.additional_gids.iter().map(|&gid| Gid::from_raw(gid)).collect();
    match set_thread_groups(&groups) {
        // A user namespace of an ordinary user's may not drop groups; it has none to add either.
        Err(Errno::PERM) if groups.is_empty() => {}
        result => result.call(|| format!("setgroups({:?})", user.additional_gids)).context(what).map_err(
            |error| {
                let error = error.at("process.user.additionalGids");
                error.fix("without root only the caller's own groups are there: remove the field")
            },
        )?,
    }
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    set_thread_res_gid(gid, gid, gid)
        .call(|| format!("setresgid({})", user.gid))
        .context(what)
        .map_err(|error| error.at("process.user.gid"))?;
    set_thread_res_uid(uid, uid, uid)
        .call(|| format!("setresuid({})", user.uid))
        .context(what)
        .map_err(|error| error.at("process.user.uid"))?;
    set_keep_capabilities(false).call(|| "prctl(PR_SET_KEEPCAPS, 0)".to_owned()).context(what)?;
    // New credentials made the process as dumpable as fs.suid_dumpable says.
    hide()
}

/// The process may open its own standard streams again, through `/dev/stdout` and the like.
fn own_stdio(uid: u32) -> Result<(), crate::sys::CallError> {
    for fd in stdio() {
        let Ok(stat) = fstat(fd) else { continue };
        if stat.st_uid == uid || is_null(&stat) || is_only_read(fd, &stat) {
            continue;
        }
        match fchown(fd, Some(Uid::from_raw(uid)), None) {
            // The id is not mapped, the file not ours, or on a read-only filesystem: it stays as it is.
            Ok(()) | Err(Errno::INVAL | Errno::PERM | Errno::ROFS) => {}
            Err(errno) => return Err(errno).call(|| format!("fchown({}, {uid})", raw(fd))),
        }
    }
    Ok(())
}

fn raw(fd: BorrowedFd<'_>) -> i32 {
    std::os::fd::AsRawFd::as_raw_fd(&fd)
}

/// Whose file it is decides who may write to it, which a container that is only given it to read may not.
fn is_only_read(fd: BorrowedFd<'_>, stat: &rustix::fs::Stat) -> bool {
    let writable = |flags: OFlags| flags.intersects(OFlags::WRONLY | OFlags::RDWR);
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && !fcntl_getfl(fd).is_ok_and(writable)
}

/// The null device may be the host's own.
fn is_null(stat: &rustix::fs::Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == makedev(1, 3)
}
