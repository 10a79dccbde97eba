//! The cgroup of the server: the pod's, so that what it uses counts as the pod's overhead, and not as the node's.
//!
//! What is used in starting a container is used by a process that is in the container's own by then.

use super::grouping::Spec;
use super::options::Settings;
use super::sink::Sink;
use crate::cgroup::{detect, enter, leave, remove_leaf};
use crate::error::Kind;
use crate::plan::cgroup::above;

/// Moves the calling process, and so the server that it starts, to where the options or the pod say. A pod runs
/// without that, too.
pub fn join(settings: &Settings, spec: &Spec, sink: &Sink) {
    let path = match settings.shim_cgroup.as_str() {
        "" => spec.pod_cgroups_path().and_then(above),
        path => Some(path.to_owned()),
    };
    let Some(path) = path else { return };
    match detect().and_then(|layout| enter(&path, &layout)) {
        Ok(()) => {}
        // Who does without a kubelet makes no cgroup for a pod.
        Err(error) if error.kind == Kind::NotFound => sink.debug(&error.to_string()),
        Err(error) => sink.warning(&format!("the pod does not account for its shim: {error}")),
    }
}

/// Leaves it, when the pod is gone.
pub fn part(sink: &Sink) {
    if let Err(error) = detect().and_then(|layout| leave(&layout)) {
        sink.warning(&error.to_string());
    }
}

/// Removes what a server that was killed has left of it.
pub fn tidy(spec: &Spec, sink: &Sink) {
    let Some(path) = spec.pod_cgroups_path().and_then(above) else { return };
    if let Err(error) = detect().and_then(|layout| remove_leaf(&path, &layout)) {
        sink.warning(&error.to_string());
    }
}
