//! What the profile of the level `strict` promises beyond `baseline`.

use std::sync::LazyLock;

use super::super::STRICT_JSON;
use super::*;

const ABOVE: u64 = 1 << 32;

fn answer(name: &str, args: &[u64]) -> Answer {
    static PROGRAM: LazyLock<Vec<u64>> = LazyLock::new(|| builtin(STRICT_JSON));
    answer_of(&PROGRAM, name, args)
}

#[test]
fn memory_does_not_become_code() {
    const EACCES: Answer = Answer::errno(13);
    let [read, write, exec] = [1, 2, 4];
    let [private, anonymous] = [2, 0x20];
    let calls: [(&str, &[u64], Answer); 11] = [
        ("mmap", &[0, 4096, read | write, private | anonymous], Answer::ALLOW),
        ("mmap", &[0, 4096, read | exec, private, 3], Answer::ALLOW),
        ("mmap", &[0, 4096, read | exec, private | anonymous], EACCES),
        ("mmap", &[0, 4096, write | exec | ABOVE, private, 3], EACCES),
        ("mprotect", &[0, 4096, read | write], Answer::ALLOW),
        ("mprotect", &[0, 4096, read | exec], EACCES),
        ("mprotect", &[0, 4096, exec | ABOVE], EACCES),
        ("pkey_mprotect", &[0, 4096, read, 0], Answer::ENOSYS),
        ("shmat", &[0, 0, 0o100_000], EACCES),
        ("shmat", &[0, 0, 0], Answer::ALLOW),
        ("memfd_create", &[], Answer::ENOSYS),
    ];
    for (name, args, expected) in calls {
        assert_eq!(answer(name, args), expected, "{name} {args:x?}");
    }
}

#[test]
fn what_takes_arguments_is_a_list_of_what_is_allowed() {
    let calls: [(&str, &[u64], Answer); 22] = [
        ("ioctl", &[0, 0x5401], Answer::ALLOW),
        ("ioctl", &[0, 0x5412 | ABOVE], Answer::errno(1)),
        ("ioctl", &[0, 0x4004_9409], Answer::errno(25)),
        ("fcntl", &[0, 6], Answer::ALLOW),
        ("fcntl", &[0, 1031], Answer::errno(1)),
        ("fcntl", &[0, 1024], Answer::errno(22)),
        ("madvise", &[0, 4096, 4], Answer::ALLOW),
        ("madvise", &[0, 4096, 12], Answer::errno(22)),
        ("prctl", &[15], Answer::ALLOW),
        ("prctl", &[8], Answer::errno(22)),
        ("prlimit64", &[0], Answer::ALLOW),
        ("prlimit64", &[7], Answer::errno(1)),
        ("clone", &[0x003d_0f00], Answer::ALLOW),
        ("clone", &[0x0000_1011], Answer::errno(1)),
        ("shmget", &[0, 56, 0o600], Answer::ALLOW),
        ("shmget", &[0, 1 << 21, 0o600], Answer::errno(22)),
        ("setsockopt", &[3, 1, 15], Answer::ALLOW),
        ("setsockopt", &[3, 1, 26], Answer::errno(92)),
        ("setsockopt", &[3, 6, 31], Answer::errno(92)),
        ("setsockopt", &[3, 0, 35], Answer::errno(92)),
        ("socket", &[1, 5, 0], Answer::errno(93)),
        ("seccomp", &[1, 0], Answer::ENOSYS),
    ];
    for (name, args, expected) in calls {
        assert_eq!(answer(name, args), expected, "{name} {args:x?}");
    }
}
