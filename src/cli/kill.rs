use std::process::ExitCode;

use clap::Args;

use super::Global;
use crate::container::kill::{kill, parse_signal};
use crate::container::state::Lock;
use crate::container::status::find;
use crate::error::Result;

/// Send a signal to a container
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Name of the container
    id: String,
    /// Name or number of the signal
    #[arg(default_value = "TERM")]
    signal: String,
    /// Send it to every process of the container, not only the first
    #[arg(short, long)]
    all: bool,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<ExitCode> {
    let signal = parse_signal(&arguments.signal)?;
    let found = find(&global.root(), &arguments.id, Lock::None)?;
    kill(&found, signal, arguments.all)?;
    Ok(ExitCode::SUCCESS)
}
