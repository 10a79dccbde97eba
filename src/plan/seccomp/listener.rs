//! The agent that answers notified calls, where a profile has `SCMP_ACT_NOTIFY`.

use std::path::PathBuf;

use oci_spec::runtime::LinuxSeccomp;
use serde::{Deserialize, Serialize};

use super::profile::Problem;

/// The agent that is sent the listener descriptor (runtime-spec, config-linux.md, "seccomp").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listener {
    /// Its UNIX stream socket; absolute, on the host.
    pub path: PathBuf,
    /// What it is told besides the container's state. May be empty.
    pub metadata: String,
}

/// The socket that is named; an empty one is none.
pub(super) fn path(seccomp: &LinuxSeccomp) -> Option<&PathBuf> {
    seccomp.listener_path().as_ref().filter(|path| !path.as_os_str().is_empty())
}

/// The listener of a profile that `notifies`, or none of one that does not.
pub(super) fn resolve(
    seccomp: &LinuxSeccomp,
    notifies: bool,
    problems: &mut Vec<Problem>,
) -> Option<Listener> {
    let mut problem = |at: &str, why: String, fix| problems.push(Problem { at: at.into(), why, fix });
    let metadata = seccomp.listener_metadata().clone().unwrap_or_default();
    let Some(path) = path(seccomp) else {
        if notifies {
            problem(
                "listenerPath",
                "SCMP_ACT_NOTIFY is used, but nobody is told".into(),
                "set it to the socket of a seccomp agent",
            );
        }
        if !metadata.is_empty() {
            problem(
                "listenerMetadata",
                "there is no listenerPath to send it to".into(),
                "remove it or set listenerPath",
            );
        }
        return None;
    };
    if !path.is_absolute() {
        problem(
            "listenerPath",
            format!("{:?} is not absolute", path.display().to_string()),
            "start it with /",
        );
    }
    notifies.then(|| Listener { path: path.clone(), metadata })
}
