//! Doors to the kernel that a container should find shut, each tried for real in a child of its own.

#[cfg(target_arch = "x86_64")]
mod abi;
mod files;
mod namespaces;
mod privileged;
mod sockets;
mod tracing;

use crate::errno::{Errno, Outcome};
use crate::json::Json;
use crate::sys;

/// The verb by which a set-user-ID copy of the probe is asked what it has gained.
pub const SUID_QUESTION: &str = "gained-root";

/// One door.
pub struct Gate {
    /// A short, stable name.
    pub name: &'static str,
    /// What an attacker gets from it.
    pub gives: &'static str,
    /// Errors that only come once every check of permission has passed.
    pub past_the_door: &'static [i32],
    /// Makes the call.
    pub attempt: fn() -> Result<(), Errno>,
}

/// A gate that was tried.
pub struct Tried {
    pub gate: &'static Gate,
    pub outcome: Outcome,
}

impl Tried {
    /// True if the kernel let the call through.
    pub fn open(&self) -> bool {
        match self.outcome {
            Outcome::Done(_) => true,
            Outcome::Refused(Errno(number)) => self.gate.past_the_door.contains(&number),
            Outcome::Killed(_) => false,
        }
    }
}

/// All gates, by topic.
fn all() -> impl Iterator<Item = &'static Gate> {
    #[cfg(target_arch = "x86_64")]
    let abi = abi::GATES;
    #[cfg(not(target_arch = "x86_64"))]
    let abi: &[Gate] = &[];
    [namespaces::GATES, privileged::GATES, tracing::GATES, sockets::GATES, files::GATES, abi]
        .into_iter()
        .flatten()
}

/// Tries the gates with these names; all of them if none is named.
pub fn try_all(names: &[&str]) -> Vec<Tried> {
    all()
        .filter(|gate| names.is_empty() || names.contains(&gate.name))
        .map(|gate| Tried { gate, outcome: sys::in_child(gate.attempt) })
        .collect()
}

/// The answer to the verb `gates`: an object by name.
pub fn tried(names: &[&str]) -> Json {
    Json::object(try_all(names).iter().map(|tried| {
        let mut members = vec![("open".to_owned(), tried.open().into())];
        members.extend(tried.outcome.members());
        (tried.gate.name, Json::Object(members))
    }))
}
