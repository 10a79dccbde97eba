use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::Global;
use crate::container::state::{Lock, ids};
use crate::container::status::{Found, find};
use crate::error::{Context, Error, Kind, Result};

/// List containers
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Form of the list
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    format: Form,
    /// Print names only
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Form {
    Table,
    Json,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<ExitCode> {
    let root = global.root();
    if global.root.as_ref().is_some_and(|root| !root.exists()) {
        let what = format!("cannot list the containers in {}", root.display());
        return Err(Error::new(Kind::NotFound, what, "there is no such directory")
            .fix("name the directory that they were created with"));
    }
    let mut found = Vec::new();
    for id in ids(&root)? {
        match find(&root, &id, Lock::None) {
            Ok(container) => found.push(container),
            // Removed meanwhile, or not made to the end: not a container to be listed.
            Err(error) if matches!(error.kind, Kind::NotFound | Kind::WrongState) => {}
            Err(error) => global.log().notice(&error.to_string()),
        }
    }
    match (arguments.quiet, arguments.format) {
        (true, _) => found.iter().for_each(|container| println!("{}", container.dir.id())),
        (false, Form::Json) => {
            let states: Vec<_> = found.iter().map(|container| container.state(false)).collect();
            println!("{}", serde_json::to_string(&states).context(|| "cannot print the list".to_owned())?);
        }
        (false, Form::Table) => table(&found),
    }
    Ok(ExitCode::SUCCESS)
}

fn table(found: &[Found]) {
    let mut rows = vec![["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned)];
    for container in found {
        let state = container.state(false);
        let pid = state.pid.to_string();
        rows.push([state.id, pid, state.status.to_string(), state.bundle, state.created, state.owner]);
    }
    print(&rows);
}

/// Columns as wide as their widest cell, with spaces between.
pub(super) fn print<const N: usize>(rows: &[[String; N]]) {
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    for row in rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        println!("{}", cells.join("   ").trim_end());
    }
}
