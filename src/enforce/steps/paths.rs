//! Masked and read-only paths.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FsWord, Mode, OFlags, StatVfsMountFlags, fstatfs, fstatvfs, mkdirat, openat};
use rustix::io::Errno;

use super::verify::differs;
use crate::enforce::init::Init;
use crate::enforce::receipt::State;
use crate::enforce::root::{Root, host, is_dir};
use crate::error::{Context, Result};
use crate::plan::Plan;
use crate::sys::mount::{Attributes, attach, clone_private, new_filesystem, set_attributes};
use crate::sys::{CallError, Syscall};

const RDONLY: u64 = 0x1;
/// statfs(2).
const TMPFS_MAGIC: FsWord = 0x0102_1994;

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

/// Asks the kernel for each path, as the program will find it: what hides is ours and read-only.
pub fn read_back(plan: &Plan, init: &mut Init) -> Result<()> {
    let root = Root::new(host(Path::new("/"), false).context(|| "cannot read the mounts back".to_owned())?);
    let there = |paths: &[String]| -> Result<Vec<(String, OwnedFd)>> {
        let open =
            |path: &String| Ok(opened(root.open(path, OFlags::PATH), path)?.map(|fd| (path.clone(), fd)));
        paths.iter().filter_map(|path| open(path).transpose()).collect()
    };
    let (masked, sealed) = (there(&plan.masked_paths)?, there(&plan.readonly_paths)?);
    for (path, target) in &masked {
        let found = fstatfs(target).call(|| format!("fstatfs({path:?})")).context(|| not_read(path))?;
        if found.f_type != TMPFS_MAGIC || !is_readonly(target, path)? {
            return Err(differs(&format!("mask of {path}"), "a read-only tmpfs", found.f_type));
        }
    }
    for (path, target) in &sealed {
        if !is_readonly(target, path)? {
            return Err(differs(path, "read-only", "writable"));
        }
    }
    if plan.rootfs.readonly && !is_readonly(root.as_fd(), "/")? {
        return Err(differs("root filesystem", "read-only", "writable"));
    }
    let of_root = if plan.rootfs.readonly { "read-only" } else { "writable" };
    let detail = format!("{} masked, {} read-only; root filesystem {of_root}", masked.len(), sealed.len());
    init.receipt.add("paths", State::Enforced, detail);
    Ok(())
}

fn is_readonly(target: impl AsFd, path: &str) -> Result<bool> {
    let found = fstatvfs(target).call(|| format!("fstatvfs({path:?})")).context(|| not_read(path))?;
    Ok(found.f_flag.contains(StatVfsMountFlags::RDONLY))
}

fn not_read(path: &str) -> String {
    format!("cannot read {path} back")
}

/// Below `/proc` and `/sys` in the very mount that is there: by path, an image whose owner renames the mount
/// point meanwhile would get the mask, and the workload the procfs without it.
fn find(init: &Init, path: &str) -> Result<Option<OwnedFd>> {
    let within = init.pseudo.iter().rev().find_map(|(place, root)| {
        let rest = path.strip_prefix(place.as_str())?;
        rest.starts_with('/').then_some((root, rest))
    });
    match within {
        Some((root, rest)) => opened(root.open(rest, OFlags::PATH), path),
        None => opened(init.root()?.open(path, OFlags::PATH), path),
    }
}

/// A path that is not there is nothing to hide.
fn opened(result: Result<OwnedFd, CallError>, path: &str) -> Result<Option<OwnedFd>> {
    match result {
        Ok(target) => Ok(Some(target)),
        Err(error) if matches!(error.errno, Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(error) => Err(error).context(|| format!("cannot find {path} in the root filesystem")),
    }
}

fn seal(target: &OwnedFd) -> Result<(), CallError> {
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

    fn put_over(&self, target: &OwnedFd) -> Result<(), CallError> {
        let path = if is_dir(target) { "dir" } else { "file" };
        attach(clone_private(&self.dir, Path::new(path), false)?, target)
    }
}
