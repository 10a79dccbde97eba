//! Directories and files of cgroupfs, always beneath a descriptor and never through a link.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{self, AtFlags, CWD, Dir, FileType, Mode, OFlags};
use rustix::io::{self, Errno};

use crate::sys::{CallError, Syscall};

/// A directory to start from and to look things up in; nothing is read through it.
const DIRECTORY: OFlags =
    OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const FILE: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC);

/// The root of a hierarchy, by the absolute path `detect` found.
pub(super) fn open_root(dir: &str) -> Result<OwnedFd, CallError> {
    fs::openat(CWD, dir, DIRECTORY, Mode::empty()).call(|| format!("open({dir:?})"))
}

pub(super) fn open_dir(parent: impl AsFd, name: &CStr) -> Result<OwnedFd, CallError> {
    fs::openat(parent, name, DIRECTORY, Mode::empty()).call(|| format!("openat({name:?})"))
}

/// The components of a path of the plan, which has no `..`, no empty one, no NUL.
pub(super) fn components(path: &str) -> Result<Vec<CString>, CallError> {
    path.split('/')
        .filter(|name| !name.is_empty())
        .map(|name| match name {
            "." | ".." => Err(Errno::INVAL),
            name => CString::new(name).map_err(|_| Errno::INVAL),
        })
        .collect::<Result<_, _>>()
        .call(|| format!("open({path:?})"))
}

/// Walks down from `root`, one component at a time.
pub(super) fn descend(root: OwnedFd, path: &[CString]) -> Result<OwnedFd, CallError> {
    path.iter().try_fold(root, |dir, name| open_dir(&dir, name))
}

pub(super) fn open_file(dir: impl AsFd, file: &str, mode: OFlags) -> Result<OwnedFd, CallError> {
    fs::openat(dir, file, mode | FILE, Mode::empty()).call(|| format!("openat({file:?})"))
}

pub(super) fn write(dir: impl AsFd, file: &str, value: &str) -> Result<(), CallError> {
    write_to(open_file(dir, file, OFlags::WRONLY)?, file, value)
}

/// One write is one command to the kernel; it takes all of it or refuses.
pub(super) fn write_to(fd: impl AsFd, file: &str, value: &str) -> Result<(), CallError> {
    let call = || format!("write({file:?}, {value:?})");
    let written = io::retry_on_intr(|| io::write(&fd, value.as_bytes())).call(call)?;
    if written == value.len() { Ok(()) } else { Err(Errno::IO).call(call) }
}

pub(super) fn read(dir: impl AsFd, file: &str) -> Result<String, CallError> {
    read_from(open_file(dir, file, OFlags::RDONLY)?, file)
}

/// The whole file from its start, whatever was read of it before.
pub(super) fn read_from(fd: impl AsFd, file: &str) -> Result<String, CallError> {
    let mut text = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let got = io::retry_on_intr(|| io::pread(&fd, &mut chunk, text.len() as u64))
            .call(|| format!("read({file:?})"))?;
        match chunk.get(..got) {
            Some([]) | None => return Ok(String::from_utf8_lossy(&text).into_owned()),
            Some(bytes) => text.extend_from_slice(bytes),
        }
    }
}

/// The cgroups directly beneath; their names are the workload's where it may make cgroups.
fn children(dir: impl AsFd) -> Result<Vec<CString>, CallError> {
    // Two links: `.` and the entry in the parent. Every child would add its `..`.
    let links = fs::fstat(&dir).call(|| "fstat(cgroup)".to_owned())?.st_nlink;
    if links == 2 {
        return Ok(Vec::new());
    }
    let list = || -> io::Result<Vec<CString>> {
        let mut names = Vec::new();
        for entry in listing(&dir)? {
            let entry = entry?;
            let name = entry.file_name();
            if entry.file_type() == FileType::Directory && name != c"." && name != c".." {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    };
    list().call(|| "getdents(cgroup)".to_owned())
}

/// The names of all files, which are the kernel's, and of the cgroups beneath.
pub(super) fn names(dir: impl AsFd) -> Result<Vec<String>, CallError> {
    let list = || -> io::Result<Vec<String>> {
        listing(&dir)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    };
    list().call(|| "getdents(cgroup)".to_owned())
}

/// Reopened for reading: through the directory itself nothing can be.
fn listing(dir: impl AsFd) -> io::Result<Dir> {
    Dir::new(fs::openat(dir, c".", OFlags::RDONLY | OFlags::DIRECTORY | FILE, Mode::empty())?)
}

/// Visits a cgroup and all beneath it: `enter` on the way down, `leave` with parent and name on the way up
/// (not for `top`). One descriptor is open at a time, so no depth a workload makes can exhaust them.
pub(super) fn walk(
    top: impl AsFd,
    enter: &mut dyn FnMut(&OwnedFd) -> Result<(), CallError>,
    leave: &mut dyn FnMut(&OwnedFd, &CStr) -> Result<(), CallError>,
) -> Result<(), CallError> {
    let mut dir = open_dir(top, c".")?;
    enter(&dir)?;
    let mut above = vec![(CString::default(), children(&dir)?)];
    while let Some((_, pending)) = above.last_mut() {
        if let Some(child) = pending.pop() {
            match open_dir(&dir, &child) {
                Ok(next) => dir = next,
                Err(error) if error.errno == Errno::NOENT => continue,
                Err(error) => return Err(error),
            }
            enter(&dir)?;
            above.push((child, children(&dir)?));
        } else if let Some((name, _)) = above.pop()
            && !above.is_empty()
        {
            dir = open_dir(&dir, c"..")?;
            leave(&dir, &name)?;
        }
    }
    Ok(())
}

pub(super) fn make_dir(parent: impl AsFd, name: &CStr) -> Result<(), CallError> {
    fs::mkdirat(parent, name, Mode::from_raw_mode(0o755)).call(|| format!("mkdirat({name:?})"))
}

pub(super) fn remove_dir(parent: impl AsFd, name: &CStr) -> Result<(), CallError> {
    fs::unlinkat(parent, name, AtFlags::REMOVEDIR).call(|| format!("rmdir({name:?})"))
}

/// The number behind a key in a file of `key number` lines.
pub(super) fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}
