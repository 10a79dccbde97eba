//! The binary that becomes init.

use std::ffi::{CString, OsStr};
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::error::{Context, Result};
use crate::sys::Syscall;
use crate::sys::mount::{Attributes, clone_tree, set_attributes};

/// Our own binary, to be executed inside: through a mount that cannot be written, so that nothing in the
/// container can overwrite it by way of `/proc/PID/exe` (CVE-2019-5736).
pub(super) enum OwnExecutable {
    /// A read-only clone of its mount.
    Sealed(OwnedFd),
    /// Its path; the child makes the clone.
    Path(CString),
}

impl OwnExecutable {
    pub(super) fn open(may_mount: bool, new_mount_namespace: bool) -> Result<Self> {
        let what = || "cannot open our own binary".to_owned();
        let open = |path: &str| {
            rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
                .call(|| format!("open({path:?})"))
                .context(what)
        };
        let exe = open("/proc/self/exe")?;
        if may_mount {
            let sealed = clone_tree(&exe, Path::new(""), false).context(what)?;
            let readonly = Attributes { set: 0x1, ..Attributes::default() };
            set_attributes(&sealed, readonly, false).context(what)?;
            return Ok(Self::Sealed(sealed));
        }
        if new_mount_namespace {
            let path = fs::read_link("/proc/self/exe").context(what)?;
            return CString::new(OsStr::as_bytes(path.as_os_str())).map(Self::Path).context(what);
        }
        // Nothing inside a container of an ordinary user's can write more than that user.
        Ok(Self::Sealed(exe))
    }
}
