//! Refusals: exit code 78, one text for standard error and the log, and nothing left.

use std::fs;

use serde_json::{Value, json};

use super::Policy;
use crate::support::{Bundle, Runtime, Scratch, is_root, leaks};

/// Takes a namespace away.
fn without(config: &mut Value, kind: &str) {
    let namespaces = config["linux"]["namespaces"].as_array_mut().expect("namespaces is a list");
    namespaces.retain(|namespace| namespace["type"] != kind);
}

fn bind(config: &mut Value, source: &str) {
    let mount = json!({ "destination": "/mnt", "type": "bind", "source": source, "options": ["rbind"] });
    config["mounts"].as_array_mut().expect("mounts is a list").push(mount);
}

/// What spoils a bundle that the policy `baseline` allows, the rule, and the field.
type Row = (fn(&mut Value), &'static str, &'static str);

const ROWS: &[Row] = &[
    (|config| without(config, "network"), "namespaces.host", "linux.namespaces"),
    (|config| without(config, "pid"), "namespaces.host", "linux.namespaces"),
    (|config| without(config, "ipc"), "namespaces.host", "linux.namespaces"),
    (|config| bind(config, "/etc"), "mounts.allow", "mounts[7].source"),
    (|config| bind(config, "/run"), "mounts.engine-sockets", "mounts[7].source"),
    (
        |config| {
            config["linux"]["devices"] =
                json!([{ "type": "c", "path": "/dev/fuse", "major": 10, "minor": 229 }])
        },
        "devices.allow",
        "linux.devices",
    ),
    (
        |config| config["linux"]["resources"]["devices"] = json!([{ "allow": true, "access": "rwm" }]),
        "devices.allow",
        "linux.resources.devices[0]",
    ),
    (
        |config| config["process"]["capabilities"]["bounding"] = json!(["CAP_SYS_ADMIN"]),
        "capabilities.allow",
        "process.capabilities",
    ),
    (
        |config| config["linux"]["sysctl"] = json!({ "net.ipv4.ip_forward": "1" }),
        "sysctl.allow",
        "linux.sysctl[\"net.ipv4.ip_forward\"]",
    ),
    (
        |config| config["linux"]["rootfsPropagation"] = json!("rshared"),
        "mounts.shared",
        "linux.rootfsPropagation",
    ),
];

/// Each is allowed by the built-in policy that says nothing, so it is the rule that refuses it.
#[test]
fn every_breach_of_the_builtin_baseline_leaves_nothing() {
    skip_unless!(is_root(), "needs root");
    let log = Scratch::new("log");
    for (number, (spoil, rule, at)) in ROWS.iter().enumerate() {
        let log = log.path().join(number.to_string());
        let file = log.display().to_string();
        let refusing = Runtime::sandrun().flags(&[
            "--policy",
            "builtin:baseline",
            "--log",
            &file,
            "--log-format",
            "json",
        ]);
        let bundle = Bundle::probe(&["exit", "0"]).edit(spoil);
        let output = refusing.create(&bundle);
        assert_eq!(output.code, 78, "{rule}: {output}");
        let (rule, at) = (format!("{rule} of the policy builtin:baseline"), format!(": {at} in config.json"));
        assert!(output.stderr.contains(&rule) && output.stderr.contains(&at), "{output}");
        let line: Value = serde_json::from_str(&fs::read_to_string(&log).expect("a log")).expect("one line");
        assert_eq!(format!("sandrun: error: {}\n", line["msg"].as_str().unwrap()), output.stderr);
        leaks::assert_none(&refusing, &bundle);
        let permissive = Runtime::sandrun().flags(&["--policy", "builtin:privileged"]);
        permissive.run(&bundle).ok();
    }
    let runtime = Runtime::sandrun().flags(&["--policy", "builtin:baseline"]);
    runtime.run(&Bundle::probe(&["exit", "0"])).ok();
}

#[test]
fn callers_are_bounded_too_and_all_reasons_come_at_once() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun().flags(&["--policy", "builtin:restricted", "--level", "oci"]);
    let bundle = Bundle::probe(&["exit", "0"]);
    for verb in ["create", "run"] {
        bundle.write();
        let output = runtime.call(&[verb, "--bundle", &bundle.path().display().to_string(), &bundle.id]);
        assert_eq!(output.code, 78, "{output}");
        for words in ["for 2 reasons", "level oci is less than baseline", "would be root"] {
            assert!(output.stderr.contains(words), "{output}");
        }
    }
    leaks::assert_none(&runtime, &bundle);
    let host_network = Policy::new("[namespaces]\nhost = [\"user\", \"time\"]");
    let output = host_network.runtime().call(&["try", "--net", "--", "true"]);
    assert_eq!(output.code, 78, "{output}");
    assert!(output.stderr.contains("host's network namespace"), "{output}");
    host_network.runtime().call(&["try", "--", "true"]).ok();
}

/// An ordinary user is bounded as root is, by a file that is root's.
#[test]
fn an_ordinary_user_is_bounded_too() {
    skip_unless!(is_root(), "needs root, to become an ordinary user");
    const USER: u32 = 51_238;
    let policy = Policy::new("[process]\nrun-as-root = \"never\"");
    let runtime = policy.runtime().of_user(USER);
    let output = runtime.run(&Bundle::probe(&["exit", "0"]).rootless(USER));
    assert_eq!(output.code, 78, "{output}");
    assert!(output.stderr.contains("process.run-as-root"), "{output}");
    // Nobody but root and the user may decide.
    std::os::unix::fs::chown(policy.path(), Some(51_239), None).expect("cannot give the file away");
    let output = runtime.run(&Bundle::probe(&["exit", "0"]).rootless(USER));
    assert!(output.code == 78 && output.stderr.contains("it belongs to user 51239"), "{output}");
}

/// It is where it is looked for without a flag, in an /etc of the test's own.
#[test]
fn the_nodes_own_file_needs_no_flag() {
    skip_unless!(is_root(), "needs root");
    let policy = Policy::new("extends = \"restricted\"");
    let place =
        "mount -t tmpfs none /etc && mkdir /etc/sandrun && cp \"$0\" /etc/sandrun/policy.toml && exec \"$@\"";
    let file = policy.path().display().to_string();
    let words = ["unshare", "-m", "--propagation", "private", "sh", "-c", place, &file];
    let runtime = Runtime::sandrun().wrapped(&words);
    let bundle = Bundle::probe(&["exit", "0"]);
    let output = runtime.create(&bundle);
    assert_eq!(output.code, 78, "{output}");
    assert!(output.stderr.contains("of the policy /etc/sandrun/policy.toml"), "{output}");
    leaks::assert_none(&runtime, &bundle);
}

/// What nobody can read may forbid anything; what is there already can be looked at and ended.
#[test]
fn a_broken_file_refuses_everything_that_starts_something() {
    skip_unless!(is_root(), "needs root");
    let policy = Policy::new("");
    let runtime = policy.runtime();
    let bundle = Bundle::probe(&["sleep", "60"]);
    runtime.create(&bundle).ok();
    runtime.call(&["start", &bundle.id]).ok();
    fs::write(policy.path(), "mode = \"enforce\"\n[mounts]\nalow = []\n").expect("cannot break the policy");
    let other = Bundle::probe(&["exit", "0"]);
    other.write();
    let path = other.path().display().to_string();
    for words in [
        &["create", "--bundle", &path, &other.id][..],
        &["run", "--bundle", &path, &other.id],
        &["try", "--", "true"],
        &["exec", &bundle.id, "/probe", "exit", "0"],
        &["update", "--pids-limit", "5", &bundle.id],
        &["policy", "show"],
        &["policy", "check", &path],
    ] {
        let output = runtime.call(words);
        assert_eq!(output.code, 78, "{words:?}: {output}");
        assert!(output.stderr.contains("policy.toml: line 3: unknown field `alow`"), "{output}");
        assert!(output.stderr.contains("until then nothing is created, executed"), "{output}");
    }
    for words in [
        &["state", &bundle.id][..],
        &["ps", &bundle.id],
        &["list"],
        &["pause", &bundle.id],
        &["resume", &bundle.id],
        &["kill", &bundle.id, "KILL"],
    ] {
        runtime.call(words).ok();
    }
    runtime.call(&["delete", "--force", &bundle.id]).ok();
    leaks::assert_none(&runtime, &bundle);
    leaks::assert_none(&runtime, &other);
}

/// In a pipeline, by anybody.
#[test]
fn a_bundle_is_checked_without_any_right() {
    skip_unless!(is_root(), "needs root, to become somebody else");
    let runtime = Runtime::sandrun().of_user(51_240);
    let bundle = Bundle::probe(&["exit", "0"]);
    bundle.write();
    let file = bundle.path().join("config.json").display().to_string();
    let check = |policy: &str, words: &[&str]| {
        runtime.call(&[&["--policy", policy, "policy", "check", &file], words].concat())
    };
    assert!(check("builtin:baseline", &[]).ok().stdout.ends_with("allowed\n"));
    let output = check("builtin:restricted", &["--json"]);
    let refusals = output.json()["refusals"].clone();
    assert_eq!((output.code, refusals.as_array().map(Vec::len)), (78, Some(1)), "{output}");
    for member in ["kind", "what", "at", "why", "fix"] {
        assert!(refusals[0][member].is_string(), "{refusals}");
    }
    assert_eq!(output.json()["policy"]["name"], "builtin:restricted");
    let broken = Bundle::probe(&["exit", "0"]).edit(|config| config["process"]["cwd"] = json!("here"));
    broken.write();
    let path = broken.path().display().to_string();
    let output = runtime.call(&["--policy", "builtin:baseline", "policy", "check", &path]);
    assert!(output.code == 125 && output.stdout.contains("process.cwd"), "{output}");
    assert!(runtime.call(&["policy", "show"]).ok().stdout.contains("minimum = \"oci\""));
}
