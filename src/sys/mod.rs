//! Every call into the kernel that needs `unsafe`, and nothing else. This folder is the audit list.
//!
//! Each `unsafe` block makes one call and names the invariant that makes it sound. Callers see safe
//! functions over owned descriptors; a failure prints as the call with its arguments.

pub mod alloc;
pub mod bpf;
pub mod branch;
pub mod capabilities;
pub mod clone;
pub mod error;
pub mod gate;
pub mod listener;
pub mod loop_device;
pub mod mount;
pub mod process;
pub mod schedule;
pub mod seccomp;
pub mod socket;
pub mod watch;

pub use error::{CallError, Syscall};
