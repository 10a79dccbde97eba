//! What is stored about a container: one directory, `ROOT/ID`, that is also its lock.
//!
//! ```text
//! state.json    the record: saved, and on disk, before the first side effect; replaced as a whole
//! plan.json     the plan, for exec and explain
//! receipt.json  what was read back after enforcing
//! start         the socket on which init waits for `start`; gone once the program runs
//! ```
//!
//! Whoever changes a container holds `flock(2)` on the directory. The record names everything that has to be
//! removed again, so that a crash at any point leaves nothing that `delete --force` does not find.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, fstat, fsync, mkdirat, openat, renameat, unlinkat};
use rustix::io::Errno;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::id;
use super::record::{Record, VERSION};
use crate::error::{Context, Error, Kind, Result};
use crate::host::is_host_root;
use crate::sys::Syscall;

/// A container's directory, locked.
pub struct StateDir {
    dir: OwnedFd,
    root: OwnedFd,
    id: String,
}

/// Whether others may change the container meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// They wait.
    Exclusive,
    /// They do not; what is read may be old when it is used.
    None,
}

impl StateDir {
    /// Makes the directory of a new container.
    ///
    /// # Errors
    /// `Invalid` for an id that is no plain name, `Exists` when it is taken.
    pub fn create(root: &Path, id: &str) -> Result<Self> {
        id::check(id)?;
        std::fs::create_dir_all(root)
            .context(|| format!("cannot make the state directory {}", root.display()))
            .map_err(explain_root)?;
        let root = open_root(root)?;
        match mkdirat(&root, id, Mode::from_raw_mode(0o700)) {
            Err(Errno::EXIST) => return Err(id::taken(id)),
            result => result
                .call(|| format!("mkdirat({id:?})"))
                .context(|| format!("cannot create container {id}"))
                .map_err(explain_root)?,
        }
        let dir = open_dir(&root, id)
            .call(|| format!("openat({id:?})"))
            .context(|| format!("cannot create container {id}"))?;
        let made = Self { dir, root, id: id.to_owned() };
        // A `delete --force` may have been faster than our lock.
        made.lock_again()?;
        // And after that another `create`, whose directory this is.
        match made.has(RECORD) {
            true => Err(id::taken(id)),
            false => Ok(made),
        }
    }

    /// Opens the directory of a container that exists.
    ///
    /// # Errors
    /// `NotFound` when there is none, `Invalid` for an id that is no plain name.
    pub fn open(root: &Path, id: &str, mode: Lock) -> Result<Self> {
        id::check(id)?;
        let root = match open_root(root) {
            Err(error) if error.kind == Kind::NotFound => return Err(id::missing(id)),
            root => root?,
        };
        let dir = match open_dir(&root, id) {
            Err(Errno::NOENT) => return Err(id::missing(id)),
            dir => {
                dir.call(|| format!("openat({id:?})")).context(|| format!("cannot open container {id}"))?
            }
        };
        let opened = Self { dir, root, id: id.to_owned() };
        if mode == Lock::Exclusive {
            opened.lock_again()?;
        }
        Ok(opened)
    }

    /// The container's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The directory, for sockets beneath it.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// Lets others change the container.
    ///
    /// # Errors
    /// Those of `flock(2)`.
    pub fn unlock(&self) -> Result<()> {
        rustix::fs::flock(&self.dir, FlockOperation::Unlock)
            .call(|| "flock(LOCK_UN)".to_owned())
            .context(|| format!("cannot unlock container {}", self.id))
    }

    /// Takes the lock again.
    ///
    /// # Errors
    /// `NotFound` when the container was removed meanwhile.
    pub fn lock_again(&self) -> Result<()> {
        lock(&self.dir, &self.id)?;
        self.still_there()
    }

    /// Whoever held the lock before may have removed the directory.
    fn still_there(&self) -> Result<()> {
        let stat = fstat(&self.dir)
            .call(|| "fstat(2)".to_owned())
            .context(|| format!("cannot open container {}", self.id))?;
        if stat.st_nlink == 0 { Err(id::missing(&self.id)) } else { Ok(()) }
    }

    /// Stores the first record, as a whole for who looks meanwhile; it is on disk when this returns.
    ///
    /// # Errors
    /// The failed call.
    pub fn save_first(&self, record: &Record) -> Result<()> {
        let file = self.replace(RECORD, record)?;
        fsync(&file)
            .call(|| "fsync(2)".to_owned())
            .context(|| format!("cannot store {RECORD} of container {}", self.id))
    }

    /// Replaces the record. What is new in it does not outlive a reboot, so it need not be on disk.
    ///
    /// # Errors
    /// The failed call; the record that was there before is still whole.
    pub fn save(&self, record: &Record) -> Result<()> {
        self.replace(RECORD, record).map(drop)
    }

    /// Writes a file that is not there yet.
    ///
    /// # Errors
    /// The failed call.
    pub fn store<T: Serialize>(&self, name: &str, value: &T) -> Result<()> {
        self.write(name, value).map(drop)
    }

    /// Replaces a file as a whole.
    ///
    /// # Errors
    /// The failed call; what was there before is still whole.
    pub fn replace<T: Serialize>(&self, name: &str, value: &T) -> Result<File> {
        let temporary = format!("{name}.new");
        let file = self.write(&temporary, value)?;
        renameat(&self.dir, temporary.as_str(), &self.dir, name)
            .call(|| format!("renameat({temporary:?}, {name:?})"))
            .context(|| format!("cannot store {name} of container {}", self.id))?;
        Ok(file)
    }

    fn write<T: Serialize>(&self, name: &str, value: &T) -> Result<File> {
        let what = || format!("cannot store {name} of container {}", self.id);
        let text = serde_json::to_vec(value).context(what)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.dir, name, flags, Mode::from_raw_mode(0o600))
            .call(|| format!("openat({name:?})"))
            .context(what)?;
        let mut file = File::from(file);
        file.write_all(&text).context(what)?;
        Ok(file)
    }

    /// Reads the record.
    ///
    /// # Errors
    /// `NotFound` when creation stopped before it was written, `Invalid` when it cannot be understood.
    pub fn load(&self) -> Result<Record> {
        let record: Record = self.fetch(RECORD)?;
        if record.version != VERSION {
            let why = format!("it has version {}, this sandrun knows {VERSION}", record.version);
            return Err(Error::new(
                Kind::Invalid,
                format!("cannot use the state of container {}", self.id),
                why,
            ));
        }
        Ok(record)
    }

    /// Reads what [`StateDir::store`] wrote.
    ///
    /// # Errors
    /// As [`StateDir::load`].
    pub fn fetch<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        let what = || format!("cannot read {name} of container {}", self.id);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match openat(&self.dir, name, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Err(Error::new(Kind::NotFound, what(), "it is not there")),
            file => file.call(|| format!("openat({name:?})")).context(what)?,
        };
        let mut text = Vec::new();
        File::from(file).read_to_end(&mut text).context(what)?;
        serde_json::from_slice(&text).context(what)
    }

    /// Whether init still waits for `start`.
    pub fn awaits_start(&self) -> bool {
        self.has(START_SOCKET)
    }

    fn has(&self, name: &str) -> bool {
        rustix::fs::accessat(&self.dir, name, rustix::fs::Access::EXISTS, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// Removes the start socket: the program runs, or never will.
    ///
    /// # Errors
    /// The failed call; a socket that is gone is none.
    pub fn forget_start(&self) -> Result<()> {
        match unlinkat(&self.dir, START_SOCKET, AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(()),
            result => result
                .call(|| format!("unlinkat({START_SOCKET:?})"))
                .context(|| format!("cannot mark container {} as started", self.id)),
        }
    }

    /// Removes the directory and with it the container's id.
    ///
    /// # Errors
    /// The failed call.
    pub fn remove(&self) -> Result<()> {
        let what = || format!("cannot remove the state of container {}", self.id);
        let entries =
            rustix::fs::Dir::read_from(&self.dir).call(|| "getdents64(2)".to_owned()).context(what)?;
        for entry in entries {
            let entry = entry.call(|| "getdents64(2)".to_owned()).context(what)?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            unlinkat(&self.dir, name, AtFlags::empty())
                .call(|| format!("unlinkat({name:?})"))
                .context(what)?;
        }
        unlinkat(&self.root, self.id.as_str(), AtFlags::REMOVEDIR)
            .call(|| format!("unlinkat({:?}, AT_REMOVEDIR)", self.id))
            .context(what)
    }
}

/// The name of the record.
const RECORD: &str = "state.json";

/// The name of the start socket.
pub const START_SOCKET: &str = "start";

/// The ids of all containers below a root.
///
/// # Errors
/// When the directory cannot be read; one that does not exist holds none.
pub fn ids(root: &Path) -> Result<Vec<String>> {
    let what = || format!("cannot list {}", root.display());
    let entries = match std::fs::read_dir(root) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.context(what)?,
    };
    let mut ids = Vec::new();
    for entry in entries {
        let entry = entry.context(what)?;
        if let (true, Ok(id)) = (entry.path().is_dir(), entry.file_name().into_string()) {
            ids.push(id);
        }
    }
    ids.sort();
    Ok(ids)
}

/// Where containers are kept when `--root` is not given: `/run/sandrun`, or below `$XDG_RUNTIME_DIR` for whoever is
/// not the host's root, as root of another user namespace is not either.
pub fn default_root() -> PathBuf {
    let runtime_dir = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty());
    match runtime_dir {
        Some(dir) if !is_host_root() => Path::new(&dir).join("sandrun"),
        _ => PathBuf::from("/run/sandrun"),
    }
}

fn explain_root(error: Error) -> Error {
    match is_host_root() {
        true => error.fix("name another directory with --root"),
        false => error.fix("name a directory of yours with --root, or set XDG_RUNTIME_DIR to one"),
    }
}

fn open_root(root: &Path) -> Result<OwnedFd> {
    let what = || format!("cannot open the state directory {}", root.display());
    File::open(root).map(OwnedFd::from).context(what)
}

fn open_dir(root: &OwnedFd, id: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(root, id, flags, Mode::empty())
}

fn lock(dir: &OwnedFd, id: &str) -> Result<()> {
    loop {
        match rustix::fs::flock(dir, FlockOperation::LockExclusive) {
            Err(Errno::INTR) => {}
            result => {
                return result
                    .call(|| "flock(2)".to_owned())
                    .context(|| format!("cannot lock container {id}"));
            }
        }
    }
}
