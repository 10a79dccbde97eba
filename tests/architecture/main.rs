//! What ARCHITECTURE.md says of the sources holds: borders between folders, and the order of the steps.

mod borders;
mod source;
mod steps;
