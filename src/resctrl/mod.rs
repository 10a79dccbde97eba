//! The container's group in the resctrl filesystem: made, filled in, joined and removed.
//!
//! What is written comes from [`crate::plan::intel_rdt`]. The filesystem is the host's: a directory that is made in it
//! is a group, and the kernel fills it with files.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::error::{Context, Error, Kind, Result};
use crate::plan::intel_rdt::{IntelRdt, Schema};

/// The filesystem, where it is mounted.
pub struct Resctrl {
    root: PathBuf,
}

impl Resctrl {
    /// The first mount of it that the caller sees.
    ///
    /// # Errors
    /// `Unsupported` when there is none.
    pub fn find() -> Result<Self> {
        let what = "linux.intelRdt cannot be applied";
        let table = fs::read_to_string("/proc/self/mountinfo").context(|| what.to_owned())?;
        if let Some(root) = mount_point(&table) {
            return Ok(Self { root });
        }
        let known = fs::read_to_string("/proc/filesystems").context(|| what.to_owned())?;
        let (why, fix) = match known.lines().any(|line| line.ends_with("\tresctrl")) {
            true => ("no resctrl filesystem is mounted", "mount -t resctrl resctrl /sys/fs/resctrl"),
            false => (
                "this host has no resctrl filesystem: it needs a CPU with Intel RDT or AMD QoS, and a kernel with \
                 CONFIG_X86_CPU_RESCTRL (Linux 4.10)",
                "remove the field, or use another host",
            ),
        };
        Err(Error::new(Kind::Unsupported, what, why).at("linux.intelRdt").fix(fix))
    }

    /// Makes the group where it is to be made, writes its schemata, makes the monitoring group.
    ///
    /// # Errors
    /// `Unsupported` for what this host cannot divide, `Exists` for a group that is somebody else's, `Invalid` for one
    /// that is missing or shares otherwise than asked.
    pub fn make(&self, plan: &IntelRdt) -> Result<()> {
        let monitor = plan.monitor.as_ref().map(|_| ("L3_MON", "linux.intelRdt.enableMonitoring"));
        self.check_resources(&plan.schemata, monitor)?;
        let made = self.make_group(plan)?;
        self.write_schemata(plan, made)?;
        self.make_monitor(plan)
    }

    /// Gives a group that is there other shares: all of them, or none.
    ///
    /// # Errors
    /// `Unsupported` for what this host cannot divide, else why the kernel refuses.
    pub fn change(&self, plan: &IntelRdt, lines: &[Schema]) -> Result<()> {
        self.check_resources(lines, None)?;
        let file = self.root.join(&plan.group).join("schemata");
        let before = fs::read_to_string(&file).context(|| format!("cannot read {}", file.display()))?;
        let Err(error) = self.write_lines(&file, lines) else { return Ok(()) };
        let changed = |line: &&str| lines.iter().any(|schema| resource(&schema.line) == resource(line));
        let back = before.lines().filter(changed).map(|line| Schema {
            line: line.trim().to_owned(),
            must_match: false,
            at: "linux.intelRdt".to_owned(),
        });
        match self.write_lines(&file, &back.collect::<Vec<_>>()) {
            Ok(()) => Err(error),
            Err(second) => Err(error.and_then(second)),
        }
    }

    fn check_resources(&self, lines: &[Schema], monitor: Option<(&str, &str)>) -> Result<()> {
        let resources = lines.iter().map(|schema| (resource(&schema.line), schema.at.as_str()));
        for (resource, at) in resources.chain(monitor) {
            if self.root.join("info").join(resource).is_dir() {
                continue;
            }
            let since = match resource {
                "L3_MON" => "4.14",
                "MB" => "4.12",
                "SMBA" => "6.2",
                _ => "4.10",
            };
            let why = format!(
                "{} has no {resource}: neither this CPU nor a mount option gives it",
                self.root.join("info").display()
            );
            return Err(Error::new(Kind::Unsupported, format!("this host cannot control {resource}"), why)
                .at(at)
                .fix(format!("remove it, or use a CPU that has it with Linux {since}")));
        }
        Ok(())
    }

    /// Whether the group was made.
    fn make_group(&self, plan: &IntelRdt) -> Result<bool> {
        let what = || format!("cannot make the resctrl group {:?}", plan.group);
        let dir = self.root.join(&plan.group);
        if plan.group.is_empty() {
            return Ok(false);
        }
        if !plan.may_make() {
            return match dir.is_dir() {
                true => Ok(false),
                false => {
                    Err(Error::new(Kind::Invalid, format!("there is no resctrl group {:?}", plan.group), "")
                        .at("linux.intelRdt.closID")
                        .fix("make it first, or give schemata with which it is made"))
                }
            };
        }
        match fs::create_dir(&dir) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists && !plan.own => Ok(false),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                Err(Error::new(Kind::Exists, what(), "it is there already")
                    .at("linux.intelRdt")
                    .fix("name it in linux.intelRdt.closID if it is meant, or choose another container id"))
            }
            Err(error) => Err(self.failed(what(), &error.to_string(), "linux.intelRdt")),
        }
    }

    fn write_schemata(&self, plan: &IntelRdt, made: bool) -> Result<()> {
        if plan.schemata.is_empty() {
            return Ok(());
        }
        let file = self.root.join(&plan.group).join("schemata");
        if !made {
            let found = fs::read_to_string(&file).context(|| format!("cannot read {}", file.display()))?;
            plan.schemata.iter().filter(|schema| schema.must_match).try_for_each(|it| compare(it, &found))?;
        }
        self.write_lines(&file, &plan.schemata)
    }

    fn write_lines(&self, file: &Path, lines: &[Schema]) -> Result<()> {
        for Schema { line, at, .. } in lines {
            write(file, &format!("{line}\n"))
                .map_err(|why| self.failed(format!("cannot set the schema {line:?}"), &why, at))?;
        }
        Ok(())
    }

    fn make_monitor(&self, plan: &IntelRdt) -> Result<()> {
        let Some(monitor) = plan.monitor_dir() else { return Ok(()) };
        let what = format!("cannot make the monitoring group {monitor}");
        let at = "linux.intelRdt.enableMonitoring";
        match fs::create_dir(self.root.join(&monitor)) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                Err(Error::new(Kind::Exists, what, "it is there already").at(at))
            }
            Err(error) => Err(self.failed(what, &error.to_string(), at)),
        }
    }

    /// Puts a process and its future children into the groups.
    ///
    /// # Errors
    /// Those of the write.
    pub fn join(&self, plan: &IntelRdt, pid: i32) -> Result<()> {
        for group in [Some(plan.group.clone()), plan.monitor_dir()].into_iter().flatten() {
            write(&self.root.join(&group).join("tasks"), &pid.to_string()).map_err(|why| {
                self.failed(
                    format!("cannot put process {pid} into the resctrl group {group:?}"),
                    &why,
                    "linux.intelRdt",
                )
            })?;
        }
        Ok(())
    }

    /// What the kernel says of the group, once a process is in it.
    ///
    /// # Errors
    /// When the process is not, or the files cannot be read.
    pub fn confirm(&self, plan: &IntelRdt, pid: i32) -> Result<String> {
        let dir = self.root.join(&plan.group);
        let read = |file: &str| {
            fs::read_to_string(dir.join(file)).context(|| "cannot read the resctrl group back".to_owned())
        };
        if !read("tasks")?.lines().any(|line| line.trim() == pid.to_string()) {
            let why = "the kernel does not list the process in it";
            return Err(
                Error::new(Kind::Failed, "the resctrl group is not in force", why).at("linux.intelRdt")
            );
        }
        let schemata = read("schemata")?;
        let lines: Vec<&str> = schemata.lines().map(str::trim).collect();
        Ok(format!("group {:?}, {}", plan.group, lines.join(" ")))
    }

    /// Removes groups, by their directories below the mount; what is gone is as good. The kernel puts whoever is in
    /// one back into the group above.
    ///
    /// # Errors
    /// Those of `rmdir(2)`.
    pub fn remove(&self, dirs: &[String]) -> Result<()> {
        for dir in dirs.iter().filter(|dir| is_below(dir)) {
            match fs::remove_dir(self.root.join(dir)) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(error).context(|| format!("cannot remove the resctrl group {dir:?}"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The kernel explains its refusals in a file.
    fn failed(&self, what: String, why: &str, at: &str) -> Error {
        let status = fs::read_to_string(self.root.join("info/last_cmd_status")).unwrap_or_default();
        let why = match status.trim() {
            "" | "ok" => why.to_owned(),
            status => format!("{why}: {status}"),
        };
        Error::new(Kind::Failed, what, why).at(at)
    }
}

/// A path of a record that could lead elsewhere is nobody's.
fn is_below(dir: &str) -> bool {
    !dir.is_empty() && dir.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// The kernel makes the file; what is missing is not made here.
fn write(file: &Path, text: &str) -> Result<(), String> {
    let mut file = OpenOptions::new().write(true).open(file).map_err(|error| error.to_string())?;
    file.write_all(text.as_bytes()).map_err(|error| error.to_string())
}

/// Where the mount table (`proc_pid_mountinfo(5)`) has the filesystem.
fn mount_point(table: &str) -> Option<PathBuf> {
    table.lines().find_map(|line| {
        let (here, filesystem) = line.split_once(" - ")?;
        let mut fields = here.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        let whole = root == "/" && filesystem.split(' ').next() == Some("resctrl");
        let plain = |point: &str| point.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\");
        whole.then(|| PathBuf::from(plain(point)))
    })
}

fn resource(line: &str) -> &str {
    line.split_once(':').map_or(line, |(resource, _)| resource).trim()
}

/// The share of each cache or controller by its number, as one text for each value.
fn domains(line: &str) -> Vec<(String, String)> {
    let plain = |text: &str| {
        let text = text.trim().trim_start_matches('0').to_ascii_lowercase();
        if text.is_empty() { "0".to_owned() } else { text }
    };
    let domains = line.split_once(':').map_or("", |(_, domains)| domains).split(';');
    domains.filter_map(|domain| domain.split_once('=')).map(|(id, value)| (plain(id), plain(value))).collect()
}

/// A group that others share has to be divided as this container expects; what it does not name is left open.
fn compare(schema: &Schema, found: &str) -> Result<()> {
    let line = found.lines().find(|line| resource(line) == resource(&schema.line)).unwrap_or_default().trim();
    let theirs = domains(line);
    if domains(&schema.line).iter().all(|domain| theirs.contains(domain)) {
        return Ok(());
    }
    let what = format!("the resctrl group that is there does not share as {:?}", schema.line);
    Err(Error::new(Kind::Invalid, what, format!("it has {line:?}"))
        .at(schema.at.clone())
        .fix("name another group in linux.intelRdt.closID, or give what this one has"))
}

#[cfg(test)]
mod tests;
