//! Profiles are compiled and run on calls by a small interpreter; what it answers is compared with what the
//! profile says.

mod baseline;
mod builtin;
mod equivalence;
mod interpreter;
mod join;
mod listener;
mod operators;
mod profiles;
mod strict;
mod tcp_ports;

use oci_spec::runtime::LinuxSeccomp;
use serde_json::Value;

use super::compile::compile;
use super::names::{Abi, Arch};
use super::profile::{Answer, Profile};
use interpreter::{Call, run};

/// A default-EPERM profile with these `syscalls` and further fields.
fn profile(syscalls: Value, more: Value) -> LinuxSeccomp {
    let mut json = serde_json::json!({ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": syscalls });
    for (key, value) in more.as_object().into_iter().flatten() {
        json[key] = value.clone();
    }
    serde_json::from_value(json).unwrap()
}

/// What a program compiled for x86_64 answers.
fn ask(seccomp: &LinuxSeccomp, call: Call) -> Answer {
    let profile = Profile::read(seccomp, Arch::X86_64, Answer::KILL_THREAD).unwrap();
    run(&compile(&profile), &call).0
}

fn call(abi: Abi, name: &str, args: [u64; 6]) -> Call {
    Call { arch: abi.audit_arch(), number: abi.number(name).unwrap(), args }
}

/// The program of a built-in profile for x86_64, whatever machine this is.
fn builtin(text: &str) -> Vec<u64> {
    let seccomp = serde_json::from_str(text).unwrap();
    compile(&Profile::read(&seccomp, Arch::X86_64, Answer::ENOSYS).unwrap())
}

/// What it answers.
fn answer_of(program: &[u64], name: &str, first: &[u64]) -> Answer {
    let mut args = [0; 6];
    args[..first.len()].copy_from_slice(first);
    run(program, &call(Abi::X86_64, name, args)).0
}
