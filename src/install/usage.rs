//! Whether containers of the handlers run: they lose their shim's program, not their life, and cannot be managed any more.

use std::fs;
use std::path::Path;

use super::handlers::{PROGRAM, SHIM};
use crate::error::{Error, Kind, Result};

/// The options of each task of containerd's shims, which name the program.
const TASKS: &str = "/run/containerd/io.containerd.runtime.v2.task";
const TASKS_OF_K3S: &str = "/run/k3s/containerd/io.containerd.runtime.v2.task";
const TASKS_OF_K0S: &str = "/run/k0s/containerd/io.containerd.runtime.v2.task";

/// Refuses while there are any, unless told otherwise.
///
/// # Errors
/// `WrongState`, with what to do.
pub fn check(bin_dir: &Path, force: bool) -> Result<()> {
    let (shims, tasks) = (shims(&bin_dir.join(SHIM)), tasks(&bin_dir.join(PROGRAM)));
    if force || shims + tasks == 0 {
        return Ok(());
    }
    let why = format!("{shims} shims of sandrun's and {tasks} containers under containerd's shim run");
    Err(Error::new(Kind::WrongState, "cannot uninstall sandrun", why)
        .fix("delete or move their pods first (`kubectl drain`), or say --force"))
}

/// Processes of the shim's program, or of the one that was in its place.
fn shims(program: &Path) -> usize {
    let replaced = format!("{} (deleted)", program.display());
    let of_shim = |dir: &fs::DirEntry| {
        fs::read_link(dir.path().join("exe")).is_ok_and(|exe| exe == program || exe == Path::new(&replaced))
    };
    fs::read_dir("/proc").into_iter().flatten().flatten().filter(of_shim).count()
}

/// Tasks whose options name the program, or one of its names.
fn tasks(program: &Path) -> usize {
    let program = program.to_string_lossy().into_owned().into_bytes();
    let namespaces = [TASKS, TASKS_OF_K3S, TASKS_OF_K0S].map(Path::new).into_iter().flat_map(below);
    let options = namespaces.flat_map(|dir| below(&dir)).map(|task| fs::read(task.join("options.json")));
    options.flatten().filter(|text| text.windows(program.len()).any(|part| part == program)).count()
}

fn below(dir: &Path) -> Vec<std::path::PathBuf> {
    fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}
