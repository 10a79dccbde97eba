//! What a container may leave behind: mounts, cgroups, processes, state. Searched by the container's own id and
//! bundle, since other tests run at the same time.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::bundle::Bundle;
use super::runtime::Runtime;

/// Fails if anything is left of the bundle's container.
#[track_caller]
pub fn assert_none(runtime: &Runtime, bundle: &Bundle) {
    let found = all(runtime, bundle);
    assert!(found.is_empty(), "left behind: {found:#?}");
}

/// Everything that is left of the bundle's container.
pub fn all(runtime: &Runtime, bundle: &Bundle) -> Vec<String> {
    let mut found = mounts(bundle.path());
    found.extend(cgroups(&bundle.id).iter().map(|dir| format!("cgroup {}", dir.display())));
    found.extend(processes(bundle));
    found.extend(state(runtime, &bundle.id));
    found.extend(ids(runtime, &bundle.id));
    found
}

fn mounts(below: &Path) -> Vec<String> {
    let below = below.display().to_string();
    let table = fs::read_to_string("/proc/self/mountinfo").expect("cannot read the mount table");
    table.lines().filter(|line| line.contains(&below)).map(|line| format!("mount {line}")).collect()
}

/// The cgroup directories of a container, in every hierarchy.
fn cgroups(id: &str) -> Vec<PathBuf> {
    let mut places = vec![PathBuf::from("/sys/fs/cgroup")];
    places.extend(children(Path::new("/sys/fs/cgroup")));
    let candidates = places.iter().flat_map(|place| [place.join(id), place.join("sandrun").join(id)]);
    candidates.filter(|dir| dir.is_dir()).collect()
}

/// Removes cgroups that a failed runtime has left, with the processes that a test has started in them.
pub fn remove_cgroups(id: &str) {
    for dir in cgroups(id) {
        let deadline = Instant::now() + Duration::from_secs(2);
        while let Err(error) = fs::remove_dir(&dir) {
            if Instant::now() > deadline {
                eprintln!("left behind: {}: {error}", dir.display());
                break;
            }
            kill_members(&dir);
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn kill_members(cgroup: &Path) {
    let members = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    for pid in members.lines().filter_map(|pid| pid.parse().ok()) {
        // It may have ended since; the next try to remove the cgroup tells.
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

/// Processes in the container's cgroup, or with a root inside its bundle. One that has ended and waits for the
/// host's init to reap it is not counted.
fn processes(bundle: &Bundle) -> Vec<String> {
    let mut found = Vec::new();
    for dir in children(Path::new("/proc")) {
        let membership = fs::read_to_string(dir.join("cgroup")).unwrap_or_default();
        let root = fs::read_link(dir.join("root")).unwrap_or_default();
        let status = fs::read_to_string(dir.join("status")).unwrap_or_default();
        if status.contains("State:\tZ") {
            continue;
        }
        if membership.contains(&bundle.id) || root.starts_with(bundle.path()) {
            let name = fs::read_to_string(dir.join("comm")).unwrap_or_default();
            found.push(format!("process {} {}", dir.display(), name.trim()));
        }
    }
    found
}

fn state(runtime: &Runtime, id: &str) -> Vec<String> {
    let entries = children(&runtime.root());
    let of_container = entries.iter().filter(|path| path.to_string_lossy().contains(id));
    of_container.map(|path| format!("state {}", path.display())).collect()
}

/// User ids that are still a container's.
fn ids(runtime: &Runtime, id: &str) -> Vec<String> {
    let owner = runtime.root().join(id);
    let taken = children(Path::new("/run/sandrun-ids"));
    let own = taken.iter().filter(|link| fs::read_link(link).is_ok_and(|to| to == owner));
    own.map(|link| format!("user ids {}", link.display())).collect()
}

fn children(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).map(|entries| entries.flatten().map(|entry| entry.path()).collect()).unwrap_or_default()
}
