//! What the administrator says of a handler: a small TOML file, a table in containerd's configuration, or the options of
//! containerd's own shim.
//!
//! The table comes on top of the file. What nobody knows is an error: a misspelt `level` must not mean "the default".

use std::path::{Path, PathBuf};

use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::{self, CodedInputStream, Message};
use containerd_shim_protos::shim::oci;
use serde::Deserialize;

use crate::error::{Context, Error, Kind, Result};
use crate::level::Level;
use crate::policy::Origin;

/// The node's file, where the options name no other; it need not be there.
const NODE: &str = "/etc/sandrun/shim.toml";

/// Where containers are kept, one directory for each namespace of containerd's.
const ROOT: &str = "/run/containerd/sandrun";

/// How a container of a handler is made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// The level; absent for what the annotation says, or the default.
    pub level: Option<Level>,
    /// The policy that bounds it.
    pub policy: Origin,
    /// Where containers are kept.
    pub root: PathBuf,
    /// Have systemd make the cgroups.
    pub systemd_cgroup: bool,
    /// Ids of their own for all pods that can have them, or for none; absent for what the annotation or the level says.
    pub private_ids: Option<bool>,
    /// Tell more.
    pub debug: bool,
    /// Do not use pivot_root.
    pub no_pivot_root: bool,
    /// Keep the session keyring.
    pub no_new_keyring: bool,
    /// Who owns the pipes of the standard streams.
    pub io_owner: (u32, u32),
    /// The cgroup of the server.
    pub shim_cgroup: String,
    /// Where CRIU works.
    pub criu_work_path: String,
}

/// The file, and the table.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    level: Option<Level>,
    policy: Option<String>,
    root: Option<PathBuf>,
    #[serde(alias = "SystemdCgroup")]
    systemd_cgroup: Option<bool>,
    private_ids: Option<bool>,
    debug: Option<bool>,
    /// Stands in the table beside ours, for containerd.
    #[serde(rename = "TypeUrl")]
    _type_url: Option<String>,
}

impl Form {
    fn parse(text: &str, origin: &str) -> Result<Self> {
        toml::from_str(text).map_err(|error| {
            Error::new(Kind::Invalid, format!("cannot use the shim's options in {origin}"), error.to_string()).fix(
                "they may have level, policy, root, systemd_cgroup, private_ids and debug; correct them, and what \
                 containerd has of them",
            )
        })
    }

    fn over(self, below: Form) -> Form {
        Form {
            level: self.level.or(below.level),
            policy: self.policy.or(below.policy),
            root: self.root.or(below.root),
            systemd_cgroup: self.systemd_cgroup.or(below.systemd_cgroup),
            private_ids: self.private_ids.or(below.private_ids),
            debug: self.debug.or(below.debug),
            _type_url: None,
        }
    }
}

/// `runtimeoptions.v1.Options`, which containerd gives to every shim but its own.
#[derive(Debug, Default, PartialEq, Eq)]
struct Generic {
    config_path: String,
    /// From 1.7 on: the table, where it names no path.
    config_body: String,
}

impl Settings {
    /// Those of a container, from what came with the request for it.
    ///
    /// # Errors
    /// `Invalid` for options of another type, or that say what nobody knows; a file that is named has to be there.
    pub fn read(options: Option<&Any>, namespace: &str) -> Result<Self> {
        let type_url = options.map_or("", |any| any.type_url.as_str());
        let value = options.map(|any| any.value.as_slice()).unwrap_or_default();
        match type_url.rsplit('/').next().unwrap_or_default() {
            "" => Settings::of(Generic::default(), namespace),
            "runtimeoptions.v1.Options" | "cri.runtimeoptions.v1.Options" => {
                Settings::of(Generic::decode(value).map_err(undecodable)?, namespace)
            }
            "containerd.runc.v1.Options" => Settings::of_runc(value, namespace),
            other => Err(Error::new(Kind::Invalid, format!("cannot use options of the type {other}"), "")
                .fix("give runtimeoptions.v1.Options or containerd.runc.v1.Options")),
        }
    }

    fn of(generic: Generic, namespace: &str) -> Result<Self> {
        let file = match generic.config_path.as_str() {
            "" => read_file(Path::new(NODE), false)?,
            path => read_file(Path::new(path), true)?,
        };
        let form = Form::parse(&generic.config_body, "containerd's configuration")?.over(file);
        let policy = form.policy.as_deref().map(Origin::parse).transpose();
        Ok(Settings {
            level: form.level,
            policy: policy
                .context(|| "cannot use the policy of the shim's options".to_owned())?
                .unwrap_or_default(),
            root: form.root.unwrap_or_else(|| PathBuf::from(ROOT)).join(namespace),
            systemd_cgroup: form.systemd_cgroup.unwrap_or_default(),
            private_ids: form.private_ids,
            debug: form.debug.unwrap_or_default(),
            ..Settings::default()
        })
    }

    /// `BinaryName` is of no use: nothing else is run here.
    fn of_runc(value: &[u8], namespace: &str) -> Result<Self> {
        let options = oci::Options::parse_from_bytes(value).map_err(undecodable)?;
        let own = Settings::of(Generic::default(), namespace)?;
        let root = Some(options.root).filter(|root| !root.is_empty());
        Ok(Settings {
            root: root.map_or(own.root, |root| Path::new(&root).join(namespace)),
            systemd_cgroup: options.systemd_cgroup || own.systemd_cgroup,
            no_pivot_root: options.no_pivot_root,
            no_new_keyring: options.no_new_keyring,
            io_owner: (options.io_uid, options.io_gid),
            shim_cgroup: options.shim_cgroup,
            criu_work_path: options.criu_work_path,
            ..own
        })
    }
}

impl Generic {
    /// `type_url` (1) says nothing here.
    fn decode(bytes: &[u8]) -> protobuf::Result<Self> {
        let mut generic = Generic::default();
        let mut input = CodedInputStream::from_bytes(bytes);
        while let Some(tag) = input.read_raw_tag_or_eof()? {
            match tag >> 3 {
                2 if tag & 7 == 2 => generic.config_path = input.read_string()?,
                3 if tag & 7 == 2 => generic.config_body = input.read_string()?,
                _ => protobuf::rt::skip_field_for_tag(tag, &mut input)?,
            }
        }
        Ok(generic)
    }
}

fn read_file(path: &Path, named: bool) -> Result<Form> {
    match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !named => Ok(Form::default()),
        text => {
            let text = text.context(|| format!("cannot read the shim's options {}", path.display()))?;
            Form::parse(&text, &path.display().to_string())
        }
    }
}

fn undecodable(error: protobuf::Error) -> Error {
    Error::new(Kind::Invalid, "cannot decode the options", error.to_string())
}

#[cfg(test)]
mod tests;
