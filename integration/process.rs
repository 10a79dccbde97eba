//! The process and its names: limits, groups, parameters in user namespaces, fields for other systems.

use std::fs::File;
use std::os::unix::fs::MetadataExt;

use serde_json::{Value, json};

use crate::support::{Bundle, Runtime, Scratch, is_root, leaks};

const LEVELS: [&str; 2] = ["oci", "baseline"];

#[test]
fn every_resource_limit_is_set() {
    skip_unless!(is_root(), "needs root");
    // Below what the caller has: raising one takes a capability that not every machine gives root.
    let limits = [
        ("CPU", 100),
        ("FSIZE", 1 << 30),
        ("DATA", 1 << 30),
        ("STACK", 1 << 22),
        ("CORE", 0),
        ("RSS", 1 << 30),
        ("NPROC", 500),
        ("NOFILE", 512),
        ("MEMLOCK", 65536),
        ("AS", 1_u64 << 32),
        ("LOCKS", 100),
        ("SIGPENDING", 100),
        ("MSGQUEUE", 8192),
        ("NICE", 0),
        ("RTPRIO", 0),
        ("RTTIME", 1_000_000),
    ];
    let asked: Vec<Value> = limits
        .iter()
        .map(|(name, value)| json!({ "type": format!("RLIMIT_{name}"), "soft": value / 2, "hard": value }))
        .collect();
    for level in LEVELS {
        let bundle = Bundle::probe(&["rlimits"]).edit(|config| config["process"]["rlimits"] = json!(asked));
        let seen = Runtime::at_level(level).ask(&bundle);
        for (name, value) in limits {
            let limit = &seen[format!("RLIMIT_{name}")];
            assert_eq!(*limit, json!({ "soft": value / 2, "hard": value }), "{name} at {level}");
        }
    }
}

#[test]
fn parameters_of_a_user_namespace_are_its_own() {
    skip_unless!(is_root(), "needs root");
    let files = "/proc/sys/user/max_inotify_watches /proc/sys/net/ipv4/ip_unprivileged_port_start \
                 /proc/sys/kernel/shmmni /proc/sys/kernel/domainname";
    let host = std::fs::read_to_string("/proc/sys/user/max_inotify_watches").expect("the host has it");
    let bundle = Bundle::shell(&format!("cat {files}")).in_user_namespace().edit(|config| {
        config["linux"]["sysctl"] = json!({
            "user.max_inotify_watches": "77", "net.ipv4.ip_unprivileged_port_start": "81",
            "kernel.shmmni": "78", "kernel.domainname": "example.test"
        });
    });
    assert_eq!(Runtime::sandrun().run(&bundle).ok().stdout, "77\n81\n78\nexample.test\n");
    let after = std::fs::read_to_string("/proc/sys/user/max_inotify_watches").expect("the host has it");
    assert_eq!(after, host, "the host's was changed");
}

#[test]
fn a_clock_cannot_go_before_the_start_of_time() {
    skip_unless!(is_root(), "needs root");
    let bundle = Bundle::probe(&["exit", "0"]).edit(|config| {
        let namespaces = config["linux"]["namespaces"].as_array_mut().expect("a list");
        namespaces.push(json!({ "type": "time" }));
        config["linux"]["timeOffsets"] = json!({ "boottime": { "secs": -1_000_000_000_i64 } });
    });
    let runtime = Runtime::sandrun();
    let output = runtime.run(&bundle);
    assert_eq!(output.code, 125, "{output}");
    assert!(output.stderr.contains("linux.timeOffsets"), "{output}");
    leaks::assert_none(&runtime, &bundle);
}

#[test]
fn caches_are_not_divided_where_the_host_cannot() {
    skip_unless!(is_root(), "needs root");
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("a mount table");
    skip_unless!(!mounts.contains(" - resctrl "), "this host can divide caches");
    let runtime = Runtime::sandrun();
    let bundle = Bundle::probe(&["exit", "0"])
        .edit(|config| config["linux"]["intelRdt"] = json!({ "l3CacheSchema": "L3:0=f" }));
    let output = runtime.run(&bundle);
    assert_eq!(output.code, 125, "{output}");
    assert!(output.stderr.contains("linux.intelRdt") && output.stderr.contains("resctrl"), "{output}");
    leaks::assert_none(&runtime, &bundle);
}

#[test]
fn sections_for_other_systems_are_listed_and_change_nothing() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let bundle = Bundle::probe(&["sleep", "60"]).edit(|config| {
        for system in ["vm", "windows", "solaris", "zos", "freebsd"] {
            config[system] = json!({ "anything": [1] });
        }
    });
    runtime.create(&bundle).ok();
    let state = runtime.call(&["state", &bundle.id]).ok().json();
    let changes = state["sandrun"]["changes"].as_array().expect("a list");
    for system in ["vm", "windows", "solaris", "zos", "freebsd"] {
        assert!(changes.iter().any(|change| change["at"] == system), "{system} is not in {changes:?}");
    }
}

#[test]
fn groups_and_mask_are_those_of_the_configuration() {
    skip_unless!(is_root(), "needs root");
    for level in LEVELS {
        let bundle = Bundle::probe(&["status"]).edit(|config| {
            config["process"]["user"] =
                json!({ "uid": 5, "gid": 6, "umask": 0o077, "additionalGids": [9, 7, 7] });
        });
        let seen = Runtime::at_level(level).ask(&bundle);
        assert_eq!(seen["Umask"], "0077");
        assert_eq!((&seen["Uid"], &seen["Gid"]), (&json!("5 5 5 5"), &json!("6 6 6 6")));
        assert_eq!(seen["Groups"], "7 7 9", "at {level}");
    }
}

#[test]
fn a_namespace_of_the_caller_is_not_changed() {
    skip_unless!(is_root(), "needs root");
    for (kind, file, field, value) in [
        ("uts", "uts", "/hostname", json!("other")),
        ("network", "net", "/linux/sysctl", json!({ "net.ipv4.ip_forward": "1" })),
        ("ipc", "ipc", "/linux/sysctl", json!({ "kernel.shmmni": "77" })),
    ] {
        let runtime = Runtime::sandrun();
        let bundle = Bundle::probe(&["exit", "0"]).without_namespace(kind).edit(|config| {
            config.as_object_mut().expect("an object").remove("hostname");
            let namespaces = config["linux"]["namespaces"].as_array_mut().expect("a list");
            namespaces.push(json!({ "type": kind, "path": format!("/proc/self/ns/{file}") }));
            let (parent, name) = field.rsplit_once('/').expect("a pointer");
            config.pointer_mut(parent).expect("a parent")[name] = value;
        });
        let output = runtime.run(&bundle);
        assert_eq!(output.code, 125, "{output}");
        assert!(output.stderr.contains(&field[1..].replace('/', ".")), "{output}");
        leaks::assert_none(&runtime, &bundle);
    }
}

/// A file that the program may only read stays its owner's, who alone may write to it.
#[test]
fn a_file_on_standard_input_is_not_given_away() {
    skip_unless!(is_root(), "needs root");
    let scratch = Scratch::new("input");
    let file = scratch.path().join("file");
    std::fs::write(&file, "read").expect("cannot write the file");
    let runtime = Runtime::at_level("oci");
    let script = "cat; echo written > /proc/self/fd/0";
    let bundle = Bundle::shell(script).edit(|config| config["process"]["user"]["uid"] = json!(33));
    bundle.write();
    runtime.adopt(&bundle);
    let path = bundle.path().display().to_string();
    let mut command = runtime.command(&["run", "--bundle", &path, &bundle.id]);
    let output = command.stdin(File::open(&file).expect("it is there")).output().expect("cannot start");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "read", "{output:?}");
    let left = std::fs::metadata(&file).expect("it is there");
    assert_eq!((left.uid(), std::fs::read_to_string(&file).expect("text")), (0, "read".to_owned()));
}
