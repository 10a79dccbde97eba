//! Seccomp: profiles in OCI JSON become programs for the kernel.
//!
//! `names` knows call numbers, `profile` checks what `linux.seccomp` says, `table` lays it out by number,
//! `compile` turns that into instructions that `code` assembles. The built-in profile goes the same way in
//! build.rs, so that a start parses nothing.

pub mod code;
pub mod compile;
pub mod known;
pub mod names;
pub mod profile;
pub mod summary;
pub mod table;

use std::borrow::Cow;
use std::path::PathBuf;

use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompFilterFlag};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind};
pub use names::Arch;
use profile::{Answer, Problem, Profile};

/// The level `baseline` as OCI JSON, a reason beside each call.
pub const BASELINE_JSON: &str = include_str!("../../../seccomp-profiles/baseline.json");

mod builtin {
    include!(concat!(env!("OUT_DIR"), "/seccomp.rs"));
}

const FLAG_TSYNC: u32 = 1;
const FLAG_LOG: u32 = 1 << 1;
const FLAG_SPEC_ALLOW: u32 = 1 << 2;
const FLAG_WAIT_KILLABLE_RECV: u32 = 1 << 5;

/// One loaded program; several are stacked, the strictest answer wins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Filter {
    /// Where it comes from: `baseline` or `config.json`.
    pub name: String,
    /// What the kernel runs.
    pub program: Program,
    /// `SECCOMP_FILTER_FLAG_*`, seccomp(2), but never `NEW_LISTENER`: that follows from `listener`.
    pub flags: u32,
    /// Who decides the calls of `SCMP_ACT_NOTIFY` rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listener: Option<Listener>,
    /// Names in the profile that no listed architecture has; their rules have no effect.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<String>,
}

/// The agent that is sent the listener descriptor (runtime-spec, config-linux.md, "seccomp").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listener {
    /// Its UNIX stream socket.
    pub path: PathBuf,
    /// What it is told besides the container's state. May be empty.
    pub metadata: String,
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
}

impl Filter {
    /// The profile of the level `baseline`.
    ///
    /// No flags: whether a filtered process pays for speculation mitigations stays the kernel's choice, which
    /// by default (since Linux 5.16) is no.
    pub fn baseline() -> Filter {
        Filter {
            name: "baseline".into(),
            program: Program::Builtin(Builtin::Baseline),
            flags: 0,
            listener: None,
            skipped: Vec::new(),
        }
    }

    /// The filter of a config.json (runtime-spec, config-linux.md, "seccomp"), for a host of architecture
    /// `native`. The first matching rule of a call decides. Programs of an architecture that is not listed are
    /// killed, as libseccomp does it. Without `flags`, `SPEC_ALLOW`, as in runc.
    ///
    /// # Errors
    /// Every field that is not valid, and a program that is too long for the kernel.
    pub fn from_oci(seccomp: &LinuxSeccomp, native: Arch) -> Result<Filter, Vec<Error>> {
        let (mut problems, profile) = match Profile::read(seccomp, native, Answer::KILL_THREAD) {
            Ok(profile) => (listener_problems(seccomp, profile.notifies()), Some(profile)),
            Err(problems) => (problems, None),
        };
        let instructions = profile.as_ref().map(compile::compile).unwrap_or_default();
        if instructions.len() > compile::MAX_INSTRUCTIONS {
            problems.push(too_long(instructions.len()));
        }
        match profile {
            Some(profile) if problems.is_empty() => Ok(Filter {
                name: "config.json".into(),
                program: Program::Compiled(instructions),
                flags: flags(seccomp),
                listener: listener(seccomp, &profile),
                skipped: profile.unknown_names(),
            }),
            _ => Err(problems.into_iter().map(error).collect()),
        }
    }

    /// What the kernel is given.
    pub fn instructions(&self) -> Cow<'_, [u64]> {
        match &self.program {
            Program::Builtin(Builtin::Baseline) => Cow::Borrowed(&builtin::BASELINE),
            Program::Compiled(instructions) => Cow::Borrowed(instructions),
        }
    }
}

fn error(problem: Problem) -> Error {
    Error::new(Kind::Invalid, "cannot use the seccomp profile", problem.why)
        .at(format!("linux.seccomp.{}", problem.at))
        .fix(problem.fix)
}

fn too_long(length: usize) -> Problem {
    Problem {
        at: "syscalls".into(),
        why: format!("it compiles to {length} instructions, the kernel takes {}", compile::MAX_INSTRUCTIONS),
        fix: "list fewer architectures or use fewer argument rules",
    }
}

fn listener_problems(seccomp: &LinuxSeccomp, notifies: bool) -> Vec<Problem> {
    let flags = seccomp.flags().as_deref().unwrap_or_default();
    let waits = flags.contains(&LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv);
    let problem = |at: &str, why: &str, fix| Problem { at: at.into(), why: why.into(), fix };
    let mut problems = Vec::new();
    if notifies && seccomp.listener_path().is_none() {
        problems.push(problem(
            "listenerPath",
            "SCMP_ACT_NOTIFY is used, but nobody is told",
            "set it to the socket of a seccomp agent",
        ));
    }
    if waits && !notifies {
        problems.push(problem(
            "flags",
            "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV needs a rule with SCMP_ACT_NOTIFY",
            "remove the flag",
        ));
    }
    if seccomp.listener_metadata().is_some() && seccomp.listener_path().is_none() {
        problems.push(problem(
            "listenerMetadata",
            "there is no listenerPath to send it to",
            "remove it or set listenerPath",
        ));
    }
    problems
}

fn listener(seccomp: &LinuxSeccomp, profile: &Profile) -> Option<Listener> {
    let path = seccomp.listener_path().clone().filter(|_| profile.notifies())?;
    Some(Listener { path, metadata: seccomp.listener_metadata().clone().unwrap_or_default() })
}

fn flags(seccomp: &LinuxSeccomp) -> u32 {
    use LinuxSeccompFilterFlag as Flag;
    let Some(flags) = seccomp.flags() else { return FLAG_SPEC_ALLOW };
    flags.iter().fold(0, |all, flag| {
        all | match flag {
            Flag::SeccompFilterFlagTsync => FLAG_TSYNC,
            Flag::SeccompFilterFlagLog => FLAG_LOG,
            Flag::SeccompFilterFlagSpecAllow => FLAG_SPEC_ALLOW,
            Flag::SeccompFilterFlagWaitKillableRecv => FLAG_WAIT_KILLABLE_RECV,
        }
    })
}

#[cfg(test)]
mod tests;
