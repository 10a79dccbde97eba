//! From a profile to a program for the kernel.
//!
//! The program looks up the architecture, then the number in a binary tree of ranges, then asks about
//! arguments: about 10 instructions for a call, however many the profile names. The kernel runs it once for
//! every number while loading and remembers what is allowed whatever the arguments (since Linux 5.11).

use super::code::{Ask, Code, Entry};
use super::profile::{Answer, Comparison, Condition, Profile};
use super::table::{Table, Verdict};

/// The most instructions a filter may have (`BPF_MAXINSNS`).
pub const MAX_INSTRUCTIONS: usize = 4096;

const NUMBER: u32 = 0; // offsetof(struct seccomp_data, nr)
const ARCH: u32 = 4; // offsetof(struct seccomp_data, arch)
const ARGUMENTS: u32 = 16; // offsetof(struct seccomp_data, args)

/// The program of a profile. It may be longer than [`MAX_INSTRUCTIONS`].
pub fn compile(profile: &Profile) -> Vec<u64> {
    let mut code = Code::default();
    let mut other = code.finish(profile.foreign.0);
    // From the end: the native architecture is asked for first.
    for table in Table::all(profile).iter().rev() {
        let tree = tree(&mut code, &table.ranges);
        other = code.ask(ARCH, Ask::Equal, table.audit_arch, tree, other);
    }
    code.begin(other);
    code.packed()
}

fn tree(code: &mut Code, ranges: &[(u32, Verdict)]) -> Entry {
    match ranges {
        [] => code.finish(Answer::KILL_PROCESS.0),
        [(_, verdict)] => leaf(code, verdict),
        _ => {
            let (low, high) = ranges.split_at(ranges.len() / 2);
            let first = high.first().map_or(0, |(first, _)| *first);
            let high = tree(code, high);
            let low = tree(code, low);
            code.ask(NUMBER, Ask::GreaterOrEqual, first, high, low)
        }
    }
}

fn leaf(code: &mut Code, verdict: &Verdict) -> Entry {
    let otherwise = code.finish(verdict.otherwise.0);
    verdict.branches.iter().rev().fold(otherwise, |no, (conditions, answer)| {
        let yes = code.finish(answer.0);
        conditions.iter().rev().fold(yes, |yes, condition| test(code, condition, yes, no))
    })
}

/// Goes on at `yes` if the condition holds, else at `no`.
fn test(code: &mut Code, condition: &Condition, yes: Entry, no: Entry) -> Entry {
    use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, MaskedEqual, NotEqual};
    let words = Words::new(condition);
    match condition.comparison {
        Equal => words.equal(code, u64::MAX, yes, no),
        NotEqual => words.equal(code, u64::MAX, no, yes),
        MaskedEqual { mask } => words.equal(code, mask, yes, no),
        GreaterOrEqual => words.order(code, Ask::GreaterOrEqual, yes, no),
        Less => words.order(code, Ask::GreaterOrEqual, no, yes),
        Greater => words.order(code, Ask::Greater, yes, no),
        LessOrEqual => words.order(code, Ask::Greater, no, yes),
    }
}

/// An argument and what it is compared with, in the 32-bit words that BPF knows.
struct Words {
    low: Word,
    high: Word,
}

struct Word {
    offset: u32,
    value: u32,
}

impl Words {
    fn new(condition: &Condition) -> Words {
        let offset = ARGUMENTS + 8 * u32::from(condition.index);
        Words {
            low: Word { offset, value: low(condition.value) },
            high: Word { offset: offset + 4, value: high(condition.value) },
        }
    }

    fn equal(&self, code: &mut Code, mask: u64, yes: Entry, no: Entry) -> Entry {
        let yes = self.low.equal(code, low(mask), yes, no);
        self.high.equal(code, high(mask), yes, no)
    }

    /// The high words decide, unless they are equal.
    fn order(&self, code: &mut Code, ask: Ask, yes: Entry, no: Entry) -> Entry {
        let low = code.ask(self.low.offset, ask, self.low.value, yes, no);
        let not_greater = code.ask(self.high.offset, Ask::Equal, self.high.value, low, no);
        code.ask(self.high.offset, Ask::Greater, self.high.value, yes, not_greater)
    }
}

impl Word {
    fn equal(&self, code: &mut Code, mask: u32, yes: Entry, no: Entry) -> Entry {
        match mask {
            0 => yes,
            u32::MAX => code.ask(self.offset, Ask::Equal, self.value, yes, no),
            mask => code.ask_masked(self.offset, mask, self.value & mask, yes, no),
        }
    }
}

fn low(value: u64) -> u32 {
    value as u32
}

fn high(value: u64) -> u32 {
    (value >> 32) as u32
}
