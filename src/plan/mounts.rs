//! The mounts (OCI config, "Mounts"; `mount(8)`, `mount_setattr(2)`).

mod options;
mod rootfs;
mod source;
pub mod stack;

use std::path::{Component, Path};

use oci_spec::runtime::Mount as OciMount;
use serde::{Deserialize, Serialize};

use self::options::Options;
pub(super) use self::options::{NODEV, NOEXEC, NOSUID};
pub use self::options::{RDONLY, names as option_names};
pub use self::rootfs::Rootfs;
pub(super) use self::rootfs::rootfs;
use super::cgroup::Layout;
use super::namespaces::private_ids::WantedBy;
use super::namespaces::{IdMapping, Namespaces};
use super::{Input, Notes};
use crate::error::{Error, Kind};
use crate::level::Level;

/// How mount events cross between mounts that were cloned from each other (`mount_namespaces(7)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Propagation {
    /// Both ways.
    Shared,
    /// In only.
    Slave,
    /// Not at all.
    Private,
    /// Not at all, and cannot be bind-mounted.
    Unbindable,
}

impl Propagation {
    /// The `MS_*` flag.
    pub fn flag(self) -> u64 {
        match self {
            Propagation::Shared => 1 << 20,
            Propagation::Slave => 1 << 19,
            Propagation::Private => 1 << 18,
            Propagation::Unbindable => 1 << 17,
        }
    }
}

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mount {
    /// Where in `config.json`: `mounts[3]`.
    pub at: String,
    /// Absolute path in the container, without `..`.
    pub destination: String,
    /// What is mounted.
    pub source: Source,
    /// `MOUNT_ATTR_*` set on this mount.
    pub set: u64,
    /// `MOUNT_ATTR_*` cleared on it.
    pub clear: u64,
    /// `MOUNT_ATTR_*` set on it and everything below (`rro`, `rnosuid`, …).
    pub set_recursive: u64,
    /// `MOUNT_ATTR_*` cleared on it and everything below.
    pub clear_recursive: u64,
    /// Propagation types, in order; `true` for those that reach everything below.
    pub propagation: Vec<(Propagation, bool)>,
    /// Mount on a symbolic link at the destination, not on what it leads to (`dest-nofollow`).
    #[serde(default, skip_serializing_if = "is_false")]
    pub on_link: bool,
    /// Id mapping of the mount, where one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idmap: Option<Idmap>,
}

impl Mount {
    /// Whether nothing can be written through the mount.
    pub fn is_readonly(&self) -> bool {
        // What reaches the mounts below comes second, and may take back what the mount itself has.
        (self.set & !self.clear_recursive | self.set_recursive) & options::RDONLY != 0
    }

    /// Whether nothing is executed from the mount.
    pub fn is_noexec(&self) -> bool {
        (self.set & !self.clear_recursive | self.set_recursive) & options::NOEXEC != 0
    }

    /// Whether nothing is mounted, but what is mounted there is changed.
    pub fn is_remount(&self) -> bool {
        matches!(self.source, Source::Remount { .. })
    }
}

/// The ids of an idmapped mount (Linux 5.12).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Idmap {
    /// Maps the mounts below too (`ridmap`).
    pub recursive: bool,
    /// Where the filesystem cannot be idmapped, its owners show as nobody, and the receipt says so.
    #[serde(default, skip_serializing_if = "is_false")]
    pub or_unmapped: bool,
    /// User ids; empty for those of the container's user namespace, made or joined.
    pub uid_mappings: Vec<IdMapping>,
    /// Group ids.
    pub gid_mappings: Vec<IdMapping>,
}

/// The container's cgroup in one hierarchy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CgroupView {
    /// The directory below the mount point: `cpu,cpuacct`, `unified`; empty for the mount point itself.
    pub name: String,
    /// Where the host has the cgroup.
    pub path: String,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Source {
    /// A file or directory of the host.
    #[serde(rename_all = "camelCase")]
    Bind {
        /// Absolute path on the host.
        path: String,
        /// With the mounts below it (`rbind`).
        recursive: bool,
        /// Do not follow a symbolic link at the end of the path (`src-nofollow`).
        nofollow: bool,
        /// Make the same link if the path is a symbolic link (`copy-symlink`).
        #[serde(default, skip_serializing_if = "is_false")]
        copy_link: bool,
        /// The path was judged: no link may lie on it now.
        #[serde(default, skip_serializing_if = "is_false")]
        judged: bool,
    },
    /// A new instance of a filesystem.
    #[serde(rename_all = "camelCase")]
    Filesystem {
        /// Its type.
        fstype: String,
        /// The source, as the filesystem understands it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<String>,
        /// Its own options.
        options: Vec<(String, Option<String>)>,
        /// Take over the files that the mount would hide (`tmpcopyup`).
        copy_up: bool,
        /// It shows a network in which the container's root has no rights: the host's side makes it.
        #[serde(default, skip_serializing_if = "is_false")]
        of_network: bool,
    },
    /// The container's own cgroups.
    Cgroup {
        /// Version 2 only, wherever the others are (type `cgroup2`).
        #[serde(default, skip_serializing_if = "is_false")]
        unified: bool,
        /// One directory for each hierarchy; a single one without a name where there is only version 2.
        views: Vec<CgroupView>,
    },
    /// Other attributes for what is mounted there already (`remount`).
    Remount {
        /// Options for the filesystem itself.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        options: Vec<(String, Option<String>)>,
    },
}

fn is_false(flag: &bool) -> bool {
    !*flag
}

pub(super) fn resolve(input: &Input<'_>, namespaces: &Namespaces, notes: &mut Notes) -> Vec<Mount> {
    let mut mounts = Vec::new();
    for (i, mount) in input.config.mounts().iter().flatten().enumerate() {
        match one(input, namespaces, mount, format!("mounts[{i}]"), notes) {
            Ok(mut mount) => {
                if input.level >= Level::Baseline {
                    tighten(&mut mount, notes);
                }
                mounts.push(mount);
            }
            Err(error) => notes.refusals.push(error),
        }
    }
    mounts
}

/// The SELinux label of the container's own filesystems (`linux.mountLabel`).
pub(super) fn label(input: &Input<'_>) -> Option<String> {
    let linux = input.config.linux().as_ref()?;
    linux.mount_label().clone().filter(|label| !label.is_empty())
}

/// With ids of the container's own, files of the host belong to the same inside and outside. Not where the root
/// filesystem is the host's: what is root's there is nobody's inside.
pub(super) fn map_private_ids(
    input: &Input<'_>,
    namespaces: &Namespaces,
    rootfs: &mut Rootfs,
    mounts: &mut [Mount],
) {
    let Some(wanted_by) = namespaces.private_ids.filter(|_| !input.options.sealed_root) else { return };
    rootfs.idmap = true;
    for mount in mounts.iter_mut().filter(|mount| mount.idmap.is_none()) {
        if let Source::Bind { recursive, .. } = mount.source {
            // Nobody can write to what is not mapped: no reason for a level to break a container.
            let or_unmapped = mount.is_readonly() || wanted_by == WantedBy::Request;
            mount.idmap = Some(Idmap { recursive, or_unmapped, ..Idmap::default() });
        }
    }
}

/// What a container writes into its own cgroup can undo its limits.
fn tighten(mount: &mut Mount, notes: &mut Notes) {
    if !matches!(mount.source, Source::Cgroup { .. }) {
        return;
    }
    if !mount.is_readonly() {
        notes.change(&format!("{}.options", mount.at), "ro added");
    }
    mount.set |= options::RDONLY;
    mount.clear &= !options::RDONLY;
    mount.clear_recursive &= !options::RDONLY;
}

fn one(
    input: &Input<'_>,
    namespaces: &Namespaces,
    mount: &OciMount,
    at: String,
    notes: &mut Notes,
) -> Result<Mount, Error> {
    let destination = destination(mount.destination()).map_err(|why| {
        Error::new(Kind::Invalid, "mount destination is not usable", why).at(format!("{at}.destination"))
    })?;
    let options = Options::parse(mount.options().as_deref().unwrap_or_default());
    let source = source::resolve(input, mount, &options, &destination, &at)?;
    if let Some(option) = options.misplaced(&source) {
        let what = format!("option {option:?} has no effect on the mount of {destination}");
        return Err(Error::new(Kind::Invalid, what, "").at(format!("{at}.options")).fix("remove it"));
    }
    // As with the kernel's own flags of old: a bind mount has no superblock of its own.
    let data = || options.data.first().map(|(key, _)| key.as_str());
    if let Some(flag) = options.superblock.first().copied().or_else(data)
        && matches!(source, Source::Bind { .. } | Source::Cgroup { .. })
    {
        notes.change(
            &format!("{at}.options"),
            format!("{flag} has no effect: the filesystem is mounted already"),
        );
    }
    let idmap = source::idmap(mount, &options, &source, namespaces, &at)?;
    Ok(Mount {
        at,
        destination,
        source,
        set: options.set,
        clear: options.clear & !options.set,
        set_recursive: options.set_recursive,
        clear_recursive: options.clear_recursive & !options.set_recursive,
        propagation: options.propagation,
        on_link: options.destination_nofollow,
        idmap,
    })
}

/// An absolute path without `.` and `..`; a relative one is taken from `/`, as runc does (OCI 1.0 allowed it).
fn destination(path: &Path) -> Result<String, String> {
    let mut clean = String::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => {
                let name = name.to_str().ok_or("it is not UTF-8")?;
                clean.push('/');
                clean.push_str(name);
            }
            Component::ParentDir => return Err(format!("{path:?} contains \"..\"")),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    if clean.contains('\0') {
        return Err("it contains a NUL byte".to_owned());
    }
    match (clean.is_empty(), path.as_os_str().is_empty()) {
        (true, true) => Err("it is empty".to_owned()),
        (true, false) => Ok("/".to_owned()),
        _ => Ok(clean),
    }
}

/// Fills in where the host has the container's cgroups.
pub(super) fn locate_cgroups(mounts: &mut [Mount], layout: &Layout, path: &str, notes: &mut Notes) {
    let at = |dir: &str| CgroupView {
        name: dir.rsplit('/').next().unwrap_or_default().to_owned(),
        path: format!("{dir}{path}"),
    };
    let unnamed = |dir: &str| CgroupView { name: String::new(), ..at(dir) };
    let only = layout.unified().map(|unified| unnamed(&unified.dir));
    let all: Vec<CgroupView> = match layout {
        Layout::V2 { .. } => only.clone().into_iter().collect(),
        _ => {
            let hierarchies = layout.hierarchies().iter().map(|hierarchy| at(&hierarchy.dir));
            hierarchies.chain(layout.unified().map(|unified| at(&unified.dir))).collect()
        }
    };
    for mount in mounts {
        let Source::Cgroup { views, unified } = &mut mount.source else { continue };
        match (*unified, &only) {
            (false, _) => views.clone_from(&all),
            (true, Some(only)) => *views = vec![only.clone()],
            (true, None) => notes.refusals.push(
                Error::new(Kind::Unsupported, "no cgroup2 to mount", "this host has cgroup v1 only")
                    .at(format!("{}.type", mount.at))
                    .fix("use the type cgroup, which mounts whatever the host has"),
            ),
        }
    }
}
