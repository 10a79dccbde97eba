//! Loads `config.json` (OCI runtime-spec 1.0 to 1.3).
//!
//! Nothing in the file is lost: a field that nobody reads is listed by name, a value that cannot be understood
//! is an error that says where it is.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use oci_spec::runtime::{LinuxResources, Process, Spec};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Context, Error, Kind, Result};

pub use crate::plan::OCI_VERSION;

/// No real configuration comes near this size.
const LARGEST: u64 = 16 << 20;

/// A configuration, and what in it is not known.
#[derive(Debug, Clone)]
pub struct Config {
    /// The typed configuration.
    pub spec: Spec,
    /// Paths of fields that no part of sandrun knows.
    pub unknown: Vec<String>,
    /// `linux.resources.pids.limit` as written; 0 only from version 1.3 on, before it meant that none is set.
    pub pids_limit: Option<i64>,
    /// `process.landlock` as written: the typed form does not know it.
    pub landlock: Option<Value>,
}

impl Config {
    /// Names of capabilities that this version does not know, each once.
    pub fn unknown_capabilities(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self
            .unknown
            .iter()
            .filter_map(|field| Some(field.strip_prefix(UNKNOWN_CAPABILITY)?.split_once(": ")?.1))
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// How an entry of [`Config::unknown`] begins that is a capability: its set and its name follow.
const UNKNOWN_CAPABILITY: &str = "process.capabilities.";

/// Reads `config.json` of a bundle.
///
/// # Errors
/// `NotFound` without the file, `Invalid` with the place of what is wrong in it.
pub fn load(bundle: &Path) -> Result<Config> {
    load_file(&bundle.join("config.json")).map_err(|error| match error.kind {
        Kind::NotFound => error
            .fix("give the directory of a bundle with --bundle, or write a config.json with `sandrun spec`"),
        _ => error,
    })
}

/// The same from a file of any name.
///
/// # Errors
/// As [`load`].
pub fn load_file(path: &Path) -> Result<Config> {
    let text = read(path)?;
    parse(&text).map_err(|error| match error.at {
        None => Error { what: format!("{} is not valid JSON", path.display()), ..error },
        Some(_) => error,
    })
}

/// Reads the text of a `config.json`.
///
/// # Errors
/// `Invalid`, with the place of what is wrong in it; without one when it is not JSON at all.
pub fn parse(text: &str) -> Result<Config> {
    let mut value: Value =
        serde_json::from_str(text).context(|| "config.json is not valid JSON".to_owned())?;
    let version = check_version(&value)?;
    let pids_limit = value.pointer("/linux/resources/pids/limit").and_then(Value::as_i64);
    let pids_limit = pids_limit.filter(|&limit| limit != 0 || version >= (1, 3));
    let landlock = take_landlock(&mut value);
    let mut unknown = adapt(&mut value);
    let spec = typed(value, "", &mut unknown)?;
    Ok(Config { spec, unknown, pids_limit, landlock })
}

fn take_landlock(config: &mut Value) -> Option<Value> {
    config.get_mut("process")?.as_object_mut()?.remove("landlock")
}

/// The process of an exec.
#[derive(Debug, Clone)]
pub struct ExecProcess {
    /// The typed form.
    pub typed: Process,
    /// `landlock` as written.
    pub landlock: Option<Value>,
    /// Paths of fields that no part of sandrun knows.
    pub unknown: Vec<String>,
}

/// Reads the process of an exec: the `process` object of `config.json`, in a file of its own.
///
/// # Errors
/// As [`load`].
pub fn load_process(path: &Path) -> Result<ExecProcess> {
    let text = read(path)?;
    process(serde_json::from_str(&text).context(|| format!("{} is not valid JSON", path.display()))?)
}

/// The process of an exec.
///
/// # Errors
/// `Invalid`, with the place of what is wrong in it.
pub fn process(value: Value) -> Result<ExecProcess> {
    let mut value = Value::Object([("process".to_owned(), value)].into_iter().collect());
    let landlock = take_landlock(&mut value);
    let mut unknown = adapt(&mut value);
    let value = value.get_mut("process").map(Value::take).unwrap_or_default();
    let typed = typed(value, "process.", &mut unknown)?;
    Ok(ExecProcess { typed, landlock, unknown })
}

/// `linux.resources` of an update, and what in it is not known.
#[derive(Debug, Clone)]
pub struct Resources {
    /// The typed form.
    pub typed: LinuxResources,
    /// `pids.limit` as written. 0 means that none is set: no version says otherwise, and no caller wants 1.
    pub pids_limit: Option<i64>,
    /// Paths of fields that no part of sandrun knows.
    pub unknown: Vec<String>,
}

/// Reads the resources of an update from a file, or from what is read from `-`.
///
/// # Errors
/// As [`load`].
pub fn load_resources(path: &Path) -> Result<Resources> {
    let what = || format!("cannot read resources from {}", path.display());
    let text = match path.to_str() {
        Some("-") => read_all(std::io::stdin(), 0, what)?,
        _ => read(path)?,
    };
    resources(serde_json::from_str(&text).context(what)?)
}

/// The resources of an update.
///
/// # Errors
/// `Invalid`, with the place of what is wrong in them.
pub fn resources(mut value: Value) -> Result<Resources> {
    let pids_limit = value.pointer("/pids/limit").and_then(Value::as_i64).filter(|&limit| limit != 0);
    clamp_hugepages(&mut value);
    let mut unknown = Vec::new();
    let typed = typed(value, "linux.resources.", &mut unknown)
        .map_err(|error| Error { what: "cannot use the resources".to_owned(), ..error }.of_another_file())?;
    Ok(Resources { typed, pids_limit, unknown })
}

fn read(path: &Path) -> Result<String> {
    let what = || format!("cannot read {}", path.display());
    let file = File::open(path).context(what)?;
    let size = file.metadata().context(what)?.len();
    read_all(file, size, what)
}

fn read_all(source: impl Read, size: u64, what: impl Fn() -> String + Copy) -> Result<String> {
    let mut text = String::with_capacity(size.min(LARGEST) as usize + 1);
    source.take(LARGEST + 1).read_to_string(&mut text).context(what)?;
    if text.len() as u64 > LARGEST {
        return Err(Error::new(Kind::Invalid, what(), format!("it is larger than {LARGEST} bytes")));
    }
    Ok(text)
}

/// Any version with the major number 1: minor versions only add fields, and unknown fields are listed.
fn check_version(value: &Value) -> Result<(u32, u32)> {
    let error = |why: &str| Error::new(Kind::Invalid, "cannot use config.json", why).at("ociVersion");
    let Some(version) = value.get("ociVersion").and_then(Value::as_str) else {
        return Err(error("it is missing")
            .fix(format!("set it to the version you wrote it for, such as {OCI_VERSION}")));
    };
    let mut numbers = version.split(['.', '-', '+']);
    let [major, minor, patch] = [(); 3].map(|()| numbers.next().and_then(|part| part.parse::<u32>().ok()));
    match (major, minor, patch) {
        (Some(1), Some(minor), Some(_)) => Ok((1, minor)),
        (Some(_), Some(_), Some(_)) => Err(error(&format!("{version} is not version 1"))),
        _ => Err(error(&format!("{version:?} is not a version number"))),
    }
}

/// Turns what the specification allows, and the typed form rejects, into what it accepts.
fn adapt(value: &mut Value) -> Vec<String> {
    let mut unknown = Vec::new();
    take_foreign(value, &mut unknown);
    if let Some(resources) = value.pointer_mut("/linux/resources") {
        clamp_hugepages(resources);
    }
    if let Some(process) = value.get_mut("process").and_then(Value::as_object_mut) {
        process.entry("user").or_insert_with(|| Value::Object(serde_json::Map::new()));
        process.entry("cwd").or_insert_with(|| Value::String(String::new()));
        if let Some(sets) = process.get_mut("capabilities").and_then(Value::as_object_mut) {
            drop_unknown_capabilities(sets, &mut unknown);
        }
        if let Some(flags) = process.get_mut("scheduler").and_then(|it| it.get_mut("flags")) {
            rename_scheduler_flags(flags);
        }
        if let Some(lists) = process.get_mut("execCPUAffinity").and_then(Value::as_object_mut) {
            close_up(lists);
        }
    }
    if let Some(syscalls) = value.pointer_mut("/linux/seccomp/syscalls").and_then(Value::as_array_mut) {
        for names in syscalls.iter_mut().filter_map(|rule| rule.get_mut("names")) {
            if names.is_null() {
                *names = Value::Array(Vec::new());
            }
        }
    }
    unknown
}

/// Limits are unsigned in the specification and signed in the typed form; its largest value is "no limit".
fn clamp_hugepages(resources: &mut Value) {
    let limits = resources.get_mut("hugepageLimits").and_then(Value::as_array_mut);
    for limit in limits.into_iter().flatten().filter_map(|entry| entry.get_mut("limit")) {
        if limit.as_u64().is_some_and(|bytes| i64::try_from(bytes).is_err()) {
            *limit = Value::from(i64::MAX);
        }
    }
}

/// Fields that the typed form has and that mean nothing on Linux, or anywhere; their values need not be right.
fn take_foreign(value: &mut Value, unknown: &mut Vec<String>) {
    let foreign = [
        ("", "uidMappings", "uidMappings"),
        ("", "gidMappings", "gidMappings"),
        ("", "solaris", "solaris"),
        ("", "vm", "vm"),
        ("", "windows", "windows"),
        ("", "zos", "zos"),
        ("/process", "commandLine", "process.commandLine"),
        ("/process/user", "username", "process.user.username"),
    ];
    for (object, field, path) in foreign {
        if let Some(object) = value.pointer_mut(object).and_then(Value::as_object_mut)
            && object.remove(field).is_some()
        {
            unknown.push(path.to_owned());
        }
    }
}

/// A capability that this version has no name for cannot be given; the container runs without it.
fn drop_unknown_capabilities(sets: &mut serde_json::Map<String, Value>, unknown: &mut Vec<String>) {
    for (set, list) in sets {
        let Some(list) = list.as_array_mut() else { continue };
        list.retain(|name| {
            let Some(text) = name.as_str() else { return true };
            let known = text.parse::<caps::Capability>().is_ok();
            if !known {
                unknown.push(format!("{UNKNOWN_CAPABILITY}{set}: {text}"));
            }
            known
        });
    }
}

/// CPU lists may be empty, or have spaces between their parts.
fn close_up(lists: &mut serde_json::Map<String, Value>) {
    lists.retain(|_, list| list.as_str().is_none_or(|list| !list.trim().is_empty()));
    for list in lists.values_mut() {
        if let Some(text) = list.as_str() {
            let parts: Vec<&str> = text.split(',').map(str::trim).collect();
            *list = Value::from(parts.join(","));
        }
    }
}

fn rename_scheduler_flags(flags: &mut Value) {
    for flag in flags.as_array_mut().into_iter().flatten() {
        match flag.as_str() {
            Some("SCHED_FLAG_RESET_ON_FORK") => *flag = Value::from("SCHED_RESET_ON_FORK"),
            Some("SCHED_FLAG_DL_OVERRUN") => *flag = Value::from("SCHED_FLAG_D_L_OVERRUN"),
            _ => {}
        }
    }
}

fn typed<T: DeserializeOwned>(value: Value, prefix: &str, unknown: &mut Vec<String>) -> Result<T> {
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(value, &mut track);
    let result = serde_ignored::deserialize(tracked, |path| {
        unknown.push(format!("{prefix}{}", plain(&path.to_string())))
    });
    result.map_err(|error: serde_json::Error| {
        let path = track.path().to_string();
        Error::new(Kind::Invalid, "cannot use config.json", error.to_string()).at(format!("{prefix}{path}"))
    })
}

/// `serde_ignored` writes an optional value as `?` in the path, and the third of a list as `.2`.
fn plain(path: &str) -> String {
    let mut plain = String::new();
    for part in path.split('.').filter(|part| *part != "?") {
        match part.parse::<usize>() {
            Ok(index) => plain.push_str(&format!("[{index}]")),
            Err(_) if plain.is_empty() => plain.push_str(part),
            Err(_) => plain.extend([".", part]),
        }
    }
    plain
}
