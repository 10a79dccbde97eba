//! Mounts of which nothing is both written and executed.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags, StatVfsMountFlags, fstatvfs, openat};
use rustix::io::Errno;

use crate::enforce::init::Init;
use crate::enforce::receipt::State;
use crate::enforce::root::{Root, host, is_dir};
use crate::error::{Context, Error, Kind, Result};
use crate::plan::Plan;
use crate::plan::write_xor_execute::WriteXorExecute;
use crate::sys::mount::{Attributes, attach, clone_tree, set_attributes};
use crate::sys::{CallError, Syscall};

const RDONLY: u64 = 0x1;
const NOEXEC: u64 = 0x8;
/// Neither set-id programs nor devices.
const HARMLESS: u64 = 0x2 | 0x4;

/// Binds the data directories of the root filesystem over themselves, so that they stay writable and are not executed
/// from when the root becomes read-only. The mounts of `config.json` come on top of them.
pub fn part(plan: &Plan, init: &mut Init) -> Result<()> {
    let Some(parts) = &plan.rootfs.write_xor_execute else { return Ok(()) };
    let what = || "cannot keep programs and data of the root filesystem apart".to_owned();
    // The host's procfs, before anything of the container's can be in its place.
    init.own_proc = Some(host(Path::new("/proc/thread-self"), false).context(what)?);
    let root = init.root()?;
    let flags = fstatvfs(root.as_fd()).call(|| "fstatvfs(rootfs)".to_owned()).context(what)?.f_flag;
    seal_below(root, flags).context(what)?;
    if parts.has_data {
        bind_all(root, parts, flags).map_err(|error| error.at("root"))?;
    }
    Ok(())
}

/// What the host has mounted in the root filesystem becomes read-only; the root itself not before mount points are made.
fn seal_below(root: &Root, flags: StatVfsMountFlags) -> Result<(), CallError> {
    set_attributes(root.as_fd(), Attributes { set: RDONLY, ..Attributes::default() }, true)?;
    if flags.contains(StatVfsMountFlags::RDONLY) {
        return Ok(());
    }
    set_attributes(root.as_fd(), Attributes { clear: RDONLY, ..Attributes::default() }, false)
}

fn bind_all(root: &Root, parts: &WriteXorExecute, flags: StatVfsMountFlags) -> Result<()> {
    for path in &parts.writable {
        make_place(root, path)?;
    }
    for directory in root.top_level(&parts.not_data())?.iter().filter(|entry| is_dir(&entry.fd)) {
        bind(&directory.fd, NOEXEC, 0, true).context(|| cannot_bind(&directory.path))?;
    }
    // A root filesystem from which the host executes nothing keeps that.
    let exec = if flags.contains(StatVfsMountFlags::NOEXEC) { 0 } else { NOEXEC };
    let executable = parts.executable.iter().map(|path| (path, RDONLY, exec));
    let writable = parts.writable.iter().map(|path| (path, NOEXEC, RDONLY));
    let mut nested: Vec<_> = executable.chain(writable).collect();
    // A directory before what is in it.
    nested.sort();
    for (path, set, clear) in nested {
        match root.open(path, OFlags::PATH) {
            Ok(target) => bind(&target, set, clear, false).context(|| cannot_bind(path))?,
            // What is executable need not be there; what is writable was asked for.
            Err(error) if set == RDONLY && is_absent(error.errno) => {}
            Err(error) => return Err(error).context(|| cannot_bind(path)),
        }
    }
    Ok(())
}

/// A file that is there stays one; what is missing becomes a directory.
fn make_place(root: &Root, path: &str) -> Result<()> {
    match root.open(path, OFlags::PATH) {
        Err(error) if error.errno == Errno::NOENT => root.make_dir(path).map(drop),
        opened => opened.map(drop).context(|| cannot_bind(path)),
    }
}

fn is_absent(errno: Errno) -> bool {
    matches!(errno, Errno::NOENT | Errno::NOTDIR | Errno::LOOP)
}

fn cannot_bind(path: &str) -> String {
    format!("cannot bind {path} of the root filesystem over itself")
}

fn bind(target: &OwnedFd, set: u64, clear: u64, recursive: bool) -> Result<(), CallError> {
    let tree = clone_tree(target, Path::new(""), true)?;
    set_attributes(&tree, Attributes { set: set | HARMLESS, clear, propagation: 0 }, recursive)?;
    attach(&tree, target)
}

/// Asks the kernel for every mount that the program will see.
pub fn read_back(plan: &Plan, init: &mut Init) -> Result<()> {
    let (Some(parts), Some(own)) = (&plan.rootfs.write_xor_execute, init.own_proc.take()) else {
        return Ok(());
    };
    let text = mountinfo(&own).context(|| "cannot read the mounts back".to_owned())?;
    let mut count = 0;
    for line in text.lines() {
        let mut fields = line.split(' ').skip(4);
        let (place, options) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        if !options.split(',').any(|option| matches!(option, "ro" | "noexec")) {
            let what = format!("{place} is writable and executable");
            return Err(Error::new(Kind::Refused, what, format!("its mount has the options {options}"))
                .fix("mount it read-only or noexec, also where a hook does it, or use --level baseline"));
        }
        count += 1;
    }
    let directories = match parts.has_data {
        true => ", the root read-only but for data directories",
        false => ", the root read-only",
    };
    let detail = format!("{count} mounts, each read-only or noexec{directories}");
    init.receipt.add("write_xor_execute", State::Enforced, detail);
    Ok(())
}

fn mountinfo(own: &OwnedFd) -> Result<String, CallError> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = openat(own, "mountinfo", flags, Mode::empty()).call(|| "openat(mountinfo)".to_owned())?;
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match rustix::io::read(file.as_fd(), &mut buffer).call(|| "read(mountinfo)".to_owned())? {
            0 => return Ok(String::from_utf8_lossy(&bytes).into_owned()),
            length => bytes.extend_from_slice(buffer.get(..length).unwrap_or_default()),
        }
    }
}
