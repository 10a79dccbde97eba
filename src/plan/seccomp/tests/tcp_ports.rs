//! The profile of TCP ports: what it shuts, and that it shuts nothing else.

use super::*;
use crate::plan::seccomp::{Filter, TCP_PORTS_JSON};

fn answer(abi: Abi, name: &str, args: [u64; 6]) -> Answer {
    run(&Filter::tcp_ports().instructions(), &call(abi, name, args)).0
}

#[test]
fn what_speaks_tcp_past_landlock_is_shut() {
    const MSG_FASTOPEN: u64 = 0x2000_0000;
    const MSG_NOSIGNAL: u64 = 0x4000;
    let x86_64 = Abi::X86_64;
    // Programs fall back to TCP, or connect first, at these errors.
    for (name, args, errno) in [
        ("socket", [2, 1, 262, 0, 0, 0], 93),
        ("socket", [10, 1 | 0o2_000_000, 262, 0, 0, 0], 93),
        ("socket", [2, 1, 256, 0, 0, 0], 93),
        ("socket", [10, 5, 132, 0, 0, 0], 93),
        ("socket", [43, 1, 0, 0, 0, 0], 97),
        ("socket", [21, 5, 0, 0, 0, 0], 97),
        // The kernel reads 32 bits of each.
        ("socket", [1 << 32 | 2, 1, 1 << 32 | 262, 0, 0, 0], 93),
        ("setsockopt", [3, 6, 31, 0, 0, 0], 92),
        ("sendto", [3, 0, 1, MSG_FASTOPEN | MSG_NOSIGNAL, 0, 16], 95),
        ("sendmmsg", [3, 0, 1, MSG_FASTOPEN, 0, 0], 95),
        ("sendmsg", [3, 0, MSG_FASTOPEN, 0, 0, 0], 95),
        ("io_uring_setup", [1, 0, 0, 0, 0, 0], 38),
    ] {
        assert_eq!(answer(x86_64, name, args), Answer::errno(errno), "{name}{args:?}");
    }
    assert_eq!(answer(Abi::X86, "socketcall", [1, 0, 0, 0, 0, 0]), Answer::errno(38));
    assert_eq!(answer(Abi::X32, "socket", [2, 1, 262, 0, 0, 0]), Answer::errno(93));
}

#[test]
fn all_else_is_allowed() {
    for (name, args) in [
        ("socket", [2, 1, 0, 0, 0, 0]),
        ("socket", [10, 1, 6, 0, 0, 0]),
        ("socket", [2, 2, 17, 0, 0, 0]),
        ("socket", [1, 1, 0, 0, 0, 0]),
        ("setsockopt", [3, 6, 1, 0, 0, 0]),
        ("sendto", [3, 0, 1, 0x4000, 0, 0]),
        ("sendmsg", [3, 0, 0, 0x2000_0000, 0, 0]),
        ("seccomp", [1, 0, 0, 0, 0, 0]),
        ("openat2", [0; 6]),
        ("futex_wait", [0; 6]),
    ] {
        assert_eq!(answer(Abi::X86_64, name, args), Answer::ALLOW, "{name}{args:?}");
    }
    assert_eq!(
        run(&Filter::tcp_ports().instructions(), &Call { number: 5000, ..call(Abi::X86_64, "read", [0; 6]) })
            .0,
        Answer::ALLOW
    );
}

#[test]
fn every_rule_has_a_reason() {
    let json: Value = serde_json::from_str(TCP_PORTS_JSON).unwrap();
    for rule in json["syscalls"].as_array().unwrap() {
        assert!(rule["comment"].as_str().is_some_and(|reason| reason.len() > 15), "{rule}");
    }
}
