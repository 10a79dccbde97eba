//! Lookups inside a root filesystem whose owner is not trusted, and may change it while we look.
//!
//! A path is resolved once, by `openat2(2)` beneath the root's descriptor; from then on only the descriptor is
//! used. Symbolic links stay inside (`RESOLVE_IN_ROOT`), magic links are not followed.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

use crate::error::{Context, Result};
use crate::sys::{CallError, Syscall};

/// A root filesystem by descriptor.
pub struct Root {
    fd: OwnedFd,
}

impl Root {
    /// The tree below a directory.
    pub fn new(fd: OwnedFd) -> Self {
        Self { fd }
    }

    /// The descriptor of the root itself.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Opens a path with `flags`, links resolved within the root.
    ///
    /// # Errors
    /// ENOENT when it is not there, ELOOP for a magic link.
    pub fn open(&self, path: &str, flags: OFlags) -> Result<OwnedFd, CallError> {
        self.resolve(path, flags, ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS)
    }

    /// Opens a path on which no link may lie.
    ///
    /// # Errors
    /// ELOOP when there is one.
    pub fn open_plain(&self, path: &str, flags: OFlags) -> Result<OwnedFd, CallError> {
        self.resolve(path, flags, ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS)
    }

    /// A rename in the tree during the lookup makes the kernel give up with EAGAIN; nothing was resolved.
    fn resolve(&self, path: &str, flags: OFlags, resolve: ResolveFlags) -> Result<OwnedFd, CallError> {
        let mut tries = 0;
        loop {
            let opened = openat2(&self.fd, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve);
            match opened {
                Err(Errno::AGAIN | Errno::INTR) if tries < 128 => tries += 1,
                opened => return opened.call(|| format!("openat2(rootfs, {path:?})")),
            }
        }
    }

    /// Opens a directory, made with all its parents (mode 0755) where it is not there.
    ///
    /// # Errors
    /// When a part of the path is not a directory, or a link that dangles.
    pub fn make_dir(&self, path: &str) -> Result<OwnedFd> {
        let what = || format!("cannot make {path} in the root filesystem");
        let directory = OFlags::PATH | OFlags::DIRECTORY;
        match self.open(path, directory) {
            Err(error) if error.errno == Errno::NOENT => {}
            opened => return opened.context(|| format!("cannot open {path} in the root filesystem")),
        }
        let (parent, name) = split(path);
        let parent =
            if parent == "/" { self.open("/", directory).context(what)? } else { self.make_dir(parent)? };
        match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
            // A link that leads nowhere, or somebody else's work of this moment.
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno).call(|| format!("mkdirat({name:?})")).context(what),
        }
        rustix::fs::openat(&parent, name, directory | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
            .call(|| format!("openat({name:?})"))
            .context(what)
    }

    /// Opens a file, made empty (with its parents) where it is not there; a directory is taken as it is.
    ///
    /// # Errors
    /// As [`Root::make_dir`].
    pub fn make_file(&self, path: &str) -> Result<OwnedFd> {
        match self.open(path, OFlags::PATH) {
            Err(error) if error.errno == Errno::NOENT => {}
            opened => return opened.context(|| format!("cannot open {path} in the root filesystem")),
        }
        let what = || format!("cannot make {path} in the root filesystem");
        let (parent, name) = split(path);
        let parent = self.make_dir(parent)?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(0o644)) {
            Ok(_) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno).call(|| format!("openat({name:?}, CREATE)")).context(what),
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW;
        rustix::fs::openat(&parent, name, flags | OFlags::CLOEXEC, Mode::empty())
            .call(|| format!("openat({name:?})"))
            .context(what)
    }
}

/// The directory and the last name of an absolute path.
pub fn split(path: &str) -> (&str, &str) {
    match path.rsplit_once('/') {
        Some(("", name)) => ("/", name),
        Some((parent, name)) => (parent, name),
        None => ("/", path),
    }
}

/// Whether a descriptor is of a directory.
pub fn is_dir(fd: impl AsFd) -> bool {
    use rustix::fs::{FileType, fstat};
    fstat(fd).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

/// A path of the host, opened as the caller sees it.
pub fn host(path: &Path, nofollow: bool) -> Result<OwnedFd, CallError> {
    let mut flags = OFlags::PATH | OFlags::CLOEXEC;
    if nofollow {
        flags |= OFlags::NOFOLLOW;
    }
    rustix::fs::open(path, flags, Mode::empty()).call(|| format!("open({path:?})"))
}
