use std::process::{Command, ExitCode};

use clap::{Args, ValueEnum};

use super::Global;
use crate::cgroup;
use crate::container::process::in_pid_namespace_of;
use crate::container::state::Lock;
use crate::container::status::find;
use crate::error::{Context, Error, Kind, Result};

/// Show the processes of a container
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Form of the list
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    format: Form,
    /// Name of the container
    id: String,
    /// Options for ps(1) [default: -ef]
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Form {
    Table,
    Json,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<ExitCode> {
    let found = find(&global.root(), &arguments.id, Lock::None)?;
    let pids = match cgroup::Dirs::open(&found.record.cgroup, &cgroup::detect()?) {
        // Without a cgroup it has a pid namespace of its own.
        Err(error) if error.kind == Kind::NotFound => found
            .process
            .and(found.record.process)
            .map_or_else(Vec::new, |first| in_pid_namespace_of(first.pid)),
        dirs => cgroup::pids(&dirs?, true)?,
    };
    match arguments.format {
        Form::Json => {
            println!("{}", serde_json::to_string(&pids).context(|| "cannot print the processes".to_owned())?);
        }
        Form::Table => table(&pids, &arguments.options)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The lines of `ps(1)` that are about the container's processes.
fn table(pids: &[i32], options: &[String]) -> Result<()> {
    let what = || "cannot show the processes with ps(1)".to_owned();
    let default = ["-ef".to_owned()];
    let options = if options.is_empty() { default.as_slice() } else { options };
    let output = Command::new("ps").args(options).output().context(what)?;
    if !output.status.success() {
        return Err(Error::new(Kind::Failed, what(), String::from_utf8_lossy(&output.stderr).trim_end()));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines = text.lines();
    let header = lines.next().unwrap_or_default();
    let column = header
        .split_whitespace()
        .position(|title| title == "PID")
        .ok_or("its output has no column PID")
        .context(what)?;
    println!("{header}");
    for line in lines {
        let pid = line.split_whitespace().nth(column).and_then(|pid| pid.parse::<i32>().ok());
        if pid.is_some_and(|pid| pids.contains(&pid)) {
            println!("{line}");
        }
    }
    Ok(())
}
