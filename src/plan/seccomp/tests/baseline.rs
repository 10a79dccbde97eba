//! What the profile of the level `baseline` promises.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use super::super::profile::Rule;
use super::super::summary::summary;
use super::super::table::{Table, Verdict};
use super::super::{BASELINE_JSON, Filter};
use super::interpreter::longest_path;
use super::*;

const EPERM: Answer = Answer::errno(1);
const EINVAL: Answer = Answer::errno(22);
const EPROTONOSUPPORT: Answer = Answer::errno(93);
const EAFNOSUPPORT: Answer = Answer::errno(97);

fn json() -> Value {
    serde_json::from_str(BASELINE_JSON).unwrap()
}

fn read(json: &Value, arch: Arch) -> Profile {
    Profile::read(&serde_json::from_value(json.clone()).unwrap(), arch, Answer::ENOSYS).unwrap()
}

fn answer(name: &str, args: &[u64]) -> Answer {
    static PROGRAM: LazyLock<Vec<u64>> = LazyLock::new(|| compile(&read(&json(), Arch::X86_64)));
    let mut all = [0; 6];
    all[..args.len()].copy_from_slice(args);
    run(&PROGRAM, &call(Abi::X86_64, name, all)).0
}

#[test]
fn at_most_240_numbers_of_x86_64_are_allowed() {
    for arch in [Arch::X86_64, Arch::Aarch64] {
        let seccomp = serde_json::from_value(json()).unwrap();
        let treatments = summary(&seccomp, arch).unwrap();
        let allowed = treatments.iter().filter(|call| call.verdict.can_be(Answer::ALLOW)).count();
        let checked = treatments
            .iter()
            .filter(|call| call.verdict.can_be(Answer::ALLOW) && !call.verdict.branches.is_empty())
            .count();
        let program = compile(&read(&json(), arch));
        println!(
            "{arch:?}: {allowed} numbers allowed, {checked} of them by argument; {} instructions, {} at most for \
             a call",
            program.len(),
            longest_path(&program)
        );
        assert!(allowed <= 240 && allowed > 150, "{arch:?}: {allowed}");
        assert!(program.len() <= 600, "{arch:?}: {}", program.len());
    }
}

#[test]
fn no_number_of_another_abi_is_allowed() {
    let program = compile(&read(&json(), Arch::X86_64));
    for number in (0..1024).chain([0xf0002, 0xf0005]) {
        for (arch, number) in [(Abi::X86, number), (Abi::Arm, number), (Abi::X32, number | 0x4000_0000)] {
            let call = Call { arch: arch.audit_arch(), number, args: [0; 6] };
            assert_eq!(run(&program, &call).0, Answer::ENOSYS, "{call:x?}");
        }
    }
}

#[test]
fn the_program_in_the_binary_is_that_of_the_json() {
    let program = compile(&read(&json(), Arch::NATIVE));
    assert_eq!(*Filter::baseline().instructions(), *program);
}

#[test]
fn every_rule_has_a_reason_and_known_names() {
    let profile = read(&json(), Arch::X86_64);
    let arm = read(&json(), Arch::Aarch64);
    let unknown: BTreeSet<String> = profile.unknown_names().into_iter().collect();
    assert!(arm.unknown_names().iter().all(|name| !unknown.contains(name)), "{unknown:?}");
    for rule in json()["syscalls"].as_array().unwrap() {
        let comment = rule["comment"].as_str().unwrap_or_default();
        assert!(comment.len() > 15, "no reason: {rule}");
    }
}

/// A name that the table of numbers spells otherwise would silently be shut there.
#[test]
fn aarch64_lacks_only_the_older_forms() {
    let older = "access alarm arch_prctl chmod chown creat dup2 epoll_create epoll_wait fork futimesat getdents \
                 getpgrp inotify_init lchown link lstat mkdir mknod modify_ldt open pause pipe poll readlink \
                 rename rmdir select stat symlink time unlink utime utimes vfork";
    let unknown = read(&json(), Arch::Aarch64).unknown_names();
    assert_eq!(unknown, older.split_whitespace().collect::<Vec<_>>());
}

#[test]
fn no_rule_is_redundant() {
    let profiles = [Arch::X86_64, Arch::Aarch64].map(|arch| (arch.native_abi(), read(&json(), arch)));
    for (index, rule) in profiles[0].1.rules.iter().enumerate() {
        for name in &rule.names {
            let counts = profiles.iter().any(|(abi, profile)| {
                let Some(number) = abi.number(name) else { return false };
                verdict(profile, number, name, None) != verdict(profile, number, name, Some(index))
            });
            assert!(counts, "without it in syscalls[{index}], {name} gets the same answers");
        }
    }
}

/// What `name` gets without the rule `left_out`.
fn verdict(profile: &Profile, number: u32, name: &String, left_out: Option<usize>) -> Verdict {
    let rules = profile.rules.iter().enumerate();
    let rules = rules.filter(|(index, rule)| Some(*index) != left_out && rule.names.contains(name));
    let rules = rules.map(|(_, rule)| Rule { names: vec![name.clone()], ..rule.clone() }).collect();
    let only = Profile { rules, ..profile.clone() };
    Table::all(&only)[0].verdict(number).unwrap().clone()
}

#[test]
fn sockets_are_local_or_of_the_internet() {
    const RAW: u64 = 3;
    const CLOEXEC_NONBLOCK: u64 = 0o2_004_000;
    for family in 0..64 {
        for kind in 0..16 {
            for protocol in [0, 1, 6, 9, 15, 17, 58, 132, 136, 262] {
                let expected = match (family, kind, protocol) {
                    (1, 1 | 2 | 5, _) => Answer::ALLOW,
                    (2 | 10, 1, 0 | 6) | (2 | 10, 2, 0 | 17) => Answer::ALLOW,
                    (2, 2, 1) | (10, 2, 58) | (16, 2 | RAW, 0) => Answer::ALLOW,
                    (2 | 10, RAW, _) | (2, 10, _) => EPERM,
                    (1 | 2 | 10 | 16, _, _) => EPROTONOSUPPORT,
                    _ => EAFNOSUPPORT,
                };
                let args = [family, kind | CLOEXEC_NONBLOCK, protocol];
                assert_eq!(answer("socket", &args), expected, "{args:?}");
            }
        }
    }
    // The kernel reads ints: what is above must neither open nor shut.
    assert_eq!(answer("socket", &[38 | 1 << 32, 5, 0]), EAFNOSUPPORT);
    assert_eq!(answer("socket", &[2 | 1 << 32, 1, 262 | 1 << 32]), EPROTONOSUPPORT);
    assert_eq!(answer("socket", &[2 | 1 << 32, 1, 0]), Answer::ALLOW);
}

#[test]
fn the_gates_of_known_exploits_are_shut() {
    const ABOVE: u64 = 1 << 32;
    let gates: [(&str, &[u64], Answer); 26] = [
        ("clone", &[0x1000_0000], EPERM),
        ("clone", &[0x0002_0000], EPERM),
        ("clone", &[0x4000_0011], EPERM),
        ("clone3", &[], Answer::ENOSYS),
        ("unshare", &[0x1000_0000], EPERM),
        ("setns", &[], EPERM),
        ("mount", &[], EPERM),
        ("fsopen", &[], EPERM),
        ("bpf", &[], EPERM),
        ("perf_event_open", &[], EPERM),
        ("userfaultfd", &[], EPERM),
        ("io_uring_setup", &[], Answer::ENOSYS),
        ("add_key", &[], EPERM),
        ("ptrace", &[], EPERM),
        ("splice", &[], EINVAL),
        ("vmsplice", &[], EINVAL),
        ("setsockopt", &[3, 6 | ABOVE, 31 | ABOVE], Answer::errno(92)),
        ("setsockopt", &[3, 17, 100], Answer::errno(92)),
        ("setsockopt", &[3, 41, 64], EPERM),
        ("sendto", &[3, 0, 0, 1 | 0x4000], Answer::errno(95)),
        ("recvmsg", &[3, 0, 1 | ABOVE], Answer::errno(95)),
        ("ioctl", &[0, 0x5412 | ABOVE], EPERM),
        ("ioctl", &[0, 0x541c], EPERM),
        ("prctl", &[35], EINVAL),
        ("mknod", &[0, 0o020_666], EPERM),
        ("seccomp", &[1 | ABOVE, 8], EINVAL),
    ];
    for (name, args, expected) in gates {
        assert_eq!(answer(name, args), expected, "{name} {args:x?}");
    }
}

#[test]
fn what_ordinary_programs_ask_is_allowed() {
    let calls: [(&str, &[u64]); 14] = [
        ("clone", &[0x003d_0f00]),
        ("clone", &[0x0120_0011]),
        ("setsockopt", &[3, 6, 1]),
        ("setsockopt", &[3, 1, 2]),
        ("sendto", &[3, 0, 0, 0x4000]),
        ("recvmsg", &[3, 0, 0x4000_0000]),
        ("ioctl", &[0, 0x5401]),
        ("prctl", &[15]),
        ("prctl", &[0x5356_4d41]),
        ("arch_prctl", &[0x1002]),
        ("mknod", &[0, 0o010_666]),
        ("mknodat", &[0, 0, 0o140_777]),
        ("seccomp", &[1, 1]),
        ("pipe2", &[0, 0o2_000_000]),
    ];
    for (name, args) in calls {
        assert_eq!(answer(name, args), Answer::ALLOW, "{name} {args:x?}");
    }
}

#[test]
fn a_verdict_reads_as_words() {
    let seccomp = serde_json::from_value(json()).unwrap();
    let treatments = summary(&seccomp, Arch::X86_64).unwrap();
    let words = |name: &str| treatments.iter().find(|call| call.name == name).unwrap().verdict.to_string();
    assert_eq!(words("read"), "allow");
    assert_eq!(words("clone"), "allow if arg0 & 0x7e020000 == 0x0; else errno 1");
}
