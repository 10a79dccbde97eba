use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::Global;
use crate::cgroup;
use crate::error::{Context, Error, Kind, Result};
use crate::plan::cgroup::Layout;

/// Write a config.json to start from into a bundle
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Directory of the bundle [default: the current directory]
    #[arg(short, long, value_name = "DIR", default_value = ".", hide_default_value = true)]
    bundle: PathBuf,
    /// For an ordinary user: root in the container is the caller, and nothing is limited
    #[arg(long)]
    rootless: bool,
}

const CONFIG: &str = include_str!("spec/config.json");
const ROOTLESS: &str = include_str!("spec/rootless.json.in");

pub(super) fn run(_: &Global, arguments: &Arguments) -> Result<ExitCode> {
    let text = match arguments.rootless {
        true => rootless(rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()),
        false if cgroup::detect().is_ok_and(|layout| matches!(layout, Layout::V2 { .. })) => {
            CONFIG.to_owned()
        }
        false => without_cgroup_namespace(CONFIG),
    };
    write(&arguments.bundle.join("config.json"), &text)?;
    Ok(ExitCode::SUCCESS)
}

/// As runc writes it on cgroup v1, for callers that add the namespace themselves: no kind may be listed twice.
fn without_cgroup_namespace(text: &str) -> String {
    text.replace(",\n\t\t\t{\n\t\t\t\t\"type\": \"cgroup\"\n\t\t\t}", "")
}

fn rootless(uid: u32, gid: u32) -> String {
    let id = |id: u32| format!("\"hostID\": {id}");
    ROOTLESS.replace("\"hostID\": UID", &id(uid)).replace("\"hostID\": GID", &id(gid))
}

fn write(path: &std::path::Path, text: &str) -> Result<()> {
    let what = || format!("cannot write {}", path.display());
    let mut file = match OpenOptions::new().write(true).create_new(true).open(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            return Err(Error::new(Kind::Exists, what(), "it exists")
                .fix("remove it first, or name another --bundle"));
        }
        file => file.context(what)?,
    };
    file.write_all(text.as_bytes()).context(what)
}

#[cfg(test)]
mod tests;
