//! What each call gets, in words: for people who ask what a filter does.

use oci_spec::runtime::LinuxSeccomp;

use super::names::Arch;
use super::profile::{Answer, Comparison, Condition, Problem, Profile};
use super::table::{Table, Verdict};

/// One call of the native ABI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Treatment {
    /// Its name.
    pub name: String,
    /// Its number.
    pub number: u32,
    /// What the kernel does with it.
    pub verdict: Verdict,
}

/// Every call of the native ABI that the profile names, by number.
///
/// # Errors
/// Every field of the profile that is not valid.
pub fn summary(seccomp: &LinuxSeccomp, native: Arch) -> Result<Vec<Treatment>, Vec<Problem>> {
    let profile = Profile::read(seccomp, native, Answer::KILL_THREAD)?;
    let tables = Table::all(&profile);
    let mut treatments = Vec::new();
    for name in profile.rules.iter().flat_map(|rule| &rule.names) {
        let Some(number) = native.native_abi().number(name) else { continue };
        if let Some(verdict) = tables.first().and_then(|table| table.verdict(number)) {
            treatments.push(Treatment { name: name.clone(), number, verdict: verdict.clone() });
        }
    }
    treatments.sort_by_key(|treatment| treatment.number);
    treatments.dedup_by_key(|treatment| treatment.number);
    Ok(treatments)
}

/// `ALLOW if arg0 & 0x7e020000 == 0; else errno 1`.
impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (conditions, answer) in &self.branches {
            let all: Vec<String> = conditions.iter().map(Condition::to_string).collect();
            write!(f, "{answer} if {}; ", all.join(" and "))?;
        }
        if !self.branches.is_empty() {
            f.write_str("else ")?;
        }
        write!(f, "{}", self.otherwise)
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let data = self.0 & 0xffff;
        match *self {
            Answer::KILL_THREAD => f.write_str("kill thread"),
            Answer::KILL_PROCESS => f.write_str("kill process"),
            Answer::TRAP => f.write_str("trap"),
            Answer::NOTIFY => f.write_str("notify"),
            Answer::LOG => f.write_str("log"),
            Answer::ALLOW => f.write_str("allow"),
            other if other == Answer::trace(data) => write!(f, "trace {data}"),
            _ => write!(f, "errno {data}"),
        }
    }
}

impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Condition { index, comparison, value } = self;
        match comparison {
            Comparison::Equal => write!(f, "arg{index} == {value:#x}"),
            Comparison::NotEqual => write!(f, "arg{index} != {value:#x}"),
            Comparison::Less => write!(f, "arg{index} < {value:#x}"),
            Comparison::LessOrEqual => write!(f, "arg{index} <= {value:#x}"),
            Comparison::GreaterOrEqual => write!(f, "arg{index} >= {value:#x}"),
            Comparison::Greater => write!(f, "arg{index} > {value:#x}"),
            Comparison::MaskedEqual { mask } => write!(f, "arg{index} & {mask:#x} == {value:#x}"),
        }
    }
}
