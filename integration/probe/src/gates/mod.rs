//! Doors to the kernel that a container should find shut, each tried for real in a child of its own.

#[cfg(target_arch = "x86_64")]
mod abi;
mod execution;
mod files;
mod gate;
mod host;
mod information;
mod kernel;
mod machine;
mod namespaces;
mod processes;
mod sockets;
mod terminals;

use crate::errno::{Errno, Outcome};
use crate::json::Json;
use crate::sys;

pub use gate::Gate;

/// The verb by which a set-user-ID copy of the probe is asked what it has gained.
pub const SUID_QUESTION: &str = "gained-root";

/// What a container is promised, and the gates that break the promise where they are open.
const TOPICS: &[(&str, &[Gate])] = &[
    ("makes no namespace, mounts nothing", namespaces::GATES),
    ("changes nothing of the machine", machine::GATES),
    ("reaches no part of the kernel that it does not need", kernel::GATES),
    ("reads no other process", processes::GATES),
    ("speaks over local sockets, TCP and UDP only", sockets::GATES),
    ("types into no terminal", terminals::GATES),
    ("has its own files and devices only", files::GATES),
    ("executes nothing that it wrote", execution::GATES),
    ("learns nothing of the host", information::GATES),
    ("is nobody on the host, and has limits", host::GATES),
    #[cfg(target_arch = "x86_64")]
    ("has one system call table", abi::GATES),
];

/// Errors by which the kernel says that it is built without something, or that a file is not there. Filters say so too,
/// on purpose: who wants to know asks without a filter.
const ABSENT: &[i32] = &[
    libc::ENOSYS,
    libc::EAFNOSUPPORT,
    libc::EPROTONOSUPPORT,
    libc::ESOCKTNOSUPPORT,
    libc::ENOPROTOOPT,
    libc::EOPNOTSUPP,
    libc::ENOPKG,
    libc::ENOENT,
];

/// A gate that was tried.
pub struct Tried {
    pub topic: &'static str,
    pub gate: &'static Gate,
    pub outcome: Outcome,
}

impl Tried {
    /// True if the kernel let the attempt through.
    pub fn open(&self) -> bool {
        match self.outcome {
            Outcome::Done(_) => true,
            Outcome::Refused(Errno(number)) => self.gate.past_the_door.contains(&number),
            Outcome::Killed(_) => false,
        }
    }

    /// True if the answer is that of a kernel without what was tried.
    pub fn absent(&self) -> bool {
        matches!(self.outcome, Outcome::Refused(Errno(number)) if !self.open() && ABSENT.contains(&number))
    }
}

/// All gates with their topics.
fn all() -> impl Iterator<Item = (&'static str, &'static Gate)> {
    TOPICS.iter().flat_map(|(topic, gates)| gates.iter().map(|gate| (*topic, gate)))
}

/// Tries the gates with these names; all of them if none is named.
pub fn try_all(names: &[&str]) -> Vec<Tried> {
    all()
        .filter(|(_, gate)| names.is_empty() || names.contains(&gate.name))
        .map(|(topic, gate)| Tried { topic, gate, outcome: sys::in_child(|| gate.attempt()) })
        .collect()
}

/// The answer to the verb `gates`: an object by name; `place` counts through the topics.
pub fn tried(names: &[&str]) -> Json {
    Json::object(try_all(names).iter().enumerate().map(|(place, tried)| {
        let mut members = vec![
            ("place".to_owned(), Json::Int(place as i64)),
            ("topic".to_owned(), tried.topic.into()),
            ("gives".to_owned(), tried.gate.gives.into()),
            ("open".to_owned(), tried.open().into()),
            ("absent".to_owned(), tried.absent().into()),
        ];
        members.extend(tried.outcome.members());
        (tried.gate.name, Json::Object(members))
    }))
}

/// The answer to `gates --calls`: for each gate that is one system call, that call, from which a filter can be judged.
pub fn calls() -> Json {
    Json::object(all().filter_map(|(_, gate)| Some((gate.name, gate.call?.described()))))
}
