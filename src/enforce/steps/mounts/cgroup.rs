//! `/sys/fs/cgroup`: the container's own cgroups, bound from where the host has them.
//!
//! Binding the container's own directories shows the same on every layout, with a cgroup namespace and
//! without, and costs no new mount of the hierarchy, for which the kernel may have to wait.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat, symlinkat};

use super::{put, set_all};
use crate::enforce::init::Init;
use crate::enforce::order::Role;
use crate::error::{Context, Result};
use crate::plan::Plan;
use crate::plan::mounts::{CgroupView, Mount};
use crate::sys::Syscall;
use crate::sys::mount::{Attributes, attach, clone_private, new_filesystem, set_attributes};

/// Version 2 is one tree; version 1 a tmpfs with one directory for each hierarchy.
pub(super) fn mount(plan: &Plan, views: &[CgroupView], init: &mut Init, mount: &Mount) -> Result<()> {
    if let [only] = views
        && only.name.is_empty()
    {
        let tree = tree(only, init)?;
        return put(init.root()?, mount, &tree);
    }
    let options: Vec<_> = [("mode", "755"), ("size", "64k")]
        .into_iter()
        .chain(plan.mount_label.as_deref().map(|label| ("context", label)))
        .map(|(key, value)| (key.to_owned(), Some(value.to_owned())))
        .collect();
    let what = || format!("cannot mount the cgroups on {}", mount.destination);
    let top = new_filesystem("tmpfs", Some("cgroup"), &options, 0).context(what)?;
    let private = Attributes { propagation: 1 << 18, ..Attributes::default() };
    set_attributes(&top, private, false).context(what)?;
    for view in views {
        make_names(&top, &view.name).context(what)?;
    }
    attach(&top, init.root()?.make_dir(&mount.destination)?).context(what)?;
    for view in views {
        let tree = tree(view, init)?;
        set_all(&tree, mount).context(what)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let target = openat(&top, view.name.as_str(), flags, Mode::empty())
            .call(|| format!("openat({:?})", view.name))
            .context(what)?;
        attach(tree, target).context(what)?;
    }
    set_all(&top, mount).context(what)
}

fn tree(view: &CgroupView, init: &mut Init) -> Result<OwnedFd> {
    match init.received.take(&Role::Cgroup(view.name.clone())) {
        Some(tree) => Ok(tree),
        None => {
            clone_private(CWD, Path::new(&view.path), false).context(|| format!("cannot bind {}", view.path))
        }
    }
}

/// A directory, and where it holds several controllers a link for each, as hosts have them.
fn make_names(top: &OwnedFd, name: &str) -> Result<(), crate::sys::CallError> {
    mkdirat(top, name, Mode::from_raw_mode(0o755)).call(|| format!("mkdirat({name:?})"))?;
    for controller in name.split(',').filter(|controller| *controller != name) {
        symlinkat(name, top, controller).call(|| format!("symlinkat({controller:?})"))?;
    }
    Ok(())
}
