//! What both built-in profiles promise.

use std::collections::BTreeSet;

use super::super::profile::Rule;
use super::super::summary::summary;
use super::super::table::{Table, Verdict};
use super::super::{BASELINE_JSON, Filter, STRICT_JSON};
use super::interpreter::longest_path;
use super::*;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn read(text: &str, arch: Arch) -> Profile {
    Profile::read(&serde_json::from_str(text).unwrap(), arch, Answer::ENOSYS).unwrap()
}

#[test]
fn at_most_230_and_130_numbers_are_allowed() {
    for (text, most) in [(BASELINE_JSON, 230), (STRICT_JSON, 130)] {
        for arch in [Arch::X86_64, Arch::Aarch64] {
            let treatments = summary(&serde_json::from_str(text).unwrap(), arch).unwrap();
            let allowed = treatments.iter().filter(|call| call.verdict.can_be(Answer::ALLOW)).count();
            let program = compile(&read(text, arch));
            let (length, longest) = (program.len(), longest_path(&program));
            println!("{arch:?}: {allowed} numbers, {length} instructions, {longest} at most for a call");
            assert!(allowed <= most && allowed > most / 2, "{arch:?}: {allowed}");
            assert!(length <= 640, "{arch:?}: {length}");
        }
    }
}

#[test]
fn no_number_of_another_abi_is_allowed() {
    for text in [BASELINE_JSON, STRICT_JSON] {
        let program = compile(&read(text, Arch::X86_64));
        for number in (0..1024).chain([0xf0002, 0xf0005]) {
            for (arch, number) in [(Abi::X86, number), (Abi::Arm, number), (Abi::X32, number | 0x4000_0000)] {
                let call = Call { arch: arch.audit_arch(), number, args: [0; 6] };
                assert_eq!(run(&program, &call).0, Answer::ENOSYS, "{call:x?}");
            }
        }
    }
}

#[test]
fn the_programs_in_the_binary_are_those_of_the_json() {
    for (filter, text) in [(Filter::baseline(), BASELINE_JSON), (Filter::strict(), STRICT_JSON)] {
        assert_eq!(*filter.instructions(), *compile(&read(text, Arch::NATIVE)), "{}", filter.name);
    }
}

#[test]
fn every_rule_has_a_reason_and_known_names() {
    for text in [BASELINE_JSON, STRICT_JSON] {
        let unknown: BTreeSet<String> = read(text, Arch::X86_64).unknown_names().into_iter().collect();
        let arm = read(text, Arch::Aarch64);
        assert!(arm.unknown_names().iter().all(|name| !unknown.contains(name)), "{unknown:?}");
        for rule in json(text)["syscalls"].as_array().unwrap() {
            let comment = rule["comment"].as_str().unwrap_or_default();
            assert!(comment.len() >= 8, "no reason: {rule}");
        }
    }
}

/// A name that the table of numbers spells otherwise would silently be shut there.
#[test]
fn aarch64_lacks_only_the_older_forms() {
    let older = "access alarm arch_prctl chmod chown creat dup2 epoll_create epoll_wait eventfd fork futimesat getdents \
                 getpgrp inotify_init lchown link lstat mkdir mknod modify_ldt open pause pipe poll readlink \
                 rename rmdir select signalfd stat symlink time unlink utime utimes vfork";
    let older: BTreeSet<&str> = older.split_whitespace().collect();
    for text in [BASELINE_JSON, STRICT_JSON] {
        let unknown = read(text, Arch::Aarch64).unknown_names();
        let others: Vec<&String> = unknown.iter().filter(|name| !older.contains(name.as_str())).collect();
        assert!(others.is_empty(), "{others:?}");
    }
}

#[test]
fn no_rule_is_redundant() {
    for text in [BASELINE_JSON, STRICT_JSON] {
        let profiles = [Arch::X86_64, Arch::Aarch64].map(|arch| (arch.native_abi(), read(text, arch)));
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
}

/// What `name` gets without the rule `left_out`.
fn verdict(profile: &Profile, number: u32, name: &String, left_out: Option<usize>) -> Verdict {
    let rules = profile.rules.iter().enumerate();
    let rules = rules.filter(|(index, rule)| Some(*index) != left_out && rule.names.contains(name));
    let rules = rules.map(|(_, rule)| Rule { names: vec![name.clone()], ..rule.clone() }).collect();
    let only = Profile { rules, ..profile.clone() };
    Table::all(&only)[0].verdict(number).unwrap().clone()
}
