//! When the process gets the CPU and the disk, on which CPUs, from which memory, and as which machine.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Bundle, Runtime, is_root};

const LEVELS: [&str; 2] = ["oci", "baseline"];

/// Time for realtime processes: cgroup v1 gives none unless it is asked for, v2 has no such thing.
fn with_realtime(config: &mut Value) {
    if std::path::Path::new("/sys/fs/cgroup/cpu/cpu.rt_runtime_us").exists() {
        config["linux"]["resources"]["cpu"] = json!({ "realtimeRuntime": 1000, "realtimePeriod": 1_000_000 });
    }
}

/// What the probe sees in a container with this process.
#[track_caller]
fn seen(level: &str, change: impl FnOnce(&mut Value)) -> Value {
    Runtime::at_level(level).ask(&Bundle::probe(&["precedence"]).edit(change))
}

/// A layer of the receipt of a created container.
#[track_caller]
fn confirmed(runtime: &Runtime, bundle: &Bundle, layer: &str) -> Value {
    let state = runtime.call(&["state", &bundle.id]).ok().json();
    let layers = state["sandrun"]["receipt"]["layers"].as_array().expect("a receipt").clone();
    layers.into_iter().find(|known| known["layer"] == layer).unwrap_or_default()
}

/// What the host sees, where the profile lets no container ask.
#[track_caller]
fn io_class_of(pid: &str) -> i64 {
    let output = std::process::Command::new("ionice").args(["-p", pid]).output().expect("cannot ask");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let classes = ["none", "realtime", "best-effort", "idle"];
    let class = classes.iter().position(|class| text.starts_with(class));
    class.unwrap_or_else(|| panic!("no class in {text:?}")) as i64
}

#[test]
fn every_policy_is_in_force() {
    skip_unless!(is_root(), "needs root");
    for level in LEVELS {
        for (asked, policy, nice, priority) in [
            (json!({ "policy": "SCHED_OTHER", "nice": 7 }), 0, 7, 0),
            (json!({ "policy": "SCHED_OTHER", "nice": -5 }), 0, -5, 0),
            (json!({ "policy": "SCHED_BATCH", "nice": 3 }), 3, 3, 0),
            (json!({ "policy": "SCHED_IDLE" }), 5, 0, 0),
            (json!({ "policy": "SCHED_FIFO", "priority": 11 }), 1, 0, 11),
            (json!({ "policy": "SCHED_RR", "priority": 12 }), 2, 0, 12),
        ] {
            let found = seen(level, |config| {
                with_realtime(config);
                config["process"]["scheduler"] = asked.clone();
            });
            let planned = json!({ "policy": policy, "nice": nice, "priority": priority });
            assert_eq!(found["stat"], planned, "{asked} at {level}");
        }
    }
}

#[test]
fn deadlines_and_flags_are_in_force() {
    skip_unless!(is_root(), "needs root");
    let deadline = |config: &mut Value| {
        config["process"]["scheduler"] = json!({
            "policy": "SCHED_DEADLINE", "runtime": 1_000_000, "deadline": 50_000_000, "period": 100_000_000,
            "flags": ["SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_RECLAIM", "SCHED_FLAG_DL_OVERRUN"]
        });
    };
    let found = seen("oci", deadline)["scheduler"].clone();
    let fields = ["policy", "flags", "runtime", "deadline", "period"].map(|field| found[field].as_i64());
    assert_eq!(fields, [6, 7, 1_000_000, 50_000_000, 100_000_000].map(Some), "{found}");
    assert_eq!(seen("baseline", deadline)["stat"]["policy"], 6, "the profile hides the rest");
}

#[test]
fn a_container_in_a_user_namespace_is_scheduled_as_asked_too() {
    skip_unless!(is_root(), "needs root");
    let bundle = Bundle::probe(&["precedence"]).in_user_namespace().edit(|config| {
        with_realtime(config);
        config["process"]["scheduler"] = json!({ "policy": "SCHED_FIFO", "priority": 5 });
        config["process"]["ioPriority"] = json!({ "class": "IOPRIO_CLASS_RT", "priority": 3 });
    });
    let found = Runtime::at_level("oci").ask(&bundle);
    assert_eq!(found["scheduler"]["priority"], 5, "{found}");
    assert_eq!(found["ioPriority"], json!({ "class": 1, "level": 3 }), "{found}");
}

#[test]
fn every_io_class_is_in_force_and_confirmed() {
    skip_unless!(is_root(), "needs root");
    for level in LEVELS {
        for (name, class, priority) in [("RT", 1, 2), ("BE", 2, 7), ("IDLE", 3, 0)] {
            let asked = json!({ "class": format!("IOPRIO_CLASS_{name}"), "priority": priority });
            let runtime = Runtime::at_level(level);
            let bundle =
                Bundle::probe(&["precedence"]).edit(|config| config["process"]["ioPriority"] = asked);
            if level == "oci" {
                let found = runtime.ask(&bundle)["ioPriority"].clone();
                assert_eq!(found, json!({ "class": class, "level": priority }));
            }
            runtime.create(&bundle).ok();
            let state = runtime.call(&["state", &bundle.id]).ok().json();
            assert_eq!(io_class_of(&state["pid"].to_string()), class);
            let layer = confirmed(&runtime, &bundle, "ioPriority");
            assert_eq!(layer["state"], "enforced", "{layer}");
            assert_eq!(layer["detail"], format!("IOPRIO_CLASS_{name}, {priority}"));
        }
    }
}

#[test]
fn strict_gives_no_realtime_and_says_so() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::at_level("strict");
    let bundle = Bundle::probe(&["precedence"]).edit(|config| {
        with_realtime(config);
        config["process"]["scheduler"] = json!({ "policy": "SCHED_FIFO", "priority": 11 });
        config["process"]["ioPriority"] = json!({ "class": "IOPRIO_CLASS_RT", "priority": 0 });
    });
    assert_eq!(runtime.ask(&bundle)["stat"], json!({ "policy": 0, "nice": 0, "priority": 0 }));
    runtime.create(&bundle).ok();
    let state = runtime.call(&["state", &bundle.id]).ok().json();
    assert_ne!(io_class_of(&state["pid"].to_string()), 1);
    let changes = state["sandrun"]["changes"].to_string();
    assert!(
        changes.contains("SCHED_FIFO not given") && changes.contains("IOPRIO_CLASS_RT not given"),
        "{state}"
    );
}

#[test]
fn memory_comes_from_the_nodes_that_are_named() {
    skip_unless!(is_root(), "needs root");
    skip_unless!(fs::exists("/sys/devices/system/node/node0").unwrap_or(false), "the kernel has no NUMA");
    for (policy, mode, nodes) in [
        (json!({ "mode": "MPOL_DEFAULT" }), 0, vec![]),
        (json!({ "mode": "MPOL_PREFERRED", "nodes": "0" }), 1, vec![0]),
        (
            json!({ "mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"] }),
            2 | 1 << 15,
            vec![0],
        ),
        (
            json!({ "mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_NUMA_BALANCING"] }),
            2 | 1 << 13,
            vec![0],
        ),
        (
            json!({ "mode": "MPOL_INTERLEAVE", "nodes": "0", "flags": ["MPOL_F_RELATIVE_NODES"] }),
            3 | 1 << 14,
            vec![0],
        ),
        (json!({ "mode": "MPOL_LOCAL" }), 4, vec![]),
    ] {
        let asked = policy.clone();
        let found = seen("oci", |config| config["linux"]["memoryPolicy"] = asked);
        assert_eq!(found["memoryPolicy"], json!({ "mode": mode, "nodes": nodes }), "{policy}");
    }
    let runtime = Runtime::at_level("baseline");
    let bundle = Bundle::probe(&["sleep", "60"])
        .edit(|config| config["linux"]["memoryPolicy"] = json!({ "mode": "MPOL_BIND", "nodes": "0" }));
    runtime.create(&bundle).ok();
    let layer = confirmed(&runtime, &bundle, "memoryPolicy");
    assert_eq!((&layer["state"], &layer["detail"]), (&json!("enforced"), &json!("MPOL_BIND, nodes [0]")));
    runtime.call(&["start", &bundle.id]).ok();
    let seen = runtime.call(&["exec", &bundle.id, "/probe", "precedence"]).ok().json();
    assert!(seen["memoryPolicy"]["errno"].is_string(), "the profile of baseline hides it: {seen}");
}

#[test]
fn nodes_that_are_not_there_are_refused_by_field() {
    skip_unless!(is_root(), "needs root");
    let bundle = Bundle::probe(&["precedence"])
        .edit(|config| config["linux"]["memoryPolicy"] = json!({ "mode": "MPOL_BIND", "nodes": "1000" }));
    let output = Runtime::sandrun().run(&bundle);
    assert_eq!(output.code, 125, "{output}");
    assert!(
        output.stderr.contains("linux.memoryPolicy") && output.stderr.contains("Linux 2.6.7"),
        "{output}"
    );
}

#[test]
fn a_personality_shows_another_machine_and_cannot_be_changed_at_baseline() {
    skip_unless!(is_root(), "needs root");
    let of = |domain: &'static str| {
        move |config: &mut Value| config["linux"]["personality"] = json!({ "domain": domain })
    };
    let native = seen("oci", of("LINUX"));
    assert_eq!(native["personality"], 0);
    let other = seen("oci", of("LINUX32"));
    assert_eq!(other["personality"], 8);
    assert_ne!(other["machine"], native["machine"]);
    let baseline = seen("baseline", of("LINUX32"));
    assert_eq!(baseline["machine"], other["machine"]);
    // ADDR_NO_RANDOMIZE, as setarch(8) would set it.
    for (level, errno) in [("oci", Value::Null), ("baseline", json!("EPERM"))] {
        let bundle = Bundle::probe(&["syscall", "personality", "0x40000"]).edit(of("LINUX"));
        assert_eq!(Runtime::at_level(level).ask(&bundle)["errno"], errno, "{level}");
    }
    let runtime = Runtime::at_level("baseline");
    let bundle = Bundle::probe(&["sleep", "60"]).edit(of("LINUX32"));
    runtime.create(&bundle).ok();
    assert_eq!(confirmed(&runtime, &bundle, "personality")["detail"], "LINUX32");
    runtime.call(&["start", &bundle.id]).ok();
    let inside = runtime.call(&["exec", &bundle.id, "/probe", "precedence"]).ok().json();
    assert_eq!(inside["machine"], other["machine"], "an exec has the container's");
}

/// The answer of an exec in a running container of the level.
#[track_caller]
fn exec(level: &str, container: impl FnOnce(&mut Value), process: &Value) -> Value {
    let runtime = Runtime::at_level(level);
    let bundle = Bundle::probe(&["sleep", "60"]).edit(container);
    runtime.create(&bundle).ok();
    runtime.call(&["start", &bundle.id]).ok();
    let mut whole = json!({ "args": ["/probe", "precedence"], "cwd": "/", "user": { "uid": 0, "gid": 0 } });
    for (field, value) in process.as_object().expect("fields") {
        whole[field] = value.clone();
    }
    let file = bundle.path().join("process.json");
    fs::write(&file, whole.to_string()).expect("cannot write the process");
    runtime.call(&["exec", "--process", &file.display().to_string(), &bundle.id]).ok().json()
}

#[test]
fn an_exec_has_what_its_process_says_or_what_the_container_has() {
    skip_unless!(is_root(), "needs root");
    let container = |config: &mut Value| {
        config["process"]["scheduler"] = json!({ "policy": "SCHED_BATCH", "nice": 4 });
        config["process"]["ioPriority"] = json!({ "class": "IOPRIO_CLASS_BE", "priority": 5 });
    };
    let other = json!({
        "scheduler": { "policy": "SCHED_OTHER", "nice": 9 },
        "ioPriority": { "class": "IOPRIO_CLASS_IDLE", "priority": 0 }
    });
    for level in LEVELS {
        let same = exec(level, container, &json!({}));
        assert_eq!(same["stat"], json!({ "policy": 3, "nice": 4, "priority": 0 }));
        let own = exec(level, container, &other);
        assert_eq!(own["stat"], json!({ "policy": 0, "nice": 9, "priority": 0 }));
    }
    assert_eq!(exec("oci", container, &json!({}))["ioPriority"], json!({ "class": 2, "level": 5 }));
    assert_eq!(exec("oci", container, &other)["ioPriority"], json!({ "class": 3, "level": 0 }));
}

#[test]
fn an_exec_comes_before_its_container_at_level_oci_only() {
    skip_unless!(is_root(), "needs root");
    let container = |config: &mut Value| config["process"]["scheduler"] = json!({ "policy": "SCHED_IDLE" });
    let urgent = json!({
        "scheduler": { "policy": "SCHED_OTHER", "nice": -9 },
        "ioPriority": { "class": "IOPRIO_CLASS_RT", "priority": 0 }
    });
    let seen = |level| exec(level, container, &urgent);
    assert_eq!(seen("oci")["stat"], json!({ "policy": 0, "nice": -9, "priority": 0 }));
    assert_eq!(seen("oci")["ioPriority"]["class"], 1);
    assert_eq!(seen("baseline")["stat"], json!({ "policy": 5, "nice": 0, "priority": 0 }));
}

#[test]
fn an_exec_runs_on_its_cpus_and_its_container_does_not() {
    skip_unless!(is_root(), "needs root");
    let all = seen("oci", |_| {})["cpus"].clone();
    skip_unless!(all.as_array().is_some_and(|all| all.len() > 1), "needs two CPUs");
    let last = all.as_array().and_then(|all| all.last()).and_then(Value::as_i64).expect("a CPU");
    let affinity = |initial: &str, last: &str| json!({ "initial": initial, "final": last });
    let one = last.to_string();
    for level in LEVELS {
        let container = |config: &mut Value| config["process"]["execCPUAffinity"] = affinity("0", &one);
        assert_eq!(seen(level, container)["cpus"], all, "it is for an exec only");
        assert_eq!(exec(level, container, &json!({}))["cpus"], json!([last]), "the container's");
        let own = exec(level, container, &json!({ "execCPUAffinity": affinity("", " 0 ") }));
        assert_eq!(own["cpus"], json!([0]), "its own");
    }
}

#[test]
fn a_caller_kept_on_one_cpu_does_not_keep_its_containers_there() {
    skip_unless!(is_root(), "needs root");
    let all = seen("oci", |_| {})["cpus"].clone();
    skip_unless!(all.as_array().is_some_and(|all| all.len() > 1), "needs two CPUs");
    let last = all.as_array().and_then(|all| all.last()).and_then(Value::as_i64).expect("a CPU");
    for level in LEVELS {
        let runtime = Runtime::at_level(level).wrapped(&["taskset", "-c", "0"]);
        assert_eq!(runtime.ask(&Bundle::probe(&["precedence"]))["cpus"], all);
        let inside = |cpus: &Value| {
            Bundle::shell("/probe precedence; sleep 60")
                .edit(|config| config["linux"]["resources"]["cpu"] = json!({ "cpus": cpus, "mems": "0" }))
        };
        let bundle = inside(&json!(last.to_string()));
        runtime.run_with(&bundle, &["--detach"]).ok();
        let output = runtime.call(&["exec", &bundle.id, "/probe", "precedence"]).ok();
        assert_eq!(output.json()["cpus"], json!([last]), "those of its cgroup");
    }
}

#[test]
fn cpus_that_are_not_there_are_refused_by_field() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    for field in ["initial", "final"] {
        let bundle = Bundle::probe(&["sleep", "60"])
            .edit(|config| config["process"]["execCPUAffinity"] = json!({ field: "1000" }));
        runtime.create(&bundle).ok();
        runtime.call(&["start", &bundle.id]).ok();
        let output = runtime.call(&["exec", &bundle.id, "/probe", "exit", "0"]);
        assert_eq!(output.code, 125, "{output}");
        assert!(output.stderr.contains(&format!("process.execCPUAffinity.{field}")), "{output}");
    }
}

#[test]
fn an_exec_stays_within_the_limits_of_its_container_at_baseline() {
    skip_unless!(is_root(), "needs root");
    let core = json!({
        "args": ["/probe", "rlimits"],
        "rlimits": [{ "type": "RLIMIT_CORE", "soft": 4096, "hard": 8192 }]
    });
    let container = |config: &mut Value| {
        let limits = config["process"]["rlimits"].as_array_mut().expect("a list");
        limits.push(json!({ "type": "RLIMIT_CORE", "soft": 0, "hard": 0 }));
    };
    let limit = |level| exec(level, container, &core)["RLIMIT_CORE"].clone();
    assert_eq!(limit("oci"), json!({ "soft": 4096, "hard": 8192 }));
    assert_eq!(limit("baseline"), json!({ "soft": 0, "hard": 0 }));
}

#[test]
fn what_this_kernel_cannot_schedule_is_refused_by_field() {
    skip_unless!(is_root(), "needs root");
    let bundle = Bundle::probe(&["exit", "0"]).edit(|config| {
        // More than all CPUs have.
        config["process"]["scheduler"] =
            json!({ "policy": "SCHED_DEADLINE", "runtime": 1_000_000_000_000_u64, "deadline": 1_000_000_000_000_u64 });
    });
    let output = Runtime::sandrun().run(&bundle);
    assert_eq!(output.code, 125, "{output}");
    assert!(output.stderr.contains("process.scheduler"), "{output}");
}

#[test]
fn flags_that_keep_or_clamp_are_in_force_or_refused_with_the_kernels_option() {
    skip_unless!(is_root(), "needs root");
    let scheduler = |flag: &str| json!({ "policy": "SCHED_BATCH", "nice": 3, "flags": [flag] });
    let stat = |flag| seen("oci", |config| config["process"]["scheduler"] = scheduler(flag))["stat"].clone();
    assert_eq!(stat("SCHED_FLAG_KEEP_POLICY")["policy"], 0);
    assert_eq!(stat("SCHED_FLAG_KEEP_PARAMS")["nice"], 0);
    for flag in ["SCHED_FLAG_UTIL_CLAMP_MIN", "SCHED_FLAG_UTIL_CLAMP_MAX"] {
        let bundle = Bundle::probe(&["precedence"]).edit(|config| {
            config["process"]["scheduler"] = scheduler(flag);
        });
        let output = Runtime::sandrun().run(&bundle);
        // Which of the two it is, the kernel was built for.
        match output.code {
            0 => assert_eq!(output.json()["stat"]["policy"], 3),
            _ => assert!(
                output.stderr.contains("process.scheduler") && output.stderr.contains("CONFIG_UCLAMP_TASK"),
                "{output}"
            ),
        }
    }
}
