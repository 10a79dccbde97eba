//! What a plan names of the host: root filesystem, bind sources, cgroups, device nodes, namespaces, opened.

use std::os::fd::OwnedFd;
use std::path::Path;

use crate::enforce::order::Role;
use crate::enforce::root::host as open_host;
use crate::enforce::steps::devices::is_device;
use crate::enforce::steps::mounts::{bind_source, map_ids};
use crate::error::{Context, Error, Kind, Result};
use crate::host::{Caller, Host};
use crate::plan::mounts::{Idmap, Source};
use crate::plan::namespaces::NamespaceKind;
use crate::plan::{Device, Plan};
use crate::sys::mount::{clone_private, clone_tree};

/// Host paths are opened here, with the caller's rights and before the child can be raced; a caller that may
/// not clone mounts leaves it to init, which then sees them as that same caller.
pub(super) fn open(plan: &Plan, host: &Host) -> Result<Vec<(Role, OwnedFd)>> {
    let mut descriptors = Vec::new();
    let rootfs = open_host(Path::new(&plan.rootfs.path), false)
        .context(|| format!("cannot open the root filesystem {}", plan.rootfs.path))
        .map_err(|error| error.at("root.path"))?;
    if host.caller == Caller::User {
        refuse_idmaps(plan)?;
    }
    for (index, mount) in plan.mounts.iter().enumerate() {
        if let (Source::Filesystem { .. }, Some(idmap)) = (&mount.source, &mount.idmap) {
            descriptors.push((Role::Idmap(index), idmap_namespace(idmap, plan)?));
        }
    }
    if !host.may_mount || plan.rootfs.in_place {
        return Ok(descriptors);
    }
    let tree =
        clone_tree(&rootfs, Path::new(""), true).context(|| "cannot clone the root filesystem".to_owned())?;
    descriptors.push((Role::Rootfs, tree));
    for (index, mount) in plan.mounts.iter().enumerate() {
        match &mount.source {
            Source::Bind { .. } => {
                let tree = bind_source(mount)?;
                if let Some(idmap) = &mount.idmap {
                    map_ids(&tree, &idmap_namespace(idmap, plan)?, mount)?;
                }
                descriptors.push((Role::Mount(index), tree));
            }
            Source::Cgroup { views, .. } => {
                for view in views {
                    let tree = clone_private(rustix::fs::CWD, Path::new(&view.path), false)
                        .context(|| format!("cannot bind {}", view.path))?;
                    descriptors.push((Role::Cgroup(view.name.clone()), tree));
                }
            }
            _ => {}
        }
    }
    open_devices(plan, &mut descriptors)?;
    Ok(descriptors)
}

fn refuse_idmaps(plan: &Plan) -> Result<()> {
    match plan.mounts.iter().find(|mount| mount.idmap.is_some()) {
        None => Ok(()),
        Some(mount) => {
            Err(Error::new(Kind::Unsupported, "an ordinary user cannot map the ids of a mount", "")
                .at(mount.at.clone())
                .fix("run as root, or remove idmap"))
        }
    }
}

/// The user namespace whose ids a mount gets: of its own mappings, or as the container's.
pub(super) fn idmap_namespace(idmap: &Idmap, plan: &Plan) -> Result<OwnedFd> {
    let joined = plan.namespaces.join.iter().find(|joined| joined.kind == NamespaceKind::User);
    if !idmap.uid_mappings.is_empty() {
        return super::idmap::user_namespace(&idmap.uid_mappings, &idmap.gid_mappings);
    }
    match joined {
        Some(joined) => super::joined::open_one(joined).map(OwnedFd::from),
        None => super::idmap::user_namespace(&plan.namespaces.uid_mappings, &plan.namespaces.gid_mappings),
    }
}

/// In a user namespace nobody can make device nodes that work; the host's are bound.
fn open_devices(plan: &Plan, descriptors: &mut Vec<(Role, OwnedFd)>) -> Result<()> {
    for (index, device) in plan.devices.iter().enumerate().filter(|(_, device)| device.bound) {
        let tree = device_node(device).map_err(|error| {
            error.fix(format!(
                "in a user namespace {} is bound from the host, which has to have it",
                device.path
            ))
        })?;
        descriptors.push((Role::Device(index), tree));
    }
    Ok(())
}

/// What is bound must be the very device: its number is what the configuration allows, not its name.
pub(super) fn device_node(device: &Device) -> Result<OwnedFd> {
    let what = || format!("cannot bind {}", device.path);
    let node = open_host(Path::new(&device.path), false).context(what)?;
    if !is_device(&node, device) {
        let why = format!("the host's is not device {}:{}", device.major, device.minor);
        return Err(Error::new(Kind::Invalid, what(), why));
    }
    clone_private(&node, Path::new(""), false).context(what)
}
