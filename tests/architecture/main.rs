//! What ARCHITECTURE.md, SPECIFICATION.md and docs/errors.md say of the sources holds: borders between folders, the order of the
//! steps, a test for each promise, and the texts of errors.

// A test stops at the first surprise.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod borders;
mod errors;
mod promises;
mod source;
mod steps;
