//! A plan before it is one.

use serde::{Deserialize, Serialize};

use super::{Change, Plan};
use crate::error::{Error, Kind, Result};

/// A plan, and the reasons why it is none; parts that were refused are stand-ins.
#[derive(Debug, Clone)]
pub struct Draft {
    /// What would be true.
    pub plan: Plan,
    /// What stands against it.
    pub refusals: Vec<Error>,
}

impl Draft {
    /// The plan, if nothing stands against it.
    ///
    /// # Errors
    /// All refusals, joined into one error; it is `Refused` if one of them is.
    pub fn finish(self) -> Result<Plan> {
        let what = format!("cannot run container {}", self.plan.id);
        let refused = self.refusals.iter().any(|refusal| refusal.kind == Kind::Refused);
        match Error::all(&what, self.refusals) {
            None => Ok(self.plan),
            Some(error) if refused => Err(Error { kind: Kind::Refused, ..error }),
            Some(error) => Err(error),
        }
    }
}

/// Which node policy a container was judged by, and what it let pass with a warning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyInForce {
    /// The file, or `builtin:NAME`.
    pub name: String,
    /// FNV-1a of its text, 64 bits in hexadecimal: tells two versions of one file apart.
    pub digest: String,
    /// What it warns of, by field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Change>,
}
