//! The steps, one file for each kernel interface. Their order is in [`super::INIT`] and [`super::TAIL`].

pub mod caps;
pub mod cgroup;
pub mod console;
pub mod cwd;
pub mod descriptors;
pub mod devices;
pub mod hooks;
pub mod hostname;
pub mod identity;
pub mod join;
pub mod keyring;
pub mod labels;
pub mod landlock;
pub mod memory;
pub mod mounts;
pub mod network;
pub mod paths;
pub mod personality;
pub mod program;
pub mod rlimits;
pub mod rootfs;
pub mod seccomp;
pub mod session;
pub mod sysctl;
pub mod verify;
