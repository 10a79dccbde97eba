//! `copy-symlink`: a symbolic link of the host's, made again instead of mounted.

use rustix::fs::symlinkat;
use rustix::io::Errno;

use crate::enforce::root::{Root, link_target, split};
use crate::error::{Context, Error, Kind, Result};
use crate::sys::Syscall;

/// Makes the link; the same one may be there already.
pub(super) fn make(root: &Root, path: &str, target: &str) -> Result<()> {
    let what = || format!("cannot make the link {path}");
    let (parent, name) = split(path);
    let parent = root.make_dir(parent)?;
    match symlinkat(target, &parent, name) {
        Err(Errno::EXIST) => {
            let there = root.make_unfollowed(path, false)?;
            if link_target(&there).as_deref() == Some(target) {
                return Ok(());
            }
            Err(Error::new(Kind::Invalid, what(), "something else is there already"))
        }
        made => made.call(|| format!("symlinkat({target:?}, {name:?})")).context(what),
    }
}
