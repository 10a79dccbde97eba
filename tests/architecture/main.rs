//! What ARCHITECTURE.md says of the sources holds: borders between folders, and the order of the steps.

// A test stops at the first surprise.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod borders;
mod source;
mod steps;
