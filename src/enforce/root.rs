//! Lookups inside a root filesystem whose owner is not trusted, and may change it while we look.
//!
//! A path is resolved once, by `openat2(2)` beneath the root's descriptor; from then on only the descriptor is
//! used. Symbolic links stay inside (`RESOLVE_IN_ROOT`), magic links are not followed.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Dir, Mode, OFlags, ResolveFlags, mkdirat, openat, openat2, readlinkat};
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

    /// Opens what the last name of a path is, be it a link; an empty file or directory is made where nothing is.
    ///
    /// # Errors
    /// As [`Root::make_dir`], of its parent.
    pub fn make_unfollowed(&self, path: &str, directory: bool) -> Result<OwnedFd> {
        let what = || format!("cannot make {path} in the root filesystem");
        let (parent, name) = split(path);
        let parent = self.make_dir(parent)?;
        match make_name(&parent, name, directory) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno).call(|| format!("create({name:?})")).context(what),
        }
        openat(&parent, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
            .call(|| format!("openat({name:?})"))
            .context(what)
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

    /// Opens a directory, made with all its parents (mode 0755) where it is not there. What a dangling link names
    /// is made, as everything within the root.
    ///
    /// # Errors
    /// When a part of the path is not a directory.
    pub fn make_dir(&self, path: &str) -> Result<OwnedFd> {
        self.make(path, true, MOST_LINKS)
    }

    /// Opens a file, made empty (with its parents) where it is not there; a directory is taken as it is.
    ///
    /// # Errors
    /// As [`Root::make_dir`].
    pub fn make_file(&self, path: &str) -> Result<OwnedFd> {
        self.make(path, false, MOST_LINKS)
    }

    fn make(&self, path: &str, directory: bool, links: u32) -> Result<OwnedFd> {
        let what = || format!("cannot make {path} in the root filesystem");
        let kind = if directory { OFlags::DIRECTORY } else { OFlags::empty() };
        match self.open(path, OFlags::PATH | kind) {
            Err(error) if error.errno == Errno::NOENT => {}
            opened => return opened.context(|| format!("cannot open {path} in the root filesystem")),
        }
        let (parent_path, name) = split(path);
        let parent = match parent_path {
            "/" => self.open("/", OFlags::PATH | OFlags::DIRECTORY).context(what)?,
            parent_path => self.make(parent_path, true, links)?,
        };
        match make_name(&parent, name, directory) {
            // A link that leads nowhere, or somebody else's work of this moment.
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno).call(|| format!("create({name:?})")).context(what),
        }
        let made = openat(&parent, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
            .call(|| format!("openat({name:?})"))
            .context(what)?;
        match link_target(&made) {
            Some(target) if links > 0 => self.make(&beside(parent_path, &target), directory, links - 1),
            Some(_) => Err(Errno::LOOP).call(|| format!("openat({name:?})")).context(what),
            None if directory && !is_dir(&made) => {
                Err(Errno::NOTDIR).call(|| format!("openat({name:?})")).context(what)
            }
            None => Ok(made),
        }
    }
}

/// A directory, or a file, in the root itself.
pub struct TopLevel {
    /// Its path.
    pub path: String,
    /// The descriptor.
    pub fd: OwnedFd,
}

impl Root {
    /// What is in the root itself but for links, and for those paths. Names that are not text cannot be named in
    /// `but`, nor told of; they stay out.
    ///
    /// # Errors
    /// When there is more than any root filesystem has reason to.
    pub fn top_level(&self, but: &[String]) -> Result<Vec<TopLevel>> {
        const MOST: usize = 256;
        let what = || "cannot list the root filesystem".to_owned();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let listed = openat(&self.fd, ".", flags, Mode::empty()).call(|| "openat(rootfs)".to_owned());
        let mut found = Vec::new();
        for entry in Dir::new(listed.context(what)?).call(|| "getdents64(rootfs)".to_owned()).context(what)? {
            let entry = entry.call(|| "getdents64(rootfs)".to_owned()).context(what)?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            let path = format!("/{name}");
            if matches!(name, "." | "..") || but.contains(&path) {
                continue;
            }
            if found.len() == MOST {
                return Err(format!("it has more than {MOST} entries"))
                    .context(what)
                    .map_err(|error| error.at("root.path"));
            }
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            match openat(&self.fd, entry.file_name(), flags, Mode::empty()) {
                Ok(fd) if link_target(&fd).is_none() => found.push(TopLevel { path, fd }),
                Ok(_) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno).call(|| format!("openat({name:?})")).context(what),
            }
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }
}

/// As many links as the kernel follows on one path.
const MOST_LINKS: u32 = 40;

fn make_name(parent: &OwnedFd, name: &str, directory: bool) -> Result<(), Errno> {
    if directory {
        return mkdirat(parent, name, Mode::from_raw_mode(0o755));
    }
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(parent, name, flags, Mode::from_raw_mode(0o644)).map(drop)
}

/// Where a symbolic link leads, if the descriptor is of one.
pub fn link_target(fd: impl AsFd) -> Option<String> {
    let target = readlinkat(fd, "", Vec::new()).ok()?;
    target.into_string().ok()
}

/// The path of a link's target: from the root, or from the directory that holds the link.
fn beside(parent: &str, target: &str) -> String {
    match target.starts_with('/') {
        true => target.trim_end_matches('/').to_owned(),
        false => format!("{parent}/{}", target.trim_end_matches('/')),
    }
}

impl Root {
    /// The same, where no link may lie on the path: what is mounted there is not to land anywhere else
    /// (CVE-2025-52565).
    ///
    /// # Errors
    /// As [`Root::make_file`]; ELOOP for a link.
    pub fn make_plain_file(&self, path: &str) -> Result<OwnedFd> {
        self.make_file(path)?;
        self.open_plain(path, OFlags::PATH)
            .context(|| format!("cannot open {path} in the root filesystem"))
            .map_err(|error| error.fix(format!("{path} must not be a link, nor in a directory that is one")))
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

/// The same, where no link of any kind may lie on the path: what was judged by its name is what is opened.
///
/// # Errors
/// ELOOP for a link.
pub fn host_plain(path: &Path, nofollow: bool) -> Result<OwnedFd, CallError> {
    let mut flags = OFlags::PATH | OFlags::CLOEXEC;
    if nofollow {
        flags |= OFlags::NOFOLLOW;
    }
    openat2(rustix::fs::CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)
        .call(|| format!("openat2({path:?}, RESOLVE_NO_SYMLINKS)"))
}
