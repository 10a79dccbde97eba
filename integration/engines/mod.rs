//! The engines that people use, with sandrun in the place of their runtime.

mod docker;
mod enclave;
mod podman;
