//! `containerd-shim-sandrun-v2`, driven as containerd drives it: its actions, its service under both names, and what it
//! tells in which order.

mod actions;
mod driver;
mod ends;
mod life;
mod order;
mod server;
