//! What the fields of `linux.seccomp` mean.

use serde_json::json;

use super::super::{Filter, Listener, Program};
use super::*;
use crate::error::Error;

const NONE: [u64; 6] = [0; 6];

fn errors(syscalls: Value, more: Value) -> Vec<Error> {
    Filter::from_oci(&profile(syscalls, more), Arch::X86_64).unwrap_err()
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
    let filter = Filter::from_oci(&seccomp, Arch::X86_64).unwrap();
    assert_eq!(filter.skipped, ["frobnicate", "set_tls"]);
    assert_eq!(ask(&seccomp, call(Abi::X86_64, "read", NONE)), Answer::ALLOW);
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
            { "names": ["read", "write"], "action": "SCMP_ACT_NOTIFY" },
        ]),
        json!({ "defaultAction": "SCMP_ACT_KILL", "defaultErrnoRet": 38 }),
    );
    assert_eq!(
        fields(&found),
        [
            "linux.seccomp.defaultErrnoRet",
            "linux.seccomp.syscalls[0].errnoRet",
            "linux.seccomp.syscalls[1].names",
            "linux.seccomp.syscalls[1].errnoRet",
            "linux.seccomp.syscalls[2].args[1].index",
            "linux.seccomp.syscalls[3].names",
        ]
    );
    assert!(found.iter().all(|error| error.fix.is_some()));
}

#[test]
fn a_listener_needs_a_rule_and_a_path() {
    let notify = json!([{ "names": ["mkdir"], "action": "SCMP_ACT_NOTIFY" }]);
    let allow = json!([{ "names": ["mkdir"], "action": "SCMP_ACT_ALLOW" }]);
    let waits = json!({ "flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"] });
    assert_eq!(fields(&errors(notify.clone(), json!({}))), ["linux.seccomp.listenerPath"]);
    assert_eq!(fields(&errors(allow.clone(), waits)), ["linux.seccomp.flags"]);
    let metadata = json!({ "listenerMetadata": "x" });
    assert_eq!(fields(&errors(allow.clone(), metadata)), ["linux.seccomp.listenerMetadata"]);
    assert_eq!(
        fields(&errors(json!([]), json!({ "defaultAction": "SCMP_ACT_NOTIFY", "listenerPath": "/s" }))),
        ["linux.seccomp.defaultAction"]
    );
    let more = json!({ "listenerPath": "/run/agent", "listenerMetadata": "x" });
    let filter = Filter::from_oci(&profile(notify, more.clone()), Arch::X86_64).unwrap();
    assert_eq!(filter.listener, Some(Listener { path: "/run/agent".into(), metadata: "x".into() }));
    assert_eq!(Filter::from_oci(&profile(allow, more), Arch::X86_64).unwrap().listener, None);
}

#[test]
fn flags_are_those_of_the_kernel() {
    let flags = |flags: Value| {
        let more = json!({ "flags": flags, "listenerPath": "/run/agent" });
        let notify = json!([{ "names": ["mkdir"], "action": "SCMP_ACT_NOTIFY" }]);
        Filter::from_oci(&profile(notify, more), Arch::X86_64).unwrap().flags
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
    let compiled = Filter::from_oci(&profile(rule, json!({})), Arch::X86_64).unwrap();
    assert!(matches!(compiled.program, Program::Compiled(_)));
    for filter in [compiled, Filter::baseline()] {
        let json = serde_json::to_string(&filter).unwrap();
        assert_eq!(serde_json::from_str::<Filter>(&json).unwrap(), filter, "{json}");
    }
}
