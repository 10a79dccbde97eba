use std::process::ExitCode;

use clap::Args;

use super::Global;
use crate::container::pause::resume;
use crate::container::state::Lock;
use crate::container::status::find;
use crate::error::Result;

/// Let the processes of a paused container go on
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Name of the container
    id: String,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<ExitCode> {
    resume(&find(&global.root(), &arguments.id, Lock::Exclusive)?)?;
    Ok(ExitCode::SUCCESS)
}
