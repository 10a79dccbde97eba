//! Whether any arguments at all get a call a certain answer: every path through the filters, with what each says of the
//! arguments. A path that no argument takes is not followed, so that the result is exact.

use std::collections::HashSet;

use super::program::{Call, Filters, Operation, Test};

/// The word at an offset, masked, passes a test or does not.
#[derive(Clone, Copy)]
struct Fact {
    offset: u32,
    mask: u32,
    test: Test,
    holds: bool,
}

/// What is in the accumulator.
#[derive(Clone, Copy)]
enum Value {
    Known(u32),
    Argument { offset: u32, mask: u32 },
}

struct Search<'a> {
    filters: &'a Filters,
    wanted: fn(u32) -> bool,
    /// The call, without its arguments.
    call: Call,
    facts: Vec<Fact>,
}

impl Filters {
    /// A call of this number whose answer is wanted, or none if no arguments get it.
    pub fn find(&self, arch: u32, number: u32, wanted: fn(u32) -> bool) -> Option<Call> {
        let call = Call { arch, number, args: [0; 6] };
        if self.0.is_empty() {
            return wanted(self.answer(&call)).then_some(call);
        }
        Search { filters: self, wanted, call, facts: Vec::new() }.walk(0, 0, Value::Known(0))
    }
}

impl Search<'_> {
    fn walk(&mut self, filter: usize, mut at: usize, mut value: Value) -> Option<Call> {
        loop {
            let operation = self.filters.0[filter][at].operation();
            at += 1;
            match operation {
                Operation::Load(offset @ (0 | 4)) => value = Value::Known(self.call.word(offset)),
                Operation::Load(offset) => value = Value::Argument { offset, mask: u32::MAX },
                Operation::And(k) => match &mut value {
                    Value::Known(known) => *known &= k,
                    Value::Argument { mask, .. } => *mask &= k,
                },
                Operation::Jump(skip) => at += skip,
                Operation::Branch(test, yes, no) => match value {
                    Value::Known(known) => at += if test.holds(known) { yes } else { no },
                    Value::Argument { offset, mask } => {
                        return [(true, yes), (false, no)].into_iter().find_map(|(holds, skip)| {
                            self.facts.push(Fact { offset, mask, test, holds });
                            let possible = self.solve(offset).is_some();
                            let found = possible.then(|| self.walk(filter, at + skip, value)).flatten();
                            self.facts.pop();
                            found
                        });
                    }
                },
                Operation::Return(_) if filter + 1 < self.filters.0.len() => {
                    return self.walk(filter + 1, 0, Value::Known(0));
                }
                Operation::Return(_) => {
                    let call = self.witness();
                    return (self.wanted)(self.filters.answer(&call)).then_some(call);
                }
            }
        }
    }

    /// Arguments that take the path.
    fn witness(&self) -> Call {
        let word = |offset| self.solve(offset).expect("the path is possible");
        let argument = |index: u32| u64::from(word(16 + 8 * index)) | u64::from(word(20 + 8 * index)) << 32;
        Call { args: std::array::from_fn(|index| argument(index as u32)), ..self.call }
    }

    /// A value of one word of which all facts are true.
    fn solve(&self, offset: u32) -> Option<u32> {
        let facts: Vec<Fact> = self.facts.iter().filter(|fact| fact.offset == offset).copied().collect();
        let undecided = vec![SoFar::Alike; facts.len()];
        complete(&facts, undecided, 0, u32::BITS, &mut HashSet::new())
    }
}

/// How the bits that are chosen already compare with those of a fact's constant.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum SoFar {
    Alike,
    Less,
    More,
}

impl Fact {
    /// With one more bit chosen.
    fn after(&self, so_far: SoFar, bit: u32, value: u32) -> SoFar {
        let masked = value & self.mask;
        let (k, orders) = match self.test {
            Test::AnyOf(k) if masked & k & bit != 0 => return SoFar::More,
            Test::AnyOf(_) => return so_far,
            Test::Equal(k) => (k, false),
            Test::Greater(k) | Test::GreaterOrEqual(k) => (k, true),
        };
        match (so_far, masked & bit, k & bit) {
            (SoFar::Alike, 0, 1..) if orders => SoFar::Less,
            (SoFar::Alike, own, other) if own != other => SoFar::More,
            _ => so_far,
        }
    }

    /// When all bits are chosen.
    fn is_true(&self, at_last: SoFar) -> bool {
        let holds = match self.test {
            Test::Equal(_) => at_last == SoFar::Alike,
            Test::Greater(_) | Test::AnyOf(_) => at_last == SoFar::More,
            Test::GreaterOrEqual(_) => at_last != SoFar::Less,
        };
        holds == self.holds
    }

    /// Whether no further bits can make it true.
    fn is_lost(&self, so_far: SoFar) -> bool {
        self.holds && matches!(self.test, Test::Equal(_)) && so_far != SoFar::Alike
    }
}

/// Chooses the remaining low bits of `value`. What `failed` knows of, bits and facts alike, is not tried again.
fn complete(
    facts: &[Fact],
    so_far: Vec<SoFar>,
    value: u32,
    remaining: u32,
    failed: &mut HashSet<(u32, Vec<SoFar>)>,
) -> Option<u32> {
    let mut pairs = facts.iter().zip(&so_far);
    if remaining == 0 {
        return pairs.all(|(fact, last)| fact.is_true(*last)).then_some(value);
    }
    if pairs.any(|(fact, so_far)| fact.is_lost(*so_far)) || failed.contains(&(remaining, so_far.clone())) {
        return None;
    }
    let bit = 1 << (remaining - 1);
    let found = [value, value | bit].into_iter().find_map(|value| {
        let after = facts.iter().zip(&so_far).map(|(fact, so_far)| fact.after(*so_far, bit, value));
        complete(facts, after.collect(), value, remaining - 1, failed)
    });
    if found.is_none() {
        failed.insert((remaining, so_far));
    }
    found
}
