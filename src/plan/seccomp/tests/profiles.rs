//! What the fields of `linux.seccomp` mean.

use serde_json::json;

use super::super::{Filter, Program};
use super::*;
use crate::error::Error;

const NONE: [u64; 6] = [0; 6];

fn errors(syscalls: Value, more: Value) -> Vec<Error> {
    Filter::from_oci(&profile(syscalls, more), Arch::X86_64).unwrap_err()
}

fn changes(seccomp: &LinuxSeccomp) -> Vec<(String, String)> {
    let (_, changes) = Filter::from_oci(seccomp, Arch::X86_64).unwrap();
    changes.into_iter().map(|change| (change.at, change.what)).collect()
}

fn fields(errors: &[Error]) -> Vec<&str> {
    errors.iter().map(|error| error.at.as_deref().unwrap()).collect()
}

#[test]
fn the_smallest_profile_is_these_instructions() {
    let rule = json!([{ "names": ["read"], "action": "SCMP_ACT_ALLOW" }]);
    let seccomp = profile(rule, json!({}));
    let profile = Profile::read(&seccomp, Arch::Aarch64, Answer::KILL_THREAD).unwrap();
    // struct sock_filter, from the right: 16 bits of code, 8 of true, 8 of false, 32 of k.
    let expected: [u64; 9] = [
        0x0000_0004_0000_0020, // load the architecture
        0xc000_00b7_0600_0015, // not AUDIT_ARCH_AARCH64: over six, to the last
        0x0000_0000_0000_0020, // load the number
        0x0000_003f_0001_0035, // from read on: over one
        0x0005_0001_0000_0006, // EPERM
        0x0000_0040_0001_0035, // after read: over one
        0x7fff_0000_0000_0006, // allow
        0x0005_0026_0000_0006, // ENOSYS
        0x0000_0000_0000_0006, // kill the thread
    ];
    assert_eq!(compile(&profile), expected, "{:#018x?}", compile(&profile));
}

#[test]
fn every_action_has_its_answer() {
    let actions = [
        ("SCMP_ACT_KILL", None, Answer::KILL_THREAD),
        ("SCMP_ACT_KILL_THREAD", None, Answer::KILL_THREAD),
        ("SCMP_ACT_KILL_PROCESS", None, Answer::KILL_PROCESS),
        ("SCMP_ACT_TRAP", None, Answer::TRAP),
        ("SCMP_ACT_ERRNO", None, Answer::errno(1)),
        ("SCMP_ACT_ERRNO", Some(0), Answer::errno(0)),
        ("SCMP_ACT_ERRNO", Some(4095), Answer::errno(4095)),
        ("SCMP_ACT_TRACE", None, Answer::trace(1)),
        ("SCMP_ACT_TRACE", Some(65535), Answer::trace(65535)),
        ("SCMP_ACT_LOG", None, Answer::LOG),
        ("SCMP_ACT_ALLOW", None, Answer::ALLOW),
        ("SCMP_ACT_NOTIFY", None, Answer::NOTIFY),
    ];
    for (action, errno, expected) in actions {
        let rule = json!([{ "names": ["read"], "action": action, "errnoRet": errno }]);
        let seccomp = profile(rule, json!({ "defaultAction": "SCMP_ACT_ALLOW" }));
        assert_eq!(ask(&seccomp, call(Abi::X86_64, "read", NONE)), expected, "{action}");
        assert_eq!(ask(&seccomp, call(Abi::X86_64, "open", NONE)), Answer::ALLOW);
    }
}

#[test]
fn the_first_rule_that_matches_decides() {
    let seccomp = profile(
        json!([
            { "names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 97,
              "args": [{ "index": 0, "op": "SCMP_CMP_EQ", "value": 38 }] },
            { "names": ["socket"], "action": "SCMP_ACT_ALLOW" },
            { "names": ["socket"], "action": "SCMP_ACT_KILL_PROCESS" },
        ]),
        json!({}),
    );
    assert_eq!(ask(&seccomp, call(Abi::X86_64, "socket", [38, 0, 0, 0, 0, 0])), Answer::errno(97));
    assert_eq!(ask(&seccomp, call(Abi::X86_64, "socket", [2, 0, 0, 0, 0, 0])), Answer::ALLOW);
}

#[test]
fn calls_newer_than_the_newest_named_are_enosys() {
    let openat2 = Abi::X86_64.number("openat2").unwrap();
    let rule = json!([{ "names": ["openat2", "read"], "action": "SCMP_ACT_ALLOW" }]);
    let native = |number| Call { arch: Abi::X86_64.audit_arch(), number, args: NONE };
    let refusing = profile(rule.clone(), json!({}));
    assert_eq!(ask(&refusing, native(openat2)), Answer::ALLOW);
    assert_eq!(ask(&refusing, native(openat2 - 1)), Answer::errno(1));
    assert_eq!(ask(&refusing, native(openat2 + 1)), Answer::ENOSYS);
    assert_eq!(ask(&refusing, native(u32::MAX)), Answer::ENOSYS);
    let killing = profile(rule.clone(), json!({ "defaultAction": "SCMP_ACT_KILL_PROCESS" }));
    assert_eq!(ask(&killing, native(openat2 + 1)), Answer::ENOSYS);
    let logging = profile(rule, json!({ "defaultAction": "SCMP_ACT_LOG" }));
    assert_eq!(ask(&logging, native(openat2 + 1)), Answer::LOG);
}

#[test]
fn an_architecture_that_is_not_listed_is_killed() {
    let rule = json!([{ "names": ["read"], "action": "SCMP_ACT_ALLOW" }]);
    for architectures in [json!(null), json!([]), json!(["SCMP_ARCH_X86_64"]), json!(["SCMP_ARCH_ARM"])] {
        let seccomp = profile(rule.clone(), json!({ "architectures": architectures }));
        assert_eq!(ask(&seccomp, call(Abi::X86_64, "read", NONE)), Answer::ALLOW);
        assert_eq!(ask(&seccomp, call(Abi::X86, "read", NONE)), Answer::KILL_THREAD);
        assert_eq!(ask(&seccomp, call(Abi::X32, "read", NONE)), Answer::KILL_THREAD);
        assert_eq!(ask(&seccomp, call(Abi::Arm, "read", NONE)), Answer::KILL_THREAD);
    }
}

#[test]
fn each_listed_architecture_has_its_own_numbers() {
    let seccomp = profile(
        json!([{ "names": ["read", "ioctl", "waitpid", "openat2"], "action": "SCMP_ACT_ALLOW" }]),
        json!({ "architectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X86_64", "SCMP_ARCH_X32"] }),
    );
    for abi in [Abi::X86_64, Abi::X86, Abi::X32] {
        for name in ["read", "ioctl", "openat2"] {
            assert_eq!(ask(&seccomp, call(abi, name, NONE)), Answer::ALLOW, "{abi:?} {name}");
        }
        assert_eq!(ask(&seccomp, call(abi, "close", NONE)), Answer::errno(1), "{abi:?}");
        assert_eq!(ask(&seccomp, call(abi, "mseal", NONE)), Answer::ENOSYS, "{abi:?}");
    }
    assert_eq!(Abi::X32.number("ioctl"), Some(0x4000_0000 | 514));
    assert_eq!(Abi::X32.number("pwritev2"), Some(0x4000_0000 | 547));
    // The number of ioctl for x86_64 is none of x32.
    let mixed = Call { arch: Abi::X32.audit_arch(), number: 0x4000_0000 | 16, args: NONE };
    assert_eq!(ask(&seccomp, mixed), Answer::errno(1));
    assert_eq!(ask(&seccomp, call(Abi::X86, "waitpid", NONE)), Answer::ALLOW);
}

#[test]
fn unknown_names_are_listed_and_have_no_effect() {
    let rule = json!([{ "names": ["read", "frobnicate", "set_tls"], "action": "SCMP_ACT_ALLOW" }]);
    let seccomp = profile(rule, json!({}));
    assert_eq!(
        changes(&seccomp),
        [("linux.seccomp.syscalls".to_owned(), "no such system calls here: frobnicate, set_tls".to_owned())]
    );
    assert_eq!(ask(&seccomp, call(Abi::X86_64, "read", NONE)), Answer::ALLOW);
}

#[test]
fn a_rule_without_names_has_no_effect() {
    let seccomp = profile(
        json!([{ "names": [], "action": "SCMP_ACT_ALLOW" }, { "names": ["write"], "action": "SCMP_ACT_LOG" }]),
        json!({}),
    );
    let at = "linux.seccomp.syscalls[0].names".to_owned();
    assert_eq!(changes(&seccomp), [(at, "is empty: the rule has no effect".to_owned())]);
    assert_eq!(ask(&seccomp, call(Abi::X86_64, "write", NONE)), Answer::LOG);
    assert_eq!(ask(&seccomp, call(Abi::X86_64, "read", NONE)), Answer::errno(1));
}

#[test]
fn a_profile_without_rules_is_its_default_action() {
    for syscalls in [json!(null), json!([])] {
        for (action, expected) in [("SCMP_ACT_ERRNO", Answer::errno(1)), ("SCMP_ACT_LOG", Answer::LOG)] {
            let seccomp = profile(syscalls.clone(), json!({ "defaultAction": action }));
            for number in [0, 1, 400, 1 << 20] {
                let call = Call { arch: Abi::X86_64.audit_arch(), number, args: NONE };
                assert_eq!(ask(&seccomp, call), expected, "{action} {number}");
            }
            assert!(changes(&seccomp).is_empty());
        }
    }
}

#[test]
fn architectures_of_other_machines_are_listed_and_have_no_effect() {
    let listed = json!([
        "SCMP_ARCH_X86_64",
        "SCMP_ARCH_ARM",
        "SCMP_ARCH_MIPS64N32",
        "SCMP_ARCH_X86",
        "SCMP_ARCH_RISCV64"
    ]);
    let seccomp = profile(json!([]), json!({ "architectures": listed }));
    let what = |machine| {
        let (_, changes) = Filter::from_oci(&seccomp, machine).unwrap();
        assert_eq!(changes[0].at, "linux.seccomp.architectures");
        changes[0].what.clone()
    };
    let foreign = "no program of SCMP_ARCH_ARM, SCMP_ARCH_MIPS64N32, SCMP_ARCH_RISCV64 runs on this machine";
    assert_eq!(what(Arch::X86_64), foreign);
    let foreign = "no program of SCMP_ARCH_X86_64, SCMP_ARCH_MIPS64N32, SCMP_ARCH_X86, SCMP_ARCH_RISCV64 runs on \
                   this machine";
    assert_eq!(what(Arch::Aarch64), foreign);
    let own = profile(
        json!([]),
        json!({ "architectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_NATIVE"] }),
    );
    assert!(changes(&own).is_empty());
}

/// By architecture and not over all of them: the newest call named has another number on each.
#[test]
fn what_is_newer_is_counted_for_each_architecture() {
    let rule = json!([{ "names": ["statx"], "action": "SCMP_ACT_ALLOW" }]);
    let seccomp = profile(rule, json!({ "architectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"] }));
    for abi in [Abi::X86_64, Abi::X86, Abi::X32] {
        let statx = abi.number("statx").unwrap();
        let answer = |number| ask(&seccomp, Call { arch: abi.audit_arch(), number, args: NONE });
        let around = [statx - 1, statx, statx + 1].map(answer);
        assert_eq!(around, [Answer::errno(1), Answer::ALLOW, Answer::ENOSYS], "{abi:?}");
    }
    assert_ne!(Abi::X86_64.number("statx"), Abi::X86.number("statx"));
}

#[test]
fn a_program_of_many_rules_jumps_far() {
    // 300 answers behind one number: the first jumps over the rest.
    let rules: Vec<Value> = (0..300)
        .map(|value| {
            json!({ "names": ["read", "write", "close"], "action": "SCMP_ACT_ERRNO", "errnoRet": value + 2,
                    "args": [{ "index": value % 6, "op": "SCMP_CMP_EQ", "value": value + 1000 }] })
        })
        .collect();
    let seccomp = profile(json!(rules), json!({}));
    let program = compile(&Profile::read(&seccomp, Arch::X86_64, Answer::KILL_THREAD).unwrap());
    assert!(program.len() > 1000, "{}", program.len());
    for value in [0, 1, 149, 298, 299] {
        let mut args = NONE;
        args[value % 6] = value as u64 + 1000;
        for name in ["read", "write", "close"] {
            let (answer, _) = run(&program, &call(Abi::X86_64, name, args));
            assert_eq!(answer, Answer::errno(value as u32 + 2), "{name} {value}");
        }
        assert_eq!(run(&program, &call(Abi::X86_64, "open", args)).0, Answer::errno(1));
    }
}

#[test]
fn a_program_too_long_for_the_kernel_is_an_error() {
    let rules: Vec<Value> = (0..1200u64)
        .map(|value| {
            json!({ "names": ["read"], "action": "SCMP_ACT_ALLOW",
                    "args": [{ "index": value % 6, "op": "SCMP_CMP_EQ", "value": value << 31 }] })
        })
        .collect();
    let found = errors(json!(rules), json!({}));
    assert_eq!(fields(&found), ["linux.seccomp.syscalls"]);
    assert!(found[0].why.contains("4096"), "{}", found[0]);
}

#[test]
fn every_invalid_field_is_named() {
    let found = errors(
        json!([
            { "names": ["read"], "action": "SCMP_ACT_ALLOW", "errnoRet": 1 },
            { "names": [], "action": "SCMP_ACT_ERRNO", "errnoRet": 4096 },
            { "names": ["open"], "action": "SCMP_ACT_ALLOW", "args": [
                { "index": 1, "op": "SCMP_CMP_EQ", "value": 0 },
                { "index": 6, "op": "SCMP_CMP_EQ", "value": 0 }] },
        ]),
        json!({ "defaultAction": "SCMP_ACT_KILL", "defaultErrnoRet": 38 }),
    );
    assert_eq!(
        fields(&found),
        [
            "linux.seccomp.defaultErrnoRet",
            "linux.seccomp.syscalls[0].errnoRet",
            "linux.seccomp.syscalls[1].errnoRet",
            "linux.seccomp.syscalls[2].args[1].index",
        ]
    );
    assert!(found.iter().all(|error| error.fix.is_some()));
}

#[test]
fn flags_are_those_of_the_kernel() {
    let flags = |flags: Value| {
        let more = json!({ "flags": flags, "listenerPath": "/run/agent" });
        let notify = json!([{ "names": ["mkdir"], "action": "SCMP_ACT_NOTIFY" }]);
        Filter::from_oci(&profile(notify, more), Arch::X86_64).unwrap().0.flags
    };
    assert_eq!(flags(json!(null)), 4);
    assert_eq!(flags(json!([])), 0);
    assert_eq!(flags(json!(["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG"])), 3);
    assert_eq!(flags(json!(["SECCOMP_FILTER_FLAG_SPEC_ALLOW"])), 4);
    assert_eq!(flags(json!(["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"])), 32);
}

#[test]
fn every_known_name_is_read() {
    use super::super::known::{ACTIONS, ARCHS, FLAGS, OPERATORS, flag_value};
    for lists in [ACTIONS, OPERATORS, ARCHS, FLAGS] {
        assert!(lists.is_sorted(), "{lists:?}");
    }
    assert!(FLAGS.iter().all(|flag| flag_value(flag).is_some()));
    for (action, operator) in ACTIONS.iter().flat_map(|action| OPERATORS.iter().map(move |op| (action, op))) {
        let args = json!([{ "index": 0, "op": operator, "value": 1 }]);
        let rule = json!([{ "names": ["read"], "action": action, "args": args }]);
        let more = json!({ "architectures": ARCHS, "flags": FLAGS, "listenerPath": "/run/agent" });
        let notify = json!({ "names": ["mkdir"], "action": "SCMP_ACT_NOTIFY" });
        let rules = json!([rule[0], notify]);
        Filter::from_oci(&profile(rules, more), Arch::X86_64).unwrap();
    }
}

#[test]
fn a_filter_crosses_a_process_border() {
    let rule = json!([{ "names": ["read"], "action": "SCMP_ACT_KILL_PROCESS" }]);
    let (compiled, _) = Filter::from_oci(&profile(rule, json!({})), Arch::X86_64).unwrap();
    assert!(matches!(compiled.program, Program::Compiled(_)));
    for filter in [compiled, Filter::baseline()] {
        let json = serde_json::to_string(&filter).unwrap();
        assert_eq!(serde_json::from_str::<Filter>(&json).unwrap(), filter, "{json}");
    }
}
