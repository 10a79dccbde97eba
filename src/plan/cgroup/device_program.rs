//! The device rules as a BPF program for cgroup v2 (`BPF_PROG_TYPE_CGROUP_DEVICE`, Linux 4.15).
//!
//! The kernel calls it with the kind of device, its numbers and the accesses wanted at once (opening for
//! reading and writing asks for both). From the last rule to the first: a rule that matches and refuses one
//! of the accesses still open ends with 0; one that allows takes its accesses off the open ones and ends
//! with 1 when none is left. At the end it is 0.

use super::{DeviceKind, DeviceRule};

/// `struct bpf_cgroup_dev_ctx`: offsets of `access_type` (accesses << 16 | kind), `major`, `minor`.
const ACCESS_TYPE: i16 = 0;
const MAJOR: i16 = 4;
const MINOR: i16 = 8;
/// `BPF_DEVCG_DEV_BLOCK`, `BPF_DEVCG_DEV_CHAR`
const BLOCK: u32 = 1;
const CHAR: u32 = 2;

/// Operation codes (linux/bpf.h, linux/bpf_common.h).
const LOAD_WORD: u8 = 0x61;
const MOVE: u8 = 0xb7;
const MOVE_REGISTER_32: u8 = 0xbc;
const AND_32: u8 = 0x54;
const SHIFT_RIGHT_32: u8 = 0x74;
const JUMP_NOT_EQUAL: u8 = 0x55;
const JUMP_EQUAL: u8 = 0x15;
const JUMP_EQUAL_32: u8 = 0x16;
const JUMP: u8 = 0x05;
const SHIFT_LEFT_32: u8 = 0x64;
const OR_REGISTER_32: u8 = 0x4c;
const EXIT: u8 = 0x95;

/// A device number holds 12 bits of major and 20 of minor (`MKDEV` of the kernel).
const MINOR_BITS: u32 = 20;

/// Registers: the verdict, the context, the accesses still open, kind, major, minor, scratch, both
/// numbers in one.
const VERDICT: u8 = 0;
const CONTEXT: u8 = 1;
const OPEN: u8 = 2;
const KIND: u8 = 3;
const MAJOR_REGISTER: u8 = 4;
const MINOR_REGISTER: u8 = 5;
const SCRATCH: u8 = 6;
const NUMBER: u8 = 7;

/// The program, each word one `struct bpf_insn` of a little-endian machine.
pub fn compile(rules: &[DeviceRule]) -> Vec<u64> {
    let mut program = vec![
        instruction(LOAD_WORD, KIND, CONTEXT, ACCESS_TYPE, 0),
        instruction(MOVE_REGISTER_32, OPEN, KIND, 0, 0),
        instruction(AND_32, KIND, 0, 0, 0xffff),
        instruction(SHIFT_RIGHT_32, OPEN, 0, 0, 16),
        instruction(LOAD_WORD, MAJOR_REGISTER, CONTEXT, MAJOR, 0),
        instruction(LOAD_WORD, MINOR_REGISTER, CONTEXT, MINOR, 0),
    ];
    let rules = reachable(rules);
    let mut rest = rules.as_slice();
    while let Some((rule, others)) = rest.split_first() {
        if rule.is_everything() {
            // The verifier refuses instructions that nothing can reach, so this is the end.
            program.extend(verdict(rule.allow));
            return program;
        }
        let alike = rest.iter().take_while(|other| other.kind == rule.kind && is_open(other)).count();
        rest = match rest.split_at_checked(alike) {
            Some((list, behind)) if alike > 1 => {
                program.extend(choice(rule.kind, list));
                behind
            }
            _ => {
                program.extend(block(rule));
                others
            }
        };
    }
    program.extend(verdict(false));
    program
}

/// From the last rule to the first, without those of which every device is open to everything by then.
fn reachable(rules: &[DeviceRule]) -> Vec<&DeviceRule> {
    let mut kept: Vec<&DeviceRule> = Vec::new();
    for rule in rules.iter().rev() {
        let covers = |other: &&DeviceRule| {
            is_open(other)
                && other.kind == rule.kind
                && other.major == rule.major
                && (other.minor.is_none() || other.minor == rule.minor)
        };
        if !kept.iter().any(covers) {
            kept.push(rule);
        }
    }
    kept
}

/// Whether a rule allows everything with devices of one major number: nothing can stay open behind it.
fn is_open(rule: &DeviceRule) -> bool {
    rule.allow && rule.access.is_all() && rule.major.is_some()
}

/// Rules of one kind that allow everything, as one list of numbers with one verdict: the verifier follows every
/// jump with a copy of its state, and its time is most of what a program costs to load.
fn choice(kind: DeviceKind, rules: &[&DeviceRule]) -> Vec<u64> {
    let mut list = vec![
        instruction(MOVE_REGISTER_32, NUMBER, MAJOR_REGISTER, 0, 0),
        instruction(SHIFT_LEFT_32, NUMBER, 0, 0, MINOR_BITS),
        instruction(OR_REGISTER_32, NUMBER, MINOR_REGISTER, 0, 0),
    ];
    for (i, rule) in rules.iter().enumerate() {
        // A list as long as a jump is wide is longer than any program may be.
        let to_verdict = jump(rules.len() - i);
        let major = rule.major.unwrap_or_default();
        list.push(match rule.minor {
            Some(minor) => instruction(JUMP_EQUAL_32, NUMBER, 0, to_verdict, major << MINOR_BITS | minor),
            None => instruction(JUMP_EQUAL, MAJOR_REGISTER, 0, to_verdict, major),
        });
    }
    list.push(instruction(JUMP, 0, 0, 2, 0));
    list.extend(verdict(true));
    if let Some(number) = number(kind) {
        list.insert(0, instruction(JUMP_NOT_EQUAL, KIND, 0, jump(list.len()), number));
    }
    list
}

fn jump(distance: usize) -> i16 {
    i16::try_from(distance).unwrap_or(i16::MAX)
}

fn number(kind: DeviceKind) -> Option<u32> {
    match kind {
        DeviceKind::All => None,
        DeviceKind::Block => Some(BLOCK),
        DeviceKind::Char => Some(CHAR),
    }
}

/// One rule: its conditions, each of which jumps behind the block, then what it does.
fn block(rule: &DeviceRule) -> Vec<u64> {
    let bits = u32::from(rule.access.bits());
    let body = if rule.allow && rule.access.is_all() {
        // Nothing can stay open, so the open ones need not be kept.
        Vec::new()
    } else if rule.allow {
        vec![instruction(AND_32, OPEN, 0, 0, !bits), instruction(JUMP_NOT_EQUAL, OPEN, 0, 2, 0)]
    } else {
        vec![
            instruction(MOVE_REGISTER_32, SCRATCH, OPEN, 0, 0),
            instruction(AND_32, SCRATCH, 0, 0, bits),
            instruction(JUMP_EQUAL, SCRATCH, 0, 2, 0),
        ]
    };
    let conditions: Vec<(u8, u32)> =
        [(KIND, number(rule.kind)), (MAJOR_REGISTER, rule.major), (MINOR_REGISTER, rule.minor)]
            .into_iter()
            .filter_map(|(register, wanted)| wanted.map(|wanted| (register, wanted)))
            .collect();
    let mut block = Vec::new();
    for (i, (register, wanted)) in conditions.iter().enumerate() {
        // At most 2 more conditions, 3 instructions of the body and the verdict: far below the width of a jump.
        let behind = jump(conditions.len() - i - 1 + body.len() + 2);
        block.push(instruction(JUMP_NOT_EQUAL, *register, 0, behind, *wanted));
    }
    block.extend(body);
    block.extend(verdict(rule.allow));
    block
}

fn verdict(allow: bool) -> [u64; 2] {
    [instruction(MOVE, VERDICT, 0, 0, u32::from(allow)), instruction(EXIT, 0, 0, 0, 0)]
}

/// `struct bpf_insn { u8 code; u8 dst:4, src:4; s16 off; s32 imm; }`
fn instruction(code: u8, to: u8, from: u8, offset: i16, value: u32) -> u64 {
    u64::from(code)
        | u64::from(to | from << 4) << 8
        | u64::from(offset.cast_unsigned()) << 16
        | u64::from(value) << 32
}

#[cfg(test)]
mod tests;
