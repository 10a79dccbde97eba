//! sandrun: an OCI runtime that confines every container by default.
#![deny(unsafe_code)]
#![warn(missing_docs)]

pub mod cgroup;
pub mod error;
pub mod plan;
#[allow(unsafe_code)]
pub mod sys;
