//! Every operator at its edges; a comparison in two 32-bit halves goes wrong there.

use serde_json::json;

use super::*;

/// Around every boundary of either half.
fn values() -> Vec<u64> {
    let edges = [0, 1, 5, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x1_0000_0000, 0x5_0000_0005, u64::MAX];
    let mut values: Vec<u64> =
        edges.iter().flat_map(|edge: &u64| [edge.wrapping_sub(1), *edge, edge.wrapping_add(1)]).collect();
    values.extend([0x5_0000_0000, 0x4_ffff_ffff, 0x6_0000_0004, 0xffff_ffff_0000_0000]);
    values.sort();
    values.dedup();
    values
}

#[test]
fn every_operator_compares_all_64_bits() {
    type Holds = fn(u64, u64) -> bool;
    let operators: [(&str, Holds); 6] = [
        ("SCMP_CMP_EQ", |argument, value| argument == value),
        ("SCMP_CMP_NE", |argument, value| argument != value),
        ("SCMP_CMP_LT", |argument, value| argument < value),
        ("SCMP_CMP_LE", |argument, value| argument <= value),
        ("SCMP_CMP_GE", |argument, value| argument >= value),
        ("SCMP_CMP_GT", |argument, value| argument > value),
    ];
    for (op, holds) in operators {
        for index in 0..6 {
            for value in values() {
                let args = json!([{ "index": index, "op": op, "value": value }]);
                let rule = json!([{ "names": ["read"], "action": "SCMP_ACT_ALLOW", "args": args }]);
                let program = compiled(&profile(rule, json!({})));
                for argument in values() {
                    let mut args = [7; 6];
                    args[index] = argument;
                    let expected = if holds(argument, value) { Answer::ALLOW } else { Answer::errno(1) };
                    let (answer, _) = run(&program, &call(Abi::X86_64, "read", args));
                    assert_eq!(answer, expected, "{argument:#x} {op} {value:#x}, argument {index}");
                }
            }
        }
    }
}

#[test]
fn masked_equal_masks_both_sides() {
    for mask in values() {
        for value in [0, 5, 0x5_0000_0005, 0xffff_ffff, u64::MAX] {
            let args = json!([{ "index": 2, "op": "SCMP_CMP_MASKED_EQ", "value": mask, "valueTwo": value }]);
            let rule = json!([{ "names": ["read"], "action": "SCMP_ACT_ALLOW", "args": args }]);
            let program = compiled(&profile(rule, json!({})));
            for argument in values() {
                let expected = if argument & mask == value & mask { Answer::ALLOW } else { Answer::errno(1) };
                let (answer, _) = run(&program, &call(Abi::X86_64, "read", [1, 1, argument, 1, 1, 1]));
                assert_eq!(answer, expected, "{argument:#x} & {mask:#x} == {value:#x}");
            }
        }
    }
}

#[test]
fn conditions_on_different_arguments_must_all_hold() {
    let args = json!([
        { "index": 0, "op": "SCMP_CMP_EQ", "value": 1 },
        { "index": 1, "op": "SCMP_CMP_GE", "value": 2 },
    ]);
    let rule = json!([{ "names": ["read"], "action": "SCMP_ACT_ALLOW", "args": args }]);
    let seccomp = profile(rule, json!({}));
    for (first, second, expected) in
        [(1, 2, Answer::ALLOW), (1, 1, Answer::errno(1)), (0, 2, Answer::errno(1)), (0, 0, Answer::errno(1))]
    {
        let answer = ask(&seccomp, call(Abi::X86_64, "read", [first, second, 0, 0, 0, 0]));
        assert_eq!(answer, expected, "{first} {second}");
    }
}

#[test]
fn conditions_on_one_argument_are_alternatives() {
    let args = json!([
        { "index": 0, "op": "SCMP_CMP_EQ", "value": 1 },
        { "index": 0, "op": "SCMP_CMP_EQ", "value": 3 },
        { "index": 1, "op": "SCMP_CMP_EQ", "value": 9 },
    ]);
    let rule = json!([{ "names": ["read"], "action": "SCMP_ACT_ALLOW", "args": args }]);
    let seccomp = profile(rule, json!({}));
    let answer = |first, second| ask(&seccomp, call(Abi::X86_64, "read", [first, second, 0, 0, 0, 0]));
    assert_eq!(answer(1, 0), Answer::ALLOW);
    assert_eq!(answer(3, 0), Answer::ALLOW);
    assert_eq!(answer(2, 9), Answer::ALLOW);
    assert_eq!(answer(2, 0), Answer::errno(1));
    assert_eq!(answer(0x1_0000_0001, 0), Answer::errno(1));
}

#[test]
fn values_of_one_int_load_it_once() {
    let args: Vec<_> = (0..40)
        .map(|value| json!({ "index": 0, "op": "SCMP_CMP_MASKED_EQ", "value": 0xffff_ffffu32, "valueTwo": value }))
        .collect();
    let rule = json!([{ "names": ["read"], "action": "SCMP_ACT_ALLOW", "args": args }]);
    let program = compiled(&profile(rule, json!({})));
    let argument_loads = program.iter().filter(|instruction| **instruction == 0x10_0000_0020).count();
    assert_eq!(argument_loads, 1);
    assert_eq!(run(&program, &call(Abi::X86_64, "read", [39, 0, 0, 0, 0, 0])).0, Answer::ALLOW);
    assert_eq!(run(&program, &call(Abi::X86_64, "read", [40, 0, 0, 0, 0, 0])).0, Answer::errno(1));
}

fn compiled(seccomp: &LinuxSeccomp) -> Vec<u64> {
    compile(&Profile::read(seccomp, Arch::X86_64, Answer::KILL_THREAD).unwrap())
}
