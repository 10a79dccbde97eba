//! How much a container is confined.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The three levels, from the least to the most confinement.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// `config.json` to the letter: what runc runs, runs.
    Oci,
    /// `config.json`, then tightened so that ordinary images still run unchanged.
    #[default]
    Baseline,
    /// For code that nobody trusts, and services that drop everything.
    Strict,
}

impl Level {
    /// The annotation by which a container asks for more than the default.
    pub const ANNOTATION: &str = "dev.sandrun.level";
}

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "oci" => Ok(Level::Oci),
            "baseline" => Ok(Level::Baseline),
            "strict" => Ok(Level::Strict),
            other => Err(format!("unknown level {other:?}, expected oci, baseline or strict")),
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::Oci => "oci",
            Level::Baseline => "baseline",
            Level::Strict => "strict",
        })
    }
}
