//! The root filesystem and the mounts (OCI config, "Root" and "Mounts"; `mount(8)`, `mount_setattr(2)`).

pub(crate) mod options;

use std::path::{Component, Path};

use oci_spec::runtime::Mount as OciMount;
use serde::{Deserialize, Serialize};

use self::options::Options;
use super::cgroup::Layout;
use super::namespaces::{IdMapping, NamespaceKind, Namespaces};
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

/// The root filesystem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rootfs {
    /// Absolute path on the host.
    pub path: String,
    /// Mounted read-only once everything is in place.
    pub readonly: bool,
    /// `MOUNT_ATTR_*` set on it and everything mounted below it, before the mounts.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub set_recursive: u64,
    /// Propagation of the container's root mount.
    pub propagation: Propagation,
    /// Whether the propagation reaches the mounts below the root.
    pub recursive: bool,
    /// Change the root with `pivot_root(2)`; else by moving the mount and `chroot(2)`.
    pub pivot: bool,
}

fn is_zero(attributes: &u64) -> bool {
    *attributes == 0
}

impl Default for Rootfs {
    fn default() -> Self {
        Self {
            path: String::new(),
            readonly: false,
            set_recursive: 0,
            propagation: Propagation::Slave,
            recursive: true,
            pivot: true,
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
    /// Id mapping of the mount, where one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idmap: Option<Idmap>,
}

impl Mount {
    /// Whether nothing can be written through the mount.
    pub fn is_readonly(&self) -> bool {
        (self.set | self.set_recursive) & options::RDONLY != 0
    }
}

/// The ids of an idmapped mount (Linux 5.12).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Idmap {
    /// Maps the mounts below too (`ridmap`).
    pub recursive: bool,
    /// User ids; empty for those of the container's user namespace.
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
    },
    /// The container's own cgroups.
    Cgroup {
        /// One directory for each hierarchy; a single one without a name where there is only version 2.
        views: Vec<CgroupView>,
    },
    /// Other attributes for what is mounted there already (`remount`).
    Remount,
}

pub(super) fn rootfs(input: &Input<'_>) -> Result<Rootfs, Vec<Error>> {
    let root = input.config.root().as_ref().filter(|root| !root.path().as_os_str().is_empty());
    let Some(root) = root else {
        return Err(vec![
            Error::new(Kind::Invalid, "no root filesystem is given", "")
                .at("root.path")
                .fix("set it to the directory of the root filesystem, relative to the bundle"),
        ]);
    };
    let linux = input.config.linux().as_ref();
    let (propagation, recursive) = match linux.and_then(|linux| linux.rootfs_propagation().as_deref()) {
        None | Some("") => (Propagation::Slave, true),
        Some(text) => options::propagation(text).ok_or_else(|| {
            vec![
                Error::new(Kind::Invalid, format!("unknown propagation {text:?}"), "")
                    .at("linux.rootfsPropagation")
                    .fix("use shared, slave, private or unbindable, or one of them with an r in front"),
            ]
        })?,
    };
    Ok(Rootfs {
        path: input.bundle.join(root.path()).to_string_lossy().into_owned(),
        readonly: root.readonly().unwrap_or(false) || input.options.sealed_root,
        set_recursive: if input.options.sealed_root { options::SEALED } else { 0 },
        propagation,
        recursive,
        pivot: !input.options.no_pivot,
    })
}

pub(super) fn resolve(input: &Input<'_>, namespaces: &Namespaces, notes: &mut Notes) -> Vec<Mount> {
    let mut mounts = Vec::new();
    for (i, mount) in input.config.mounts().iter().flatten().enumerate() {
        match one(input, namespaces, mount, format!("mounts[{i}]")) {
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

fn one(input: &Input<'_>, namespaces: &Namespaces, mount: &OciMount, at: String) -> Result<Mount, Error> {
    let destination = destination(mount.destination()).map_err(|why| {
        Error::new(Kind::Invalid, "mount destination is not usable", why).at(format!("{at}.destination"))
    })?;
    let options = Options::parse(mount.options().as_deref().unwrap_or_default())
        .map_err(|(i, error)| error.at(format!("{at}.options[{i}]")))?;
    let source = source(input, mount, &options, &destination, &at)?;
    if let Some(option) = options.misplaced(&source) {
        let what = format!("option {option:?} has no effect on the mount of {destination}");
        return Err(Error::new(Kind::Invalid, what, "").at(format!("{at}.options")).fix("remove it"));
    }
    let idmap = idmap(mount, &options, namespaces, &at)?;
    Ok(Mount {
        at,
        destination,
        source,
        set: options.set,
        clear: options.clear & !options.set,
        set_recursive: options.set_recursive,
        clear_recursive: options.clear_recursive & !options.set_recursive,
        propagation: options.propagation,
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
    if clean.is_empty() { Err(format!("{path:?} is the root itself")) } else { Ok(clean) }
}

fn source(
    input: &Input<'_>,
    mount: &OciMount,
    options: &Options,
    destination: &str,
    at: &str,
) -> Result<Source, Error> {
    let fstype = mount.typ().as_deref().unwrap_or_default();
    let text = mount.source().as_ref().map(|source| source.to_string_lossy().into_owned());
    if options.bind || fstype == "bind" {
        return match text.filter(|path| !path.is_empty()) {
            _ if options.remount => Ok(Source::Remount),
            Some(path) => Ok(Source::Bind {
                path: input.bundle.join(path).to_string_lossy().into_owned(),
                recursive: options.recursive,
                nofollow: options.source_nofollow,
            }),
            None => {
                Err(Error::new(Kind::Invalid, format!("bind mount of {destination} without a source"), "")
                    .at(format!("{at}.source")))
            }
        };
    }
    if options.remount {
        return Ok(Source::Remount);
    }
    match fstype {
        "" | "none" => Err(Error::new(Kind::Invalid, format!("mount of {destination} without a type"), "")
            .at(format!("{at}.type"))
            .fix("set a filesystem type, or the option bind")),
        "cgroup" | "cgroup2" => Ok(Source::Cgroup { views: Vec::new() }),
        _ if destination.starts_with("/proc/") => {
            let what = format!("a new {fstype} on {destination}");
            Err(Error::new(Kind::Invalid, what, "nothing new may be mounted in /proc")
                .at(format!("{at}.destination"))
                .fix("bind a file, or list the path in linux.maskedPaths"))
        }
        fstype => Ok(Source::Filesystem {
            fstype: fstype.to_owned(),
            source: text,
            options: options.data.clone(),
            copy_up: options.copy_up,
        }),
    }
}

fn idmap(
    mount: &OciMount,
    options: &Options,
    namespaces: &Namespaces,
    at: &str,
) -> Result<Option<Idmap>, Error> {
    let own =
        |list: &Option<Vec<_>>| -> Vec<IdMapping> { list.iter().flatten().map(IdMapping::from).collect() };
    let (uid_mappings, gid_mappings) = (own(mount.uid_mappings()), own(mount.gid_mappings()));
    let asked = options.idmap.is_some() || !uid_mappings.is_empty() || !gid_mappings.is_empty();
    if !asked {
        return Ok(None);
    }
    if options.remount || (!options.bind && mount.typ().as_deref() != Some("bind")) {
        return Err(Error::new(Kind::Unsupported, "only bind mounts can be idmapped", "").at(at.to_owned()));
    }
    if uid_mappings.is_empty() != gid_mappings.is_empty() {
        return Err(Error::new(
            Kind::Invalid,
            "an idmapped mount needs both uidMappings and gidMappings",
            "",
        )
        .at(at.to_owned()));
    }
    if uid_mappings.is_empty() && !namespaces.is_new(NamespaceKind::User) {
        return Err(Error::new(
            Kind::Invalid,
            "an idmapped mount without mappings",
            "the container has no user namespace of its own to take them from",
        )
        .at(at.to_owned())
        .fix("set uidMappings and gidMappings of the mount"));
    }
    Ok(Some(Idmap { recursive: options.idmap.unwrap_or(false), uid_mappings, gid_mappings }))
}

/// Fills in where the host has the container's cgroups.
pub(super) fn locate_cgroups(mounts: &mut [Mount], layout: &Layout, path: &str) {
    let at = |dir: &str| CgroupView {
        name: dir.rsplit('/').next().unwrap_or_default().to_owned(),
        path: format!("{dir}{path}"),
    };
    let mut all: Vec<CgroupView> = layout.hierarchies().iter().map(|hierarchy| at(&hierarchy.dir)).collect();
    all.extend(layout.unified().map(|unified| at(&unified.dir)));
    if let (Layout::V2 { .. }, [only]) = (layout, all.as_mut_slice()) {
        only.name.clear();
    }
    for mount in mounts {
        if let Source::Cgroup { views } = &mut mount.source {
            views.clone_from(&all);
        }
    }
}
