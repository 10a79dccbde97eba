//! What of a container comes from the host, made ready for CRIU: each mount as our own code makes it, with its
//! options and its ids, so that CRIU only has to bind it.
//!
//! All of it is in a mount namespace of this process, and gone with it.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, mkdirat, openat};

use super::image::Image;
use super::mounts::{External, Origin};
use crate::container::host_objects::{device_node, idmap_namespace};
use crate::container::state::StateDir;
use crate::enforce::root::{Root, host, is_dir};
use crate::enforce::steps::mounts::{bind_source, default_propagation, dress, map_ids};
use crate::enforce::steps::rootfs;
use crate::error::{Context, Error, Kind, Result};
use crate::plan::Plan;
use crate::plan::mounts::{Mount, Propagation, Source};
use crate::sys::Syscall;
use crate::sys::mount::{Attributes, attach, clone_private, new_filesystem, set_attributes};
use crate::sys::process::unshare;

const RDONLY: u64 = 0x1;

/// A filesystem over `path`, the container's state directory, in our mount namespace alone.
pub struct Stage {
    top: OwnedFd,
    path: PathBuf,
    /// The mounts, by the name that CRIU knows them under, and where they are.
    pub places: Vec<(String, String)>,
}

/// Leaves the caller's mount namespace. Before anything is opened: a descriptor from before leads into the one that
/// was left, where CRIU could mount nothing.
///
/// # Errors
/// EPERM without `CAP_SYS_ADMIN`.
pub fn leave_host() -> Result<()> {
    let what = || "cannot make a mount namespace to prepare the container's mounts in".to_owned();
    unshare(nix::sched::CloneFlags::CLONE_NEWNS).context(what)?;
    let slave = Attributes { propagation: Propagation::Slave.flag(), ..Attributes::default() };
    set_attributes(host(Path::new("/"), false).context(what)?, slave, true).context(what)
}

/// Makes the root filesystem and every mount of the image ready.
///
/// # Errors
/// The failed call, with the field of `config.json`.
pub fn set(image: &Image, plan: &Plan, dir: &StateDir, path: PathBuf) -> Result<Stage> {
    let what = || "cannot prepare the container's mounts".to_owned();
    let top = new_filesystem("tmpfs", Some("sandrun"), &[("mode".to_owned(), Some("0700".to_owned()))], 0)
        .context(what)?;
    attach(&top, dir.as_fd()).context(what)?;
    let mut stage = Stage { top, path, places: Vec::new() };
    stage.make_masks().context(what)?;
    let root = rootfs::attach_clone(&plan.rootfs, None)?;
    for external in &image.externals {
        let place = stage.place(external, plan)?;
        stage.places.push((external.point.clone(), place));
    }
    make_points(image, &stage, &root)?;
    if plan.rootfs.readonly {
        let readonly = Attributes { set: RDONLY, ..Attributes::default() };
        set_attributes(root.as_fd(), readonly, false).context(what)?;
    }
    Ok(stage)
}

/// In the order in which they lie on each other: in the root filesystem, and in bind mounts, whose host may have
/// removed what was made there. What another mount has is there when CRIU has filled that.
fn make_points(image: &Image, stage: &Stage, root: &Root) -> Result<()> {
    let points: Vec<&str> = image.mounts.iter().map(|mounted| mounted.point.as_str()).collect();
    let place_of =
        |point: &str| stage.places.iter().find(|(name, _)| name == point).map(|(_, place)| Path::new(place));
    for point in points.iter().filter(|point| **point != "/") {
        let directory = place_of(point).is_none_or(Path::is_dir);
        let outer =
            points.iter().filter(|outer| below(point, outer).is_some()).max_by_key(|outer| outer.len());
        let Some(outer) = outer else {
            make_point(root, point, directory)?;
            continue;
        };
        let is_bind = |external: &External| {
            external.point == **outer
                && matches!(&external.origin, Origin::Bind(_, beneath) if beneath.is_empty())
        };
        if let (Some(place), Some(rest)) = (place_of(outer), below(point, outer))
            && image.externals.iter().any(is_bind)
        {
            let what = || format!("cannot prepare the mount on {point}");
            make_point(&Root::new(host(place, true).context(what)?), rest, directory)?;
        }
    }
    Ok(())
}

/// The rest of a path that is below another.
fn below<'a>(point: &'a str, outer: &str) -> Option<&'a str> {
    point.strip_prefix(outer).filter(|rest| outer != "/" && rest.starts_with('/'))
}

fn make_point(root: &Root, point: &str, directory: bool) -> Result<()> {
    let made = if directory { root.make_dir(point) } else { root.make_file(point) };
    made.map(drop)
}

impl Stage {
    /// The empty directory and the empty file that hide others; by these names they are known again when the
    /// container is checkpointed once more.
    fn make_masks(&self) -> Result<(), crate::sys::CallError> {
        mkdirat(&self.top, "dir", Mode::from_raw_mode(0o555)).call(|| "mkdirat(\"dir\")".to_owned())?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        openat(&self.top, "file", flags, Mode::empty()).map(drop).call(|| "openat(\"file\")".to_owned())
    }

    /// Where a mount is ready.
    fn place(&self, external: &External, plan: &Plan) -> Result<String> {
        let what = || format!("cannot prepare the mount on {}", external.point);
        let tree = match &external.origin {
            Origin::Rootfs(point) => return Ok(format!("{}{point}", plan.rootfs.path)),
            Origin::Bind(_, below) if !below.is_empty() => {
                let on = external.point.strip_suffix(below.as_str());
                let place = self.places.iter().find(|(point, _)| Some(point.as_str()) == on);
                let (_, place) = place.ok_or("what it lies on is not there").context(what)?;
                return Ok(format!("{place}{below}"));
            }
            Origin::Bind(index, _) => bind(plan, mount(plan, *index)?)?,
            Origin::Mask { directory } => self.mask(if *directory { "dir" } else { "file" }).context(what)?,
            Origin::Cgroup(index, name) => cgroup(mount(plan, *index)?, name)?,
            Origin::Device(index) => {
                let device = plan.devices.get(*index).ok_or("the plan has no such device").context(what)?;
                device_node(device)?
            }
        };
        let name = self.places.len().to_string();
        let target = self.target(&name, is_dir(&tree)).context(what)?;
        attach(tree, target).context(what)?;
        Ok(self.path.join(name).to_string_lossy().into_owned())
    }

    fn mask(&self, name: &str) -> Result<OwnedFd, crate::sys::CallError> {
        let tree = clone_private(&self.top, Path::new(name), false)?;
        set_attributes(&tree, Attributes { set: RDONLY, ..Attributes::default() }, false)?;
        Ok(tree)
    }

    fn target(&self, name: &str, directory: bool) -> Result<OwnedFd, crate::sys::CallError> {
        if directory {
            mkdirat(&self.top, name, Mode::from_raw_mode(0o700)).call(|| format!("mkdirat({name:?})"))?;
        } else {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            openat(&self.top, name, flags, Mode::from_raw_mode(0o600))
                .call(|| format!("openat({name:?})"))?;
        }
        openat(&self.top, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
            .call(|| format!("openat({name:?})"))
    }
}

impl Drop for Stage {
    /// A directory cannot be removed while something of ours is mounted on it.
    fn drop(&mut self) {
        rustix::mount::unmount(&self.path, rustix::mount::UnmountFlags::DETACH).unwrap_or_default();
    }
}

fn mount(plan: &Plan, index: usize) -> Result<&Mount> {
    let what = || "cannot prepare the container's mounts".to_owned();
    plan.mounts.get(index).ok_or("the plan has fewer than the checkpoint").context(what)
}

/// With what later entries of the configuration have changed about it.
fn bind(plan: &Plan, mount: &Mount) -> Result<OwnedFd> {
    let Source::Bind { recursive, .. } = &mount.source else {
        let what = format!("cannot prepare the mount on {}", mount.destination);
        return Err(Error::new(Kind::Invalid, what, "the plan has no bind mount there"));
    };
    let tree = bind_source(mount)?;
    if let Some(idmap) = &mount.idmap {
        map_ids(&tree, &idmap_namespace(idmap, plan)?, mount)?;
    }
    dress(&tree, mount, Some((default_propagation(plan), *recursive)))?;
    let again = |other: &&Mount| {
        matches!(other.source, Source::Remount { .. }) && other.destination == mount.destination
    };
    plan.mounts.iter().filter(again).try_for_each(|other| dress(&tree, other, None))?;
    Ok(tree)
}

fn cgroup(mount: &Mount, name: &str) -> Result<OwnedFd> {
    let what = || format!("cannot prepare the cgroup {name} on {}", mount.destination);
    let Source::Cgroup { views, .. } = &mount.source else {
        return Err(Error::new(Kind::Invalid, what(), "the plan has no cgroup mount there"));
    };
    let view = views.iter().find(|view| view.name == name);
    let view = view.ok_or("this host lays its cgroups out in another way").context(what)?;
    let tree = clone_private(rustix::fs::CWD, Path::new(&view.path), false).context(what)?;
    dress(&tree, mount, None)?;
    Ok(tree)
}
