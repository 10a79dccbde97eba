//! Into a container that exists (`setns(2)` with a pidfd, Linux 5.8).

use std::os::fd::AsFd;

use rustix::thread::{
    ThreadNameSpaceType, move_into_thread_name_spaces, set_thread_res_gid, set_thread_res_uid,
};

use super::cgroup;
use crate::enforce::init::{Init, hide};
use crate::enforce::order::Role;
use crate::error::{Context, Result};
use crate::plan::namespaces::NamespaceKind;
use crate::sys::Syscall;

/// Joins the container's cgroup, then all its namespaces in one call, its root where no mount namespace brings it,
/// and goes on as a child, for only children are in a joined pid namespace. The workload sees that child and, with `CAP_SYS_PTRACE`, its `/proc/PID/root`,
/// `exe` and `fd`: by then its root is the container's, its binary the sealed one, and its memory hidden
/// (CVE-2016-9962, CVE-2019-5736).
pub fn join(namespaces: u32, init: &mut Init) -> Result<Joined> {
    cgroup::join_received(init)?;
    let what = || "cannot join the container's namespaces".to_owned();
    let container = init.received.require(&Role::Container)?;
    if namespaces != 0 {
        let flags = ThreadNameSpaceType::from_bits_retain(namespaces);
        move_into_thread_name_spaces(container.as_fd(), flags)
            .call(|| format!("setns(pidfd, {namespaces:#x})"))
            .context(what)?;
    }
    if u64::from(namespaces) & NamespaceKind::User.flag() != 0 {
        let (uid, gid) = (rustix::process::Uid::ROOT, rustix::process::Gid::ROOT);
        set_thread_res_gid(gid, gid, gid).call(|| "setresgid(0)".to_owned()).context(what)?;
        set_thread_res_uid(uid, uid, uid).call(|| "setresuid(0)".to_owned()).context(what)?;
        // New credentials made the process as dumpable as fs.suid_dumpable says.
        hide()?;
    }
    if let Some(root) = init.received.take(&Role::Rootfs) {
        rustix::process::fchdir(&root).call(|| "fchdir(rootfs)".to_owned()).context(what)?;
        rustix::process::chroot(".").call(|| "chroot(\".\")".to_owned()).context(what)?;
    }
    if u64::from(namespaces) & NamespaceKind::Pid.flag() == 0 {
        return Ok(Joined::Inside);
    }
    let pid = crate::sys::branch::successor().context(what)?;
    Ok(pid.map_or(Joined::Clone, Joined::Successor))
}

/// Who returns from [`join`].
pub enum Joined {
    /// The process that called it, in all namespaces.
    Inside,
    /// The process that called it; its clone, which has this pid, goes on.
    Successor(i32),
    /// The clone.
    Clone,
}
