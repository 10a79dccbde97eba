//! The loopback interface of a new network namespace, which is made down.

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use crate::enforce::init::Init;
use crate::error::{Context, Result};
use crate::plan::Plan;
use crate::plan::namespaces::NamespaceKind;
use crate::sys::Syscall;

/// Brings `lo` up.
pub fn loopback(plan: &Plan, _: &mut Init) -> Result<()> {
    if !plan.namespaces.is_new(NamespaceKind::Network) {
        return Ok(());
    }
    let what = || "cannot bring the loopback interface up".to_owned();
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
        .call(|| "socket(AF_INET, SOCK_DGRAM)".to_owned())
        .context(what)?;
    crate::sys::process::bring_loopback_up(&socket).context(what)
}
