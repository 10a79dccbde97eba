//! The handlers as containerd's configuration has them: text, from the node's facts.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::error::{Error, Kind, Result};
use crate::level::Level;

/// Whose shim is between containerd and the container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Via {
    /// sandrun's own, one small process a pod.
    #[default]
    Shim,
    /// containerd's shim of runc, which runs sandrun in runc's place.
    RuncShim,
}

/// What a RuntimeClass names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handler {
    /// The name, a DNS label.
    pub name: &'static str,
    /// How much its containers are confined.
    pub level: Level,
}

/// All that there are.
pub const HANDLERS: [Handler; 3] = [
    Handler { name: "sandrun", level: Level::Baseline },
    Handler { name: "sandrun-strict", level: Level::Strict },
    Handler { name: "sandrun-oci", level: Level::Oci },
];

impl FromStr for Handler {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = HANDLERS.into_iter().find(|handler| handler.name == text);
        found.ok_or_else(|| {
            format!("unknown handler {text:?}, expected sandrun, sandrun-strict or sandrun-oci")
        })
    }
}

/// The runtime, as it is called in `bin_dir`.
pub const PROGRAM: &str = "sandrun";
/// The shim, whose name containerd derives from the runtime's type.
pub const SHIM: &str = "containerd-shim-sandrun-v2";

/// Which handlers a node gets, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// Which.
    pub handlers: Vec<Handler>,
    /// Through which shim.
    pub via: Via,
    /// Where the programs are.
    pub bin_dir: PathBuf,
    /// Whether systemd makes the cgroups, as the node's own handler has it.
    pub systemd_cgroup: bool,
}

impl Setup {
    /// The file with the shim's options for a handler.
    pub fn options_file(handler: Handler) -> PathBuf {
        Path::new(OPTIONS_DIR).join(handler.name).with_extension("toml")
    }

    /// What is in it.
    pub fn options(&self, handler: Handler) -> String {
        let (name, level, systemd) = (handler.name, handler.level, self.systemd_cgroup);
        format!("{OWNED}# Options of the handler {name}.\nlevel = \"{level}\"\nsystemd_cgroup = {systemd}\n")
    }

    /// The program under containerd's shim of runc, which knows its level by its name.
    pub fn binary(&self, handler: Handler) -> PathBuf {
        self.bin_dir.join(handler.name)
    }

    /// `runtime_type` of the handlers.
    pub fn runtime_type(&self) -> &'static str {
        match self.via {
            Via::Shim => "io.containerd.sandrun.v2",
            Via::RuncShim => "io.containerd.runc.v2",
        }
    }

    /// The option by which a handler is known to be ours: name and value.
    pub fn option(&self, handler: Handler) -> (&'static str, PathBuf) {
        match self.via {
            Via::Shim => ("ConfigPath", Self::options_file(handler)),
            Via::RuncShim => ("BinaryName", self.binary(handler)),
        }
    }

    /// The tables of the handlers, for a CRI plugin called `plugin`.
    ///
    /// # Errors
    /// When a path is not valid UTF-8, which TOML cannot say.
    pub fn tables(&self, plugin: &str) -> Result<String> {
        let mut text = String::new();
        for &handler in &self.handlers {
            let table = format!("plugins.{}.containerd.runtimes.{}", quoted(plugin), handler.name);
            let (option, value) = self.option(handler);
            let value = utf8(&value)?;
            let kind = self.runtime_type();
            let mut lines = vec![format!("[{table}]"), format!("  runtime_type = \"{kind}\"")];
            if self.via == Via::Shim {
                lines.push(format!("  runtime_path = {}", quoted(utf8(&self.bin_dir.join(SHIM))?)));
            }
            lines.push("  pod_annotations = [\"dev.sandrun.*\"]".to_owned());
            lines.push("  container_annotations = [\"dev.sandrun.*\"]".to_owned());
            lines.push(format!("  [{table}.options]"));
            lines.push(match self.via {
                Via::Shim => "    TypeUrl = \"io.containerd.sandrun.v2.options\"".to_owned(),
                Via::RuncShim => format!("    SystemdCgroup = {}", self.systemd_cgroup),
            });
            lines.push(format!("    {option} = {}", quoted(value)));
            lines.iter().try_for_each(|line| writeln!(text, "{line}")).map_err(|error| unwritable(&error))?;
        }
        Ok(text)
    }
}

/// Where the options of the handlers are.
pub const OPTIONS_DIR: &str = "/etc/sandrun/handlers";

/// The first line of every file that is ours.
pub const OWNED: &str = "# Written by `sandrun install`, removed by `sandrun uninstall`; changes are lost.\n";

/// A TOML string.
pub fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// A path as TOML can have it.
///
/// # Errors
/// When it is not valid UTF-8.
pub fn utf8(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| {
        Error::new(Kind::Invalid, format!("cannot use the path {}", path.display()), "it is not valid UTF-8")
    })
}

fn unwritable(error: &dyn std::error::Error) -> Error {
    Error::new(Kind::Failed, "cannot write the handlers", error.to_string())
}
