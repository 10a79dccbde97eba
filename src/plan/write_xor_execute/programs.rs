//! Which directories of a root filesystem hold programs, and which hold data.

use std::path::{Component, Path};

use super::WriteXorExecute;
use crate::error::{Error, Kind};
use crate::plan::annotations::field;
use crate::plan::mounts::Mount;
use crate::plan::{Input, Notes};

/// Paths that stay executable in a data directory, and become read-only; separated by commas.
pub const EXECUTABLE: &str = "dev.sandrun.executable";
/// Paths that stay writable in a directory of programs, and become `noexec`.
pub const WRITABLE: &str = "dev.sandrun.writable";

/// Those of the Filesystem Hierarchy Standard, and the stores of Guix and Nix.
const PROGRAMS: [&str; 11] =
    ["/bin", "/boot", "/gnu", "/lib", "/lib32", "/lib64", "/libx32", "/nix", "/opt", "/sbin", "/usr"];
/// Data by the same standard, whatever a process has in them.
const DATA: [&str; 9] = ["/etc", "/home", "/media", "/mnt", "/root", "/run", "/srv", "/tmp", "/var"];
/// The kernel's.
const KERNEL: [&str; 3] = ["/dev", "/proc", "/sys"];

/// Without annotations a program's place is where its process says: the program itself, its search path, and its
/// working directory.
pub(super) fn part(input: &Input<'_>, mounts: &[Mount], notes: &mut Notes) -> WriteXorExecute {
    let mut parts = WriteXorExecute {
        has_data: true,
        programs: PROGRAMS.iter().map(|&path| path.to_owned()).collect(),
        ..WriteXorExecute::default()
    };
    for (use_of, path) in places(input) {
        let top = top(&path);
        if !DATA.contains(&top) && !KERNEL.contains(&top) {
            parts.programs.push(top.to_owned());
        } else if DATA.contains(&top)
            && top != path
            && use_of == Use::Programs
            && mounted(&path, mounts).is_none()
        {
            parts.executable.push(path);
        }
    }
    let tops = mounts.iter().map(|mount| mount.destination.as_str()).filter(|path| *path == top(path));
    parts.neither = tops.chain(KERNEL).filter(|path| *path != "/").map(str::to_owned).collect();
    for (list, name) in [(&mut parts.executable, EXECUTABLE), (&mut parts.writable, WRITABLE)] {
        list.extend(annotated(input, name, mounts, notes));
    }
    for list in [&mut parts.programs, &mut parts.neither, &mut parts.executable, &mut parts.writable] {
        list.sort();
        list.dedup();
    }
    parts
}

/// In a read-only root filesystem everything is executable, and nothing becomes writable.
pub(super) fn refuse_writable(input: &Input<'_>, notes: &mut Notes) {
    if input.annotation(WRITABLE).is_some() {
        notes.refusals.push(
            Error::new(
                Kind::Refused,
                "nothing of a read-only root filesystem can stay writable",
                "root.readonly is set, or a mount covers the root",
            )
            .at(field(WRITABLE))
            .fix("mount a tmpfs there, or leave root.readonly out"),
        );
    }
}

pub(super) fn note_moot(input: &Input<'_>, notes: &mut Notes) {
    for name in [EXECUTABLE, WRITABLE].into_iter().filter(|name| input.annotation(name).is_some()) {
        notes.change(&field(name), format!("has no effect at level {}", input.level));
    }
}

fn annotated(input: &Input<'_>, name: &str, mounts: &[Mount], notes: &mut Notes) -> Vec<String> {
    let list = input.annotation(name).unwrap_or_default();
    let mut paths = Vec::new();
    for path in list.split(',').map(str::trim).filter(|path| !path.is_empty()) {
        let refusal = match (plain(path), mounted(path, mounts)) {
            (Some(plain), None) if plain == path && !KERNEL.contains(&top(path)) => {
                paths.push(plain);
                continue;
            }
            (Some(_), Some(mount)) => Error::new(
                Kind::Invalid,
                format!("{path} is not of the root filesystem"),
                format!("{} is mounted on {}", mount.at, mount.destination),
            )
            .fix("set the options of the mount instead: ro or noexec"),
            _ => Error::new(Kind::Invalid, format!("{path:?} is no absolute, plain path below /"), "")
                .fix("separate paths by commas, without . and .. or a / at the end"),
        };
        notes.refusals.push(refusal.at(field(name)));
    }
    paths
}

/// What a process uses a path for.
#[derive(Clone, Copy, PartialEq)]
enum Use {
    /// Programs: the one that it runs, and those that it finds.
    Programs,
    /// Where it stands.
    Work,
}

fn places(input: &Input<'_>) -> Vec<(Use, String)> {
    let Some(process) = input.config.process() else { return Vec::new() };
    let cwd = process.cwd().to_string_lossy();
    let program = process.args().as_ref().and_then(|args| args.first()).filter(|name| name.contains('/'));
    let program = program.map(|name| Path::new(&*cwd).join(name).to_string_lossy().into_owned());
    let variables = process.env().iter().flatten().filter_map(|variable| variable.strip_prefix("PATH="));
    let search = variables.flat_map(|list| list.split(':'));
    let programs = program.iter().map(String::as_str).chain(search).map(|path| (Use::Programs, path));
    programs.chain([(Use::Work, &*cwd)]).filter_map(|(use_of, path)| Some((use_of, plain(path)?))).collect()
}

/// An absolute path without `.` and empty parts; none for `/`, and where `..` may lead anywhere.
fn plain(path: &str) -> Option<String> {
    let mut clean = String::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => clean = format!("{clean}/{}", name.to_str()?),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    (path.starts_with('/') && !clean.is_empty()).then_some(clean)
}

/// The first directory of an absolute path.
fn top(path: &str) -> &str {
    path.match_indices('/').nth(1).and_then(|(end, _)| path.get(..end)).unwrap_or(path)
}

/// The mount that a path is in, below the root.
fn mounted<'a>(path: &str, mounts: &'a [Mount]) -> Option<&'a Mount> {
    mounts.iter().find(|mount| mount.destination != "/" && Path::new(path).starts_with(&mount.destination))
}
