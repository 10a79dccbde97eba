//! The ids of a new user namespace, written from outside while its first process waits.

use std::process::{Command, Stdio};

use crate::error::{Context, Error, Kind, Result};
use crate::plan::Namespaces;
use crate::plan::namespaces::{IdMapping, Mapper};

/// Maps user and group ids of the user namespace that the process is in.
///
/// # Errors
/// The kernel's refusal, or what a mapping program says.
pub(super) fn write(pid: i32, namespaces: &Namespaces) -> Result<()> {
    let maps = [
        ("uid_map", "linux.uidMappings", &namespaces.uid_mappings, &namespaces.uid_mapper),
        ("gid_map", "linux.gidMappings", &namespaces.gid_mappings, &namespaces.gid_mapper),
    ];
    for (file, field, mappings, mapper) in maps {
        let written = match mapper {
            Mapper::Runtime => write_proc(pid, file, &IdMapping::table(mappings)).map_err(|error| {
                error.fix(format!("map ids that the caller's own user namespace has: see /proc/self/{file}"))
            }),
            // Who may only map their own group must first give up dropping groups (user_namespaces(7)).
            Mapper::Own if file == "gid_map" => write_proc(pid, "setgroups", "deny")
                .and_then(|()| write_proc(pid, file, &IdMapping::table(mappings))),
            Mapper::Own => write_proc(pid, file, &IdMapping::table(mappings)),
            Mapper::Program(path) => run(path, pid, mappings),
        };
        written.map_err(|error| error.at(field))?;
    }
    Ok(())
}

fn write_proc(pid: i32, file: &str, text: &str) -> Result<()> {
    std::fs::write(format!("/proc/{pid}/{file}"), text).context(|| format!("cannot write {file}"))
}

/// `newuidmap(1)` and `newgidmap(1)` know what was given to the caller, and say what is wrong.
fn run(path: &str, pid: i32, mappings: &[IdMapping]) -> Result<()> {
    let what = || format!("{path} cannot map ids");
    let numbers = mappings.iter().flat_map(|mapping| [mapping.inside, mapping.outside, mapping.size]);
    let output = Command::new(path)
        .arg(pid.to_string())
        .args(numbers.map(|number| number.to_string()))
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .context(what)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let file = if path.ends_with("newuidmap") { "/etc/subuid" } else { "/etc/subgid" };
    Err(Error::new(Kind::Failed, what(), said.trim().replace('\n', "; "))
        .fix(format!("give the user these ids in {file}, as usermod(8) does, or map only those it has")))
}
