//! What will be true of the workload.

pub mod seccomp;
