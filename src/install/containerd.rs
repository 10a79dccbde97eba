//! The containerd program of the node: which version it is, and what it makes of a configuration.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::effective::Effective;
use super::layout::Layout;
use crate::error::{Context, Error, Kind, Result};

/// The program, and what `--version` said.
#[derive(Debug, Clone)]
pub struct Containerd {
    program: PathBuf,
    /// As it names itself: `2.1.9+unknown`.
    pub version: String,
    /// Its first number.
    pub major: u32,
}

impl Containerd {
    /// The program that is named, or the first of the layout's.
    ///
    /// # Errors
    /// When there is none, or it does not say its version.
    pub fn find(named: Option<&Path>, layout: &Layout) -> Result<Containerd> {
        let program = match named {
            Some(program) => program.to_owned(),
            None => layout.programs.iter().find(|path| path.is_file()).cloned().ok_or_else(|| {
                Error::new(Kind::NotFound, "cannot find containerd", format!("there is none for {}", layout.name))
                    .fix("name it with --containerd; under CRI-O and Docker alone there is no handler of containerd's")
            })?,
        };
        let said = run(Command::new(&program).arg("--version"))?;
        let (version, major) = version(&said).ok_or_else(|| {
            let why = format!("{} --version says {:?}", program.display(), said.trim());
            Error::new(Kind::Unsupported, "cannot tell the version of containerd", why)
        })?;
        Ok(Containerd { program, version, major })
    }

    /// What it would run with.
    ///
    /// # Errors
    /// When it does not accept the configuration; its own words are the reason.
    pub fn effective(&self, config: &Path) -> Result<Effective> {
        Effective::parse(&run(Command::new(&self.program)
            .arg("--config")
            .arg(config)
            .args(["config", "dump"]))?)
    }
}

/// `containerd github.com/containerd/containerd v1.6.20 2806fc1`: the word with two dots that starts with a number.
fn version(said: &str) -> Option<(String, u32)> {
    said.strip_prefix("containerd ")?.split_whitespace().find_map(|word| {
        let word = word.strip_prefix('v').unwrap_or(word);
        let (major, rest) = word.split_once('.')?;
        let major = major.parse().ok()?;
        rest.starts_with(|c: char| c.is_ascii_digit()).then(|| (word.to_owned(), major))
    })
}

/// What a program prints; if it fails, the end of what it said is the reason.
///
/// # Errors
/// When it cannot be run, or does not succeed.
pub fn run(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let what = || format!("cannot run {name}");
    let output = command.stdin(Stdio::null()).output().context(what)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    Err(Error::new(Kind::Failed, format!("{name} failed ({})", output.status), last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_all_their_forms() {
        let found = |said: &str| version(said).unwrap();
        let debian = "containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u3\n";
        assert_eq!(found(debian), ("1.6.20~ds1".to_owned(), 1));
        assert_eq!(found("containerd github.com/k3s-io/containerd v2.0.5-k3s1 \n").1, 2);
        assert_eq!(found("containerd containerd.io 1.7.27 05044ec0a9a7523").0, "1.7.27");
        assert_eq!(version("containerd github.com/containerd/containerd"), None);
    }
}
