//! The program, instruction by instruction, and what it answers.

use super::super::{Access, DeviceKind, DeviceRule};
use super::{BLOCK, CHAR, compile};

const MKNOD: u32 = 1;
const READ: u32 = 2;
const WRITE: u32 = 4;

fn rule(allow: bool, kind: DeviceKind, major: Option<u32>, minor: Option<u32>, access: &str) -> DeviceRule {
    let access = Access::try_from(access.to_owned()).expect("letters");
    DeviceRule { allow, kind, major, minor, access, at: None }
}

/// What the kernel would do with the few instructions used; panics at any other, as the verifier refuses it.
fn run(program: &[u64], access: u32, kind: u32, major: u32, minor: u32) -> bool {
    let context = [access << 16 | kind, major, minor];
    let mut registers = [0u64; 8];
    let mut at = 0;
    loop {
        let word = program[at];
        let (code, to, from) = (word as u8, (word >> 8 & 0xf) as usize, (word >> 12 & 0xf) as usize);
        let (offset, value) = ((word >> 16) as i16, (word >> 32) as u32);
        let extended = i64::from(value.cast_signed()).cast_unsigned();
        at += 1;
        let mut jump = |condition: bool| {
            if condition {
                at += usize::try_from(offset).expect("forward only");
            }
        };
        match code {
            0x61 => registers[to] = u64::from(context[offset as usize / 4]),
            0xb7 => registers[to] = extended,
            0xbc => registers[to] = registers[from] & 0xffff_ffff,
            0x54 => registers[to] = registers[to] & u64::from(value) & 0xffff_ffff,
            0x64 => registers[to] = registers[to] << value & 0xffff_ffff,
            0x4c => registers[to] = (registers[to] | registers[from]) & 0xffff_ffff,
            0x05 => jump(true),
            0x16 => jump(registers[to] & 0xffff_ffff == u64::from(value)),
            0x74 => registers[to] = (registers[to] & 0xffff_ffff) >> value,
            0x55 => jump(registers[to] != extended),
            0x15 => jump(registers[to] == extended),
            0x95 => return registers[0] == 1,
            other => panic!("no such instruction: {other:#x}"),
        }
    }
}

#[test]
fn one_rule_is_these_instructions() {
    let program = compile(&[rule(true, DeviceKind::Char, Some(1), Some(3), "rw")]);
    assert_eq!(
        program,
        [
            0x0000_0000_0000_1361, // r3 = access_type
            0x0000_0000_0000_32bc, // w2 = w3
            0x0000_ffff_0000_0354, // w3 &= 0xffff
            0x0000_0010_0000_0274, // w2 >>= 16
            0x0000_0000_0004_1461, // r4 = major
            0x0000_0000_0008_1561, // r5 = minor
            0x0000_0002_0006_0355, // if r3 != CHAR goto +6
            0x0000_0001_0005_0455, // if r4 != 1 goto +5
            0x0000_0003_0004_0555, // if r5 != 3 goto +4
            0xffff_fff9_0000_0254, // w2 &= !(READ | WRITE)
            0x0000_0000_0002_0255, // if r2 != 0 goto +2
            0x0000_0001_0000_00b7, // r0 = 1
            0x0000_0000_0000_0095, // exit
            0x0000_0000_0000_00b7, // r0 = 0
            0x0000_0000_0000_0095, // exit
        ]
    );
}

#[test]
fn nothing_follows_a_rule_about_everything() {
    let all = rule(true, DeviceKind::All, None, None, "rwm");
    let before = rule(false, DeviceKind::Block, None, None, "r");
    assert_eq!(compile(&[before, all]).len(), 6 + 2);
}

#[test]
fn the_last_rule_that_speaks_of_an_access_decides_it() {
    let program = compile(&[
        rule(true, DeviceKind::All, None, None, "rwm"),
        rule(false, DeviceKind::Block, None, None, "rwm"),
        rule(true, DeviceKind::Block, Some(8), None, "r"),
        rule(false, DeviceKind::Block, Some(8), Some(1), "r"),
        rule(true, DeviceKind::Block, Some(8), Some(2), "w"),
        rule(false, DeviceKind::Char, Some(10), Some(200), "w"),
    ]);
    for (allowed, access, kind, major, minor) in [
        (true, READ | WRITE, CHAR, 1, 3),
        (true, READ, BLOCK, 8, 0),
        (false, READ | WRITE, BLOCK, 8, 0),
        (false, READ, BLOCK, 8, 1),
        (true, READ | WRITE, BLOCK, 8, 2),
        (false, MKNOD, BLOCK, 8, 2),
        (false, READ, BLOCK, 9, 0),
        (true, READ, CHAR, 10, 200),
        (false, READ | WRITE, CHAR, 10, 200),
        (true, MKNOD, CHAR, 10, 200),
        (true, WRITE, CHAR, 10, 201),
    ] {
        let answer = run(&program, access, kind, major, minor);
        assert_eq!(answer, allowed, "access {access} to {kind} {major}:{minor}");
    }
}

#[test]
fn what_no_rule_speaks_of_is_refused() {
    let program = compile(&[rule(true, DeviceKind::Char, Some(1), None, "r")]);
    assert!(run(&program, READ, CHAR, 1, 9));
    assert!(!run(&program, READ, CHAR, 2, 9));
    assert!(!run(&program, READ, BLOCK, 1, 9));
    assert!(!run(&program, READ | WRITE, CHAR, 1, 9));
    assert!(!run(&compile(&[]), READ, CHAR, 1, 3));
}

#[test]
fn open_devices_are_one_list() {
    let open = |major, minor| rule(true, DeviceKind::Char, Some(major), minor, "rwm");
    let program = compile(&[
        rule(false, DeviceKind::All, None, None, "rwm"),
        rule(true, DeviceKind::Char, Some(1), Some(3), "m"),
        rule(true, DeviceKind::Block, Some(8), Some(0), "r"),
        open(1, Some(3)),
        open(4095, Some(0xf_ffff)),
        open(136, None),
    ]);
    // The rule for 1:3 alone says nothing new, so it is left out.
    assert_eq!(program.len(), 6 + (1 + 3 + 3 + 1 + 2) + (3 + 2 + 2) + 2);
    for (allowed, access, kind, major, minor) in [
        (true, READ | WRITE | MKNOD, CHAR, 1, 3),
        (true, MKNOD, CHAR, 136, 77),
        (true, WRITE, CHAR, 4095, 0xf_ffff),
        (false, READ, CHAR, 1, 4),
        (false, READ, BLOCK, 1, 3),
        (true, READ, BLOCK, 8, 0),
        (false, WRITE, BLOCK, 8, 0),
    ] {
        let answer = run(&program, access, kind, major, minor);
        assert_eq!(answer, allowed, "access {access} to {kind} {major}:{minor}");
    }
}
