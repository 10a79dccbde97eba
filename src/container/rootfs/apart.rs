//! What a process of its own makes: with credentials that ours must not have, or in mounts that nobody else may see.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid, setfsgid, setfsuid};
use rustix::fs::CWD;
use rustix::mount::{MountFlags, mount};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{WaitId, WaitIdOptions, chdir, waitid};
use rustix::thread::{CapabilitiesSecureBits, set_capabilities_secure_bits};

use super::Ids;
use super::overlay::{Mapped, clone};
use crate::enforce::root::host as open_host;
use crate::error::{Context, Error, Kind, Result};
use crate::plan::mounts::Propagation;
use crate::plan::mounts::stack::Overlay;
use crate::sys::mount::{Attributes, attach, clone_private, set_attributes};
use crate::sys::{Syscall, branch, socket};

/// Has a clone of this process make something, and send it.
///
/// # Errors
/// What the clone says, or that it said nothing.
pub(super) fn run(make: &mut dyn FnMut() -> Result<OwnedFd>) -> Result<OwnedFd> {
    let what = || "cannot mount the root filesystem in a process of its own".to_owned();
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .call(|| "socketpair(2)".to_owned())
        .context(what)?;
    let Some(child) = branch::branch().context(what)? else {
        drop(ours);
        branch::end(u8::from(answer(&theirs, make()).is_err()).into());
    };
    drop(theirs);
    let message = socket::receive(&ours).context(what);
    waitid(WaitId::PidFd(child.pidfd.as_fd()), WaitIdOptions::EXITED)
        .call(|| format!("waitid({})", child.pid))
        .context(what)?;
    let Some((bytes, mut descriptors)) = message? else {
        return Err(Error::new(Kind::Failed, what(), "it ended without a word"));
    };
    match descriptors.pop() {
        Some(made) => Ok(made),
        None => Err(serde_json::from_slice::<Error>(&bytes).context(what)?),
    }
}

fn answer(to: &OwnedFd, made: Result<OwnedFd>) -> Result<()> {
    let what = || "cannot send the root filesystem".to_owned();
    match made {
        Ok(tree) => socket::send(to, b"{}", &[tree.as_fd()]).context(what),
        Err(error) => socket::send(to, &serde_json::to_vec(&error).context(what)?, &[]).context(what),
    }
}

/// Makes files as root of these ids does, and keeps every capability: of a process that ends soon.
pub(super) fn become_root_of(ids: Ids<'_>) -> Result<()> {
    let what = || "cannot become root of the container's ids".to_owned();
    set_capabilities_secure_bits(CapabilitiesSecureBits::NO_SETUID_FIXUP)
        .call(|| "prctl(PR_SET_SECUREBITS, NO_SETUID_FIXUP)".to_owned())
        .context(what)?;
    let (uid, gid) = (Uid::from_raw(ids.root.0), Gid::from_raw(ids.root.1));
    setfsgid(gid);
    setfsuid(uid);
    // They only tell what was, so it is asked once more.
    if setfsgid(gid) != gid || setfsuid(uid) != uid {
        return Err(Error::new(Kind::Failed, what(), "setfsuid(2) has no effect"));
    }
    Ok(())
}

/// As much as `mount(2)` takes.
const PAGE: usize = 4095;

/// By the paths of the layers, for kernels that take no descriptors: in a mount namespace of our own each is covered by
/// its clone with other ids, and the list of layers is short because it starts where they all are.
pub(super) fn by_path(
    overlay: &Overlay,
    set: u64,
    place: &Path,
    mapped: Option<Mapped<'_>>,
) -> Result<OwnedFd> {
    let what = || "cannot mount the layers of the root filesystem".to_owned();
    unshare(CloneFlags::CLONE_NEWNS).call(|| "unshare(CLONE_NEWNS)".to_owned()).context(what)?;
    let root = open_host(Path::new("/"), false).context(what)?;
    let private = Attributes { propagation: Propagation::Private.flag(), ..Attributes::default() };
    set_attributes(&root, private, true).context(what)?;
    let common = overlay.common_directory().unwrap_or("/");
    match mapped {
        None => {}
        Some(Mapped::All(ids)) => cover(common, ids.namespace)?,
        Some(Mapped::Lower(ids)) => overlay.lower.iter().try_for_each(|layer| cover(&layer.path, ids))?,
    }
    chdir(common).call(|| format!("chdir({common:?})")).context(what)?;
    let data = data(overlay, common);
    if data.len() > PAGE {
        let why = format!("their paths have {} bytes, and before Linux 6.13 it takes {PAGE}", data.len());
        return Err(Error::new(Kind::Unsupported, what(), why).fix("use an image with fewer layers"));
    }
    let data = std::ffi::CString::new(data).context(what)?;
    mount("overlay", place, "overlay", MountFlags::empty(), Some(data.as_c_str()))
        .call(|| format!("mount(overlay, {data:?})"))
        .context(what)?;
    let tree = clone_private(CWD, place, false).context(what)?;
    set_attributes(&tree, Attributes { set, ..Attributes::default() }, false).context(what)?;
    Ok(tree)
}

fn cover(path: &str, ids: BorrowedFd<'_>) -> Result<()> {
    let what = || format!("cannot map the ids of the layer {path}");
    let tree = clone(path, ids)?;
    attach(&tree, open_host(Path::new(path), false).context(what)?).context(what)
}

/// The options as one text, with paths that start at the common directory.
fn data(overlay: &Overlay, common: &str) -> String {
    let short = |path: &str| {
        let below = path.strip_prefix(common).map(|below| below.trim_start_matches('/'));
        escaped(below.filter(|below| !below.is_empty()).unwrap_or(path))
    };
    let mut lower = String::new();
    for layer in &overlay.lower {
        let separator = if lower.is_empty() {
            ""
        } else if layer.data {
            "::"
        } else {
            ":"
        };
        lower += separator;
        lower += &short(&layer.path);
    }
    let mut data = format!("lowerdir={lower}");
    if let Some((upper, work)) = &overlay.upper {
        data += &format!(",upperdir={},workdir={}", short(upper), short(work));
    }
    for (key, value) in &overlay.options {
        data += &match value {
            Some(value) if value.contains(',') => format!(",{key}=\"{value}\""),
            Some(value) => format!(",{key}={value}"),
            None => format!(",{key}"),
        };
    }
    data
}

/// What would separate is preceded by a backslash.
fn escaped(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    for character in path.chars() {
        if matches!(character, '\\' | ':' | ',') {
            text.push('\\');
        }
        text.push(character);
    }
    text
}
