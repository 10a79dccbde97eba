//! User namespaces that only serve to map the ids of a mount (`mount_setattr(2)`, "ID-mapped mounts").

use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};

use crate::error::{Context, Error, Kind, Result};
use crate::plan::namespaces::{IdMapping, NamespaceKind};

/// Makes a user namespace with the mappings. A process is needed to make it, and is gone when this returns;
/// the namespace lives on in the descriptor.
///
/// # Errors
/// When the kernel refuses the namespace or the mappings.
pub fn user_namespace(uid_mappings: &[IdMapping], gid_mappings: &[IdMapping]) -> Result<OwnedFd> {
    let what = || "cannot make a user namespace for an idmapped mount".to_owned();
    let holder = match crate::sys::branch::holder(NamespaceKind::User.flag()) {
        Err(error) if matches!(error.errno, Errno::NOSPC | Errno::USERS | Errno::INVAL | Errno::PERM) => {
            let fix = "raise user.max_user_namespaces; the kernel needs CONFIG_USER_NS";
            return Err(Error::new(Kind::Unsupported, what(), error.to_string()).fix(fix));
        }
        holder => holder.context(what)?,
    };
    let write = |file: &str, mappings| {
        std::fs::write(format!("/proc/{}/{file}", holder.pid), IdMapping::table(mappings)).context(what)
    };
    let namespace = write("uid_map", uid_mappings)
        .and_then(|()| write("gid_map", gid_mappings))
        .and_then(|()| std::fs::File::open(format!("/proc/{}/ns/user", holder.pid)).context(what));
    // It only waits for this; one that is gone already is as good.
    pidfd_send_signal(&holder.pidfd, Signal::KILL).unwrap_or_default();
    waitid(WaitId::PidFd(holder.pidfd.as_fd()), WaitIdOptions::EXITED).unwrap_or_default();
    namespace.map(OwnedFd::from)
}
