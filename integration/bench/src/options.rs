//! The command line.

use std::io::{Error, ErrorKind};
use std::path::PathBuf;

use crate::subject::Subject;

pub const USAGE: &str = "\
usage: bench [--runtime NAME[=PATH]]... [--level LEVEL]... [--rounds N] [--gap MS]... [--view VIEW]... [--seccomp on|off]

  --runtime   sandrun, crun, runc or another with their command line; default: crun and runc of PATH
  --level     levels of sandrun to measure, each a row; default: oci and baseline
  --rounds    how often each is measured; default: 15
  --gap       idle time before each command; default: 0 and 100
  --view      host, v1 (hybrid without its v2 part) or v2 (v2 alone); default: what this host can show
  --seccomp   with or without a profile; default: both";

/// What to measure.
pub struct Options {
    pub runtimes: Vec<(String, PathBuf)>,
    pub levels: Vec<String>,
    pub rounds: usize,
    pub gaps: Vec<u64>,
    pub views: Vec<String>,
    pub seccomp: Vec<bool>,
    /// Set by the program for its copies: the view that this one is in.
    pub inside: Option<String>,
}

impl Options {
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut options = Options {
            runtimes: Vec::new(),
            levels: Vec::new(),
            rounds: 15,
            gaps: Vec::new(),
            views: Vec::new(),
            seccomp: Vec::new(),
            inside: None,
        };
        while let Some(word) = words.next() {
            let value = words.next().ok_or_else(|| format!("{word}: no value"))?;
            let number = || value.parse::<u64>().map_err(|error| format!("{word} {value}: {error}"));
            match word.as_str() {
                "--runtime" => options.runtimes.push(runtime(&value)),
                "--level" => options.levels.push(value),
                "--rounds" => options.rounds = number()? as usize,
                "--gap" => options.gaps.push(number()?),
                "--view" => options.views.push(value),
                "--seccomp" => options.seccomp.push(value == "on"),
                "--inside" => options.inside = Some(value),
                _ => return Err(format!("{word}: unknown option")),
            }
        }
        options.fill();
        Ok(options)
    }

    fn fill(&mut self) {
        if self.runtimes.is_empty() {
            self.runtimes = ["crun", "runc"].map(runtime).to_vec();
        }
        if self.levels.is_empty() {
            self.levels = ["oci", "baseline"].map(str::to_owned).to_vec();
        }
        if self.gaps.is_empty() {
            self.gaps = vec![0, 100];
        }
        if self.seccomp.is_empty() {
            self.seccomp = vec![false, true];
        }
    }

    /// One row each: a runtime, or a runtime at a level.
    pub fn subjects(&self) -> std::io::Result<Vec<Subject>> {
        let mut subjects = Vec::new();
        for (name, path) in &self.runtimes {
            let path = find(path)
                .ok_or_else(|| Error::new(ErrorKind::NotFound, format!("no {}", path.display())))?;
            if name.starts_with("sandrun") {
                for level in &self.levels {
                    subjects.push(Subject::new(&format!("{name} ({level})"), &path, &["--level", level])?);
                }
            } else {
                subjects.push(Subject::new(name, &path, &[])?);
            }
        }
        Ok(subjects)
    }

    /// The words that give a copy of this program the same options in a view.
    pub fn for_view(&self, view: &str) -> Vec<String> {
        let mut words = vec!["--inside".to_owned(), view.to_owned()];
        let mut add = |option: &str, value: String| words.extend([option.to_owned(), value]);
        for (name, path) in &self.runtimes {
            add("--runtime", format!("{name}={}", path.display()));
        }
        self.levels.iter().for_each(|level| add("--level", level.clone()));
        self.gaps.iter().for_each(|gap| add("--gap", gap.to_string()));
        self.seccomp.iter().for_each(|on| add("--seccomp", if *on { "on" } else { "off" }.to_owned()));
        add("--rounds", self.rounds.to_string());
        words
    }
}

fn runtime(text: &str) -> (String, PathBuf) {
    let (name, path) = text.split_once('=').unwrap_or((text, text));
    (name.to_owned(), path.into())
}

fn find(program: &PathBuf) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return program.canonicalize().ok();
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into()])
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}
