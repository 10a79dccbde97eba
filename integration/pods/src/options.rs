//! The command line.

use std::path::PathBuf;

pub const USAGE: &str = "\
usage: pods [--shim PATH] [--level LEVEL]... [--runtime NAME=PATH]... [--containerd DIR] [--rounds N]
            [--resident N]... [--crowd N] [--crowds N]

  --shim        containerd-shim-sandrun-v2; default: target/static/containerd-shim-sandrun-v2
  --level       levels of sandrun under its own shim, each a row; default: oci, baseline
  --runtime     what is run by containerd's shim, each a row
  --containerd  where containerd, ctr and containerd-shim-runc-v2 are; default: /usr/bin
  --rounds      how often a pod's life is measured; default: 15
  --resident    how many pods there are when memory is measured; default: 1, 20
  --crowd       how many pods are started at once; default: 50
  --crowds      how often; default: 3";

/// What to measure.
pub struct Options {
    pub shim: PathBuf,
    pub levels: Vec<String>,
    pub runtimes: Vec<(String, PathBuf)>,
    pub containerd: PathBuf,
    pub rounds: usize,
    pub resident: Vec<usize>,
    pub crowd: usize,
    pub crowds: usize,
    /// Set by the program for its copy in namespaces of its own: where it may write.
    pub inside: Option<PathBuf>,
}

impl Options {
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut options = Options {
            shim: "target/static/containerd-shim-sandrun-v2".into(),
            levels: Vec::new(),
            runtimes: Vec::new(),
            containerd: "/usr/bin".into(),
            rounds: 15,
            resident: Vec::new(),
            crowd: 50,
            crowds: 3,
            inside: None,
        };
        while let Some(word) = words.next() {
            let value = words.next().ok_or_else(|| format!("{word}: no value"))?;
            let number = || value.parse::<usize>().map_err(|error| format!("{word} {value}: {error}"));
            match word.as_str() {
                "--shim" => options.shim = value.into(),
                "--level" => options.levels.push(value),
                "--runtime" => options.runtimes.push(runtime(&value)?),
                "--containerd" => options.containerd = value.into(),
                "--rounds" => options.rounds = number()?,
                "--resident" => options.resident.push(number()?),
                "--crowd" => options.crowd = number()?,
                "--crowds" => options.crowds = number()?,
                "--inside" => options.inside = Some(value.into()),
                _ => return Err(format!("{word}: unknown option")),
            }
        }
        if options.levels.is_empty() {
            options.levels = ["oci", "baseline"].map(str::to_owned).to_vec();
        }
        if options.resident.is_empty() {
            options.resident = vec![1, 20];
        }
        options.shim =
            options.shim.canonicalize().map_err(|error| format!("{}: {error}", options.shim.display()))?;
        Ok(options)
    }

    /// The names of all handlers, sandrun's own shim first.
    pub fn handlers(&self) -> Vec<String> {
        let own = self.levels.iter().map(|level| own_handler(level));
        own.chain(self.runtimes.iter().map(|(name, _)| name.clone())).collect()
    }
}

/// The handler of sandrun's own shim at a level.
pub fn own_handler(level: &str) -> String {
    format!("sandrun-shim-{level}")
}

fn runtime(text: &str) -> Result<(String, PathBuf), String> {
    let (name, path) = text.split_once('=').ok_or_else(|| format!("--runtime {text}: not NAME=PATH"))?;
    let path = PathBuf::from(path).canonicalize().map_err(|error| format!("{path}: {error}"))?;
    Ok((name.to_owned(), path))
}

/// Another one is first in each round, and every second one goes backwards: none always follows the same.
pub fn in_turn(all: &[String], round: usize) -> Vec<String> {
    let mut order = all.to_vec();
    order.rotate_left(round % all.len().max(1));
    if round % 2 == 1 {
        order.reverse();
    }
    order
}
