use std::process::ExitCode;

use clap::Args;

use super::Global;
use crate::container::pause::pause;
use crate::container::state::Lock;
use crate::container::status::find;
use crate::error::Result;

/// Stop every process of a container until `resume`
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Name of the container
    id: String,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<ExitCode> {
    pause(&find(&global.root(), &arguments.id, Lock::Exclusive)?)?;
    Ok(ExitCode::SUCCESS)
}
