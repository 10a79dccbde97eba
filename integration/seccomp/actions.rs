//! Every action and operator of a profile, as the program meets it, and as it does under runc.

use serde_json::{Value, json};

use crate::support::{Bundle, Runtime, is_root};

/// A probe under a profile that allows what `rules` do not decide.
fn ruled(words: &[&str], rules: Value) -> Bundle {
    profiled(words, json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules }))
}

fn profiled(words: &[&str], profile: Value) -> Bundle {
    Bundle::probe(words).edit(|config| config["linux"]["seccomp"] = profile)
}

/// What the probe finds when it does `verb` with the call `name`, of which a rule says `action`.
fn met(level: &str, [verb, name]: [&str; 2], action: &str, errno: Option<u32>) -> Value {
    let rule = json!([{ "names": [name], "action": action, "errnoRet": errno }]);
    Runtime::at_level(level).ask(&ruled(&[verb, name], rule))[name].clone()
}

#[test]
fn every_action_does_what_it_says() {
    skip_unless!(is_root(), "needs root");
    for level in ["oci", "baseline"] {
        for (action, errno, member, expected) in [
            ("SCMP_ACT_ALLOW", None, "value", json!(0)),
            ("SCMP_ACT_LOG", None, "value", json!(0)),
            ("SCMP_ACT_ERRNO", None, "errno", json!("EPERM")),
            ("SCMP_ACT_ERRNO", Some(25), "errno", json!("ENOTTY")),
            ("SCMP_ACT_ERRNO", Some(0), "value", json!(0)),
            // Nobody traces it.
            ("SCMP_ACT_TRACE", Some(7), "errno", json!("ENOSYS")),
            ("SCMP_ACT_TRAP", None, "signal", json!(libc::SIGSYS)),
            ("SCMP_ACT_KILL", None, "signal", json!(libc::SIGSYS)),
            ("SCMP_ACT_KILL_THREAD", None, "signal", json!(libc::SIGSYS)),
            ("SCMP_ACT_KILL_PROCESS", None, "signal", json!(libc::SIGSYS)),
        ] {
            let seen = met(level, ["tries", "getppid"], action, errno);
            assert_eq!(seen[member], expected, "{level} {action} {errno:?}: {seen}");
        }
    }
}

#[test]
fn killing_a_thread_leaves_its_process() {
    skip_unless!(is_root(), "needs root");
    for (action, member, expected) in [
        ("SCMP_ACT_KILL", "value", json!(0)),
        ("SCMP_ACT_KILL_THREAD", "value", json!(0)),
        ("SCMP_ACT_KILL_PROCESS", "signal", json!(libc::SIGSYS)),
    ] {
        let seen = met("oci", ["in-threads", "getppid"], action, None);
        assert_eq!(seen[member], expected, "{action}: {seen}");
    }
}

#[test]
fn only_a_trap_can_be_caught() {
    skip_unless!(is_root(), "needs root");
    let seen = met("oci", ["caught", "munlockall"], "SCMP_ACT_TRAP", None);
    assert_eq!(seen["errno"], format!("errno {}", libc::SYS_munlockall), "the signal names the call: {seen}");
    let seen = met("oci", ["caught", "munlockall"], "SCMP_ACT_KILL_PROCESS", None);
    assert_eq!(seen["signal"], libc::SIGSYS, "{seen}");
}

/// What sandrun itself does after the filters are loaded is one `execve`.
#[test]
fn a_profile_need_not_allow_what_only_the_runtime_needs() {
    skip_unless!(is_root(), "needs root");
    let own =
        ["seccomp", "prctl", "capset", "capget", "sendmsg", "sendto", "recvmsg", "accept4", "setgroups"];
    // The probe makes these as well, and goes on without them.
    let shared = ["openat", "open", "read", "close", "fstat", "newfstatat", "statx"];
    let rules = || {
        json!([{ "names": own, "action": "SCMP_ACT_KILL_PROCESS" },
               { "names": shared, "action": "SCMP_ACT_ERRNO" }])
    };
    for level in ["oci", "baseline"] {
        for no_new_privs in [true, false] {
            let bundle = ruled(&["calls", "getppid"], rules())
                .edit(|config| config["process"]["noNewPrivileges"] = json!(no_new_privs));
            let runtime = Runtime::at_level(level);
            assert_eq!(runtime.ask(&bundle)["getppid"]["value"], 0, "{level}");
        }
    }
}

/// The capability that loading a filter takes without no_new_privs is not the program's.
#[test]
fn loading_a_filter_leaves_no_capability_behind() {
    skip_unless!(is_root(), "needs root");
    for uid in [0, 1000] {
        let bundle = ruled(&["status"], json!([])).edit(|config| {
            config["process"]["noNewPrivileges"] = json!(false);
            config["process"]["user"] = json!({ "uid": uid, "gid": 0 });
            let caps = json!(["CAP_CHOWN"]);
            config["process"]["capabilities"] =
                json!({ "bounding": caps, "effective": caps, "permitted": caps });
        });
        let seen = Runtime::at_level("oci").ask(&bundle);
        let expected = if uid == 0 { "0000000000000001" } else { "0000000000000000" };
        assert_eq!((&seen["CapPrm"], &seen["CapEff"]), (&json!(expected), &json!(expected)), "{uid}");
        assert_eq!(seen["Seccomp"], "2");
    }
}

#[test]
fn a_profile_that_refuses_everything_ends_the_container() {
    skip_unless!(is_root(), "needs root");
    for (action, code) in [("SCMP_ACT_KILL_PROCESS", Some(128 + libc::SIGSYS)), ("SCMP_ACT_ERRNO", None)] {
        let output = Runtime::at_level("oci").run(&profiled(&["status"], json!({ "defaultAction": action })));
        assert!(code.is_none_or(|code| code == output.code) && output.code != 0, "{action}: {output}");
        assert_eq!(output.stdout, "");
    }
}

#[test]
fn what_has_no_effect_is_listed() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::at_level("oci");
    let bundle = profiled(
        &["sleep", "60"],
        json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64", "SCMP_ARCH_S390X"],
            "listenerPath": "/nowhere",
            "syscalls": [{ "names": ["getppid", "frobnicate"], "action": "SCMP_ACT_ERRNO" },
                         { "names": null, "action": "SCMP_ACT_KILL" }],
        }),
    );
    runtime.create(&bundle).ok();
    let state = runtime.call(&["state", &bundle.id]).ok().json();
    let changes = state["sandrun"]["changes"].as_array().expect("changes").clone();
    for (at, word) in [
        ("linux.seccomp.architectures", "SCMP_ARCH_S390X"),
        ("linux.seccomp.listenerPath", "no effect"),
        ("linux.seccomp.syscalls", "frobnicate"),
        ("linux.seccomp.syscalls[1].names", "no effect"),
    ] {
        let listed =
            changes.iter().any(|change| change["at"] == at && change["what"].to_string().contains(word));
        assert!(listed, "{at}: {changes:?}");
    }
}

/// Calls that take no argument, so that any may be given: one for each operator.
const CALLS: [&str; 7] = ["getppid", "getuid", "geteuid", "getegid", "getgid", "gettid", "munlockall"];

fn operators() -> Value {
    let compare = |operator: &str| json!([{ "index": 1, "op": operator, "value": 0x1_0000_0005_u64 }]);
    let conditions = [
        compare("SCMP_CMP_NE"),
        compare("SCMP_CMP_LT"),
        compare("SCMP_CMP_LE"),
        compare("SCMP_CMP_EQ"),
        compare("SCMP_CMP_GE"),
        compare("SCMP_CMP_GT"),
        json!([
            { "index": 1, "op": "SCMP_CMP_MASKED_EQ", "value": 0x1_0000_000f_u64, "valueTwo": 0x1_0000_0005_u64 },
            { "index": 0, "op": "SCMP_CMP_EQ", "value": 7 },
        ]),
    ];
    let rules = CALLS.iter().zip(conditions).enumerate();
    let rules = rules.map(|(index, (name, args))| {
        json!({ "names": [name], "action": "SCMP_ACT_ERRNO", "errnoRet": 20 + index, "args": args })
    });
    rules.collect()
}

#[test]
fn every_operator_compares_as_under_runc() {
    skip_unless!(is_root(), "needs root");
    let Some(runc) = Runtime::peer("runc") else { skip!("needs runc to compare with") };
    let values = [
        "0",
        "5",
        "0xffffffff",
        "0x100000000",
        "0x100000004",
        "0x100000005",
        "0x100000006",
        "0x100000015",
        "0x200000005",
        "0x8000000000000000",
        "-1",
    ];
    let calls: Vec<String> = CALLS
        .iter()
        .flat_map(|name| {
            values.iter().flat_map(move |value| [7, 8].map(|first| format!("{name}:{first}:{value}")))
        })
        .collect();
    let words: Vec<&str> = std::iter::once("tries").chain(calls.iter().map(String::as_str)).collect();
    let bundle = || ruled(&words, operators());
    let (ours, theirs) = (Runtime::at_level("oci").ask(&bundle()), runc.ask(&bundle()));
    assert_eq!(ours, theirs);
    let refused = |name: &str| {
        let all = ours.as_object().expect("an object").iter();
        all.filter(|(call, seen)| call.starts_with(name) && seen["errno"] != Value::Null).count()
    };
    let counts: Vec<usize> = CALLS.iter().map(|name| refused(&format!("{name}:"))).collect();
    assert_eq!(counts, [20, 10, 12, 2, 12, 10, 2], "every operator divides the values");
}
