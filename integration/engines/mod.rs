//! The engines that people use, with sandrun in the place of their runtime.

mod daily;
mod docker;
pub mod enclave;
mod podman;
