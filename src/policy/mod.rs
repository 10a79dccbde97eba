//! The node's policy: the administrator's last "no", which no configuration of a container gets around.
//!
//! [`file`](mod@file) reads it and [`facts`] looks at the host; the rest is pure. `clamp` tightens a configuration before the
//! plan is made, `judge` says what of the plan breaks a rule, `exec` and `ceilings` do so for processes that are
//! added and limits that are changed. The built-in policies are files in `policy/`, with the reason of each rule.

pub mod ceilings;
pub mod clamp;
pub mod exec;
pub mod facts;
pub mod file;
pub mod form;
pub mod judge;
pub mod require;
pub mod words;

use crate::error::{Error, Kind, Result};
use crate::level::Level;
use crate::plan::annotations::Loosening;
use crate::plan::{Change, PolicyInForce};
pub use file::Origin;
pub use form::{Builtin, Mode, Policy};
use words::CapabilityName;

/// A policy as it is in force, and where it comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The file, or `builtin:NAME`.
    pub name: String,
    /// Of its text.
    pub digest: String,
    /// With everything that it is derived from.
    pub policy: Policy,
}

impl Loaded {
    fn new(name: &str, text: &str, policy: Policy) -> Loaded {
        let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Loaded { name: name.to_owned(), digest: format!("{hash:016x}"), policy }
    }

    /// What the plan keeps of it.
    pub fn in_force(&self, warnings: Vec<Change>) -> PolicyInForce {
        PolicyInForce { name: self.name.clone(), digest: self.digest.clone(), warnings }
    }

    /// What it lets loosen.
    pub fn loosening(&self) -> Loosening {
        let keep = self.policy.capabilities.keep_at_baseline.as_deref().unwrap_or_default();
        Loosening {
            annotations: self.policy.annotations.allow.clone().unwrap_or_default(),
            capabilities: CapabilityName::mask(keep),
        }
    }

    /// The level of a container for which nobody asks.
    pub fn default_level(&self) -> Level {
        let rules = &self.policy.level;
        rules.default.unwrap_or_default().max(rules.minimum.unwrap_or(Level::Oci))
    }

    /// The level of a container for which `asked` was asked: under the least one that is allowed only where that is
    /// no more than a warning.
    pub fn level(&self, asked: Level) -> Level {
        let rules = &self.policy.level;
        match (rules.minimum, self.policy.mode(rules.mode)) {
            (Some(minimum), Mode::Enforce | Mode::Clamp) => asked.max(minimum),
            _ => asked,
        }
    }
}

/// A policy that is part of this program.
///
/// # Errors
/// None: a test reads them all.
pub fn builtin(name: Builtin) -> Result<Loaded> {
    let read = |name: &str, text: &str| -> Result<Loaded> {
        let policy = toml::from_str(text).map_err(|error| {
            Error::new(Kind::Failed, format!("cannot read policy {name}"), error.message())
        })?;
        Ok(Loaded::new(&format!("builtin:{name}"), text, policy))
    };
    let privileged = || read("privileged", include_str!("../../policy/privileged.toml"));
    let baseline = || read("baseline", include_str!("../../policy/baseline.toml"));
    let lies_over =
        |upper: Loaded, lower: Loaded| Loaded { policy: upper.policy.over(lower.policy), ..upper };
    match name {
        Builtin::Privileged => privileged(),
        Builtin::Baseline => Ok(lies_over(baseline()?, privileged()?)),
        Builtin::Restricted => {
            let restricted = read("restricted", include_str!("../../policy/restricted.toml"))?;
            Ok(lies_over(restricted, lies_over(baseline()?, privileged()?)))
        }
    }
}

#[cfg(test)]
mod tests;
