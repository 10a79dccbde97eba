//! System calls: our profile refuses what containers do not need, with the error that callers cope with, and
//! the profile of the configuration is loaded as it is.

mod actions;
mod notify;

use serde_json::{Value, json};

use crate::support::{Bundle, Runtime, is_root};

/// The gates that baseline shuts, and how it says no.
const REFUSED: &[(&str, &str)] = &[
    ("unshare-user", "EPERM"),
    ("unshare-mount", "EPERM"),
    ("unshare-net", "EPERM"),
    ("clone-user", "EPERM"),
    ("clone3", "ENOSYS"),
    ("clone3-user", "ENOSYS"),
    ("setns", "EPERM"),
    ("mount", "EPERM"),
    ("umount", "EPERM"),
    ("pivot-root", "EPERM"),
    ("fsopen", "EPERM"),
    ("open-tree", "EPERM"),
    ("mount-setattr", "EPERM"),
    ("reboot", "EPERM"),
    ("kexec-load", "EPERM"),
    ("init-module", "EPERM"),
    ("finit-module", "EPERM"),
    ("delete-module", "EPERM"),
    ("swapon", "EPERM"),
    ("acct", "EPERM"),
    ("syslog", "EPERM"),
    ("bpf", "EPERM"),
    ("io-uring", "ENOSYS"),
    ("native-aio", "ENOSYS"),
    ("pipe-notification", "ENOPKG"),
    ("msgget", "ENOSYS"),
    ("mq-open", "ENOSYS"),
    ("fanotify", "EPERM"),
    ("add-key", "EPERM"),
    ("request-key", "EPERM"),
    ("keyctl", "EPERM"),
    ("userfaultfd", "EPERM"),
    ("quotactl", "EPERM"),
    ("iopl", "EPERM"),
    ("seccomp-listener", "EINVAL"),
    ("personality", "EPERM"),
    ("ptrace", "EPERM"),
    ("ptrace-attach", "EPERM"),
    ("process-vm-readv", "EPERM"),
    ("pidfd-getfd", "EPERM"),
    ("kcmp", "EPERM"),
    ("perf-event-open", "EPERM"),
    ("modify-ldt", "ENOSYS"),
    ("af-packet", "EAFNOSUPPORT"),
    ("raw-icmp", "EPERM"),
    ("af-alg", "EAFNOSUPPORT"),
    ("af-vsock", "EAFNOSUPPORT"),
    ("af-tipc", "EAFNOSUPPORT"),
    ("af-rxrpc", "EAFNOSUPPORT"),
    ("af-can", "EAFNOSUPPORT"),
    ("af-xdp", "EAFNOSUPPORT"),
    ("mptcp", "EPROTONOSUPPORT"),
    ("sctp", "EPROTONOSUPPORT"),
    ("netlink-netfilter", "EPROTONOSUPPORT"),
    ("netlink-xfrm", "EPROTONOSUPPORT"),
    ("netlink-audit", "EPROTONOSUPPORT"),
    ("netlink-sock-diag", "EPROTONOSUPPORT"),
    ("netlink-uevent", "EPROTONOSUPPORT"),
    ("netlink-generic", "EPROTONOSUPPORT"),
    ("iptables-replace", "EPERM"),
    ("udp-encap", "ENOPROTOOPT"),
    ("tcp-ulp-tls", "ENOPROTOOPT"),
    ("tcp-ulp-espintcp", "ENOPROTOOPT"),
    ("unix-oob", "EOPNOTSUPP"),
    ("tiocsti", "EPERM"),
    ("tioclinux", "EPERM"),
    ("tiocsetd", "EPERM"),
    ("splice", "EINVAL"),
    ("tee", "EINVAL"),
    ("vmsplice", "EINVAL"),
    ("open-by-handle", "EPERM"),
    ("name-to-handle", "EPERM"),
];

fn privileged_gates() -> Bundle {
    Bundle::probe(&["gates"]).edit(|config| {
        let all = [
            "CAP_SYS_ADMIN",
            "CAP_SYS_BOOT",
            "CAP_SYS_MODULE",
            "CAP_SYS_CHROOT",
            "CAP_SYS_PTRACE",
            "CAP_SYS_PACCT",
            "CAP_SYS_TIME",
            "CAP_NET_RAW",
            "CAP_NET_ADMIN",
            "CAP_SYSLOG",
            "CAP_BPF",
            "CAP_PERFMON",
            "CAP_MKNOD",
            "CAP_DAC_READ_SEARCH",
            "CAP_SETUID",
            "CAP_AUDIT_READ",
            "CAP_AUDIT_CONTROL",
        ];
        config["process"]["capabilities"] = json!({ "bounding": all, "effective": all, "permitted": all });
    })
}

#[test]
fn the_attacks_work_without_a_filter() {
    skip_unless!(is_root(), "needs root");
    let seen = Runtime::at_level("oci").ask(&privileged_gates());
    let shut: Vec<&str> = REFUSED
        .iter()
        .map(|(gate, _)| *gate)
        .filter(|gate| seen[gate]["open"] != true && seen[gate]["absent"] != true)
        .collect();
    assert!(shut.is_empty(), "these prove nothing when they are refused: {shut:?}");
}

#[test]
fn baseline_refuses_them_with_the_promised_error() {
    skip_unless!(is_root(), "needs root");
    let seen = Runtime::sandrun().ask(&privileged_gates());
    let wrong: Vec<String> = REFUSED
        .iter()
        .filter(|(gate, errno)| seen[gate]["open"] != false || seen[gate]["errno"] != *errno)
        .map(|(gate, errno)| format!("{gate}: {} instead of {errno}", seen[gate]))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_other_system_call_tables_are_shut() {
    skip_unless!(is_root(), "needs root");
    skip_unless!(cfg!(target_arch = "x86_64"), "this processor has one table");
    let words = ["gates", "i386", "x32"];
    let weak = Runtime::at_level("oci").ask(&Bundle::probe(&words));
    let seen = Runtime::sandrun().ask(&Bundle::probe(&words));
    assert_eq!(seen["i386"]["open"], false, "{seen}");
    assert_eq!(seen["x32"]["open"], false, "{seen}");
    skip_unless!(weak["i386"]["open"] == true, "this kernel has no 32-bit table to be shut");
}

/// A profile that allows everything but one rule.
fn with_rule(words: &[&str], rule: Value) -> Bundle {
    Bundle::probe(words).edit(|config| {
        config["linux"]["seccomp"] =
            json!({ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [rule] });
    })
}

#[test]
fn a_rule_of_the_configuration_answers_with_its_errno() {
    skip_unless!(is_root(), "needs root");
    for level in ["oci", "baseline"] {
        let rule = json!({ "names": ["getppid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 25 });
        let seen = Runtime::at_level(level).ask(&with_rule(&["syscall", "getppid"], rule));
        assert_eq!(seen["errno"], "ENOTTY", "{level}");
    }
}

#[test]
fn a_rule_with_arguments_fits_only_those() {
    skip_unless!(is_root(), "needs root");
    let masked = json!({ "index": 0, "value": 1, "valueTwo": 1, "op": "SCMP_CMP_MASKED_EQ" });
    let rule =
        || json!({ "names": ["personality"], "action": "SCMP_ACT_ERRNO", "errnoRet": 25, "args": [masked] });
    for (argument, errno) in [("1", json!("ENOTTY")), ("3", json!("ENOTTY")), ("8", json!(null))] {
        let seen = Runtime::at_level("oci").ask(&with_rule(&["syscall", "personality", argument], rule()));
        assert_eq!(seen["errno"], errno, "personality({argument})");
    }
}

#[test]
fn a_killing_rule_kills() {
    skip_unless!(is_root(), "needs root");
    let rule = json!({ "names": ["getppid"], "action": "SCMP_ACT_KILL_PROCESS" });
    let seen = Runtime::at_level("oci").ask(&with_rule(&["syscall", "getppid"], rule));
    assert_eq!(seen["signal"], libc::SIGSYS);
}

#[test]
fn the_filter_is_there_in_exec_too() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let bundle = Bundle::probe(&["sleep", "60"]);
    runtime.create(&bundle).ok();
    runtime.call(&["start", &bundle.id]).ok();
    let seen = runtime.call(&["exec", &bundle.id, "/probe", "gates", "unshare-user", "io-uring"]).ok().json();
    assert_eq!(seen["unshare-user"]["errno"], "EPERM", "{seen}");
    assert_eq!(seen["io-uring"]["errno"], "ENOSYS", "{seen}");
}
