//! What a plan names of the host: root filesystem, bind sources, cgroups, device nodes, namespaces, opened.

use std::cell::OnceCell;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;

use rustix::io::Errno;

use super::{network, rootfs};
use crate::enforce::order::Role;
use crate::enforce::root::host as open_host;
use crate::enforce::steps::devices::is_device;
use crate::enforce::steps::mounts::{CAN_BE_IDMAPPED, bind_source, map_ids};
use crate::error::{Context, Error, Kind, Result};
use crate::host::{Caller, Host};
use crate::plan::mounts::{Idmap, Source};
use crate::plan::namespaces::{NamespaceKind, Namespaces};
use crate::plan::{Device, Plan};
use crate::sys::CallError;
use crate::sys::mount::{clone_private, clone_tree, set_idmap};

/// The root filesystem and the bind sources, as mounts that are attached nowhere.
#[derive(Default)]
pub(super) struct Trees {
    descriptors: Vec<(Role, OwnedFd)>,
    /// What the root filesystem consists of, where mounting it is ours.
    rootfs: Vec<OwnedFd>,
    /// Where in the container owners show as nobody, because a filesystem cannot be idmapped.
    pub unmapped: Vec<String>,
}

/// Host paths are opened here, with the caller's rights and before the child can be raced; a caller that may
/// not clone mounts leaves it to init, which then sees them as that same caller.
///
/// # Errors
/// What is not there; `Unsupported` where ids cannot be mapped.
pub(super) fn trees(plan: &Plan, host: &Host) -> Result<Trees> {
    let mut trees = Trees::default();
    if host.caller == Caller::User {
        refuse_idmaps(plan)?;
    }
    let ids = Ids { plan, own: OnceCell::new() };
    trees.root(plan, host, &ids)?;
    if !host.may_mount || plan.rootfs.in_place {
        return Ok(trees);
    }
    for (index, mount) in plan.mounts.iter().enumerate() {
        if !matches!(mount.source, Source::Bind { .. }) {
            continue;
        }
        let tree = bind_source(mount)?;
        match &mount.idmap {
            Some(idmap) if plan.namespaces.private_ids.is_some() && idmap.uid_mappings.is_empty() => {
                match trees.map(&tree, &*ids.own()?, &mount.destination, idmap.recursive) {
                    Err(error) if error.kind == Kind::Unsupported && idmap.or_unmapped => {
                        trees.unmapped.push(mount.destination.clone());
                    }
                    mapped => mapped.map_err(|error| error.at(&mount.at))?,
                }
            }
            Some(idmap) => map_ids(&tree, &*ids.of(idmap)?, mount)?,
            None => {}
        }
        trees.descriptors.push((Role::Mount(index), tree));
    }
    Ok(trees)
}

impl Trees {
    /// The root filesystem: what somebody else has mounted, or what is to be mounted once the record says so.
    fn root(&mut self, plan: &Plan, host: &Host, ids: &Ids<'_>) -> Result<()> {
        let own = if plan.rootfs.idmap { Some(ids.own()?) } else { None };
        if !plan.rootfs.stack.is_empty() {
            let Namespaces { uid_mappings, gid_mappings, .. } = &plan.namespaces;
            let own = own.as_deref().map(|own| rootfs::Ids::new(own.as_fd(), uid_mappings, gid_mappings));
            self.rootfs = rootfs::make(&plan.rootfs, own)?;
            return Ok(());
        }
        let root = open_host(Path::new(&plan.rootfs.path), false)
            .context(|| format!("cannot open the root filesystem {}", plan.rootfs.path))
            .map_err(|error| error.at("root.path"))?;
        if !host.may_mount || plan.rootfs.in_place {
            return Ok(());
        }
        let tree = clone_tree(&root, Path::new(""), true)
            .context(|| "cannot clone the root filesystem".to_owned())?;
        if let Some(own) = own {
            self.map(&tree, &own, "/", true).map_err(|error| error.at("root.path"))?;
        }
        self.descriptors.push((Role::Rootfs, tree));
        Ok(())
    }

    /// Mounts the root filesystem at its place, where that is ours.
    ///
    /// # Errors
    /// The failed call.
    pub fn mount_root(&mut self, plan: &Plan) -> Result<()> {
        if plan.rootfs.stack.is_empty() {
            return Ok(());
        }
        let tree = rootfs::attach(&plan.rootfs, &std::mem::take(&mut self.rootfs))?;
        if !plan.rootfs.in_place {
            self.descriptors.push((Role::Rootfs, tree));
        }
        Ok(())
    }

    /// Gives a mount the container's ids, and those below it as far as they can have them.
    fn map(&mut self, tree: &OwnedFd, ids: &OwnedFd, place: &str, recursive: bool) -> Result<()> {
        let impossible = |error: &CallError| matches!(error.errno, Errno::INVAL | Errno::PERM);
        match set_idmap(tree, ids, recursive) {
            Err(error) if impossible(&error) && recursive => {
                self.map(tree, ids, place, false)?;
                self.unmapped.push(format!("what is mounted below {place}"));
                Ok(())
            }
            Err(error) if impossible(&error) => {
                let what = format!("cannot map the ids of the mount on {place}");
                let why = format!("its filesystem cannot be idmapped here: {error}");
                Err(Error::new(Kind::Unsupported, what, why).fix(CAN_BE_IDMAPPED))
            }
            mapped => mapped.context(|| format!("cannot map the ids of the mount on {place}")),
        }
    }
}

/// User namespaces for idmapped mounts; that of the container's own ids is made once for all.
struct Ids<'a> {
    plan: &'a Plan,
    own: OnceCell<Rc<OwnedFd>>,
}

impl Ids<'_> {
    fn of(&self, idmap: &Idmap) -> Result<Rc<OwnedFd>> {
        if idmap.uid_mappings.is_empty() {
            self.own()
        } else {
            idmap_namespace(idmap, self.plan).map(Rc::new)
        }
    }

    fn own(&self) -> Result<Rc<OwnedFd>> {
        if let Some(own) = self.own.get() {
            return Ok(Rc::clone(own));
        }
        let made = Rc::new(idmap_namespace(&Idmap::default(), self.plan)?);
        Ok(Rc::clone(self.own.get_or_init(|| made)))
    }
}

/// Opens everything else, and adds it to the trees.
///
/// # Errors
/// What is not there, or is not what the plan says.
pub(super) fn open(plan: &Plan, host: &Host, trees: Trees) -> Result<Vec<(Role, OwnedFd)>> {
    let mut descriptors = trees.descriptors;
    for (index, mount) in plan.mounts.iter().enumerate() {
        if let (Source::Filesystem { .. }, Some(idmap)) = (&mount.source, &mount.idmap) {
            descriptors.push((Role::Idmap(index), idmap_namespace(idmap, plan)?));
        }
    }
    if !host.may_mount || plan.rootfs.in_place {
        return Ok(descriptors);
    }
    let cgroups = plan.mounts.iter().filter_map(|mount| match &mount.source {
        Source::Cgroup { views, .. } => Some(views),
        _ => None,
    });
    for view in cgroups.flatten() {
        let tree = clone_private(rustix::fs::CWD, Path::new(&view.path), false)
            .context(|| format!("cannot bind {}", view.path))?;
        descriptors.push((Role::Cgroup(view.name.clone()), tree));
    }
    network::prepare(plan, &mut descriptors)?;
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
