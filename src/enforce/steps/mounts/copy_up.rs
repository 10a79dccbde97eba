//! `tmpcopyup`: a tmpfs that starts with the files it hides.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Uid, chownat, fchmod, fstat, mkdirat, openat,
    readlinkat, sendfile, statat, symlinkat,
};

use crate::enforce::root::Root;
use crate::error::{Context, Result};
use crate::sys::{CallError, Syscall};

/// Deeper trees are not copied: nothing that fits a tmpfs is nested like that.
const DEEPEST: usize = 256;

/// Copies the directory at `path` into a tmpfs that is not attached yet.
pub fn copy(root: &Root, path: &str, tmpfs: &OwnedFd) -> Result<()> {
    let what = || format!("cannot copy {path} into its tmpfs");
    let Ok(from) = root.open(path, OFlags::RDONLY | OFlags::DIRECTORY) else {
        return Ok(());
    };
    let to = openat(tmpfs, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .call(|| "openat(tmpfs)".to_owned())
        .context(what)?;
    copy_dir(from.as_fd(), to.as_fd(), 0).context(what)
}

/// Everything is opened beneath its own directory without following links: the image may change meanwhile.
fn copy_dir(from: BorrowedFd<'_>, to: BorrowedFd<'_>, depth: usize) -> Result<(), CallError> {
    let call = |name: &str| format!("{name} in a copied directory");
    if depth > DEEPEST {
        return Err(rustix::io::Errno::NAMETOOLONG).call(|| call("openat"));
    }
    for entry in Dir::read_from(from).call(|| call("getdents64"))? {
        let entry = entry.call(|| call("getdents64"))?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let stat = statat(from, name, AtFlags::SYMLINK_NOFOLLOW).call(|| call("fstatat"))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                mkdirat(to, name, Mode::RWXU).call(|| call("mkdirat"))?;
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let inner_from = openat(from, name, flags, Mode::empty()).call(|| call("openat"))?;
                let inner_to = openat(to, name, flags, Mode::empty()).call(|| call("openat"))?;
                copy_dir(inner_from.as_fd(), inner_to.as_fd(), depth + 1)?;
                set_owner(to, name, &stat).call(|| call("fchownat"))?;
                fchmod(&inner_to, mode(&stat)).call(|| call("fchmod"))?;
            }
            FileType::Symlink => {
                let target = readlinkat(from, name, Vec::new()).call(|| call("readlinkat"))?;
                symlinkat(target, to, name).call(|| call("symlinkat"))?;
                set_owner(to, name, &stat).call(|| call("fchownat"))?;
            }
            FileType::RegularFile => copy_file(from, to, name, &stat)?,
            // Sockets, pipes and devices belong to whoever made them.
            _ => {}
        }
    }
    Ok(())
}

fn copy_file(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    name: &std::ffi::CStr,
    stat: &Stat,
) -> Result<(), CallError> {
    let call = |what: &str| format!("{what}({name:?})");
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let source = openat(from, name, flags, Mode::empty()).call(|| call("openat"))?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let copy = openat(to, name, flags, Mode::RUSR).call(|| call("openat"))?;
    while sendfile(&copy, &source, None, 1 << 20).call(|| call("sendfile"))? > 0 {}
    set_owner(to, name, stat).call(|| call("fchownat"))?;
    let source = fstat(&source).call(|| call("fstat"))?;
    fchmod(&copy, mode(&source)).call(|| call("fchmod"))
}

fn set_owner(dir: BorrowedFd<'_>, name: &std::ffi::CStr, stat: &Stat) -> Result<(), rustix::io::Errno> {
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    chownat(dir, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
}

fn mode(stat: &Stat) -> Mode {
    Mode::from_raw_mode(stat.st_mode & 0o7777)
}
