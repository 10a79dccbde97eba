//! Hooks (OCI config, "POSIX-platform Hooks"): programs that run at points of the container's life.

use std::collections::BTreeMap;
use std::path::Path;

use oci_spec::runtime::{Hook as OciHook, Hooks as OciHooks};
use serde::{Deserialize, Serialize};

use super::Input;
use crate::error::{Error, Kind};

/// A point of the container's life (OCI runtime, "Lifecycle").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// Once the environment is made, on the host; superseded by `CreateRuntime`, and before it.
    Prestart,
    /// Once the environment is made, on the host.
    CreateRuntime,
    /// After that, in the container's namespaces, by a path of the host, before the root is changed.
    CreateContainer,
    /// At `start`, inside the container.
    StartContainer,
    /// After the program was executed, on the host.
    Poststart,
    /// After the container was deleted, on the host.
    Poststop,
}

impl Point {
    /// All of them, in the order of a container's life.
    pub const ALL: [Point; 6] = [
        Point::Prestart,
        Point::CreateRuntime,
        Point::CreateContainer,
        Point::StartContainer,
        Point::Poststart,
        Point::Poststop,
    ];

    /// Its name in `config.json`.
    pub fn name(self) -> &'static str {
        match self {
            Point::Prestart => "prestart",
            Point::CreateRuntime => "createRuntime",
            Point::CreateContainer => "createContainer",
            Point::StartContainer => "startContainer",
            Point::Poststart => "poststart",
            Point::Poststop => "poststop",
        }
    }

    /// The container's status that a hook is told (OCI runtime, "State").
    fn status(self) -> &'static str {
        match self {
            Point::CreateRuntime | Point::CreateContainer => "creating",
            // The deprecated kind was of `start` once, and is told what it always was.
            Point::Prestart | Point::StartContainer => "created",
            Point::Poststart => "running",
            Point::Poststop => "stopped",
        }
    }
}

/// One program to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// Where in `config.json`: `hooks.poststop[0]`.
    pub at: String,
    /// Absolute path: inside the container for `startContainer`, else on the host.
    pub path: String,
    /// Its arguments, its own name first.
    pub args: Vec<String>,
    /// Its whole environment; absent for that of whoever runs it, or inside for that of the container's program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<Vec<String>>,
    /// Seconds until it is killed; without, it may take as long as it likes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u32>,
}

/// All hooks of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Hooks {
    /// The bundle: part of what a hook reads, and its working directory outside.
    pub bundle: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    prestart: Vec<Hook>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    create_runtime: Vec<Hook>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    create_container: Vec<Hook>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    start_container: Vec<Hook>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    poststart: Vec<Hook>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    poststop: Vec<Hook>,
}

impl Hooks {
    /// The hooks of one point, in the order in which they run.
    pub fn at(&self, point: Point) -> &[Hook] {
        match point {
            Point::Prestart => &self.prestart,
            Point::CreateRuntime => &self.create_runtime,
            Point::CreateContainer => &self.create_container,
            Point::StartContainer => &self.start_container,
            Point::Poststart => &self.poststart,
            Point::Poststop => &self.poststop,
        }
    }

    fn at_mut(&mut self, point: Point) -> &mut Vec<Hook> {
        match point {
            Point::Prestart => &mut self.prestart,
            Point::CreateRuntime => &mut self.create_runtime,
            Point::CreateContainer => &mut self.create_container,
            Point::StartContainer => &mut self.start_container,
            Point::Poststart => &mut self.poststart,
            Point::Poststop => &mut self.poststop,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        Point::ALL.into_iter().all(|point| self.at(point).is_empty())
    }

    /// Whether some run while the container is created.
    pub fn at_creation(&self) -> bool {
        [Point::Prestart, Point::CreateRuntime, Point::CreateContainer]
            .into_iter()
            .any(|point| !self.at(point).is_empty())
    }
}

/// What a hook reads on its standard input (OCI runtime, "State").
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct State<'a> {
    oci_version: &'static str,
    id: &'a str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<i32>,
    bundle: &'a str,
    annotations: &'a BTreeMap<String, String>,
}

impl<'a> State<'a> {
    /// The state at a point. `pid` is the container's process as the hook's pid namespace numbers it, while
    /// there is one.
    pub fn at(
        point: Point,
        id: &'a str,
        pid: Option<i32>,
        bundle: &'a str,
        annotations: &'a BTreeMap<String, String>,
    ) -> Self {
        Self { oci_version: super::OCI_VERSION, id, status: point.status(), pid, bundle, annotations }
    }
}

pub(super) fn resolve(input: &Input<'_>) -> Result<Hooks, Vec<Error>> {
    let mut hooks = Hooks::default();
    let mut refusals = Vec::new();
    let Some(given) = input.config.hooks() else { return Ok(hooks) };
    for point in Point::ALL {
        for (i, hook) in lists(given, point).iter().enumerate() {
            match one(hook, format!("hooks.{}[{i}]", point.name())) {
                Ok(planned) => hooks.at_mut(point).push(planned),
                Err(error) => refusals.push(error),
            }
        }
    }
    if !hooks.is_empty() {
        hooks.bundle = input.bundle.to_string_lossy().into_owned();
    }
    if refusals.is_empty() { Ok(hooks) } else { Err(refusals) }
}

/// Engines still use the deprecated kind.
#[allow(deprecated)]
fn lists(given: &OciHooks, point: Point) -> &[OciHook] {
    let list = match point {
        Point::Prestart => given.prestart(),
        Point::CreateRuntime => given.create_runtime(),
        Point::CreateContainer => given.create_container(),
        Point::StartContainer => given.start_container(),
        Point::Poststart => given.poststart(),
        Point::Poststop => given.poststop(),
    };
    list.as_deref().unwrap_or_default()
}

fn one(hook: &OciHook, at: String) -> Result<Hook, Error> {
    let invalid = |what: &str, why: &str, field: &str| {
        Err(Error::new(Kind::Invalid, what, why).at(format!("{at}.{field}")))
    };
    let Some(path) = hook.path().to_str().filter(|path| Path::new(path).is_absolute()) else {
        return invalid("a hook's path is not absolute", &format!("it is {:?}", hook.path()), "path");
    };
    let (args, env) = (hook.args().clone().unwrap_or_default(), hook.env().clone());
    let given = env.as_deref().unwrap_or_default();
    for (field, list) in [("path", [path.to_owned()].as_slice()), ("args", &args), ("env", given)] {
        if list.iter().any(|text| text.contains('\0')) {
            return invalid("a hook cannot be run", "a NUL byte is in it", field);
        }
    }
    let timeout = match hook.timeout() {
        None => None,
        Some(seconds @ 1..) => Some(u32::try_from(seconds).unwrap_or(u32::MAX)),
        Some(seconds) => {
            return invalid("a hook's timeout is not above zero", &format!("it is {seconds}"), "timeout");
        }
    };
    let args = if args.is_empty() { vec![path.to_owned()] } else { args };
    Ok(Hook { at, path: path.to_owned(), args, env, timeout })
}
