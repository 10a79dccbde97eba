//! The profile by call number: for each architecture the kernel reports, which numbers get which answers.

use std::collections::BTreeMap;

use super::names::{Abi, X32_BIT};
use super::profile::{Answer, Condition, Profile, Rule};

/// The number that means "no call at all": what a tracer leaves behind to skip one.
const NO_CALL: u32 = u32::MAX;

/// What happens to a call: the first branch whose conditions all hold decides, else `otherwise`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// In the order of the profile.
    pub branches: Vec<(Vec<Condition>, Answer)>,
    /// Where no branch matches.
    pub otherwise: Answer,
}

impl Verdict {
    /// The same answer whatever the arguments.
    pub fn always(answer: Answer) -> Verdict {
        Verdict { branches: Vec::new(), otherwise: answer }
    }

    /// `rules` in order. What can never decide is left out: equal verdicts are then equal values.
    fn new(rules: &[&Rule], default: Answer) -> Verdict {
        let mut verdict = Verdict::always(default);
        let all = rules.iter().flat_map(|rule| rule.alternatives.iter().map(|all| (all, rule.answer)));
        for (conditions, answer) in all {
            if conditions.is_empty() {
                verdict.otherwise = answer;
                break;
            }
            verdict.branches.push((conditions.clone(), answer));
        }
        while verdict.branches.last().is_some_and(|(_, answer)| *answer == verdict.otherwise) {
            verdict.branches.pop();
        }
        verdict
    }

    /// Whether some arguments get `answer`.
    pub fn can_be(&self, answer: Answer) -> bool {
        self.otherwise == answer || self.branches.iter().any(|(_, branch)| *branch == answer)
    }
}

/// The verdicts of all 2³² numbers under one `AUDIT_ARCH_*`, as ranges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The value of `seccomp_data.arch`.
    pub audit_arch: u32,
    /// First number and verdict of each range, ascending, the first from 0; neighbours differ.
    pub ranges: Vec<(u32, Verdict)>,
}

impl Table {
    /// The tables of a profile, the native architecture's first.
    pub fn all(profile: &Profile) -> Vec<Table> {
        let mut archs: Vec<u32> = profile.abis.iter().map(|abi| abi.audit_arch()).collect();
        archs.dedup();
        archs.into_iter().map(|arch| Table::new(profile, arch)).collect()
    }

    /// The verdict of one number.
    pub fn verdict(&self, number: u32) -> Option<&Verdict> {
        let after = self.ranges.partition_point(|(first, _)| *first <= number);
        self.ranges.get(after.checked_sub(1)?).map(|(_, verdict)| verdict)
    }

    fn new(profile: &Profile, audit_arch: u32) -> Table {
        let mut table = Table { audit_arch, ranges: Vec::new() };
        for abi in profile.abis.iter().filter(|abi| abi.audit_arch() == audit_arch) {
            table.add(*abi, profile);
        }
        if audit_arch == Abi::X32.audit_arch() {
            if !profile.abis.contains(&Abi::X32) {
                table.push(X32_BIT, Verdict::always(profile.foreign));
            }
            table.push(NO_CALL, Verdict::always(profile.newer.unwrap_or(profile.default)));
        }
        table
    }

    fn add(&mut self, abi: Abi, profile: &Profile) {
        let mut named: BTreeMap<u32, Vec<&Rule>> = BTreeMap::new();
        for rule in &profile.rules {
            for number in rule.names.iter().filter_map(|name| abi.number(name)) {
                let rules = named.entry(number).or_default();
                // Two names of one rule may be one number; a rule counts once.
                if !rules.last().is_some_and(|last| std::ptr::eq(*last, rule)) {
                    rules.push(rule);
                }
            }
        }
        let newest = named.keys().copied().filter(|number| abi.is_chronological(*number)).max();
        let unnamed = |number: u32| match (profile.newer, newest) {
            (Some(newer), Some(newest)) if number > newest => newer,
            _ => profile.default,
        };
        self.push(if abi == Abi::X32 { X32_BIT } else { 0 }, Verdict::always(profile.default));
        for (number, rules) in &named {
            self.push(*number, Verdict::new(rules, profile.default));
            self.push(number + 1, Verdict::always(unnamed(number + 1)));
        }
    }

    /// Lets `verdict` hold from `first` on.
    fn push(&mut self, first: u32, verdict: Verdict) {
        if self.ranges.last().is_some_and(|(last, _)| *last == first) {
            self.ranges.pop();
        }
        if self.ranges.last().is_none_or(|(_, last)| *last != verdict) {
            self.ranges.push((first, verdict));
        }
    }
}
