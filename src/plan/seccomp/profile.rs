//! A checked profile: what `linux.seccomp` says, with everything resolved that needs no call number.
//!
//! The build script compiles this file too, so that the built-in profile is read by the code that reads a
//! config.json.

use std::collections::BTreeSet;

use oci_spec::runtime::{Arch as OciArch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg};
use oci_spec::runtime::{LinuxSeccompOperator, LinuxSyscall};

use super::names::{Abi, Arch};

/// The errno where a profile names none.
const EPERM: u32 = 1;
/// The highest errno the kernel returns (`MAX_ERRNO`); it caps larger ones without a word.
const MAX_ERRNO: u32 = 4095;
/// The highest value a tracer can be told (`SECCOMP_RET_DATA`).
const MAX_DATA: u32 = 0xffff;

/// What the kernel does with a call: a `SECCOMP_RET_*` value with its data, seccomp(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Answer(pub u32);

impl Answer {
    /// Ends the calling thread; what libseccomp does with an architecture the profile does not list.
    pub const KILL_THREAD: Answer = Answer(0);
    /// Ends the process.
    pub const KILL_PROCESS: Answer = Answer(0x8000_0000);
    /// SIGSYS.
    pub const TRAP: Answer = Answer(0x0003_0000);
    /// Asks the listener (`SECCOMP_RET_USER_NOTIF`).
    pub const NOTIFY: Answer = Answer(0x7fc0_0000);
    /// Makes the call and logs it.
    pub const LOG: Answer = Answer(0x7ffc_0000);
    /// Makes the call.
    pub const ALLOW: Answer = Answer(0x7fff_0000);
    /// "The kernel does not have this call": makes programs fall back.
    pub const ENOSYS: Answer = Answer::errno(38);

    /// Fails the call with `errno`, at most 4095.
    pub const fn errno(errno: u32) -> Answer {
        Answer(0x0005_0000 | errno)
    }

    /// Hands the call to a tracer, with `data`, 16 bits.
    pub const fn trace(data: u32) -> Answer {
        Answer(0x7ff0_0000 | data)
    }

    /// Whether the call is never made unless someone outside the filter says so.
    fn refuses(self) -> bool {
        matches!(self.0 & 0xffff_0000, 0 | 0x8000_0000 | 0x0003_0000 | 0x0005_0000)
    }
}

/// How an argument is compared; all 64 bits, unsigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `argument == value`.
    Equal,
    /// `argument != value`.
    NotEqual,
    /// `argument < value`.
    Less,
    /// `argument <= value`.
    LessOrEqual,
    /// `argument >= value`.
    GreaterOrEqual,
    /// `argument > value`.
    Greater,
    /// `argument & mask == value & mask`.
    MaskedEqual {
        /// The bits that count.
        mask: u64,
    },
}

/// A test of one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition {
    /// Which argument, 0 to 5.
    pub index: u8,
    /// How.
    pub comparison: Comparison,
    /// Against what.
    pub value: u64,
}

/// One entry of `linux.seccomp.syscalls`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The calls.
    pub names: Vec<String>,
    /// What the kernel does with them.
    pub answer: Answer,
    /// When: all conditions of one of these hold. One empty list: always.
    pub alternatives: Vec<Vec<Condition>>,
}

/// A checked profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The ABIs with rules of their own, the native one first, then x32, which shares its table.
    pub abis: Vec<Abi>,
    /// The answer where no rule matches.
    pub default: Answer,
    /// The answer to calls newer than the newest the profile names: its author cannot have meant to refuse
    /// them, and C libraries fall back on ENOSYS only (runc issue 2750). Nothing: `default`.
    pub newer: Option<Answer>,
    /// The answer to every call of an ABI that is not listed.
    pub foreign: Answer,
    /// The rules; the first that matches decides.
    pub rules: Vec<Rule>,
}

/// Why a profile cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The field, from `linux.seccomp` on.
    pub at: String,
    /// What is wrong with it.
    pub why: String,
    /// What to do.
    pub fix: &'static str,
}

impl Profile {
    /// Checks `seccomp` for a host of architecture `native`, whose programs are always filtered by the rules,
    /// listed or not. `foreign` answers every call of an ABI that is not listed.
    ///
    /// # Errors
    /// Every field that is not valid.
    pub fn read(seccomp: &LinuxSeccomp, native: Arch, foreign: Answer) -> Result<Profile, Vec<Problem>> {
        let mut problems = Vec::new();
        let default =
            answer(seccomp.default_action(), seccomp.default_errno_ret(), "defaultErrnoRet", &mut problems);
        let mut rules = Vec::new();
        for (index, syscall) in seccomp.syscalls().iter().flatten().enumerate() {
            rules.push(rule(syscall, &format!("syscalls[{index}]"), &mut problems));
        }
        let profile = Profile {
            abis: abis(seccomp.architectures().as_deref().unwrap_or_default(), native),
            default,
            newer: (default.refuses() && default != Answer::ENOSYS).then_some(Answer::ENOSYS),
            foreign,
            rules,
        };
        if problems.is_empty() { Ok(profile) } else { Err(problems) }
    }

    /// Names that no listed ABI has; their rules have no effect.
    pub fn unknown_names(&self) -> Vec<String> {
        let names: BTreeSet<&String> = self.rules.iter().flat_map(|rule| &rule.names).collect();
        names
            .into_iter()
            .filter(|name| self.abis.iter().all(|abi| abi.number(name).is_none()))
            .cloned()
            .collect()
    }

    /// Whether any call is handed to a listener.
    pub fn notifies(&self) -> bool {
        let notifies = |rule: &Rule| rule.answer == Answer::NOTIFY && !rule.names.is_empty();
        self.default == Answer::NOTIFY || self.rules.iter().any(notifies)
    }
}

/// The listed ABIs that a kernel of this architecture can be called through. The others cannot occur.
fn abis(listed: &[OciArch], native: Arch) -> Vec<Abi> {
    let also = foreign_abis(native).iter().filter(|(arch, _)| listed.contains(arch)).map(|(_, abi)| *abi);
    std::iter::once(native.native_abi()).chain(also).collect()
}

/// Beside its own.
fn foreign_abis(native: Arch) -> &'static [(OciArch, Abi)] {
    match native {
        Arch::X86_64 => &[(OciArch::ScmpArchX32, Abi::X32), (OciArch::ScmpArchX86, Abi::X86)],
        Arch::Aarch64 => &[(OciArch::ScmpArchArm, Abi::Arm)],
    }
}

/// Listed architectures whose programs this kernel cannot run.
pub fn foreign_archs(seccomp: &LinuxSeccomp, native: Arch) -> Vec<String> {
    let own = match native {
        Arch::X86_64 => OciArch::ScmpArchX86_64,
        Arch::Aarch64 => OciArch::ScmpArchAarch64,
    };
    let runs = |arch: &OciArch| {
        [own, OciArch::ScmpArchNative].contains(arch)
            || foreign_abis(native).iter().any(|(other, _)| other == arch)
    };
    let listed = seccomp.architectures().iter().flatten();
    listed.filter(|arch| !runs(arch)).map(ToString::to_string).collect()
}

fn rule(syscall: &LinuxSyscall, at: &str, problems: &mut Vec<Problem>) -> Rule {
    let mut found = Vec::new();
    let answer = answer(syscall.action(), syscall.errno_ret(), "errnoRet", &mut found);
    let args = syscall.args().as_deref().unwrap_or_default();
    let conditions = args
        .iter()
        .enumerate()
        .map(|(index, arg)| condition(arg, &format!("args[{index}]"), &mut found))
        .collect();
    problems
        .extend(found.into_iter().map(|problem| Problem { at: format!("{at}.{}", problem.at), ..problem }));
    Rule { names: syscall.names().clone(), answer, alternatives: alternatives(conditions) }
}

/// Conditions are AND-ed, unless two are about the same argument: then each is a rule of its own (runc's
/// reading; two different values could never both hold).
fn alternatives(conditions: Vec<Condition>) -> Vec<Vec<Condition>> {
    let indices: BTreeSet<u8> = conditions.iter().map(|condition| condition.index).collect();
    if indices.len() == conditions.len() {
        vec![conditions]
    } else {
        conditions.into_iter().map(|condition| vec![condition]).collect()
    }
}

fn condition(arg: &LinuxSeccompArg, at: &str, problems: &mut Vec<Problem>) -> Condition {
    let index = u8::try_from(arg.index()).ok().filter(|index| *index <= 5).unwrap_or_else(|| {
        problems.push(Problem {
            at: format!("{at}.index"),
            why: format!("{} is not the index of an argument", arg.index()),
            fix: "use 0 to 5",
        });
        0
    });
    let comparison = match arg.op() {
        LinuxSeccompOperator::ScmpCmpNe => Comparison::NotEqual,
        LinuxSeccompOperator::ScmpCmpLt => Comparison::Less,
        LinuxSeccompOperator::ScmpCmpLe => Comparison::LessOrEqual,
        LinuxSeccompOperator::ScmpCmpEq => Comparison::Equal,
        LinuxSeccompOperator::ScmpCmpGe => Comparison::GreaterOrEqual,
        LinuxSeccompOperator::ScmpCmpGt => Comparison::Greater,
        LinuxSeccompOperator::ScmpCmpMaskedEq => Comparison::MaskedEqual { mask: arg.value() },
    };
    let value = match comparison {
        Comparison::MaskedEqual { .. } => arg.value_two().unwrap_or_default(),
        _ => arg.value(),
    };
    Condition { index, comparison, value }
}

/// The answer of an action; without `errno_ret`, EPERM where an errno is needed.
fn answer(
    action: LinuxSeccompAction,
    errno_ret: Option<u32>,
    at: &str,
    problems: &mut Vec<Problem>,
) -> Answer {
    use LinuxSeccompAction as Action;
    let most = match action {
        Action::ScmpActErrno => MAX_ERRNO,
        Action::ScmpActTrace => MAX_DATA,
        _ => 0,
    };
    let errno = errno_ret.unwrap_or(EPERM);
    if errno_ret.is_some() && most == 0 {
        problems.push(Problem {
            at: at.into(),
            why: format!("{action} returns no errno"),
            fix: "remove it, or use SCMP_ACT_ERRNO",
        });
    } else if errno_ret.is_some_and(|errno| errno > most) {
        problems.push(Problem {
            at: at.into(),
            why: format!("{errno} is more than {most}"),
            fix: "use the number of an errno",
        });
    }
    let errno = errno.min(most);
    match action {
        Action::ScmpActKill | Action::ScmpActKillThread => Answer::KILL_THREAD,
        Action::ScmpActKillProcess => Answer::KILL_PROCESS,
        Action::ScmpActTrap => Answer::TRAP,
        Action::ScmpActErrno => Answer::errno(errno),
        Action::ScmpActTrace => Answer::trace(errno),
        Action::ScmpActLog => Answer::LOG,
        Action::ScmpActAllow => Answer::ALLOW,
        Action::ScmpActNotify => Answer::NOTIFY,
    }
}
