//! What the rules need to know of the host, and only the host can tell: where a path really leads, whose a namespace is.
//!
//! The path is what is mounted later, too: it is opened with no link of any kind allowed on it
//! (`RESOLVE_NO_SYMLINKS`), so that it cannot lead anywhere else by then. To look at the descriptor that is mounted
//! would be less: of a place in another mount namespace, reached through `/proc/PID/root`, the kernel tells the path
//! that it has there.

use std::path::{Path, PathBuf};

use super::form::Policy;
use super::words::Directory;
use crate::container::joined::is_hosts;
use crate::enforce::root;
use crate::plan::Plan;
use crate::plan::mounts::Source;
use crate::plan::namespaces::NamespaceKind;

/// What was found out for one plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Of each bind mount, by its index in the plan.
    pub sources: Vec<(usize, Lead)>,
    /// Kinds of namespaces that are joined and are the host's own.
    pub host_namespaces: Vec<NamespaceKind>,
    /// Places that the policy allows, by the paths that lead there without links.
    pub allowed: Vec<PathBuf>,
    /// Places that it allows read-only.
    pub allowed_read_only: Vec<PathBuf>,
}

/// Where the path of a bind source leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lead {
    /// Here, without any link.
    To(PathBuf),
    /// Nowhere that can be told, with the reason.
    Nowhere(String),
}

/// Looks at the host.
pub fn gather(policy: &Policy, plan: &Plan) -> Facts {
    let mut facts = Facts {
        allowed: places(policy.mounts.allow.as_deref(), plan),
        allowed_read_only: places(policy.mounts.allow_read_only.as_deref(), plan),
        ..Facts::default()
    };
    for (index, mount) in plan.mounts.iter().enumerate() {
        if let Source::Bind { path, nofollow, copy_link, .. } = &mount.source {
            facts.sources.push((index, lead(Path::new(path), *nofollow || *copy_link)));
        }
    }
    for joined in &plan.namespaces.join {
        // What cannot be opened cannot be joined either.
        let file = std::fs::File::open(&joined.path);
        if file.is_ok_and(|file| is_hosts(&file, joined.kind).unwrap_or(true)) {
            facts.host_namespaces.push(joined.kind);
        }
    }
    facts
}

/// As they are written, and as they are: the administrator's own links count.
fn places(written: Option<&[Directory]>, plan: &Plan) -> Vec<PathBuf> {
    let written = written.unwrap_or_default().iter().filter_map(|place| place.path(&plan.annotations));
    written.flat_map(|path| [path.canonicalize().ok(), Some(path)]).flatten().collect()
}

fn lead(path: &Path, nofollow: bool) -> Lead {
    use std::os::fd::AsRawFd;
    let opened = match root::host(path, nofollow) {
        Ok(opened) => opened,
        Err(error) => return Lead::Nowhere(error.errno.to_string()),
    };
    match std::fs::read_link(format!("/proc/self/fd/{}", opened.as_raw_fd())) {
        Ok(real) if real.is_absolute() => Lead::To(real),
        Ok(real) => Lead::Nowhere(format!("it is {}", real.display())),
        Err(error) => Lead::Nowhere(error.to_string()),
    }
}
