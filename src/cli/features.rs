use std::process::ExitCode;

use clap::Args;

use super::Global;
use crate::error::{Context, Result};

/// Print what sandrun can do, as the features document of OCI
#[derive(Debug, Args)]
pub(super) struct Arguments {}

pub(super) fn run(_: &Global, _: &Arguments) -> Result<ExitCode> {
    let document = serde_json::to_string_pretty(&crate::features::document())
        .context(|| "cannot print the features".to_owned())?;
    println!("{document}");
    Ok(ExitCode::SUCCESS)
}
