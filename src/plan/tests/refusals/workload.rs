//! Fields of the process and of its surroundings that the kernel would not take.

use super::*;

#[test]
fn schedulers() {
    let at = "/process/scheduler";
    let deadline = |runtime: u64, deadline: u64, period: u64| json!({ "policy": "SCHED_DEADLINE", "runtime": runtime, "deadline": deadline, "period": period });
    check([
        (at, json!({ "policy": "SCHED_OTHER", "nice": 20 }), "process.scheduler.nice", Invalid, "-20 to 19"),
        (at, json!({ "policy": "SCHED_BATCH", "nice": -21 }), "process.scheduler.nice", Invalid, "-20 to 19"),
        (at, json!({ "policy": "SCHED_FIFO" }), "process.scheduler.priority", Invalid, "0 is no priority"),
        (
            at,
            json!({ "policy": "SCHED_RR", "priority": 100 }),
            "process.scheduler.priority",
            Invalid,
            "100 is no priority",
        ),
        (
            at,
            json!({ "policy": "SCHED_RR", "priority": -1 }),
            "process.scheduler.priority",
            Invalid,
            "-1 is no priority",
        ),
        (
            at,
            json!({ "policy": "SCHED_IDLE", "priority": 1 }),
            "process.scheduler.priority",
            Invalid,
            "only 0",
        ),
        (
            at,
            json!({ "policy": "SCHED_OTHER", "period": 5 }),
            "process.scheduler.period",
            Invalid,
            "SCHED_OTHER has no period",
        ),
        (at, deadline(1023, 5000, 0), "process.scheduler.runtime", Invalid, "too short"),
        (at, deadline(5000, 4999, 0), "process.scheduler.deadline", Invalid, "before the runtime"),
        (at, deadline(5000, 6000, 5999), "process.scheduler.period", Invalid, "before the deadline"),
        (at, json!({ "policy": "SCHED_ISO" }), "process.scheduler.policy", Unsupported, "SCHED_ISO"),
    ]);
}

#[test]
fn wrong_names_are_told_with_their_place() {
    for (pointer, value, at) in [
        ("/process/scheduler", json!({ "policy": "SCHED_FAIR" }), "process.scheduler.policy"),
        (
            "/process/scheduler",
            json!({ "policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_FAST"] }),
            "process.scheduler.flags[0]",
        ),
        (
            "/process/ioPriority",
            json!({ "class": "IOPRIO_CLASS_FAST", "priority": 1 }),
            "process.ioPriority.class",
        ),
        ("/process/execCPUAffinity", json!({ "initial": "0-" }), "process.execCPUAffinity.initial"),
        ("/process/execCPUAffinity", json!({ "final": "a" }), "process.execCPUAffinity.final"),
        ("/linux/personality", json!({ "domain": "BSD" }), "linux.personality.domain"),
        ("/linux/memoryPolicy", json!({ "mode": "MPOL_NEAR" }), "linux.memoryPolicy.mode"),
        (
            "/linux/memoryPolicy",
            json!({ "mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_X"] }),
            "linux.memoryPolicy.flags[0]",
        ),
    ] {
        let error = refused(pointer, value);
        assert_eq!((error.kind, error.at.as_deref()), (Invalid, Some(at)), "{error}");
    }
}

#[test]
fn priorities_and_cpus() {
    let io = |priority: i64| json!({ "class": "IOPRIO_CLASS_BE", "priority": priority });
    check(
        [
            ("/process/ioPriority", io(8), "process.ioPriority.priority", Invalid, "from 0"),
            ("/process/ioPriority", io(-1), "process.ioPriority.priority", Invalid, "-1 is no I/O priority"),
            (
                "/process/execCPUAffinity",
                json!({ "initial": "3-1" }),
                "process.execCPUAffinity.initial",
                Invalid,
                "goes backwards",
            ),
            (
                "/process/execCPUAffinity",
                json!({ "final": "0,1024" }),
                "process.execCPUAffinity.final",
                Invalid,
                "1024 is above 1023",
            ),
            (
                "/process/consoleSize",
                json!({ "height": 25, "width": 70_000 }),
                "process.consoleSize.width",
                Invalid,
                "up to 65535",
            ),
        ]
        .map(|(pointer, value, at, kind, words)| match pointer {
            // Its size counts for a terminal only.
            "/process/consoleSize" => (
                "/process",
                json!({ "args": ["true"], "cwd": "/", "terminal": true, "consoleSize": value }),
                at,
                kind,
                words,
            ),
            _ => (pointer, value, at, kind, words),
        }),
    );
    let ignored = with(good(), "/process/consoleSize", json!({ "height": 25, "width": 70_000 }));
    assert!(plan(&ignored.to_string(), Level::Oci, &root(v2(), 7)).is_ok(), "no terminal");
}

#[test]
fn memory_policies_and_personalities() {
    let at = "/linux/memoryPolicy";
    let policy =
        |mode: &str, nodes: &str, flags: Value| json!({ "mode": mode, "nodes": nodes, "flags": flags });
    let (nodes, flags) = ("linux.memoryPolicy.nodes", "linux.memoryPolicy.flags");
    check([
        (at, policy("MPOL_BIND", "", json!([])), nodes, Invalid, "needs one at least"),
        (at, policy("MPOL_WEIGHTED_INTERLEAVE", " ", json!([])), nodes, Invalid, "needs one at least"),
        (at, policy("MPOL_LOCAL", "0", json!([])), nodes, Invalid, "takes none"),
        (at, policy("MPOL_BIND", "0-1024", json!([])), nodes, Invalid, "above 1023"),
        (
            at,
            policy("MPOL_BIND", "0", json!(["MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"])),
            flags,
            Invalid,
            "one of them",
        ),
        (at, policy("MPOL_PREFERRED", "", json!(["MPOL_F_STATIC_NODES"])), flags, Invalid, "without nodes"),
        (at, policy("MPOL_INTERLEAVE", "0", json!(["MPOL_F_NUMA_BALANCING"])), flags, Invalid, "Linux 5.12"),
        (
            "/linux/personality",
            json!({ "domain": "LINUX", "flags": ["ADDR_NO_RANDOMIZE"] }),
            "linux.personality.flags[0]",
            Unsupported,
            "has no flag",
        ),
    ]);
}

/// In a configuration with a network namespace.
fn moved(devices: Value) -> Value {
    let config = with(good(), "/linux/namespaces", json!([{ "type": "mount" }, { "type": "network" }]));
    with(config, "/linux/netDevices", devices)
}

#[test]
fn network_devices() {
    for (devices, at, words) in [
        (json!({ "": {} }), "linux.netDevices[\"\"]", "it is empty"),
        (json!({ "a/b": {} }), "linux.netDevices[\"a/b\"]", "a character"),
        (json!({ "eth%d": {} }), "linux.netDevices[\"eth%d\"]", "in a name inside"),
        (json!({ "sixteen-letters!": {} }), "linux.netDevices[\"sixteen-letters!\"]", "too long"),
        (json!({ "eth0": { "name": ".." } }), "linux.netDevices[\"eth0\"].name", "directory"),
        (json!({ "eth0": { "name": "a b" } }), "linux.netDevices[\"eth0\"].name", "a character"),
        (json!({ "eth0": { "name": "e%d%d" } }), "linux.netDevices[\"eth0\"].name", "one %d"),
        (
            json!({ "eth0": { "name": "net0" }, "eth1": { "name": "net0" } }),
            "linux.netDevices[\"eth1\"].name",
            "two network devices",
        ),
    ] {
        let error = refused_by(&root(v2(), 7), Level::Oci, &moved(devices));
        assert_eq!((error.kind, error.at.as_deref()), (Invalid, Some(at)), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    check([(
        "/linux/netDevices",
        json!({ "eth0": {} }),
        "linux.netDevices",
        Invalid,
        "without a network namespace",
    )]);
    let namespace_root = Host { caller: Caller::NamespaceRoot, ..root(v2(), 7) };
    let error = refused_by(&namespace_root, Level::Oci, &moved(json!({ "eth0": {} })));
    assert_eq!((error.kind, error.at.as_deref()), (Unsupported, Some("linux.netDevices")), "{error}");
    let patterns = moved(json!({ "eth0": { "name": "net%d" }, "eth1": { "name": "net%d" } }));
    assert!(plan(&patterns.to_string(), Level::Oci, &root(v2(), 7)).is_ok(), "the kernel numbers them");
}

#[test]
fn resctrl_groups() {
    let at = "/linux/intelRdt";
    check([
        (at, json!({ "closID": "a/b" }), "linux.intelRdt.closID", Invalid, "no plain name"),
        (at, json!({ "closID": ".." }), "linux.intelRdt.closID", Invalid, "no name"),
        (at, json!({ "closID": "info" }), "linux.intelRdt.closID", Invalid, "kernel has a directory"),
        (
            at,
            json!({ "l3CacheSchema": "L2:0=f" }),
            "linux.intelRdt.l3CacheSchema",
            Invalid,
            "does not start with L3",
        ),
        (at, json!({ "memBwSchema": "MB=1" }), "linux.intelRdt.memBwSchema", Invalid, "start with MB:"),
        (at, json!({ "schemata": ["L3:0=f\nMB:0=9"] }), "linux.intelRdt.schemata[0]", Invalid, "one line"),
        (at, json!({ "schemata": ["L3:0=f", "L3"] }), "linux.intelRdt.schemata[1]", Invalid, "such as"),
    ]);
}

#[test]
fn names_of_the_host() {
    let long = "x".repeat(65);
    check([
        ("/hostname", json!(long), "hostname", Invalid, "keeps 64 bytes"),
        ("/domainname", json!(long), "domainname", Invalid, "keeps 64 bytes"),
        ("/hostname", json!("a\0b"), "hostname", Invalid, "without NUL"),
    ]);
    let both = with(good(), "/hostname", json!("web"));
    let both = with(both, "/linux/sysctl", json!({ "kernel/hostname": "other" }));
    let error = refused_by(&root(v2(), 7), Level::Oci, &both);
    assert_eq!(error.at.as_deref(), Some("linux.sysctl[\"kernel.hostname\"]"), "{error}");
}
