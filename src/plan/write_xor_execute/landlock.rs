//! The same once more by Landlock: what can be written is not executed, should a mount not be what it was.

use crate::plan::landlock::rights::{EXECUTE, RESOLVE_UNIX, WRITE_FILE};
use crate::plan::landlock::{Landlock, PathBeneath, READ, TopLevel, on_mount};
use crate::plan::mounts::{Mount, Rootfs, Source};

/// Grants what a container at `strict` has. Rights add up on the way to the root, so that has those only that are
/// nowhere too much: to read, and in a read-only root filesystem, of which any file may be a program, to execute.
pub(in crate::plan) fn grant(domain: &mut Landlock, inner: u64, rootfs: &Rootfs, mounts: &[Mount]) {
    let handled = domain.handled_access_fs;
    let execute = EXECUTE & handled;
    let write = inner & !EXECUTE;
    let mut rules = Vec::new();
    // A program's directory need not be there; a mount point is made.
    let mut rule = |path: &str, allowed_access: u64| {
        rules.push(PathBeneath { path: path.to_owned(), allowed_access, optional: true });
    };
    // A socket may be connected to on a read-only mount, too.
    let read = (READ | RESOLVE_UNIX) & handled;
    match rootfs.parts() {
        None => rule("/", read),
        Some(parts) => {
            rule("/", read & !EXECUTE);
            parts.executable.iter().for_each(|path| rule(path, execute));
            parts.writable.iter().for_each(|path| rule(path, write));
            let (programs, neither) = (parts.programs.clone(), parts.neither.clone());
            domain.top_level = Some(TopLevel { programs, neither, execute, write });
        }
    }
    if !mounts.iter().any(|mount| mount.destination == "/dev") {
        rule("/dev", WRITE_FILE & handled);
    }
    for mount in mounts.iter().filter(|mount| mount.destination != "/") {
        let rights = match &mount.source {
            // Through /proc/PID/mem code can be written whatever its pages allow.
            Source::Filesystem { fstype, .. } if fstype == "proc" => 0,
            Source::Bind { .. } if mount.is_readonly() && !mount.is_noexec() => execute,
            _ => on_mount(mount, write, handled),
        };
        if rights & !(read & !EXECUTE) != 0 {
            rule(&mount.destination, rights);
        }
    }
    domain.path_beneath = rules;
}
