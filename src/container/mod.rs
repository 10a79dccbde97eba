//! A container's life: what is stored of it, and the commands that move it from state to state.
//!
//! ```text
//!            create               start                 the process ends
//! (nothing) ───────► created ───────────► running ───────────────────► stopped
//!     ▲                 │                    │                            │
//!     └─────────────────┴── delete --force ──┴──────────── delete ────────┘
//! ```
//!
//! Every command finds out the state from the kernel: the record only says which process and which cgroup.

pub mod checkpoint;
mod confirm;
pub mod create;
pub mod delete;
pub mod events;
pub mod exec;
mod hooks;
mod host_objects;
mod id;
mod idmap;
pub(crate) mod joined;
pub mod kill;
mod listener;
mod network;
pub mod pause;
mod pidfd_socket;
pub mod pidfile;
mod place;
mod private_ids;
pub mod process;
pub mod record;
pub mod rootfs;
pub mod start;
mod start_socket;
pub mod state;
pub mod status;
pub mod update;
