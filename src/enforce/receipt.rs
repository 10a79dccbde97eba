//! What the kernel confirmed after a plan was enforced.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How far a layer is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As planned, and read back.
    Enforced,
    /// In part; the reason says what is missing.
    Partial,
    /// Not at all; the reason says why.
    Absent,
}

/// One layer of confinement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// `namespaces`, `capabilities`, `no_new_privs`, `landlock`, `cgroup`, `seccomp`, ….
    pub layer: String,
    /// How far it is in force.
    pub state: State,
    /// What exactly, or why not.
    pub detail: String,
}

/// What is in force, layer by layer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// In the order in which they were enforced.
    pub layers: Vec<Layer>,
}

impl Receipt {
    /// Notes a layer.
    pub fn add(&mut self, layer: &str, state: State, detail: impl Into<String>) {
        self.layers.push(Layer { layer: layer.to_owned(), state, detail: detail.into() });
    }
}

impl Receipt {
    /// Notes a layer anew, in its place.
    pub fn replace(&mut self, layer: &str, state: State, detail: impl Into<String>) {
        match self.layers.iter_mut().find(|known| known.layer == layer) {
            Some(known) => (known.state, known.detail) = (state, detail.into()),
            None => self.add(layer, state, detail),
        }
    }

    /// Notes what is missing: of a layer that is in force otherwise, or all of it.
    pub fn lacks(&mut self, layer: &str, why: &str) {
        match self.layers.iter_mut().find(|known| known.layer == layer) {
            Some(known) => {
                known.state = State::Partial;
                known.detail = format!("{}; without {why}", known.detail);
            }
            None => self.add(layer, State::Absent, why),
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Enforced => "enforced",
            State::Partial => "partial",
            State::Absent => "absent",
        })
    }
}
