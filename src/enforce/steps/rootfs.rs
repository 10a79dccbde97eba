//! The root filesystem: attached, sealed, and changed to.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::CWD;
use rustix::mount::UnmountFlags;

use crate::enforce::init::Init;
use crate::enforce::order::Role;
use crate::enforce::root::{self, Root};
use crate::error::{Context, Error, Kind, Result};
use crate::plan::mounts::Propagation;
use crate::plan::{Plan, Rootfs};
use crate::sys::Syscall;
use crate::sys::mount::{Attributes, attach as attach_tree, clone_tree, set_attributes};

const RDONLY: u64 = 0x1;

/// Nothing that is mounted here reaches the host; what the host mounts still reaches us, until the plan of the
/// root filesystem says otherwise. In the caller's own mount namespace nothing is mounted.
pub fn isolate(plan: &Plan, _: &mut Init) -> Result<()> {
    if plan.rootfs.in_place {
        return Ok(());
    }
    let what = || "cannot stop mount propagation".to_owned();
    let root = root::host(Path::new("/"), false).context(what)?;
    let slave = Attributes { propagation: Propagation::Slave.flag(), ..Attributes::default() };
    set_attributes(&root, slave, true).context(what)
}

/// Attaches a clone of the root filesystem's mount over itself: `pivot_root(2)` wants a mount.
pub fn attach(plan: &Plan, init: &mut Init) -> Result<()> {
    let received = init.received.take(&Role::Rootfs);
    init.root = Some(attach_clone(&plan.rootfs, received)?);
    Ok(())
}

/// The same for whoever is not init: the clone that was received, or a new one.
///
/// # Errors
/// The failed call.
pub fn attach_clone(rootfs: &Rootfs, received: Option<OwnedFd>) -> Result<Root> {
    let path = Path::new(&rootfs.path);
    let what = || format!("cannot attach the root filesystem {}", path.display());
    if rootfs.in_place {
        return root::host(path, false).map(Root::new).context(what);
    }
    let tree = match received {
        Some(tree) => tree,
        None => clone_tree(CWD, path, true).context(what)?,
    };
    if !root::is_dir(&tree) {
        return Err(Error::new(Kind::Invalid, what(), "it is not a directory").at("root.path"));
    }
    let propagation = match rootfs.propagation {
        // A shared mount would carry the container's mounts to the host's copy of it and cannot be changed to,
        // of an unbindable one nothing could be made read-only: both come at the end.
        Propagation::Shared | Propagation::Unbindable => Propagation::Private,
        other => other,
    };
    let attributes =
        Attributes { propagation: propagation.flag(), set: rootfs.set_recursive, ..Attributes::default() };
    set_attributes(&tree, attributes, true).context(what)?;
    // Root of a container with ids of its own may pass through no directory that the host's root keeps to itself; where
    // the mount is does not matter, as everything around it is let go of.
    let on = if rootfs.idmap && rootfs.pivot { Path::new("/") } else { path };
    let target = root::host(on, false).context(what)?;
    attach_tree(&tree, &target).context(what)?;
    Ok(Root::new(tree))
}

/// Read-only, if it is to be, now that every mount point is made; and so the mounts that waited for that.
pub fn seal(plan: &Plan, init: &mut Init) -> Result<()> {
    let attributes = Attributes { set: RDONLY, ..Attributes::default() };
    for mount in init.readonly_later.drain(..) {
        set_attributes(mount, attributes, false).context(|| "cannot make a mount read-only".to_owned())?;
    }
    if !plan.rootfs.readonly {
        return Ok(());
    }
    set_attributes(init.root()?.as_fd(), attributes, false)
        .context(|| "cannot seal the root filesystem".to_owned())
}

/// Makes the root filesystem the root, and lets go of the host's.
pub fn pivot(plan: &Plan, init: &mut Init) -> Result<()> {
    let what = || "cannot change the root".to_owned();
    let root = init.root()?;
    rustix::process::fchdir(root.as_fd()).call(|| "fchdir(rootfs)".to_owned()).context(what)?;
    if plan.rootfs.in_place {
        rustix::process::chroot(".").call(|| "chroot(\".\")".to_owned()).context(what)?;
    } else if plan.rootfs.pivot {
        // The old root ends on top of the new one; taking it off needs no directory inside.
        rustix::process::pivot_root(".", ".")
            .call(|| "pivot_root(\".\", \".\")".to_owned())
            .context(what)
            .map_err(|error| error.fix("use --no-pivot where the root filesystem is on a ramdisk"))?;
        rustix::mount::unmount(".", UnmountFlags::DETACH)
            .call(|| "umount2(\".\", MNT_DETACH)".to_owned())
            .context(what)?;
    } else {
        rustix::mount::mount_move(".", "/")
            .call(|| "mount(\".\", \"/\", MS_MOVE)".to_owned())
            .context(what)?;
        rustix::process::chroot(".").call(|| "chroot(\".\")".to_owned()).context(what)?;
    }
    rustix::process::chdir("/").call(|| "chdir(\"/\")".to_owned()).context(what)?;
    init.root = None;
    init.pseudo.clear();
    propagate(plan).context(what)
}

/// Who joins the container's mount namespace, or clones it, sees what is mounted in it from here on.
fn propagate(plan: &Plan) -> Result<(), crate::sys::CallError> {
    let propagation = plan.rootfs.propagation;
    if !matches!(propagation, Propagation::Shared | Propagation::Unbindable) {
        return Ok(());
    }
    let root = root::host(Path::new("/"), false)?;
    let attributes = Attributes { propagation: propagation.flag(), ..Attributes::default() };
    set_attributes(&root, attributes, plan.rootfs.recursive)
}
