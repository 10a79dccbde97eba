//! The built-in filter in the kernel: a thread is put under it and tries the gates.

// A test that cannot go on has failed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::process::Command;

use sandrun::plan::seccomp::Filter;
use sandrun::sys::seccomp::load;

const PROBE: &str = "SANDRUN_TEST_SECCOMP";

/// A call, its arguments, and the errno it must fail with under the filter. None of them does anything without
/// it: they are wrong in a way that the kernel notices after the filter.
type Gate = (&'static str, libc::c_long, [libc::c_long; 5], i32);

fn gates() -> Vec<Gate> {
    let word = c"x".as_ptr() as libc::c_long;
    let ioctl = |request: libc::c_long| [0, request, word, 0, 0];
    vec![
        ("mount", libc::SYS_mount, [word, word, word, 0, 0], libc::EPERM),
        ("unshare", libc::SYS_unshare, [0x1000_0001, 0, 0, 0, 0], libc::EPERM),
        ("bpf", libc::SYS_bpf, [0; 5], libc::EPERM),
        ("ptrace", libc::SYS_ptrace, [7, 0, 0, 0, 0], libc::EPERM),
        ("socket(AF_ALG)", libc::SYS_socket, [38, 5, 0, 0, 0], libc::EAFNOSUPPORT),
        (
            "socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP)",
            libc::SYS_socket,
            [2, 1, 262, 0, 0],
            libc::EPROTONOSUPPORT,
        ),
        ("socket(NETLINK_XFRM)", libc::SYS_socket, [16, 3, 6, 0, 0], libc::EPROTONOSUPPORT),
        ("socket(AF_INET, SOCK_RAW)", libc::SYS_socket, [2, 3, 1, 0, 0], libc::EPERM),
        ("setsockopt(TCP_ULP)", libc::SYS_setsockopt, [-1, 6, 31, word, 1], libc::ENOPROTOOPT),
        (
            "socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP)",
            libc::SYS_socket,
            [2, 1, 132, 0, 0],
            libc::EPROTONOSUPPORT,
        ),
        ("setsockopt(UDP_ENCAP)", libc::SYS_setsockopt, [-1, 17, 100, word, 1], libc::ENOPROTOOPT),
        ("setsockopt(IPT_SO_SET_REPLACE)", libc::SYS_setsockopt, [-1, 0, 64, word, 1], libc::EPERM),
        ("splice", libc::SYS_splice, [0; 5], libc::EINVAL),
        ("tee", libc::SYS_tee, [-1, -1, 1, 0, 0], libc::EINVAL),
        ("vmsplice", libc::SYS_vmsplice, [-1, 0, 0, 0, 0], libc::EINVAL),
        ("pipe2(O_NOTIFICATION_PIPE)", libc::SYS_pipe2, [0, 0o200, 0, 0, 0], libc::ENOPKG),
        ("io_setup", libc::SYS_io_setup, [0; 5], libc::ENOSYS),
        ("msgget", libc::SYS_msgget, [-1, 0, 0, 0, 0], libc::ENOSYS),
        ("mq_open", libc::SYS_mq_open, [0; 5], libc::ENOSYS),
        ("userfaultfd", libc::SYS_userfaultfd, [-1, 0, 0, 0, 0], libc::EPERM),
        ("fanotify_init", libc::SYS_fanotify_init, [-1, 0, 0, 0, 0], libc::EPERM),
        ("request_key", libc::SYS_request_key, [0; 5], libc::EPERM),
        ("clone3", libc::SYS_clone3, [0; 5], libc::ENOSYS),
        ("clone(CLONE_NEWUSER | CLONE_FS)", libc::SYS_clone, [0x1000_0211, 0, 0, 0, 0], libc::EPERM),
        ("io_uring_setup", libc::SYS_io_uring_setup, [1, 0, 0, 0, 0], libc::ENOSYS),
        ("ioctl(TIOCSTI)", libc::SYS_ioctl, ioctl(0x5412), libc::EPERM),
        ("ioctl(TIOCSTI, high bits)", libc::SYS_ioctl, ioctl(0x7_0000_5412), libc::EPERM),
        ("prctl(PR_SET_MM)", libc::SYS_prctl, [35, 0, 0, 0, 0], libc::EINVAL),
        ("a call of tomorrow", 600, [0; 5], libc::ENOSYS),
        ("no call", -1, [0; 5], libc::ENOSYS),
        #[cfg(target_arch = "x86_64")]
        ("getpid of x32", 0x4000_0000 | 39, [0; 5], libc::ENOSYS),
    ]
}

/// The errno of a raw call, 0 for success.
fn errno(number: libc::c_long, args: [libc::c_long; 5]) -> i32 {
    let [a, b, c, d, e] = args;
    // SAFETY: every call of the list fails before it reads or writes through an argument, or reads a C string.
    let result = unsafe { libc::syscall(number, a, b, c, d, e) };
    if result == -1 { std::io::Error::last_os_error().raw_os_error().unwrap() } else { 0 }
}

/// Runs in a process of its own: a filter stays.
fn probe() {
    let before: Vec<i32> = gates().iter().map(|(_, number, args, _)| errno(*number, *args)).collect();
    // SAFETY: sets a flag of this thread.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }, 0);
    let filter = Filter::baseline();
    let started = std::time::Instant::now();
    assert!(load(&filter.instructions(), filter.flags).unwrap().is_none());
    println!("loaded in {} µs", started.elapsed().as_micros());
    for ((name, number, args, expected), before) in gates().into_iter().zip(before) {
        assert_eq!(errno(number, args), expected, "{name} (without the filter: {before})");
    }
    ordinary_work();
    println!("all gates shut");
}

fn ordinary_work() {
    let output = Command::new("/bin/sh").args(["-c", "echo a | cat; exit 7"]).output().unwrap();
    assert_eq!((output.stdout.as_slice(), output.status.code()), (&b"a\n"[..], Some(7)));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = std::thread::spawn(move || std::net::TcpStream::connect(address).unwrap());
    listener.accept().unwrap();
    client.join().unwrap();
    let mut pair = std::os::unix::net::UnixStream::pair().unwrap();
    std::io::Write::write_all(&mut pair.0, b"x").unwrap();
    std::io::Read::read_exact(&mut pair.1, &mut [0]).unwrap();
}

#[test]
fn the_baseline_holds_in_the_kernel() {
    if std::env::var_os(PROBE).is_some() {
        return probe();
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_baseline_holds_in_the_kernel", "--nocapture", "--test-threads=1"])
        .env(PROBE, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("all gates shut"), "{text}");
    println!("{text}");
}

#[test]
fn the_gates_are_open_without_the_filter() {
    let open = gates().into_iter().filter(|(_, number, args, expected)| errno(*number, *args) != *expected);
    let open: Vec<&str> = open.map(|(name, ..)| name).collect();
    // What this kernel is built without fails alike; splice and clone3 must not.
    for name in ["splice", "clone3", "ioctl(TIOCSTI)", "socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP)"] {
        assert!(open.contains(&name), "{name} fails in the same way without the filter: {open:?}");
    }
}

#[test]
fn a_program_the_kernel_rejects_is_an_error() {
    let error = load(&[0xffff], 0).unwrap_err();
    assert_eq!(error.errno.raw_os_error(), libc::EINVAL, "{error}");
    assert!(
        error.to_string().starts_with("seccomp(SECCOMP_SET_MODE_FILTER, 0x0, 1 instructions): "),
        "{error}"
    );
}

#[test]
fn this_kernel_knows_what_every_supported_one_does() {
    use sandrun::plan::seccomp::known;
    use sandrun::plan::seccomp::profile::Answer;
    use sandrun::sys::seccomp::{knows_action, knows_flags};
    assert!(knows_flags(known::FLAG_TSYNC | known::FLAG_LOG | known::FLAG_SPEC_ALLOW));
    assert!(!knows_flags(1 << 31), "no kernel has this flag");
    for answer in [Answer::KILL_PROCESS, Answer::KILL_THREAD, Answer::TRAP, Answer::errno(0), Answer::NOTIFY]
    {
        assert!(knows_action(answer.0), "{answer}");
    }
    assert!(!knows_action(0x1234_0000), "no kernel has this action");
}
