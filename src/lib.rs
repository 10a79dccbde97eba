//! sandrun: an OCI runtime that confines every container by default.
#![deny(unsafe_code)]
#![warn(missing_docs)]

pub mod cgroup;
pub mod cli;
pub mod container;
pub mod criu;
pub mod enforce;
pub mod error;
pub mod features;
pub mod host;
pub mod id_pool;
pub mod level;
pub mod log;
pub mod oci;
pub mod plan;
pub mod policy;
pub mod resctrl;
pub mod shim;
pub mod size;
#[allow(unsafe_code)]
pub mod sys;
pub mod time;
