//! The configuration of `try`: pure, from a few choices to what `config.json` would say.

use serde_json::{Value, json};

/// How a place of the host is seen inside; what is at no place is the host's, read-only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum View {
    /// Empty.
    Hidden,
    /// Empty, and for every user inside to write to; gone at the end.
    Scratch,
    /// Empty, and the program's own; gone at the end.
    Home,
    /// The host's, read-only.
    ReadOnly,
    /// The host's.
    Writable,
}

/// A place of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Absolute and without links, the same inside and outside.
    pub path: String,
    /// How it is seen.
    pub view: View,
}

/// What the caller wants to try, all of it decided.
#[derive(Debug, Clone)]
pub(super) struct Sandbox {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// Working directory.
    pub cwd: String,
    /// Whether it gets a terminal.
    pub terminal: bool,
    /// Whether it keeps the host's network.
    pub host_network: bool,
    /// Who it is outside: its only user and group id; absent for ids that nobody else has. Inside it is 0, without any
    /// capability.
    pub ids: Option<(u32, u32)>,
    /// Places that are not simply read-only; of two views of one place the later one wins.
    pub places: Vec<Place>,
}

/// The configuration: the host's root as the root filesystem, everything that is private mounted over it.
pub(super) fn config(sandbox: &Sandbox) -> Value {
    let mut namespaces = vec!["pid", "ipc", "uts", "mount", "cgroup"];
    if sandbox.ids.is_some() {
        namespaces.push("user");
    }
    if !sandbox.host_network {
        namespaces.push("network");
    }
    let namespaces: Vec<Value> = namespaces.into_iter().map(|kind| json!({ "type": kind })).collect();
    let mapping = |id: fn((u32, u32)) -> u32| {
        let outside = sandbox.ids.map(id);
        outside.map(|outside| json!([{ "containerID": 0, "hostID": outside, "size": 1 }]))
    };
    let mut mounts = kernel_filesystems(sandbox.host_network);
    mounts.extend(in_order(&sandbox.places).iter().map(mount));
    json!({
        "ociVersion": crate::oci::OCI_VERSION,
        "hostname": "sandrun",
        "root": { "path": "/", "readonly": true },
        "process": {
            "args": sandbox.command,
            "env": sandbox.env,
            "cwd": sandbox.cwd,
            "terminal": sandbox.terminal,
            "user": { "uid": 0, "gid": 0 },
            "noNewPrivileges": true,
        },
        "mounts": mounts,
        "linux": {
            "namespaces": namespaces,
            "uidMappings": mapping(|ids| ids.0),
            "gidMappings": mapping(|ids| ids.1),
            // What the host mounts later must not appear inside, where it would be writable.
            "rootfsPropagation": "rprivate",
        },
    })
}

/// New instances, which show nothing of the host's; `/sys` shows the devices of its network namespace.
fn kernel_filesystems(host_network: bool) -> Vec<Value> {
    let sys = match host_network {
        false => json!({ "destination": "/sys", "type": "sysfs", "source": "sysfs",
            "options": ["nosuid", "noexec", "nodev", "ro"] }),
        true => json!({ "destination": "/sys", "type": "bind", "source": "/sys",
            "options": ["rbind", "rro", "rnosuid", "rnoexec", "rnodev"] }),
    };
    vec![
        json!({ "destination": "/proc", "type": "proc", "source": "proc",
            "options": ["nosuid", "noexec", "nodev"] }),
        json!({ "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
            "options": ["nosuid", "noexec", "strictatime", "mode=755", "size=64k"] }),
        json!({ "destination": "/dev/pts", "type": "devpts", "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"] }),
        json!({ "destination": "/dev/shm", "type": "tmpfs", "source": "shm",
            "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=64m"] }),
        json!({ "destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
            "options": ["nosuid", "noexec", "nodev"] }),
        sys,
    ]
}

/// Parents before what is below them, and one view of each place.
fn in_order(places: &[Place]) -> Vec<Place> {
    let mut ordered: Vec<Place> = Vec::new();
    for place in places {
        ordered.retain(|other| other.path != place.path);
        ordered.push(place.clone());
    }
    ordered.sort_by(|a, b| a.path.split('/').cmp(b.path.split('/')));
    ordered
}

fn mount(place: &Place) -> Value {
    let tmpfs = |size: &str, mode: &str| {
        json!({ "destination": place.path, "type": "tmpfs", "source": "tmpfs",
            "options": ["nosuid", "nodev", format!("size={size}"), format!("mode={mode}")] })
    };
    let bind = |access: &str| {
        json!({ "destination": place.path, "type": "bind", "source": place.path,
            "options": ["rbind", access, "rnosuid", "rnodev", "rprivate"] })
    };
    match place.view {
        // Not read-only, because mount points may have to be made in it; and too small to keep anything in.
        View::Hidden => tmpfs("64k", "755"),
        View::Scratch => tmpfs("25%", "1777"),
        View::Home => tmpfs("25%", "700"),
        View::ReadOnly => bind("rro"),
        View::Writable => bind("rw"),
    }
}

#[cfg(test)]
mod tests;
