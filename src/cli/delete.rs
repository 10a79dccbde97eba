use std::process::ExitCode;

use clap::Args;

use super::Global;
use crate::error::Result;

/// Remove what a stopped container holds
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Name of the container
    id: String,
    /// Kill it first if it runs; a container that does not exist is no error
    #[arg(short, long)]
    force: bool,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<ExitCode> {
    let failed = crate::container::delete::delete(&global.root(), &arguments.id, arguments.force)?;
    global.log().failed_hooks(&failed);
    Ok(ExitCode::SUCCESS)
}
