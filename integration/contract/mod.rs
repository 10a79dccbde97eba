//! The contract between a container runtime and what calls it: containerd's runc shim (go-runc), conmon for podman and
//! CRI-O, CRI-O itself.

mod calls;
mod conmon;
mod errors;
mod gorunc;
mod names;
mod spelling;
