//! Reads a policy from where it is: the only file of this folder, beside `facts`, that touches the system.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::form::{Builtin, Policy};
use super::{Loaded, builtin};
use crate::error::{Error, Kind, Result};
use crate::host::is_host_root;

/// Where the node's policy is.
pub const NODE: &str = "/etc/sandrun/policy.toml";

/// Where a policy comes from. An engine, a user's session and a test that say nothing have the node's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Origin {
    /// [`NODE`], if there is such a file.
    #[default]
    Node,
    /// Another file, which has to be there.
    File(PathBuf),
    /// One that is part of this program.
    Builtin(Builtin),
}

impl Origin {
    /// From the value of `--policy`: `builtin:NAME`, or a path.
    ///
    /// # Errors
    /// When there is no built-in policy of that name.
    pub fn parse(text: &str) -> Result<Origin, String> {
        match text.strip_prefix("builtin:") {
            None => Ok(Origin::File(PathBuf::from(text))),
            Some("privileged") => Ok(Origin::Builtin(Builtin::Privileged)),
            Some("baseline") => Ok(Origin::Builtin(Builtin::Baseline)),
            Some("restricted") => Ok(Origin::Builtin(Builtin::Restricted)),
            Some(other) => Err(format!("no policy {other:?}, expected privileged, baseline or restricted")),
        }
    }

    /// Reads the policy; none where the node has none.
    ///
    /// # Errors
    /// `Refused` for a file that cannot be read, that others may write to, or that is no policy: what nobody can
    /// read may forbid anything.
    pub fn load(&self) -> Result<Option<Loaded>> {
        let path = match self {
            Origin::Builtin(name) => return builtin(*name).map(Some),
            Origin::Node => Path::new(NODE),
            Origin::File(path) => path,
        };
        match read(path) {
            Ok(text) => parse(path, &text).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && *self == Origin::Node => Ok(None),
            Err(error) => Err(unusable(path, &error.to_string())
                .fix("correct the file; until then nothing is created, executed, updated or restored")),
        }
    }
}

fn unusable(path: &Path, why: &str) -> Error {
    Error::new(Kind::Refused, format!("cannot use the node policy {}", path.display()), why)
}

/// No policy comes near this size.
const LARGEST: u64 = 1 << 20;

fn read(path: &Path) -> std::io::Result<String> {
    // Not to wait for a writer, should it be a pipe.
    let flags = libc::O_NONBLOCK | libc::O_CLOEXEC;
    let file = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    check_owner(&file)?;
    let mut text = String::new();
    file.take(LARGEST + 1).read_to_string(&mut text)?;
    match text.len() as u64 > LARGEST {
        true => Err(std::io::Error::other(format!("it is larger than {LARGEST} bytes"))),
        false => Ok(text),
    }
}

/// Seen on the descriptor that is read: nobody but root and the caller may decide.
fn check_owner(file: &File) -> std::io::Result<()> {
    let metadata = file.metadata()?;
    let owner = metadata.uid();
    let caller = rustix::process::geteuid().as_raw();
    // In another user namespace the host's root is nobody, as everyone is who has no id there.
    let nobody = !is_host_root() && owner == OVERFLOW_ID;
    let why = if !metadata.is_file() {
        "it is not a regular file".to_owned()
    } else if owner != 0 && owner != caller && !nobody {
        format!("it belongs to user {owner}, and has to belong to root or to the caller")
    } else if metadata.mode() & 0o022 != 0 {
        format!("others than its owner may write to it (mode {:04o})", metadata.mode() & 0o7777)
    } else {
        return Ok(());
    };
    Err(std::io::Error::other(why))
}

/// `/proc/sys/kernel/overflowuid`, which nobody changes.
const OVERFLOW_ID: u32 = 65534;

fn parse(path: &Path, text: &str) -> Result<Loaded> {
    let own: Policy = toml::from_str(text).map_err(|error| {
        let line = error.span().and_then(|span| text.get(..span.start)).map(|before| before.matches('\n').count());
        let place = line.map_or_else(String::new, |line| format!("line {}: ", line + 1));
        unusable(path, &format!("{place}{}", error.message()))
            .fix("correct the file, and try it with `sandrun policy show`; until then nothing is created, executed, updated or restored")
    })?;
    let base = builtin(own.extends.unwrap_or(Builtin::Privileged))?;
    Ok(Loaded::new(&path.display().to_string(), text, own.over(base.policy)))
}
