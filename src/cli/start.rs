use std::process::ExitCode;

use clap::Args;

use super::Global;
use crate::container::state::Lock;
use crate::container::status::find;
use crate::error::Result;

/// Run the program of a created container
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Name of the container
    id: String,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<ExitCode> {
    let found = find(&global.root(), &arguments.id, Lock::Exclusive)?;
    crate::container::start::start(&found)?;
    Ok(ExitCode::SUCCESS)
}
