//! One run of all gates.

use std::sync::OnceLock;

use serde_json::{Value, json};

use super::confinement::{Call, Confinement};
use super::defaults;
use crate::support::{Bundle, Runtime, Scratch};

/// How a gate fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    Open,
    /// The kernel lacks it, and nothing else would stand in the way.
    WouldBeOpen,
    Shut,
    /// The kernel lacks it, and a filter or a missing capability would refuse it.
    WouldBeShut,
    /// The kernel lacks it, and it is no single call from which more could be told.
    Lacking,
}

const WORDS: [(Fate, &str); 5] = [
    (Fate::Open, "**open**"),
    (Fate::WouldBeOpen, "**open°**"),
    (Fate::Shut, "shut"),
    (Fate::WouldBeShut, "shut°"),
    (Fate::Lacking, "–"),
];

impl Fate {
    /// The fate that a cell of the table names.
    pub fn read(cell: &str) -> Option<Fate> {
        WORDS.iter().find(|(_, word)| *word == cell).map(|(fate, _)| *fate)
    }

    pub fn is_open(self) -> bool {
        matches!(self, Fate::Open | Fate::WouldBeOpen)
    }
}

impl std::fmt::Display for Fate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = WORDS.iter().find(|(fate, _)| fate == self).map_or("", |(_, word)| word);
        f.write_str(word)
    }
}

/// The answers of all gates to one workload, which was handed a directory of the host's as descriptor 3.
pub struct Column {
    answers: Value,
    confinement: Confinement,
}

impl Column {
    /// A privileged container with the host's cgroups, at `oci`.
    pub fn unconfined() -> Column {
        let host_cgroups = json!({
            "destination": "/sys/fs/cgroup", "type": "bind", "source": "/sys/fs/cgroup", "options": ["rbind"]
        });
        let shape = |bundle: Bundle| bundle.privileged().mount(host_cgroups.clone());
        Column::of(Runtime::at_level("oci"), shape).expect("sandrun works")
    }

    /// A container as engines ask for, without a seccomp profile in its configuration.
    pub fn at_level(level: &str) -> Column {
        Column::of(Runtime::at_level(level), |bundle| bundle).expect("sandrun works")
    }

    /// A configuration under a peer; none if the peer is not there, or does not work here.
    pub fn of_peer(name: &str, config: &Value) -> Option<Column> {
        Column::of(Runtime::peer(name)?, |bundle| defaults::in_bundle(config, bundle))
    }

    fn of(runtime: Runtime, shape: impl Fn(Bundle) -> Bundle) -> Option<Column> {
        let (host, gates) = (Scratch::new("leaked"), shape(Bundle::probe(&["gates"])));
        let runtime = runtime.inheriting(host.path());
        let output = runtime.run_with(&gates, &["--preserve-fds", "1"]);
        if output.code != 0 {
            println!("a column is missing: {output}");
            return None;
        }
        let waiting = shape(Bundle::probe(&["sleep", "60"]));
        runtime.create(&waiting).ok();
        runtime.call(&["start", &waiting.id]).ok();
        let pid = runtime.call(&["state", &waiting.id]).ok().json()["pid"].as_i64().expect("a process id");
        let confinement = Confinement::of(pid.try_into().expect("a process id"));
        Some(Column { answers: output.json(), confinement })
    }

    /// Every gate with its answer, by topic.
    pub fn gates(&self) -> impl Iterator<Item = (&str, &Value)> {
        let mut gates: Vec<_> = self.answers.as_object().expect("an object").iter().collect();
        gates.sort_by_key(|(_, answer)| answer["place"].as_u64());
        gates.into_iter().map(|(name, answer)| (name.as_str(), answer))
    }

    /// How a gate fared here, or would if the kernel, which shows in `unconfined`, had it.
    pub fn fate(&self, gate: &str, unconfined: &Column) -> Fate {
        let open = |column: &Column| column.answers[gate]["open"] == true;
        match Call::of_gate(&calls()[gate]) {
            _ if open(self) => Fate::Open,
            _ if open(unconfined) => Fate::Shut,
            Some(call) if self.confinement.lets_through(&call) => Fate::WouldBeOpen,
            Some(_) => Fate::WouldBeShut,
            None => Fate::Lacking,
        }
    }

    /// The gates that answer otherwise than the filters say of the call that they name.
    pub fn misnamed(&self) -> Vec<String> {
        let misnamed = |(gate, answer): (&str, &Value)| {
            let errno = self.confinement.errno(&Call::of_gate(&calls()[gate])?)?;
            let errno = format!("{:?}", nix::errno::Errno::from_raw(errno));
            (answer["errno"] != *errno).then(|| format!("{gate}: {answer}, but its call gets {errno}"))
        };
        self.gates().filter_map(misnamed).collect()
    }
}

/// The calls that the gates name.
fn calls() -> &'static Value {
    static CALLS: OnceLock<Value> = OnceLock::new();
    CALLS.get_or_init(|| Runtime::at_level("oci").ask(&Bundle::probe(&["gates", "--calls"])))
}
