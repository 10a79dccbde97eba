//! An overlay, on the layers as they are or with their ids mapped (`overlayfs`; idmapped layers since Linux 5.19).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags, fstat, openat2};
use rustix::io::Errno;

use super::{Ids, apart, cannot_be_mapped};
use crate::enforce::root::host as open_host;
use crate::error::{Context, Error, Kind, Result};
use crate::plan::mounts::stack::Overlay;
use crate::sys::mount::{clone_private, new_filesystem_of, set_idmap};
use crate::sys::{CallError, Syscall};

/// Which layers have their ids mapped.
#[derive(Clone, Copy)]
pub(super) enum Mapped<'a> {
    /// All of them: on disk every file keeps its owner.
    All(Ids<'a>),
    /// Those that are read: what is written has the ids of the host (containerd's `uidmap=`).
    Lower(BorrowedFd<'a>),
}

/// Makes it; it is attached nowhere. `place` is a directory where it could be.
///
/// # Errors
/// The kernel's refusal; `Unsupported` where ids cannot be mapped.
pub(super) fn make(overlay: &Overlay, set: u64, place: &Path, mapped: Option<Mapped<'_>>) -> Result<OwnedFd> {
    let what = || "cannot mount the layers of the root filesystem".to_owned();
    // What overlayfs makes for itself belongs to whoever mounts, who therefore has to be root of these ids.
    if let Some(Mapped::All(ids)) = mapped {
        return apart::run(&mut || {
            apart::become_root_of(ids)?;
            match by_descriptor(overlay, set, mapped)? {
                Err(error) if too_old(&error) => apart::by_path(overlay, set, place, mapped),
                made => made.context(what).map_err(unsupported),
            }
        });
    }
    match by_descriptor(overlay, set, mapped)? {
        Err(error) if too_old(&error) => apart::run(&mut || apart::by_path(overlay, set, place, mapped)),
        made => made.context(what).map_err(explained),
    }
}

/// Kernels before 6.13 do not know the option, those before 6.15 no layer that is attached nowhere.
fn too_old(error: &CallError) -> bool {
    error.errno == Errno::INVAL
}

/// Layers whose ids cannot be mapped, or only by a younger kernel.
fn unsupported(error: Error) -> Error {
    Error { kind: Kind::Unsupported, ..error }
}

fn explained(error: Error) -> Error {
    match error.why.contains("No such file") {
        true => error.fix("the snapshot is not there: pull the image again"),
        false => error,
    }
}

/// By descriptors of the layers: no path is looked up twice, and no list is too long.
fn by_descriptor(
    overlay: &Overlay,
    set: u64,
    mapped: Option<Mapped<'_>>,
) -> Result<Result<OwnedFd, CallError>> {
    let layers = Layers::of(overlay, mapped)?;
    let upper_layers = if let Some(Mapped::Lower(_)) = mapped { &Layers::unmapped() } else { &layers };
    let mut directories = Vec::new();
    for layer in &overlay.lower {
        let key = if layer.data { "datadir+" } else { "lowerdir+" };
        directories.push((key, layers.open(&layer.path)?));
    }
    if let Some((upper, work)) = &overlay.upper {
        directories.push(("upperdir", upper_layers.open(upper)?));
        directories.push(("workdir", upper_layers.open(work)?));
    }
    Ok(new_filesystem_of("overlay", Some("overlay"), &directories, &overlay.options, set))
}

/// Where layers are opened: on the host, or in a clone of the mount that has them all, with other ids.
struct Layers<'a> {
    ids: Option<BorrowedFd<'a>>,
    common: Option<(&'a str, OwnedFd)>,
}

impl<'a> Layers<'a> {
    fn unmapped() -> Self {
        Self { ids: None, common: None }
    }

    fn of(overlay: &'a Overlay, mapped: Option<Mapped<'a>>) -> Result<Self> {
        let ids = match mapped {
            None => return Ok(Self::unmapped()),
            Some(Mapped::All(ids)) => ids.namespace,
            Some(Mapped::Lower(ids)) => ids,
        };
        let common = overlay.common_directory().map(|path| Ok((path, clone(path, ids)?))).transpose()?;
        Ok(Self { ids: Some(ids), common })
    }

    fn open(&self, path: &str) -> Result<OwnedFd> {
        let what = || format!("cannot open the layer {path}");
        let plain = open_host(Path::new(path), false).context(what).map_err(explained)?;
        let Some(ids) = self.ids else { return Ok(plain) };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        if let Some((common, tree)) = &self.common
            && let Some(below) = path.strip_prefix(common).map(|below| below.trim_start_matches('/'))
            && let Ok(inside) = openat2(tree, below, flags, Mode::empty(), ResolveFlags::BENEATH)
            && is_same(&plain, &inside).context(what)?
        {
            return Ok(inside);
        }
        // Another filesystem is mounted on the way, or a link leads out of it.
        clone(path, ids)
    }
}

fn is_same(a: &OwnedFd, b: &OwnedFd) -> Result<bool, CallError> {
    let identity =
        |fd: &OwnedFd| fstat(fd).call(|| "fstat(layer)".to_owned()).map(|it| (it.st_dev, it.st_ino));
    Ok(identity(a)? == identity(b)?)
}

/// A clone of a directory's mount with other ids, attached nowhere.
pub(super) fn clone(path: &str, ids: BorrowedFd<'_>) -> Result<OwnedFd> {
    let what = || format!("cannot open the layer {path}");
    let directory = open_host(Path::new(path), false).context(what)?;
    let tree = clone_private(directory.as_fd(), Path::new(""), false).context(what)?;
    set_idmap(&tree, ids, false).map_err(cannot_be_mapped)?;
    Ok(tree)
}
