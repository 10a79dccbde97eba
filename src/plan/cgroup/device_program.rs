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
const EXIT: u8 = 0x95;

/// Registers: the verdict, the context, the accesses still open, kind, major, minor, scratch.
const VERDICT: u8 = 0;
const CONTEXT: u8 = 1;
const OPEN: u8 = 2;
const KIND: u8 = 3;
const MAJOR_REGISTER: u8 = 4;
const MINOR_REGISTER: u8 = 5;
const SCRATCH: u8 = 6;

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
    for rule in rules.iter().rev() {
        if rule.is_everything() {
            // The verifier refuses instructions that nothing can reach, so this is the end.
            program.extend(verdict(rule.allow));
            return program;
        }
        program.extend(block(rule));
    }
    program.extend(verdict(false));
    program
}

/// One rule: its conditions, each of which jumps behind the block, then what it does.
fn block(rule: &DeviceRule) -> Vec<u64> {
    let kind = match rule.kind {
        DeviceKind::All => None,
        DeviceKind::Block => Some(BLOCK),
        DeviceKind::Char => Some(CHAR),
    };
    let bits = u32::from(rule.access.bits());
    let body = if rule.allow && rule.access.is_all() {
        // Nothing can be left open. The open ones stay as they are on every way past the rule, so the verifier
        // has one state to follow and not two for each rule: loading takes a tenth of the time.
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
        [(KIND, kind), (MAJOR_REGISTER, rule.major), (MINOR_REGISTER, rule.minor)]
            .into_iter()
            .filter_map(|(register, wanted)| wanted.map(|wanted| (register, wanted)))
            .collect();
    let mut block = Vec::new();
    for (i, (register, wanted)) in conditions.iter().enumerate() {
        // At most 2 more conditions, 3 instructions of the body and the verdict: far below the width of a jump.
        #[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)]
        let behind = (conditions.len() - i - 1 + body.len() + 2) as i16;
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
