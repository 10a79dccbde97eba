//! Masked and read-only paths.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags, mkdirat, openat};
use rustix::io::Errno;

use crate::enforce::init::Init;
use crate::enforce::root::{host, is_dir};
use crate::error::{Context, Result};
use crate::plan::Plan;
use crate::sys::Syscall;
use crate::sys::mount::{Attributes, attach, clone_private, new_filesystem, set_attributes};

const RDONLY: u64 = 0x1;

/// Hides each path behind an empty file or directory of our own; the container's `/dev/null` is whatever its
/// image made of it (CVE-2025-31133). A path that is not there needs no hiding.
pub fn mask(plan: &Plan, init: &mut Init) -> Result<()> {
    if plan.masked_paths.is_empty() {
        return Ok(());
    }
    let empty = Empty::new(plan.mount_label.as_deref())?;
    for path in &plan.masked_paths {
        let masked = find(init, path).and_then(|target| match target {
            Some(target) => empty.put_over(&target).context(|| format!("cannot mask {path}")),
            None => Ok(()),
        });
        masked.map_err(|error| error.at("linux.maskedPaths"))?;
    }
    Ok(())
}

/// Mounts each path over itself, read-only.
pub fn readonly(plan: &Plan, init: &mut Init) -> Result<()> {
    for path in &plan.readonly_paths {
        let sealed = find(init, path).and_then(|target| match target {
            Some(target) => seal(&target).context(|| format!("cannot make {path} read-only")),
            None => Ok(()),
        });
        sealed.map_err(|error| error.at("linux.readonlyPaths"))?;
    }
    Ok(())
}

/// Below `/proc` and `/sys` in the very mount that is there: by path, an image whose owner renames the mount
/// point meanwhile would get the mask, and the workload the procfs without it.
fn find(init: &Init, path: &str) -> Result<Option<OwnedFd>> {
    let within = init.pseudo.iter().rev().find_map(|(place, root)| {
        let rest = path.strip_prefix(place.as_str())?;
        rest.starts_with('/').then_some((root, rest))
    });
    let opened = match within {
        Some((root, rest)) => root.open(rest, OFlags::PATH),
        None => init.root()?.open(path, OFlags::PATH),
    };
    match opened {
        Ok(target) => Ok(Some(target)),
        Err(error) if matches!(error.errno, Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(error) => Err(error).context(|| format!("cannot find {path} in the root filesystem")),
    }
}

fn seal(target: &OwnedFd) -> Result<(), crate::sys::CallError> {
    let tree = clone_private(target, Path::new(""), true)?;
    set_attributes(&tree, Attributes { set: RDONLY, ..Attributes::default() }, true)?;
    attach(&tree, target)
}

/// Where the files that mask others are mounted: a directory of the host's that every caller has, and that no
/// step looks at from here on. The mount goes with the host's root, and is in nobody else's namespace.
const PLACE: &str = "/proc";

/// An empty directory and an empty file, both read-only.
struct Empty {
    dir: OwnedFd,
}

impl Empty {
    fn new(label: Option<&str>) -> Result<Self> {
        let what = || "cannot make the files that mask others".to_owned();
        // Since Linux 6.6 the label of a security module takes as much as an inode.
        let options: Vec<_> = [("size", "4096"), ("nr_inodes", "16"), ("mode", "0755")]
            .into_iter()
            .chain(label.map(|label| ("context", label)))
            .map(|(key, value)| (key.to_owned(), Some(value.to_owned())))
            .collect();
        let dir = new_filesystem("tmpfs", None, &options, 0).context(what)?;
        mkdirat(&dir, "dir", Mode::from_raw_mode(0o555))
            .call(|| "mkdirat(\"dir\")".to_owned())
            .context(what)?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        // Anybody may read that there is nothing, as from /dev/null, which programs expect here.
        openat(&dir, "file", flags, Mode::from_raw_mode(0o444))
            .call(|| "openat(\"file\")".to_owned())
            .context(what)?;
        set_attributes(&dir, Attributes { set: RDONLY, ..Attributes::default() }, false).context(what)?;
        // What is attached nowhere can be cloned since Linux 6.15 only.
        let place = host(Path::new(PLACE), false).context(what)?;
        attach(&dir, &place).context(what)?;
        Ok(Self { dir })
    }

    fn put_over(&self, target: &OwnedFd) -> Result<(), crate::sys::CallError> {
        let path = if is_dir(target) { "dir" } else { "file" };
        attach(clone_private(&self.dir, Path::new(path), false)?, target)
    }
}
