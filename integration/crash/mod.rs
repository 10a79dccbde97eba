//! The runtime dies, is called by many at once, or is short of something, at the worst moment: `delete --force`
//! removes all that is left, and the id is free again.

mod boundaries;
mod concurrent;
mod corrupt;
mod killer;
mod scarce;
