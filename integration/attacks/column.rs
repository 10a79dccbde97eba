//! One run of all gates.

use serde_json::{Value, json};

use super::defaults;
use crate::support::{Bundle, Runtime, Scratch};

/// How a gate fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    Open,
    Shut,
    /// The kernel has no such thing, so that an error tells nothing about whoever confines.
    Lacking,
}

const WORDS: [(Fate, &str); 3] = [(Fate::Open, "**open**"), (Fate::Shut, "shut"), (Fate::Lacking, "–")];

impl Fate {
    /// The fate that a cell of the table names.
    pub fn read(cell: &str) -> Option<Fate> {
        WORDS.iter().find(|(_, word)| *word == cell).map(|(fate, _)| *fate)
    }
}

impl std::fmt::Display for Fate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = WORDS.iter().find(|(fate, _)| fate == self).map_or("", |(_, word)| word);
        f.write_str(word)
    }
}

/// The answers of all gates to one workload, which was handed a directory of the host's as descriptor 3.
pub struct Column(Value);

impl Column {
    /// A privileged container with the host's cgroups, at `oci`.
    pub fn unconfined() -> Column {
        let bundle = bundle().privileged().mount(json!({
            "destination": "/sys/fs/cgroup", "type": "bind", "source": "/sys/fs/cgroup", "options": ["rbind"]
        }));
        Column::of(Runtime::at_level("oci"), &bundle)
    }

    /// A container as engines ask for, without a seccomp profile in its configuration.
    pub fn at_level(level: &str) -> Column {
        Column::of(Runtime::at_level(level), &bundle())
    }

    fn of(runtime: Runtime, bundle: &Bundle) -> Column {
        let host = Scratch::new("leaked");
        Column(runtime.inheriting(host.path()).run_with(bundle, HANDING_ON).ok().json())
    }

    /// A configuration under a peer; none if the peer is not there, or does not work here.
    pub fn of_peer(name: &str, config: &Value) -> Option<Column> {
        let (host, bundle) = (Scratch::new("leaked"), defaults::in_bundle(config, bundle()));
        let output = Runtime::peer(name)?.inheriting(host.path()).run_with(&bundle, HANDING_ON);
        if output.code != 0 {
            println!("{name} does not work here: {}", output.stderr.trim());
            return None;
        }
        Some(Column(output.json()))
    }

    /// Every gate with its answer, by topic.
    pub fn gates(&self) -> impl Iterator<Item = (&str, &Value)> {
        let mut gates: Vec<_> = self.0.as_object().expect("an object").iter().collect();
        gates.sort_by_key(|(_, answer)| answer["place"].as_u64());
        gates.into_iter().map(|(name, answer)| (name.as_str(), answer))
    }

    /// The names of the gates that are open.
    pub fn open(&self) -> impl Iterator<Item = &str> {
        self.gates().filter(|(_, answer)| answer["open"] == true).map(|(name, _)| name)
    }

    /// How a gate fared here, if the kernel has it at all.
    pub fn fate(&self, gate: &str, unconfined: &Column) -> Fate {
        match (self.0[gate]["open"].as_bool(), unconfined.0[gate]["open"].as_bool()) {
            (Some(true), _) => Fate::Open,
            (_, Some(true)) => Fate::Shut,
            _ => Fate::Lacking,
        }
    }
}

const HANDING_ON: &[&str] = &["--preserve-fds", "1"];

fn bundle() -> Bundle {
    Bundle::probe(&["gates"])
}
