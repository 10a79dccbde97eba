//! The list of settings while it is being written.

use super::{Ignored, Layout, Otherwise, Setting, Version};
use crate::error::{Error, Kind};

/// Controllers that cgroup v2 will never have.
const V1_ONLY: [&str; 2] = ["net_cls", "net_prio"];

/// Collects what one part of `linux.resources` after the other asks for.
pub(super) struct Draft<'a> {
    pub layout: &'a Layout,
    /// What is in force, where a running container is updated.
    pub before: &'a [Setting],
    pub settings: Vec<Setting>,
    pub ignored: Vec<Ignored>,
    pub errors: Vec<Error>,
}

impl<'a> Draft<'a> {
    pub fn new(layout: &'a Layout) -> Self {
        Self { layout, before: &[], settings: Vec::new(), ignored: Vec::new(), errors: Vec::new() }
    }

    /// The interface to speak to a controller; that of the main controllers where it is missing, so that the
    /// error speaks of the file the reader expects.
    pub fn version_of(&self, controller: &str) -> Version {
        self.layout.version_of(controller).unwrap_or(self.layout.version())
    }

    /// What is in force of a file with one value.
    pub fn in_force(&self, file: &str) -> Option<&'a str> {
        self.before.iter().find(|setting| setting.file == file).map(|setting| &*setting.value)
    }

    /// Adds a setting, or says that the host has no controller for it.
    pub fn push(&mut self, setting: Setting) {
        if self.layout.version_of(&setting.controller).is_some() {
            self.settings.push(setting);
        } else {
            self.errors.push(self.missing(&setting));
        }
    }

    pub fn set(&mut self, controller: &str, file: &str, value: impl ToString, at: &str) {
        self.push(Setting::new(controller, file, value, at));
    }

    pub fn ignore(&mut self, at: &str, why: &str) {
        self.ignored.push(Ignored { at: at.to_owned(), why: why.to_owned() });
    }

    pub fn invalid(&mut self, what: &str, at: &str, why: impl Into<String>) {
        self.errors.push(Error::new(Kind::Invalid, what, why).at(at));
    }

    fn missing(&self, setting: &Setting) -> Error {
        let Setting { controller, file, .. } = setting;
        let (mode, fix) = match self.layout.version() {
            Version::V2 if V1_ONLY.contains(&&**controller) => (
                "cgroup v2",
                "drop the setting: cgroup v2 leaves packets to filters, which can match the cgroup's path"
                    .to_owned(),
            ),
            Version::V2 => (
                "cgroup v2",
                format!(
                    "free {controller} for cgroup v2 (no cgroup_disable=, no v1 mount), or drop the limit"
                ),
            ),
            Version::V1 => ("cgroup v1", format!("mount the {controller} hierarchy, or drop the limit")),
        };
        let why = format!("this host's {mode} has no {controller} controller");
        let error = Error::new(Kind::Unsupported, format!("cannot set {file}"), why).fix(fix);
        match &setting.at {
            Some(at) => error.at(at),
            None => error,
        }
    }
}

impl Setting {
    pub(super) fn new(controller: &str, file: &str, value: impl ToString, at: &str) -> Self {
        Self {
            controller: controller.to_owned(),
            file: file.to_owned(),
            value: value.to_string(),
            at: Some(at.to_owned()),
            otherwise: None,
            not_below: None,
        }
    }

    /// A kernel without the file needs no write.
    pub(super) fn or_skip(mut self) -> Self {
        self.otherwise = Some(Otherwise::Skip);
        self
    }

    /// A kernel without the file may have this one.
    pub(super) fn or_write(mut self, file: &str, value: impl ToString) -> Self {
        self.otherwise = Some(Otherwise::Write { file: file.to_owned(), value: value.to_string() });
        self
    }

    pub(super) fn not_below(mut self, counter: Option<&str>) -> Self {
        self.not_below = counter.map(str::to_owned);
        self
    }
}
