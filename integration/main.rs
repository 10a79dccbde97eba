//! Runs sandrun as its users do, with the probe as the workload, and asserts on what the workload saw.
//!
//! SANDRUN names another program to test; PROBE a probe that is built already. Tests that this machine cannot
//! run are skipped, with the reason, and counted in the last line.

// A test that cannot go on has failed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
// Clean-up goes on with what is left.
#![allow(clippy::let_underscore_must_use)]

#[macro_use]
mod support;

mod attacks;
mod badinput;
mod caps;
mod cgroup;
mod checkpoint;
mod containerd;
mod contract;
mod crash;
mod debian;
mod engines;
mod escape;
mod events;
mod exec;
mod features;
mod fields;
mod filters;
mod flags;
mod freezer;
mod hooks;
mod landlock;
mod lifecycle;
mod mounts;
mod namespaces;
mod netdevices;
mod peers;
mod pod;
mod policy;
mod precedence;
mod private_ids;
mod process;
mod propagation;
mod receipt;
mod rootfs;
mod rootless;
mod runtimeclass;
mod seccomp;
mod shim;
mod spec;
mod systemd;
mod tryout;
mod tty;
mod update;
mod workloads;
mod written;
