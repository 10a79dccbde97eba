//! The mounts of a container, and which of them come from the host: those CRIU is told by name, on a dump that
//! they are there, on a restore where they are.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use rustix::fs::{AtFlags, OFlags, StatxAttributes, StatxFlags, statx};
use serde::{Deserialize, Serialize};

use crate::enforce::root::Root;
use crate::error::{Context, Result};
use crate::plan::Plan;
use crate::plan::mounts::{Mount, Source};

/// One line of `mountinfo` (`proc_pid_mountinfo(5)`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mounted {
    /// The mount's number, which does not outlive it.
    #[serde(skip)]
    pub number: u64,
    /// The device of its filesystem, which does not either.
    #[serde(skip)]
    pub device: String,
    /// The directory of the filesystem that it shows.
    pub root: String,
    /// Where it is.
    pub point: String,
    /// Its own options: `ro`, `nosuid`, …
    pub options: BTreeSet<String>,
    /// How mount events cross: `shared`, `master`, `unbindable`; the numbers of the groups do not outlive them.
    pub propagation: BTreeSet<String>,
    /// The kind of filesystem.
    pub fstype: String,
}

/// The mounts that a process sees.
///
/// # Errors
/// When `/proc` does not have it.
pub fn table(process: &str) -> Result<Vec<Mounted>> {
    let path = format!("/proc/{process}/mountinfo");
    let text = std::fs::read_to_string(&path).context(|| format!("cannot read {path}"))?;
    Ok(text.lines().filter_map(line).collect())
}

fn line(line: &str) -> Option<Mounted> {
    let (own, filesystem) = line.split_once(" - ")?;
    let own: Vec<&str> = own.split(' ').collect();
    let [number, _, device, root, point, options, propagation @ ..] = own.as_slice() else { return None };
    let kind = |field: &&str| field.split(':').next().unwrap_or_default().to_owned();
    Some(Mounted {
        number: number.parse().ok()?,
        device: (*device).to_owned(),
        root: plain(root),
        point: plain(point),
        options: options.split(',').map(str::to_owned).collect(),
        propagation: propagation.iter().map(kind).filter(|kind| kind != "propagate_from").collect(),
        fstype: filesystem.split(' ').next()?.to_owned(),
    })
}

/// The kernel writes space, tab, newline and backslash in octal.
fn plain(text: &str) -> String {
    let codes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    codes.iter().fold(text.to_owned(), |text, (code, meant)| text.replace(code, meant))
}

/// Where a mount of a container comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Origin {
    /// The empty file, or directory, that masks another.
    Mask {
        /// Which of the two.
        directory: bool,
    },
    /// The bind mount with this index in the plan, and the path below it.
    Bind(usize, String),
    /// The cgroup of this name in the mount with this index.
    Cgroup(usize, String),
    /// The device node with this index.
    Device(usize),
    /// A mount of the host's below the root filesystem.
    Rootfs(String),
}

/// A mount of a container that CRIU does not make anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct External {
    /// Where it is in the container: also the name by which CRIU knows it.
    pub point: String,
    /// Where it comes from.
    pub origin: Origin,
}

/// The mounts that come from the host, by the plan. What the container has mounted itself is not among them, and
/// is CRIU's to save.
pub fn externals(table: &[Mounted], host: &[Mounted], plan: &Plan, root: &Root) -> Vec<External> {
    let points: Vec<String> = plan.mounts.iter().map(|mount| point(mount, table, root)).collect();
    let mut found: Vec<External> = Vec::new();
    for mounted in table.iter().filter(|mounted| mounted.point != "/") {
        if found.iter().any(|external| external.point == mounted.point) {
            continue;
        }
        if let Some(origin) = origin(mounted, host, plan, &points) {
            found.push(External { point: mounted.point.clone(), origin });
        }
    }
    found
}

/// Where a mount of the plan is: a symbolic link in the root filesystem may have led it away from its destination.
fn point(mount: &Mount, table: &[Mounted], root: &Root) -> String {
    let follow = if mount.on_link { OFlags::NOFOLLOW } else { OFlags::empty() };
    let there = root.open(&mount.destination, OFlags::PATH | follow).ok();
    let there = there.and_then(|fd| statx(fd, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).ok());
    let number = there.filter(|there| there.stx_attributes.contains(StatxAttributes::MOUNT_ROOT));
    let mounted = number.and_then(|its| table.iter().find(|mounted| mounted.number == its.stx_mnt_id));
    mounted.map_or_else(|| mount.destination.clone(), |mounted| mounted.point.clone())
}

fn origin(mounted: &Mounted, host: &[Mounted], plan: &Plan, points: &[String]) -> Option<Origin> {
    let point = mounted.point.as_str();
    let directory = mounted.root == "/dir";
    if plan.masked_paths.iter().any(|path| path == point) && (directory || mounted.root == "/file") {
        return Some(Origin::Mask { directory });
    }
    if let Some(index) = plan.devices.iter().position(|device| device.path == point) {
        return Some(Origin::Device(index));
    }
    let same = |path: &str| host.iter().any(|its| its.point == path && its.device == mounted.device);
    let Some((index, mount, below)) = innermost(plan, points, point) else {
        return same(&format!("{}{point}", plan.rootfs.path)).then(|| Origin::Rootfs(point.to_owned()));
    };
    match &mount.source {
        Source::Bind { .. } if below.is_empty() => Some(Origin::Bind(index, String::new())),
        Source::Bind { path, .. } => {
            same(&format!("{path}{below}")).then(|| Origin::Bind(index, below.to_owned()))
        }
        Source::Cgroup { views, .. } => {
            let name = below.trim_start_matches('/');
            views.iter().find(|view| view.name == name).map(|view| Origin::Cgroup(index, view.name.clone()))
        }
        _ => None,
    }
}

/// The last mount of the plan that a path is on, or below.
fn innermost<'a>(plan: &'a Plan, points: &[String], point: &'a str) -> Option<(usize, &'a Mount, &'a str)> {
    let on = |at: &String| {
        let below = point.strip_prefix(at.as_str())?;
        (below.is_empty() || below.starts_with('/')).then_some(below)
    };
    let mounts = plan.mounts.iter().zip(points).enumerate();
    let mounts = mounts.filter(|(_, (mount, _))| !matches!(mount.source, Source::Remount { .. }));
    let found = mounts.filter_map(|(index, (mount, at))| Some((index, mount, on(at)?)));
    found.min_by_key(|(index, _, below)| (below.len(), Reverse(*index)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_kernel_is_read() {
        let text = r"36 35 98:0 /mnt1 /mnt\0402 rw,noatime master:1 - ext3 /dev/root rw,errors=continue";
        let mounted = line(text).unwrap();
        assert_eq!((mounted.number, mounted.device.as_str()), (36, "98:0"));
        assert_eq!((mounted.root.as_str(), mounted.point.as_str()), ("/mnt1", "/mnt 2"));
        assert_eq!(mounted.options, ["noatime", "rw"].map(str::to_owned).into());
        assert_eq!(mounted.propagation, ["master".to_owned()].into());
        assert_eq!(mounted.fstype, "ext3");
    }
}
