//! Opening what containerd names.

use std::fs::DirBuilder;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FileType, Mode, OFlags, fstat, open, stat};
use tokio::io::Interest;

use super::flow::Sink;
use super::target::Target;
use crate::error::{Context, Error, Kind, Result};
use crate::sys::Syscall;
use crate::sys::watch::Watched;

/// Where an output leads.
pub(super) enum Place {
    /// A fifo, or the pipe to a logger.
    Stream(OwnedFd),
    /// What is appended to.
    File(OwnedFd),
}

impl Place {
    /// Opens an output; a logger is not one.
    pub fn open(target: &Target) -> Result<Self> {
        match target {
            Target::Nothing | Target::Logger(_) => Ok(Self::File(null()?)),
            Target::Path(path) => existing(path),
            Target::File(path) => made(path).map(Self::File),
        }
    }

    /// Hands it to the event loop.
    pub fn watched(self) -> Result<Sink> {
        match self {
            Self::Stream(fd) => Ok(Sink::Stream(Arc::new(watch(fd, Interest::WRITABLE)?))),
            Self::File(fd) => Ok(Sink::File(fd)),
        }
    }
}

/// Nowhere, and an input that is at its end.
pub(super) fn null() -> Result<OwnedFd> {
    open_at(Path::new("/dev/null"), OFlags::RDWR)
}

/// Whether it can be read from, without opening it.
pub(super) fn check_input(path: &Path) -> Result<()> {
    let stat = stat(path).call(|| format!("stat({path:?})")).context(|| cannot_open(path))?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Fifo {
        return Ok(());
    }
    let why = "it is no fifo, and standard input can come from nothing else";
    Err(Error::new(Kind::Invalid, cannot_open(path), why))
}

/// A fifo that is read from, and what keeps it from ending before it is asked to.
pub(super) fn open_input(path: &Path) -> Result<(OwnedFd, OwnedFd)> {
    let reader = open_at(path, OFlags::RDONLY | OFlags::NONBLOCK)?;
    Ok((reader, open_at(path, OFlags::WRONLY | OFlags::NONBLOCK)?))
}

/// One descriptor of both directions: there is a reader from the start, and as long as we write.
fn existing(path: &Path) -> Result<Place> {
    let fd = open_at(path, OFlags::RDWR | OFlags::APPEND | OFlags::NONBLOCK)?;
    match kind(&fd, path)? {
        FileType::Fifo => Ok(Place::Stream(fd)),
        _ => Ok(Place::File(fd)),
    }
}

fn made(path: &Path) -> Result<OwnedFd> {
    if let Some(parent) = path.parent() {
        let made = DirBuilder::new().recursive(true).mode(0o755).create(parent);
        made.context(|| format!("cannot make the directory of the log {}", path.display()))?;
    }
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::NOCTTY | OFlags::CLOEXEC;
    open(path, flags, Mode::from_raw_mode(0o644))
        .call(|| format!("open({path:?})"))
        .context(|| cannot_open(path))
}

fn open_at(path: &Path, flags: OFlags) -> Result<OwnedFd> {
    open(path, flags | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())
        .call(|| format!("open({path:?})"))
        .context(|| cannot_open(path))
}

fn kind(fd: &OwnedFd, path: &Path) -> Result<FileType> {
    let stat = fstat(fd).call(|| format!("fstat({path:?})")).context(|| cannot_open(path))?;
    Ok(FileType::from_raw_mode(stat.st_mode))
}

fn cannot_open(path: &Path) -> String {
    format!("cannot open the stream {}", path.display())
}

/// Hands an end of a pipe, which is not to block us, to the event loop.
pub(super) fn watch(fd: OwnedFd, interest: Interest) -> Result<Watched> {
    let what = || "cannot watch a stream".to_owned();
    rustix::io::ioctl_fionbio(&fd, true).call(|| "ioctl(FIONBIO)".to_owned()).context(what)?;
    Watched::new(fd, interest).context(what)
}
