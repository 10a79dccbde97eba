//! Which hierarchies this host has.

use rustix::fs::{Access, AtFlags, CWD, accessat, statfs};
use rustix::io::Errno;

use super::files;
use crate::error::{Context, Error, Kind, Result};
use crate::plan::cgroup::{Hierarchy, Layout, Unified};
use crate::sys::{CallError, Syscall};

const MOUNT: &str = "/sys/fs/cgroup";
/// linux/magic.h
const CGROUP_MAGIC: i64 = 0x27_e0eb;
const CGROUP2_MAGIC: i64 = 0x6367_7270;

/// Looks at `/sys/fs/cgroup`: a cgroup2 there is pure v2; else the v1 hierarchies of `/proc/self/cgroup` that
/// are mounted below it, and the cgroup2 at `unified` beside them. A few `statfs` calls; the mount table,
/// which can be long, is not read.
///
/// # Errors
/// `Unsupported` where nothing is mounted.
pub fn detect() -> Result<Layout> {
    let what = || "cannot see the cgroups of this host".to_owned();
    if magic(MOUNT).context(what)? == Some(CGROUP2_MAGIC) {
        return Ok(Layout::V2 { unified: unified(MOUNT).context(what)? });
    }
    let memberships = std::fs::read_to_string("/proc/self/cgroup").context(what)?;
    let mut hierarchies = Vec::new();
    for line in memberships.lines() {
        // `4:memory:/path`, `9:name=systemd:/`, and for v2 `0::/`.
        let Some(names) = line.split(':').nth(1).filter(|names| !names.is_empty()) else { continue };
        if let Some(dir) = mounted(names).context(what)? {
            hierarchies.push(Hierarchy { controllers: names.split(',').map(str::to_owned).collect(), dir });
        }
    }
    let beside = format!("{MOUNT}/unified");
    let beside = match magic(&beside).context(what)? {
        Some(CGROUP2_MAGIC) => Some(unified(&beside).context(what)?),
        _ => None,
    };
    match (hierarchies.is_empty(), beside) {
        (true, _) => Err(Error::new(Kind::Unsupported, what(), format!("nothing is mounted at {MOUNT}"))
            .fix(format!("mount -t cgroup2 none {MOUNT}"))),
        (false, Some(unified)) => Ok(Layout::Hybrid { hierarchies, unified }),
        (false, None) => Ok(Layout::V1 { hierarchies }),
    }
}

/// The cgroup beneath which an ordinary caller may make others: the one above its own if that is delegated to it,
/// since a cgroup with processes can hand no controllers on; else its own. `None` where neither is, and on v1,
/// which the kernel delegates to nobody (cgroup-v2.rst, "Delegation").
pub fn delegated(layout: &Layout) -> Option<String> {
    let Layout::V2 { unified } = layout else { return None };
    let memberships = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = memberships.lines().find_map(|line| line.strip_prefix("0::"))?;
    let own = own.strip_suffix('/').unwrap_or(own);
    if own.split('/').any(|name| name == "..") {
        return None;
    }
    let above = own.rsplit_once('/').map(|(above, _)| above);
    let is_delegated = |path: &&str| {
        let may_write = |file: &str| {
            let file = format!("{}{path}/{file}", unified.dir);
            accessat(CWD, file, Access::WRITE_OK, AtFlags::EACCESS).is_ok()
        };
        may_write("") && may_write("cgroup.procs")
    };
    above.into_iter().chain([own]).find(is_delegated).map(str::to_owned)
}

/// Where a v1 hierarchy is mounted: below its controllers in the kernel's order, in the other order of older
/// systemd, or below one of them.
fn mounted(names: &str) -> Result<Option<String>, CallError> {
    let names = names.strip_prefix("name=").unwrap_or(names);
    let mut reversed: Vec<&str> = names.split(',').collect();
    reversed.reverse();
    let candidates = [names.to_owned(), reversed.join(",")];
    let each = names.split(',').map(str::to_owned);
    for name in candidates.into_iter().chain(each) {
        let dir = format!("{MOUNT}/{name}");
        if magic(&dir)? == Some(CGROUP_MAGIC) {
            return Ok(Some(dir));
        }
    }
    Ok(None)
}

fn unified(dir: &str) -> Result<Unified, CallError> {
    let root = files::open_root(dir)?;
    let controllers = files::read(&root, "cgroup.controllers")?;
    Ok(Unified {
        controllers: controllers.split_whitespace().map(str::to_owned).collect(),
        dir: dir.to_owned(),
    })
}

/// The kind of file system at a path; `None` where there is no such path.
fn magic(path: &str) -> Result<Option<i64>, CallError> {
    match statfs(path) {
        #[allow(clippy::useless_conversion, clippy::unnecessary_cast)] // its width differs by architecture
        Ok(found) => Ok(Some(found.f_type as i64)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(errno) => Err(errno).call(|| format!("statfs({path:?})")),
    }
}
