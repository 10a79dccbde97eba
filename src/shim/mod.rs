//! `containerd-shim-sandrun-v2`: the library as containerd's runtime, one process for a pod.

pub mod io;
pub mod metrics;
