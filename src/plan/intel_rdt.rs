//! Shares of caches and memory bandwidth (OCI config-linux, "IntelRdt"; the resctrl filesystem, Linux 4.10).

use oci_spec::runtime::LinuxIntelRdt;
use serde::{Deserialize, Serialize};

use super::{Input, Notes};
use crate::error::{Error, Kind};

/// The group of the resctrl filesystem that the container's processes are in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IntelRdt {
    /// Its directory below the mount; empty for the default group.
    pub group: String,
    /// Whether it is made for this container, and removed with it.
    pub own: bool,
    /// Lines for the file `schemata`, in order.
    pub schemata: Vec<Schema>,
    /// The monitoring group below it, made for this container and removed with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitor: Option<String>,
}

/// One line of `schemata`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Schema {
    /// `L3:0=7f0;1=1f`, without the end of the line.
    pub line: String,
    /// Whether a group that is there already must have it, or gets it.
    pub must_match: bool,
    /// The field of `config.json`.
    pub at: String,
}

impl IntelRdt {
    /// Whether the group may be made where it is missing.
    pub fn may_make(&self) -> bool {
        self.own || (!self.group.is_empty() && !self.schemata.is_empty())
    }

    /// Takes lines over, in place of those for the same resource.
    pub fn give(&mut self, lines: Vec<Schema>) {
        let resource = |schema: &Schema| schema.line.split(':').next().map(str::to_owned);
        self.schemata.retain(|old| lines.iter().all(|line| resource(line) != resource(old)));
        self.schemata.extend(lines);
    }

    /// The directory of the monitoring group below the mount.
    pub fn monitor_dir(&self) -> Option<String> {
        let monitor = self.monitor.as_ref()?;
        let above = if self.group.is_empty() { String::new() } else { format!("{}/", self.group) };
        Some(format!("{above}mon_groups/{monitor}"))
    }

    /// The directories that are removed with the container, the inner one first.
    pub fn removed(&self) -> Vec<String> {
        self.monitor_dir().into_iter().chain(self.own.then(|| self.group.clone())).collect()
    }
}

/// Other shares for a group that is there (runc's `update --l3-cache-schema` and `--mem-bw-schema`).
#[derive(Debug, Clone, Default)]
pub struct Shares {
    /// A line of `schemata` that starts with `L3`.
    pub l3_cache: Option<String>,
    /// One that starts with `MB:`.
    pub memory_bandwidth: Option<String>,
}

impl Shares {
    /// The lines to write, in order.
    ///
    /// # Errors
    /// What the kernel could not take, with the flag that gave it.
    pub fn lines(&self) -> Result<Vec<Schema>, Vec<Error>> {
        let given =
            [(&self.l3_cache, "L3", "--l3-cache-schema"), (&self.memory_bandwidth, "MB:", "--mem-bw-schema")];
        let (mut lines, mut errors) = (Vec::new(), Vec::new());
        for (line, prefix, flag) in given {
            let Some(line) = line else { continue };
            let schema = Schema { line: line.clone(), must_match: false, at: flag.to_owned() };
            errors.extend(misread(&schema, prefix));
            lines.push(schema);
        }
        if errors.is_empty() { Ok(lines) } else { Err(errors) }
    }
}

const AT: &str = "linux.intelRdt";

pub(super) fn resolve(input: &Input<'_>, notes: &mut Notes) -> Option<IntelRdt> {
    let asked = input.config.linux().as_ref().and_then(|linux| linux.intel_rdt().as_ref())?;
    let clos = asked.clos_id().as_deref().filter(|clos| !clos.is_empty());
    let group = match clos {
        None => input.id,
        Some("/") => "",
        Some(clos) => clos,
    };
    let at = if clos.is_some() { format!("{AT}.closID") } else { AT.to_owned() };
    if let Some(why) = fault(group).filter(|_| clos != Some("/")) {
        notes.refusals.push(
            Error::new(Kind::Invalid, format!("{group:?} cannot name a resctrl group"), why)
                .at(at)
                .fix("set linux.intelRdt.closID to a plain name, or to / for the default group"),
        );
    }
    let schemata = schemata(asked, notes);
    let monitor = asked.enable_monitoring().unwrap_or(false).then(|| input.id.to_owned());
    Some(IntelRdt { group: group.to_owned(), own: clos.is_none(), schemata, monitor })
}

/// What is wrong with the name of a directory; some are the kernel's own.
fn fault(name: &str) -> Option<&'static str> {
    match name {
        "" | "." | ".." => Some("it is no name"),
        "info" | "mon_groups" | "mon_data" => Some("the kernel has a directory of that name"),
        _ if name.len() > 255 => Some("it is longer than 255 bytes"),
        _ if name.bytes().any(|byte| byte == b'/' || byte.is_ascii_control()) => Some("it is no plain name"),
        _ => None,
    }
}

/// L3 first, then memory bandwidth, then the lines of `schemata`, as the specification has them.
fn schemata(asked: &LinuxIntelRdt, notes: &mut Notes) -> Vec<Schema> {
    let own = |field: &str, line: &Option<String>, prefix: &'static str| {
        let line = line.clone().filter(|line| !line.is_empty())?;
        Some((Schema { line, must_match: true, at: format!("{AT}.{field}") }, prefix))
    };
    let lines = asked.schemata().iter().flatten().enumerate().map(|(i, line)| {
        (Schema { line: line.clone(), must_match: false, at: format!("{AT}.schemata[{i}]") }, "")
    });
    let fields = [
        own("l3CacheSchema", asked.l3_cache_schema(), "L3"),
        own("memBwSchema", asked.mem_bw_schema(), "MB:"),
    ];
    let mut schemata = Vec::new();
    for (schema, prefix) in fields.into_iter().flatten().chain(lines) {
        notes.refusals.extend(misread(&schema, prefix));
        schemata.push(schema);
    }
    schemata
}

/// Why a line is none that the kernel could take.
fn misread(schema: &Schema, prefix: &str) -> Option<Error> {
    let why = match schema.line.split_once(':') {
        _ if schema.line.contains('\n') => "it has more than one line".to_owned(),
        _ if !schema.line.starts_with(prefix) => format!("it does not start with {prefix}"),
        Some((resource, domains)) if !resource.is_empty() && domains.contains('=') => return None,
        _ => "it is not such as L3:0=7f0;1=1f".to_owned(),
    };
    let what = format!("{:?} is no line of schemata", schema.line);
    Some(Error::new(Kind::Invalid, what, why).at(schema.at.clone()))
}
