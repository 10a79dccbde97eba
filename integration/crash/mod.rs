//! The runtime dies, or is short of something, at the worst moment: `delete --force` must remove all that is left, and the id
//! must be free again.

mod boundaries;
mod killer;
