//! Into a container that exists (`setns(2)` with a pidfd, Linux 5.8).

use std::os::fd::AsFd;

use rustix::thread::{
    ThreadNameSpaceType, move_into_thread_name_spaces, set_thread_res_gid, set_thread_res_uid,
};

use super::{cgroup, session};
use crate::enforce::init::Init;
use crate::enforce::order::Role;
use crate::error::{Context, Result};
use crate::plan::namespaces::NamespaceKind;
use crate::sys::Syscall;

/// Joins the container's cgroup, then all its namespaces in one call; the pid namespace was joined before the
/// clone, because only children are in it.
pub fn join(namespaces: u32, init: &mut Init) -> Result<()> {
    cgroup::join_received(init)?;
    session::new_session()?;
    let what = || "cannot join the container's namespaces".to_owned();
    let container = init.received.require(&Role::Container)?;
    let flags = ThreadNameSpaceType::from_bits_retain(namespaces);
    move_into_thread_name_spaces(container.as_fd(), flags)
        .call(|| format!("setns(pidfd, {namespaces:#x})"))
        .context(what)?;
    if u64::from(namespaces) & NamespaceKind::User.flag() != 0 {
        let (uid, gid) = (rustix::process::Uid::ROOT, rustix::process::Gid::ROOT);
        set_thread_res_gid(gid, gid, gid).call(|| "setresgid(0)".to_owned()).context(what)?;
        set_thread_res_uid(uid, uid, uid).call(|| "setresuid(0)".to_owned()).context(what)?;
    }
    Ok(())
}
