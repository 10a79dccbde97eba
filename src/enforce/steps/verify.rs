//! What the kernel says is in force, compared with the plan.

use super::caps::until_filtered;
use super::{landlock, memory, memory_code, personality};
use crate::enforce::init::Init;
use crate::enforce::receipt::State;
use crate::error::{Context, Error, Kind, Result};
use crate::plan::Workload;
use crate::plan::caps::names;
use crate::sys::{Syscall, capabilities as sets, process};

/// Asks the kernel, never `/proc`, which the image may own. A difference is an error: nothing may run that is
/// less confined than planned.
pub fn read_back(workload: &Workload, init: &mut Init) -> Result<()> {
    identity(workload)?;
    groups(workload, init)?;
    capabilities(workload, init)?;
    no_new_privs(workload, init)?;
    resource_limits(workload, init)?;
    memory::read_back(workload, init)?;
    personality::read_back(workload, init)?;
    memory_code::read_back(workload, init)?;
    landlock::read_back(workload, init)
}

/// What is not as planned.
pub fn differs(what: &str, planned: impl std::fmt::Debug, found: impl std::fmt::Debug) -> Error {
    let why = format!("planned {planned:?}, but the kernel says {found:?}");
    Error::new(Kind::Failed, format!("{what} not in force"), why)
}

fn identity(workload: &Workload) -> Result<()> {
    let user = &workload.user;
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    if (uid, gid) == (user.uid, user.gid) {
        return Ok(());
    }
    Err(differs("user and group", (user.uid, user.gid), (uid, gid)))
}

/// An ordinary user's namespace may not drop groups: what then stays is told.
fn groups(workload: &Workload, init: &mut Init) -> Result<()> {
    let found = rustix::process::getgroups()
        .call(|| "getgroups(2)".to_owned())
        .context(|| "cannot read groups back".to_owned())?;
    let sorted = |mut groups: Vec<u32>| {
        groups.sort_unstable();
        groups.dedup();
        groups
    };
    let found = sorted(found.into_iter().map(|gid| gid.as_raw()).collect());
    let planned = sorted(workload.user.additional_gids.clone());
    if found == planned {
        return Ok(());
    }
    if !planned.is_empty() {
        return Err(differs("supplementary groups", planned, found));
    }
    let detail = format!(
        "{} of the caller's stay: a user namespace of an ordinary user may not drop them",
        found.len()
    );
    init.receipt.add("groups", State::Partial, detail);
    Ok(())
}

fn capabilities(workload: &Workload, init: &mut Init) -> Result<()> {
    let found = sets::capabilities().context(|| "cannot read capabilities back".to_owned())?;
    let planned = until_filtered(workload);
    // What the caller never had, nobody could keep in the bounding set.
    if (
        found.bounding & !planned.bounding,
        found.effective,
        found.permitted,
        found.inheritable,
        found.ambient,
    ) != (0, planned.effective, planned.permitted, planned.inheritable, planned.ambient)
    {
        return Err(differs("capabilities", planned, found));
    }
    let list = match workload.capabilities.permitted {
        0 => "none".to_owned(),
        permitted => names(permitted).join(", "),
    };
    init.receipt.add("capabilities", State::Enforced, list);
    Ok(())
}

fn no_new_privs(workload: &Workload, init: &mut Init) -> Result<()> {
    let found = rustix::thread::no_new_privs()
        .call(|| "prctl(PR_GET_NO_NEW_PRIVS)".to_owned())
        .context(|| "cannot read no_new_privs back".to_owned())?;
    match (workload.no_new_privs, found) {
        (true, false) => Err(differs("no_new_privs", true, false)),
        (_, true) => {
            init.receipt.add("no_new_privs", State::Enforced, "execve adds no privileges");
            Ok(())
        }
        (false, false) => {
            init.receipt.add("no_new_privs", State::Absent, "config.json does not ask for it");
            Ok(())
        }
    }
}

fn resource_limits(workload: &Workload, init: &mut Init) -> Result<()> {
    let mut list = Vec::new();
    for planned in &workload.rlimits {
        let found = process::rlimit(planned.resource)
            .context(|| format!("cannot read {} back", planned.name))
            .map_err(|error| error.at("process.rlimits"))?;
        if found != (planned.soft, planned.hard) {
            return Err(differs(&planned.name, (planned.soft, planned.hard), found).at("process.rlimits"));
        }
        list.push(format!("{} {}", planned.name, limits(found)));
    }
    if !list.is_empty() {
        init.receipt.add("rlimits", State::Enforced, list.join(", "));
    }
    Ok(())
}

/// As `ulimit` says it, the soft limit first where the two differ.
fn limits((soft, hard): (u64, u64)) -> String {
    let number = |limit: u64| if limit == u64::MAX { "unlimited".to_owned() } else { limit.to_string() };
    if soft == hard { number(soft) } else { format!("{}:{}", number(soft), number(hard)) }
}
