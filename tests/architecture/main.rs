//! What ARCHITECTURE.md and SPECIFICATION.md say of the sources holds: borders between folders, the order of the
//! steps, and a test for each promise.

// A test stops at the first surprise.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod borders;
mod promises;
mod source;
mod steps;
