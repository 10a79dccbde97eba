//! Labels of AppArmor and SELinux for the next `execve`.

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

use crate::enforce::init::Init;
use crate::error::{Context, Result};
use crate::plan::Workload;
use crate::sys::Syscall;
use crate::sys::mount::new_filesystem;

/// Writes the labels through a procfs of our own: the container's may be anything (CVE-2019-16884).
pub fn set(workload: &Workload, _: &mut Init) -> Result<()> {
    if let Some(profile) = &workload.apparmor_profile {
        let text = format!("exec {profile}");
        write(&["thread-self/attr/apparmor/exec", "thread-self/attr/exec"], &text)
            .map_err(|error| error.at("process.apparmorProfile"))?;
    }
    if let Some(label) = &workload.selinux_label {
        write(&["thread-self/attr/exec"], label).map_err(|error| error.at("process.selinuxLabel"))?;
    }
    Ok(())
}

/// Writes to the first of the files that there is: AppArmor has a directory of its own since Linux 5.8.
fn write(paths: &[&str], text: &str) -> Result<()> {
    let what = || format!("cannot set the label {text:?}");
    let procfs = new_filesystem("proc", None, &[], 0).context(what)?;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_MAGICLINKS;
    for path in paths {
        match openat2(&procfs, *path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty(), resolve) {
            Err(Errno::NOENT) => {}
            file => {
                let file = file.call(|| format!("openat2(procfs, {path:?})")).context(what)?;
                return rustix::io::write(&file, text.as_bytes())
                    .map(drop)
                    .call(|| format!("write({path:?})"))
                    .context(what);
            }
        }
    }
    Err("this kernel has no file for it").context(what)
}
