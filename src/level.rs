//! How much a container is confined.

use std::fmt;
use std::path::Path;
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

    /// The level that a program's name ends in, `sandrun-LEVEL`: the only way to choose one where an engine takes a
    /// path and no flags (`BinaryName` of containerd's runc shim). Any other name chooses nothing.
    pub fn named_by(program: &Path) -> Option<Level> {
        program.file_name()?.to_str()?.strip_prefix("sandrun-")?.parse().ok()
    }
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Level;

    #[test]
    fn a_name_chooses_a_level_if_it_is_one() {
        for (program, level) in [
            ("/usr/local/bin/sandrun-strict", Some(Level::Strict)),
            ("sandrun-oci", Some(Level::Oci)),
            ("./sandrun-baseline", Some(Level::Baseline)),
            ("sandrun", None),
            ("/opt/sandrun-strict/sandrun", None),
            ("sandrun-0.1.0", None),
            ("sandrun-Strict", None),
            ("runc-strict", None),
            ("", None),
        ] {
            assert_eq!(Level::named_by(Path::new(program)), level, "{program}");
        }
    }
}
