//! One install or uninstall at a time on a node.

use std::fs::{File, OpenOptions};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::error::{Context, Error, Kind, Result};

/// In a directory that a restart of the host empties. The file stays: removing it would let two have a lock each.
const FILE: &str = "/run/sandrun-install.lock";

/// Waits for whoever has it, which is released with the file.
///
/// # Errors
/// When it is not to be had within `patience`.
pub fn take(patience: Duration) -> Result<File> {
    let what = || format!("cannot take the lock {FILE}");
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(FILE).context(what)?;
    let deadline = Instant::now() + patience;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(Errno::WOULDBLOCK) if Instant::now() < deadline => sleep(Duration::from_millis(50)),
            Err(Errno::WOULDBLOCK) => {
                let why = "another install or uninstall runs";
                return Err(Error::new(Kind::WrongState, what(), why).fix("wait for it to end"));
            }
            Err(error) => return Err(error).context(what),
        }
    }
}
