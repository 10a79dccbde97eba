use std::process::ExitCode;

use clap::Args;

use super::Global;
use crate::container::state::Lock;
use crate::container::status::find;
use crate::error::{Context, Result};

/// Print the state of a container, and what is enforced on it, as JSON
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Name of the container
    id: String,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<ExitCode> {
    let found = find(&global.root(), &arguments.id, Lock::None)?;
    let text =
        serde_json::to_string_pretty(&found.state(true)).context(|| "cannot print the state".to_owned())?;
    println!("{text}");
    Ok(ExitCode::SUCCESS)
}
