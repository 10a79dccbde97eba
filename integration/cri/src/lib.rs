//! containerd's CRI, for tests and measurements: messages by their names in cri.proto, as JSON.

// A test's tool that cannot go on has failed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub mod grpc;
pub mod messages;
