//! Containers of one pod: the second joins namespaces of the first, as Kubernetes has it.

use serde_json::{Value, json};

use crate::support::{Bundle, Runtime, is_root};

/// A container that others join.
#[track_caller]
fn sandbox(runtime: &Runtime, user_namespace: bool) -> (Bundle, i64) {
    let bundle = Bundle::probe(&["sleep", "60"]).edit(|config| {
        if user_namespace {
            let ids = json!([{ "containerID": 0, "hostID": 200_000, "size": 65536 }]);
            config["linux"]["namespaces"].as_array_mut().expect("a list").push(json!({ "type": "user" }));
            config["linux"]["uidMappings"] = ids.clone();
            config["linux"]["gidMappings"] = ids;
        }
    });
    runtime.create(&bundle).ok();
    runtime.call(&["start", &bundle.id]).ok();
    let pid = runtime.call(&["state", &bundle.id]).ok().json()["pid"].as_i64().expect("a pid");
    (bundle, pid)
}

/// A container in namespaces of that one, and in new ones of the other kinds.
fn joining(pid: i64, joined: &[(&str, &str)]) -> Bundle {
    Bundle::probe(&["report"]).edit(|config| {
        let namespaces = config["linux"]["namespaces"].as_array_mut().expect("a list");
        namespaces.retain(|namespace| !joined.iter().any(|(kind, _)| namespace["type"] == *kind));
        for (kind, file) in joined {
            namespaces.push(json!({ "type": kind, "path": format!("/proc/{pid}/ns/{file}") }));
        }
        config.as_object_mut().expect("an object").remove("hostname");
    })
}

fn namespaces_of(pid: i64) -> Value {
    let kinds = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"];
    let link = |kind: &str| std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).expect("a namespace");
    kinds.iter().map(|kind| ((*kind).to_owned(), json!(link(kind)))).collect::<serde_json::Map<_, _>>().into()
}

#[track_caller]
fn assert_joined(user_namespace: bool, joined: &[(&str, &str)]) -> Value {
    let runtime = Runtime::sandrun();
    let (_sandbox, pid) = sandbox(&runtime, user_namespace);
    let theirs = namespaces_of(pid);
    let report = runtime.ask(&joining(pid, joined));
    let ours = &report["namespaces"];
    for (kind, link) in theirs.as_object().expect("an object") {
        let is_joined = joined.iter().any(|(_, file)| file == kind);
        let same_user = kind == "user" && !user_namespace;
        assert_eq!(&ours[kind] == link, is_joined || same_user, "{kind}: {ours} beside {theirs}");
    }
    report
}

#[test]
fn network_ipc_and_uts_are_shared() {
    skip_unless!(is_root(), "needs root");
    assert_joined(false, &[("network", "net"), ("ipc", "ipc"), ("uts", "uts")]);
}

#[test]
fn processes_are_shared_if_asked() {
    skip_unless!(is_root(), "needs root");
    let report = assert_joined(false, &[("pid", "pid"), ("network", "net"), ("ipc", "ipc"), ("uts", "uts")]);
    let pids = report["status"]["NSpid"].as_str().expect("pids");
    assert_ne!(pids, "1", "it is not the first process of the shared namespace");
}

#[test]
fn a_user_namespace_is_shared() {
    skip_unless!(is_root(), "needs root");
    let joined = [("user", "user"), ("network", "net"), ("ipc", "ipc"), ("uts", "uts")];
    let report = assert_joined(true, &joined);
    assert_eq!(report["status"]["Uid"], "0 0 0 0");
}

#[test]
fn a_namespace_of_another_kind_is_refused() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let (_sandbox, pid) = sandbox(&runtime, false);
    let output = runtime.run(&joining(pid, &[("network", "uts")]));
    assert_eq!(output.code, 125, "{output}");
    assert!(output.stderr.contains("linux.namespaces"), "{output}");
}

/// Who joins a pid namespace sees the processes there, and at `strict` signals none of them.
#[test]
fn signals_end_at_the_container_at_strict() {
    skip_unless!(is_root(), "needs root");
    for (level, expected) in [("baseline", Value::Null), ("strict", json!("EPERM"))] {
        let runtime = Runtime::at_level(level);
        let (sandbox, pid) = sandbox(&runtime, false);
        let container = joining(pid, &[("pid", "pid")]).edit(|config| {
            config["process"]["args"] = json!(["/probe", "signal", "1"]);
        });
        assert_eq!(runtime.ask(&container)["errno"], expected, "{level}");
        // An exec is in a domain of its own beside that of the first process.
        let exec = runtime.call(&["exec", &sandbox.id, "/probe", "signal", "1"]).ok().json();
        assert_eq!(exec["errno"], expected, "{level}, by an exec");
        assert_eq!(runtime.status(&sandbox), "running");
    }
}

/// Whether files without a name are executed is the pid namespace's.
#[test]
fn who_joins_a_pid_namespace_is_told_of_its_memory_files() {
    skip_unless!(is_root(), "needs root");
    let noexec = std::path::Path::new("/proc/sys/vm/memfd_noexec").exists();
    skip_unless!(noexec, "this kernel has no vm.memfd_noexec (6.3)");
    let strict = Runtime::at_level("strict");
    for (level, told) in [("baseline", "absent: "), ("strict", "enforced: ")] {
        let runtime = Runtime::at_level(level);
        let (_sandbox, pid) = sandbox(&runtime, false);
        let container = joining(pid, &[("pid", "pid")]);
        strict.create(&container).ok();
        let state = strict.call(&["state", &container.id]).ok().json();
        let layer = state["annotations"]["dev.sandrun.receipt.memfd"].as_str().expect("a layer");
        assert!(layer.starts_with(told), "in a sandbox at {level}: {layer}");
    }
}
