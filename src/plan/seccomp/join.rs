//! Two programs in one, with the answers that the kernel gives for both when they are stacked.

use std::collections::HashMap;

use super::code::{JUMP, RETURN};

/// A program that answers each call with the stricter of what `first` and `second` answer, and with what `first`
/// says where they are equally strict, as the kernel does when `first` is loaded last.
///
/// Where `first` has its answer, it goes on at a copy of `second` made for that answer: one copy for each answer
/// that `second` can still change. All that is replaced is of the same length, so no jump has to be moved.
pub(super) fn join(first: &[u64], second: &[u64]) -> Vec<u64> {
    let mut program = first.to_vec();
    let mut copies = HashMap::new();
    for (at, instruction) in first.iter().enumerate() {
        let Some(answer) = returned(*instruction) else { continue };
        let copy = restricted(second, answer);
        if copy.iter().all(|instruction| returned(*instruction).is_none_or(|other| other == answer)) {
            continue;
        }
        let start = *copies.entry(answer).or_insert_with(|| {
            let start = program.len();
            program.extend(copy);
            start
        });
        if let Some(place) = program.get_mut(at) {
            *place = jump(start - at - 1);
        }
    }
    program
}

/// `program`, with no answer less strict than `answer`.
fn restricted(program: &[u64], answer: u32) -> Vec<u64> {
    let restrict = |instruction: &u64| match returned(*instruction) {
        Some(other) if strictness(other) >= strictness(answer) => packed(RETURN, answer),
        _ => *instruction,
    };
    program.iter().map(restrict).collect()
}

/// The lower, the stricter (kernel/seccomp.c, `seccomp_run_filters`): the data does not count, and
/// `SECCOMP_RET_KILL_PROCESS` is negative.
fn strictness(answer: u32) -> i32 {
    (answer & 0xffff_0000).cast_signed()
}

fn returned(instruction: u64) -> Option<u32> {
    (instruction & 0xffff == u64::from(RETURN)).then_some((instruction >> 32) as u32)
}

fn jump(skip: usize) -> u64 {
    packed(JUMP, u32::try_from(skip).unwrap_or(u32::MAX))
}

fn packed(code: u16, k: u32) -> u64 {
    u64::from(code) | u64::from(k) << 32
}
