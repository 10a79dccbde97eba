//! What the profile of the level `baseline` promises.

use std::sync::LazyLock;

use super::super::BASELINE_JSON;
use super::super::summary::summary;
use super::*;

const EPERM: Answer = Answer::errno(1);
const EINVAL: Answer = Answer::errno(22);
const EPROTONOSUPPORT: Answer = Answer::errno(93);
const EAFNOSUPPORT: Answer = Answer::errno(97);

fn answer(name: &str, args: &[u64]) -> Answer {
    static PROGRAM: LazyLock<Vec<u64>> = LazyLock::new(|| builtin(BASELINE_JSON));
    answer_of(&PROGRAM, name, args)
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
    let gates: [(&str, &[u64], Answer); 29] = [
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
        ("sendmsg", &[3, 0, 0x2000_0000], Answer::errno(95)),
        ("madvise", &[0, 4096, 12 | ABOVE], EINVAL),
        ("memfd_create", &[0, 5], EINVAL),
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
    let seccomp = serde_json::from_str(BASELINE_JSON).unwrap();
    let treatments = summary(&seccomp, Arch::X86_64).unwrap();
    let words = |name: &str| treatments.iter().find(|call| call.name == name).unwrap().verdict.to_string();
    assert_eq!(words("read"), "allow");
    assert_eq!(words("clone"), "allow if arg0 & 0x7e020000 == 0x0; else errno 1");
}
