//! Ranges of user and group ids of the host, each given to one container at a time.
//!
//! A range that is taken is a symbolic link in `/run/sandrun-ids`, named after its first id, to the state directory of
//! the container that has it: made with its content in one call, and gone with a reboot, as containers are. Whoever
//! takes or gives back a range holds `flock(2)` on the directory, whatever `--root` it works for. Which one is free
//! is tried at random: what the last owner of a range has left behind belongs to nobody for long.

mod ranges;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FlockOperation, Mode, OFlags, fstat, statat, symlinkat, unlinkat};
use rustix::io::Errno;

use self::ranges::Ranges;
use crate::error::{Context, Error, Kind, Result};
use crate::sys::Syscall;

/// Where taken ranges are kept.
const DIR: &str = "/run/sandrun-ids";

/// How often a free range is guessed before the whole pool is looked through.
const GUESSES: u32 = 32;

/// The pool, locked until it is dropped.
pub struct IdPool {
    dir: OwnedFd,
    ranges: Ranges,
}

impl IdPool {
    /// The host's pool.
    ///
    /// # Errors
    /// `Invalid` if `/etc/subuid` and `/etc/subgid` give sandrun nothing that it can use; else the failed call.
    pub fn lock() -> Result<Self> {
        Self::lock_at(Path::new(DIR), Ranges::of_host()?)
    }

    fn lock_at(path: &Path, ranges: Ranges) -> Result<Self> {
        let what = || format!("cannot use the pool of user ids {}", path.display());
        match rustix::fs::mkdir(path, Mode::from_raw_mode(0o700)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno).call(|| format!("mkdir({})", path.display())).context(what),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = rustix::fs::open(path, flags, Mode::empty()).call(|| "open(2)".to_owned()).context(what)?;
        loop {
            match rustix::fs::flock(&dir, FlockOperation::LockExclusive) {
                Err(Errno::INTR) => {}
                locked => {
                    locked.call(|| "flock(2)".to_owned()).context(what)?;
                    return Ok(Self { dir, ranges });
                }
            }
        }
    }

    /// Takes a range for the container with this state directory. The result is the first id.
    ///
    /// # Errors
    /// `Failed` when all are taken.
    pub fn take(&self, owner: &Path) -> Result<u32> {
        for _ in 0..GUESSES {
            let guessed = self.ranges.first_id(random()? % self.ranges.count());
            if self.link(guessed, owner)? {
                return Ok(guessed);
            }
        }
        self.forget_the_gone()?;
        for index in 0..self.ranges.count() {
            let first = self.ranges.first_id(index);
            if self.link(first, owner)? {
                return Ok(first);
            }
        }
        let why = format!("all {} ranges of {} are taken", self.ranges.count(), self.ranges.source());
        Err(Error::new(Kind::Failed, "no user ids are left for the container", why).fix(
            "delete containers that have ended, or give the user sandrun more in /etc/subuid and /etc/subgid",
        ))
    }

    /// Whether the range was free.
    fn link(&self, first: u32, owner: &Path) -> Result<bool> {
        match symlinkat(owner, &self.dir, first.to_string()) {
            Err(Errno::EXIST) => Ok(false),
            made => made
                .map(|()| true)
                .call(|| format!("symlinkat({first})"))
                .context(|| format!("cannot take the user ids from {first} on")),
        }
    }

    /// Gives a range back, if it is that of the container with this state directory.
    ///
    /// # Errors
    /// The failed call.
    pub fn give_back(&self, first: u32, owner: BorrowedFd<'_>) -> Result<()> {
        if self.leads_to(&first.to_string(), owner)? { self.unlink(&first.to_string()) } else { Ok(()) }
    }

    /// Gives back whatever is the container's: for one whose record does not say.
    ///
    /// # Errors
    /// The failed call.
    pub fn give_all_back(&self, owner: BorrowedFd<'_>) -> Result<()> {
        for name in self.taken()? {
            if self.leads_to(&name, owner)? {
                self.unlink(&name)?;
            }
        }
        Ok(())
    }

    /// By what is there, not by the path: the same directory may be known by several.
    fn leads_to(&self, name: &str, owner: BorrowedFd<'_>) -> Result<bool> {
        let what = || format!("cannot tell whose the user ids from {name} on are");
        let own = fstat(owner).call(|| "fstat(2)".to_owned()).context(what)?;
        match statat(&self.dir, name, AtFlags::empty()) {
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
            found => {
                let found = found.call(|| format!("fstatat({name:?})")).context(what)?;
                Ok((found.st_dev, found.st_ino) == (own.st_dev, own.st_ino))
            }
        }
    }

    /// Frees what containers had that are gone, state directory and all.
    fn forget_the_gone(&self) -> Result<()> {
        for name in self.taken()? {
            let found = statat(&self.dir, name.as_str(), AtFlags::empty());
            if found.is_err_and(|errno| errno == Errno::NOENT) {
                self.unlink(&name)?;
            }
        }
        Ok(())
    }

    fn taken(&self) -> Result<Vec<String>> {
        let what = || "cannot list the user ids that are taken".to_owned();
        let mut names = Vec::new();
        for entry in Dir::read_from(self.dir.as_fd()).call(|| "getdents64(2)".to_owned()).context(what)? {
            let entry = entry.call(|| "getdents64(2)".to_owned()).context(what)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !matches!(name.as_str(), "." | "..") {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn unlink(&self, name: &str) -> Result<()> {
        unlinkat(&self.dir, name, AtFlags::empty())
            .call(|| format!("unlinkat({name:?})"))
            .context(|| format!("cannot give back the user ids from {name} on"))
    }
}

fn random() -> Result<u32> {
    let mut bytes = [0u8; 4];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .call(|| "getrandom(2)".to_owned())
        .context(|| "cannot choose user ids".to_owned())?;
    Ok(u32::from_ne_bytes(bytes))
}

#[cfg(test)]
mod tests;
