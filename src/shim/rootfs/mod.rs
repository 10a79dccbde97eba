//! The root filesystem of a container, which containerd describes and the shim mounts at `rootfs` in the bundle.

use std::path::Path;

use containerd_shim_protos::api::Mount;
use nix::mount::{MntFlags, MsFlags, umount2};

use crate::error::{Context, Result};
use crate::sys::Syscall;

/// Mounts what containerd describes.
///
/// # Errors
/// The failed call.
pub fn mount(bundle: &Path, mounts: &[Mount]) -> Result<()> {
    if mounts.is_empty() {
        return Ok(());
    }
    let target = bundle.join("rootfs");
    let what = || format!("cannot mount {}", target.display());
    std::fs::create_dir_all(&target).context(what)?;
    for mount in mounts {
        let options = &mount.options;
        let bind =
            mount.type_ == "bind" || options.iter().any(|option| option == "bind" || option == "rbind");
        let data: Vec<&str> = options
            .iter()
            .map(String::as_str)
            .filter(|option| !matches!(*option, "bind" | "rbind" | "ro" | "rw"))
            .collect();
        let readonly = options.iter().any(|option| option == "ro");
        let flags = if bind { MsFlags::MS_BIND | MsFlags::MS_REC } else { MsFlags::empty() };
        let own = if readonly { MsFlags::MS_RDONLY } else { MsFlags::empty() };
        let flags = if bind { flags } else { flags | own };
        let data = (!bind).then(|| data.join(","));
        nix::mount::mount(
            Some(mount.source.as_str()),
            &target,
            Some(mount.type_.as_str()),
            flags,
            data.as_deref(),
        )
        .call(|| format!("mount({:?}, {target:?}, {:?})", mount.source, mount.type_))
        .context(what)?;
        if bind && readonly {
            let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
            nix::mount::mount(None::<&str>, &target, None::<&str>, flags, None::<&str>)
                .call(|| format!("mount({target:?}, MS_REMOUNT)"))
                .context(what)?;
        }
    }
    Ok(())
}

/// Unmounts it, whatever is there.
///
/// # Errors
/// The failed call.
pub fn unmount(bundle: &Path) -> Result<()> {
    let target = bundle.join("rootfs");
    loop {
        match umount2(&target, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
            Ok(()) => {}
            Err(nix::errno::Errno::EINVAL | nix::errno::Errno::ENOENT) => return Ok(()),
            Err(errno) => {
                return Err(errno)
                    .call(|| format!("umount2({target:?})"))
                    .context(|| format!("cannot unmount {}", target.display()));
            }
        }
    }
}
