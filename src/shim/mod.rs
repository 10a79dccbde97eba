//! `containerd-shim-sandrun-v2`: the containers of one pod, for containerd, in one process of one thread.
//!
//! containerd executes it for three actions, in the directory of a bundle. `start` leaves a server behind, or finds the
//! one that the pod has, and prints its address; `delete` removes what a server that is gone has left; `-info` tells
//! what the runtime can do. The server does everything over the library (`container::…`), never by running `sandrun`.
//! The messages are containerd's own, and stay in this folder.

mod cgroup;
mod delete;
mod errors;
mod events;
mod exits;
mod flags;
mod grouping;
mod info;
mod io;
mod metrics;
mod options;
mod pod;
mod process;
mod serve;
mod service;
mod sink;
mod socket;
mod start;

use std::process::ExitCode;

use crate::error::{Error, Kind, Result};
use flags::{Action, Flags};

/// Runs the program as its command line says. What goes wrong is told on standard error, which containerd reads.
pub fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("containerd-shim-sandrun-v2: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let flags = Flags::parse(std::env::args().skip(1))?;
    match flags.action {
        Action::Version => {
            println!("containerd-shim-sandrun-v2:\n  Version: {}", env!("CARGO_PKG_VERSION"));
            if let Some(commit) = option_env!("SANDRUN_COMMIT") {
                println!("  Revision: {commit}");
            }
            Ok(())
        }
        Action::Info => info::print(),
        _ if flags.namespace.is_empty() => {
            Err(Error::new(Kind::Invalid, "no namespace is given", "").fix("give -namespace; containerd does"))
        }
        Action::Start => start::start(&flags),
        Action::Delete => delete::delete(&flags),
        Action::Serve => serve::serve(flags),
    }
}
