//! The node's policy, from the command line and from inside: what it refuses, tells of, tightens and lets loosen.

mod attack;
mod exec;
mod refused;
mod tightened;

use std::fs;
use std::path::PathBuf;

use crate::support::{Runtime, Scratch};

/// A policy in a file of the test's own.
pub struct Policy(Scratch);

impl Policy {
    pub fn new(text: &str) -> Policy {
        let dir = Scratch::new("policy");
        fs::write(dir.path().join("policy.toml"), text).expect("cannot write the policy");
        Policy(dir)
    }

    pub fn path(&self) -> PathBuf {
        self.0.path().join("policy.toml")
    }

    /// sandrun under it.
    pub fn runtime(&self) -> Runtime {
        Runtime::sandrun().flags(&["--policy", &self.path().display().to_string()])
    }
}
