//! Seccomp: profiles in OCI JSON become programs for the kernel.
//!
//! `names` knows call numbers, `profile` checks what `linux.seccomp` says, `table` lays it out by number,
//! `compile` turns that into instructions that `code` assembles. The built-in profiles go the same way in
//! build.rs, so that a start parses nothing.
//!
//! From `baseline` on a call has to pass the level's profile and that of config.json, and the strictest answer
//! counts: kill process, kill thread, trap, errno, notify, trace, log, allow, in this order. So an agent is never
//! asked about a call that the level refuses, and cannot allow it; and what the level allows is still the agent's
//! to refuse. Where both answer with an errno, it is that of config.json.

pub mod code;
pub mod compile;
mod join;
pub mod known;
mod listener;
pub mod names;
pub mod profile;
mod stack;
pub mod summary;
pub mod table;

use std::borrow::Cow;

use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompFilterFlag};
use serde::{Deserialize, Serialize};

use super::Change;
use crate::error::{Error, Kind};
pub use listener::Listener;
pub use names::Arch;
use profile::{Answer, Problem, Profile};
pub(super) use stack::filters;

/// The level `baseline` as OCI JSON, a reason beside each call.
pub const BASELINE_JSON: &str = include_str!("../../../seccomp-profiles/baseline.json");

/// The level `strict`, likewise.
pub const STRICT_JSON: &str = include_str!("../../../seccomp-profiles/strict.json");

/// What shuts the ways round the TCP ports of Landlock, likewise.
pub const TCP_PORTS_JSON: &str = include_str!("../../../seccomp-profiles/tcp-ports.json");

/// The name of its filter.
const TCP_PORTS: &str = "tcp-ports";

mod builtin {
    include!(concat!(env!("OUT_DIR"), "/seccomp.rs"));
}

/// One loaded program; several are stacked, the strictest answer wins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Filter {
    /// Where it comes from: `baseline`, `strict`, `tcp-ports`, `config.json`, or several in one.
    pub name: String,
    /// What the kernel runs.
    pub program: Program,
    /// `SECCOMP_FILTER_FLAG_*`, seccomp(2), but never `NEW_LISTENER`: that follows from `listener`.
    pub flags: u32,
    /// Who decides the calls that get `SCMP_ACT_NOTIFY`. Of all filters of a process one at most can have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listener: Option<Listener>,
}

/// The instructions of a filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Program {
    /// In this binary.
    Builtin(Builtin),
    /// Each one packed `struct sock_filter`, in memory order on a little-endian machine.
    Compiled(Vec<u64>),
}

/// The profiles in this binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Builtin {
    /// Of the level `baseline`.
    Baseline,
    /// Of the level `strict`.
    Strict,
    /// Of TCP ports that Landlock restricts, at every level.
    TcpPorts,
}

impl Filter {
    /// The profile of the level `baseline`.
    pub fn baseline() -> Filter {
        Filter::builtin("baseline", Builtin::Baseline)
    }

    /// The profile of the level `strict`. It refuses every filter that seccomp(2) would load after it.
    pub fn strict() -> Filter {
        Filter::builtin("strict", Builtin::Strict)
    }

    /// No flags: whether a filtered process pays for speculation mitigations stays the kernel's choice, which
    /// by default (since Linux 5.16) is no.
    fn builtin(name: &str, profile: Builtin) -> Filter {
        Filter { name: name.into(), program: Program::Builtin(profile), flags: 0, listener: None }
    }

    /// The profile that goes with TCP ports of Landlock. It allows all else.
    pub fn tcp_ports() -> Filter {
        Filter::builtin(TCP_PORTS, Builtin::TcpPorts)
    }

    /// Whether it is, or contains, [`Filter::tcp_ports`].
    pub fn shuts_ways_round_ports(&self) -> bool {
        self.name.split(" joined with ").any(|name| name == TCP_PORTS)
    }

    /// The filter of a config.json (runtime-spec, config-linux.md, "seccomp"), for a host of architecture
    /// `native`, and what of it has no effect. The first matching rule of a call decides. Programs of an
    /// architecture that is not listed are killed, as libseccomp does it. Without `flags`, `SPEC_ALLOW`, as in
    /// runc.
    ///
    /// # Errors
    /// Every field that is not valid, and a program that is too long for the kernel.
    pub fn from_oci(seccomp: &LinuxSeccomp, native: Arch) -> Result<(Filter, Vec<Change>), Vec<Error>> {
        let errors = |problems: Vec<Problem>| problems.into_iter().map(error).collect::<Vec<_>>();
        let profile = Profile::read(seccomp, native, Answer::KILL_THREAD).map_err(errors)?;
        let mut problems = Vec::new();
        let listener = listener::resolve(seccomp, profile.notifies(), &mut problems);
        let instructions = compile::compile(&profile);
        problems.extend(too_long(&instructions));
        if !problems.is_empty() {
            return Err(errors(problems));
        }
        let filter = Filter {
            name: "config.json".into(),
            program: Program::Compiled(instructions),
            flags: flags(seccomp, profile.notifies()),
            listener,
        };
        Ok((filter, without_effect(seccomp, &profile, native)))
    }

    /// This filter and another one in one program, which answers what the two would when stacked, this one
    /// last. It keeps this one's listener and flags, but for speculation, which both must allow.
    ///
    /// A filter with a listener is the only one that is loaded: before it, ours would refuse the listener, and
    /// after it, the loading of ours would be a call that the listener is asked about.
    ///
    /// # Errors
    /// A program that is too long for the kernel.
    pub fn joined(self, other: &Filter) -> Result<Filter, Error> {
        let instructions = join::join(&self.instructions(), &other.instructions());
        match too_long(&instructions) {
            Some(problem) => Err(error(problem)),
            None => Ok(Filter {
                name: format!("{} joined with {}", self.name, other.name),
                program: Program::Compiled(instructions),
                flags: self.flags & (other.flags | !known::FLAG_SPEC_ALLOW),
                listener: self.listener,
            }),
        }
    }

    /// What the kernel is given.
    pub fn instructions(&self) -> Cow<'_, [u64]> {
        match &self.program {
            Program::Builtin(Builtin::Baseline) => Cow::Borrowed(&builtin::BASELINE),
            Program::Builtin(Builtin::Strict) => Cow::Borrowed(&builtin::STRICT),
            Program::Builtin(Builtin::TcpPorts) => Cow::Borrowed(&builtin::TCP_PORTS),
            Program::Compiled(instructions) => Cow::Borrowed(instructions),
        }
    }
}

fn error(problem: Problem) -> Error {
    Error::new(Kind::Invalid, "cannot use the seccomp profile", problem.why)
        .at(format!("linux.seccomp.{}", problem.at))
        .fix(problem.fix)
}

fn too_long(instructions: &[u64]) -> Option<Problem> {
    let length = instructions.len();
    (length > compile::MAX_INSTRUCTIONS).then(|| Problem {
        at: "syscalls".into(),
        why: format!("it compiles to {length} instructions, the kernel takes {}", compile::MAX_INSTRUCTIONS),
        fix: "list fewer architectures or use fewer argument rules",
    })
}

/// What a profile says that changes nothing, by field.
fn without_effect(seccomp: &LinuxSeccomp, profile: &Profile, native: Arch) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut note = |at: &str, what: String| changes.push(Change { at: format!("linux.seccomp.{at}"), what });
    let foreign = profile::foreign_archs(seccomp, native);
    if !foreign.is_empty() {
        let what = format!("no program of {} runs on this machine", foreign.join(", "));
        note("architectures", what);
    }
    let unknown = profile.unknown_names();
    if !unknown.is_empty() {
        note("syscalls", format!("no such system calls here: {}", unknown.join(", ")));
    }
    for (index, _) in profile.rules.iter().enumerate().filter(|(_, rule)| rule.names.is_empty()) {
        note(&format!("syscalls[{index}].names"), "is empty: the rule has no effect".to_owned());
    }
    if !profile.notifies() {
        let without = "has no effect without SCMP_ACT_NOTIFY";
        if listener::path(seccomp).is_some() {
            note("listenerPath", without.to_owned());
        }
        if has_flag(seccomp, LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv) {
            note("flags", format!("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV {without}"));
        }
    }
    changes
}

fn has_flag(seccomp: &LinuxSeccomp, flag: LinuxSeccompFilterFlag) -> bool {
    seccomp.flags().iter().flatten().any(|listed| *listed == flag)
}

/// The kernel refuses to wait for a listener that there is not.
fn flags(seccomp: &LinuxSeccomp, notifies: bool) -> u32 {
    let Some(listed) = seccomp.flags() else { return known::FLAG_SPEC_ALLOW };
    let values = listed.iter().filter_map(|flag| known::flag_value(&flag.to_string()));
    let flags = values.fold(0, |all, flag| all | flag);
    if notifies { flags } else { flags & !known::FLAG_WAIT_KILLABLE_RECV }
}

#[cfg(test)]
mod tests;
