//! Every call that go-runc, podman and CRI-O know, as they write it. On a container that is not there each comes to an
//! error of its own; what is wrong with a command line would be told before.

use std::fs;

use super::gorunc::{SPELLINGS, Shim};

/// Verb, flags, and what comes after.
type Call<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [&'a str]);

const CHECKPOINT: &[(&str, &str)] = &[
    ("--image-path", "/i"),
    ("--work-path", "/w"),
    ("--tcp-established", ""),
    ("--ext-unix-sk", ""),
    ("--shell-job", ""),
    ("--file-locks", ""),
    ("--manage-cgroups-mode", "soft"),
    ("--empty-ns", "network"),
    ("--lazy-pages", ""),
    ("--leave-running", ""),
    ("--pre-dump", ""),
];

const CALLS: &[Call<'_>] = &[
    ("state", &[], &["c"]),
    ("start", &[], &["c"]),
    ("exec", &[("--process", "P"), ("--detach", ""), ("--pid-file", "/p")], &["c"]),
    (
        "exec",
        &[("--process", "P"), ("--console-socket", "/s"), ("--detach", ""), ("--pid-file", "/p")],
        &["c"],
    ),
    ("exec", &[("--process", "P"), ("--pidfd-socket", "/s"), ("--preserve-fds", "1")], &["c"]),
    // conmon, with --runtime-opt of podman
    ("exec", &[("--pid-file", "/p"), ("--process", "P"), ("--detach", ""), ("--preserve-fds", "2")], &["c"]),
    ("kill", &[], &["c", "15"]),
    ("kill", &[("--all", "")], &["c", "9"]),
    ("kill", &[("-a", "")], &["c", "9"]),
    ("kill", &[], &["c", "KILL"]),
    ("kill", &[], &["c", "SIGRTMIN+3"]),
    ("kill", &[], &["c", "37"]),
    ("delete", &[], &["c"]),
    ("ps", &[("--format", "json")], &["c"]),
    ("ps", &[("--format", "table")], &["c", "aux"]),
    ("update", &[("--resources", "R")], &["c"]),
    ("pause", &[], &["c"]),
    ("resume", &[], &["c"]),
    ("events", &[("--stats", "")], &["c"]),
    ("events", &[("--interval", "5s")], &["c"]),
    ("checkpoint", CHECKPOINT, &["c"]),
    ("checkpoint", &[("--file-locks", ""), ("--image-path", "/i"), ("--work-path", "/w")], &["c"]),
];

const MAKING: &[Call<'_>] = &[
    (
        "create",
        &[("--bundle", "/b"), ("--pid-file", "/p"), ("--no-pivot", ""), ("--no-new-keyring", "")],
        &["c"],
    ),
    ("create", &[("--bundle", "/b"), ("--console-socket", "/s"), ("--pidfd-socket", "/s")], &["c"]),
    ("create", &[("--bundle", "/b"), ("--preserve-fds", "3")], &["c"]),
    ("run", &[("--bundle", "/b"), ("--detach", ""), ("--pid-file", "/p")], &["c"]),
    (
        "restore",
        &[
            ("--image-path", "/i"),
            ("--work-path", "/w"),
            ("--tcp-established", ""),
            ("--manage-cgroups-mode", "strict"),
            ("--detach", ""),
            ("--pid-file", "/p"),
            ("--no-subreaper", ""),
            ("--no-pivot", ""),
            ("--bundle", "/b"),
        ],
        &["c"],
    ),
    // conmon, with --runtime-opt of podman and CRI-O
    (
        "restore",
        &[
            ("--bundle", "/b"),
            ("--pid-file", "/p"),
            ("--detach", ""),
            ("--image-path", "/i"),
            ("--work-path", "/b"),
            ("--lsm-profile", "selinux:a_u:a_r:a_t:s0"),
            ("--lsm-mount-context", "a"),
        ],
        &["c"],
    ),
];

#[test]
fn every_call_is_understood_in_both_spellings() {
    for spelling in SPELLINGS {
        let mut shim = Shim::new(spelling, None);
        fs::create_dir(shim.runtime.root()).expect("cannot make the state directory");
        let (process, resources) = (shim.path("process.json"), shim.path("resources.json"));
        fs::write(&process, "{\"args\":[\"true\"],\"cwd\":\"/\",\"user\":{\"uid\":0,\"gid\":0}}")
            .expect("cannot write");
        fs::write(&resources, "{}").expect("cannot write");
        for (verb, flags, rest) in CALLS.iter().chain(MAKING) {
            let file = |value: &'_ str| match value {
                "P" => process.clone(),
                "R" => resources.clone(),
                value => value.to_owned(),
            };
            let owned: Vec<(&str, String)> = flags.iter().map(|(flag, value)| (*flag, file(value))).collect();
            let flags: Vec<(&str, &str)> =
                owned.iter().map(|(flag, value)| (*flag, value.as_str())).collect();
            let answer = shim.call(verb, &flags, rest);
            let text = shim.last_error();
            assert_ne!(answer["code"], 0, "{verb} {flags:?}");
            // The container, the bundle, or the directory of the images is not there.
            let understood = ["does not exist", "config.json", "/i"].iter().any(|word| text.contains(word));
            assert!(understood, "{verb} {flags:?}: {text}");
        }
    }
}

#[test]
fn what_is_not_about_a_container_is_answered() {
    for spelling in SPELLINGS {
        let mut shim = Shim::new(spelling, None);
        fs::create_dir(shim.runtime.root()).expect("cannot make the state directory");
        let list: serde_json::Value =
            serde_json::from_str(&shim.ask("list", &[("--format", "json")], &[])).expect("JSON");
        assert!(list.is_null() || list.as_array().is_some_and(Vec::is_empty), "{list}");
        assert!(shim.ask("--version", &[], &[]).contains("spec: 1."), "--version");
        assert!(shim.ask("features", &[], &[]).contains("ociVersionMin"));
    }
}
