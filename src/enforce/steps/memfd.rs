//! Files without a name (`memfd_create(2)`), which no mount and no Landlock rule knows of.

use rustix::fs::{Mode, OFlags, open};

use super::verify::differs;
use crate::enforce::init::Init;
use crate::enforce::receipt::State;
use crate::error::{Context, Result};
use crate::plan::Plan;
use crate::plan::write_xor_execute::memory::{ENFORCED, MemfdNoexec};
use crate::sys::Syscall;

/// Where a pid namespace has it: that of whoever opens it, not of the procfs.
pub const PATH: &str = "/proc/sys/vm/memfd_noexec";

/// Reads back what the gap has written, while the host's procfs is at hand: in a namespace with other ids, nobody is
/// whom the kernel lets write there.
pub fn read_back(plan: &Plan, init: &mut Init) -> Result<()> {
    let Some(by) = plan.namespaces.memfd_noexec else { return Ok(()) };
    let what = || "cannot read vm.memfd_noexec back".to_owned();
    let file = open(PATH, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).call(|| format!("open({PATH:?})"));
    let mut buffer = [0; 16];
    let length = rustix::io::read(file.context(what)?, &mut buffer)
        .call(|| format!("read({PATH:?})"))
        .context(what)?;
    let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default());
    let found: u8 = text.trim().parse().context(what)?;
    match (by, found) {
        (_, ENFORCED..) => init.receipt.add("memfd", State::Enforced, format!("vm.memfd_noexec is {found}")),
        (MemfdNoexec::Set, _) => return Err(differs("vm.memfd_noexec", ENFORCED, found)),
        (MemfdNoexec::Inherited, _) => {
            let why = format!("vm.memfd_noexec is {found} in the pid namespace that is joined");
            init.receipt.add("memfd", State::Absent, why);
        }
    }
    Ok(())
}
