//! Labels of AppArmor and SELinux for the next `execve`.

use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

use crate::enforce::init::Init;
use crate::enforce::receipt::State;
use crate::error::{Context, Error, Result};
use crate::plan::Workload;
use crate::sys::Syscall;
use crate::sys::mount::new_filesystem;

/// Writes the labels through a procfs of our own: the container's may be anything (CVE-2019-16884). It is read back
/// the same way, for once the program runs it is not ours to ask.
pub fn set(workload: &Workload, init: &mut Init) -> Result<()> {
    if let Some(profile) = &workload.apparmor_profile {
        // AppArmor has a directory of its own since Linux 5.8.
        let files = ["thread-self/attr/apparmor/exec", "thread-self/attr/exec"];
        let explain = |error: Error| {
            let error = error.at("process.apparmorProfile");
            match error.why.contains("No such file") {
                true => error.fix("load the profile with apparmor_parser(8)"),
                false => error,
            }
        };
        let found = write(&files, &format!("exec {profile}")).map_err(explain)?;
        note("apparmor", profile, &found, init);
    }
    if let Some(label) = &workload.selinux_label {
        let found = write(&["thread-self/attr/exec"], label).map_err(|it| it.at("process.selinuxLabel"))?;
        note("selinux", label, &found, init);
    }
    Ok(())
}

/// AppArmor adds the mode in parentheses.
fn note(layer: &str, planned: &str, found: &str, init: &mut Init) {
    let name = found.split_once(" (").map_or(found, |(name, _)| name);
    let state = if name == planned { State::Enforced } else { State::Partial };
    init.receipt.add(layer, state, format!("{found}, from execve on"));
}

/// Writes to the first of the files that there is, and reads it.
fn write(paths: &[&str], text: &str) -> Result<String> {
    let what = || format!("cannot set the label {text:?}");
    let procfs = new_filesystem("proc", None, &[], 0).context(what)?;
    for path in paths {
        match open(&procfs, path, OFlags::WRONLY) {
            Err(Errno::NOENT) => {}
            file => {
                let file = file.call(|| format!("openat2(procfs, {path:?})")).context(what)?;
                rustix::io::write(&file, text.as_bytes())
                    .call(|| format!("write({path:?})"))
                    .context(what)?;
                return read(&procfs, path);
            }
        }
    }
    Err("this kernel has no file for it").context(what)
}

fn read(procfs: &OwnedFd, path: &str) -> Result<String> {
    const LONGEST: usize = 4096;
    let what = || "cannot read the label back".to_owned();
    let file =
        open(procfs, path, OFlags::RDONLY).call(|| format!("openat2(procfs, {path:?})")).context(what)?;
    let mut buffer = [0; LONGEST];
    let length = rustix::io::read(&file, &mut buffer).call(|| format!("read({path:?})")).context(what)?;
    let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default());
    Ok(text.trim_end_matches(['\0', '\n']).to_owned())
}

fn open(procfs: &OwnedFd, path: &str, access: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_MAGICLINKS;
    openat2(procfs, path, access | OFlags::CLOEXEC, Mode::empty(), resolve)
}
