//! What a container asks of sandrun itself, by annotations `dev.sandrun.*`.
//!
//! One that tightens is free; one that loosens needs the node policy to list it with its value.

use std::collections::{BTreeMap, HashMap};

use super::{Input, Notes, landlock, namespaces, write_xor_execute};
use crate::error::{Error, Kind, Result};
use crate::level::Level;

/// `false` leaves `process.noNewPrivileges` as config.json has it at `baseline`, which loosens; `true` sets it at any
/// level.
pub const NO_NEW_PRIVILEGES: &str = "dev.sandrun.no-new-privileges";
/// Argument vectors that an exec may run where the policy allows probes only: a JSON list of lists of texts.
pub const EXEC_PROBES: &str = "dev.sandrun.exec-probes";

/// Every annotation that is read.
pub const KNOWN: [&str; 9] = [
    Level::ANNOTATION,
    NO_NEW_PRIVILEGES,
    EXEC_PROBES,
    landlock::ANNOTATION,
    landlock::TCP_BIND,
    landlock::TCP_CONNECT,
    write_xor_execute::EXECUTABLE,
    write_xor_execute::WRITABLE,
    namespaces::private_ids::ANNOTATION,
];

/// What the node policy lets loosen; nothing, where there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loosening {
    /// Annotations, each with the values that it may have.
    pub annotations: BTreeMap<String, Vec<String>>,
    /// Capabilities that `baseline` leaves beside its own.
    pub capabilities: u64,
}

impl Loosening {
    /// Lets an annotation have a value that loosens.
    ///
    /// # Errors
    /// `Refused` unless the policy lists it.
    pub fn allow(&self, name: &str, value: &str) -> Result<()> {
        let listed = self.annotations.get(name);
        if listed.is_some_and(|values| values.iter().any(|listed| listed == value)) {
            return Ok(());
        }
        Err(Error::new(
            Kind::Refused,
            format!("annotation {name}={value} loosens the confinement"),
            "a container cannot loosen its own, unless the node policy lets it",
        )
        .at(field(name))
        .fix(format!(
            "remove the annotation, or have {value:?} listed for it in annotations.allow of the policy"
        )))
    }
}

/// Where an annotation is in config.json.
pub fn field(name: &str) -> String {
    format!("annotations[{name:?}]")
}

impl Input<'_> {
    /// The value of an annotation.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.config.annotations().as_ref()?.get(name).map(String::as_str)
    }
}

/// Fields that nobody reads have no effect; a misspelt wish to sandrun itself is refused, for whoever wrote it believes
/// that the container is as they wish.
pub(super) fn note_unknown(input: &Input<'_>, notes: &mut Notes) {
    for field in input.unknown {
        notes.change(field, "has no effect: nothing of this version reads it");
    }
    let mut annotations: Vec<_> = input.config.annotations().iter().flat_map(HashMap::keys).collect();
    annotations.retain(|name| name.starts_with("dev.sandrun.") && !KNOWN.contains(&name.as_str()));
    annotations.sort();
    notes.refusals.extend(annotations.into_iter().map(|name| {
        Error::new(Kind::Invalid, format!("annotation {name} is not one of sandrun's"), "")
            .at(field(name))
            .fix(format!("correct its name, or remove it; this version has {}", KNOWN.join(", ")))
    }));
    if let Some(text) = input.annotation(EXEC_PROBES)
        && let Err(error) = exec_probes(text)
    {
        notes.refusals.push(error);
    }
}

/// Whether `execve` may go on adding privileges at `baseline`; sets `no_new_privs` where an annotation asks for it.
pub(super) fn may_gain_privileges(input: &Input<'_>, no_new_privs: &mut bool, notes: &mut Notes) -> bool {
    let refusal = match input.annotation(NO_NEW_PRIVILEGES) {
        None => return false,
        Some("true") => {
            if !std::mem::replace(no_new_privs, true) {
                notes.change("process.noNewPrivileges", "set, as an annotation asks");
            }
            return false;
        }
        // It is as config.json has it anyway.
        Some("false") if input.level == Level::Oci => return false,
        Some("false") if input.level == Level::Strict => {
            let what = format!("annotation {NO_NEW_PRIVILEGES}=false at level strict");
            Error::new(Kind::Refused, what, "no process gains privileges there")
                .at(field(NO_NEW_PRIVILEGES))
                .fix("remove the annotation")
        }
        Some("false") => match input.loosening.allow(NO_NEW_PRIVILEGES, "false") {
            Ok(()) => return true,
            Err(refusal) => refusal,
        },
        Some(other) => {
            let what = format!("{other:?} for annotation {NO_NEW_PRIVILEGES}");
            Error::new(Kind::Invalid, what, "").at(field(NO_NEW_PRIVILEGES)).fix("use true or false")
        }
    };
    notes.refusals.push(refusal);
    false
}

/// The argument vectors in the text of [`EXEC_PROBES`].
///
/// # Errors
/// `Invalid` unless it is a list of lists of texts.
pub fn exec_probes(text: &str) -> Result<Vec<Vec<String>>> {
    serde_json::from_str(text).map_err(|error| {
        Error::new(Kind::Invalid, format!("cannot read annotation {EXEC_PROBES}"), error.to_string())
            .at(field(EXEC_PROBES))
            .fix("write a JSON list with one list of arguments for each probe: [[\"/bin/check\",\"-q\"]]")
    })
}
