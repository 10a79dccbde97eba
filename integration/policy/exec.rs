//! Execs: as much as the container, probes only, or none.

use std::fs;

use serde_json::json;

use super::Policy;
use crate::support::{Bundle, Output, Runtime, is_root};

/// A container of user 1000 with one capability, at `oci`, where an exec may have anything.
fn running(runtime: &Runtime) -> Bundle {
    let bundle = Bundle::shell("sleep 60").edit(|config| {
        let capabilities = json!(["CAP_CHOWN"]);
        config["process"]["user"] = json!({ "uid": 1000, "gid": 1000 });
        config["process"]["capabilities"] =
            json!({ "bounding": capabilities, "permitted": capabilities, "effective": capabilities });
        config["annotations"] = json!({ "dev.sandrun.exec-probes": "[[\"/bin/echo\", \"healthy\"]]" });
    });
    runtime.create(&bundle).ok();
    runtime.call(&["start", &bundle.id]).ok();
    bundle
}

/// As an engine does it.
fn exec_file(runtime: &Runtime, bundle: &Bundle, change: serde_json::Value) -> Output {
    let mut process = bundle.config["process"].clone();
    process["args"] = json!(["/bin/id", "-u"]);
    for (field, value) in change.as_object().expect("an object") {
        process[field] = value.clone();
    }
    let file = bundle.path().join("process.json");
    fs::write(&file, process.to_string()).expect("cannot write the file");
    runtime.call(&["exec", "--process", &file.display().to_string(), &bundle.id])
}

#[test]
fn an_exec_that_escalates_is_refused_and_works_without_the_rule() {
    skip_unless!(is_root(), "needs root");
    let policy = Policy::new("");
    let runtime = policy.runtime().flags(&["--level", "oci"]);
    let bundle = running(&runtime);
    let capabilities = json!(["CAP_SYS_ADMIN"]);
    let escalations = [
        (json!({ "user": { "uid": 0, "gid": 0 } }), "user 0, where the container is user 1000"),
        (json!({ "user": { "uid": 1000, "gid": 1000, "additionalGids": [0] } }), "groups [0]"),
        (
            json!({ "capabilities": { "bounding": capabilities, "permitted": capabilities } }),
            "CAP_SYS_ADMIN, which container",
        ),
    ];
    for (change, _) in &escalations {
        exec_file(&runtime, &bundle, change.clone()).ok();
    }
    fs::write(policy.path(), "[exec]\nallow = \"same\"").expect("cannot write the policy");
    for (change, words) in &escalations {
        let output = exec_file(&runtime, &bundle, change.clone());
        assert_eq!(output.code, 78, "{output}");
        assert!(output.stderr.contains(words), "{output}");
    }
    assert_eq!(exec_file(&runtime, &bundle, json!({})).ok().stdout, "1000\n");
    let output = runtime.call(&["exec", "--cap", "CAP_SYS_ADMIN", &bundle.id, "id"]);
    assert_eq!(output.code, 78, "{output}");
    let output = runtime.call(&["exec", "--user", "0", &bundle.id, "id"]);
    assert_eq!(output.code, 78, "{output}");
}

#[test]
fn probes_run_and_nothing_else_does() {
    skip_unless!(is_root(), "needs root");
    let policy = Policy::new("[exec]\nallow = \"probes\"\nprobes = [[\"/bin/true\"]]");
    let runtime = policy.runtime();
    let bundle = running(&runtime);
    let exec = |words: &[&str]| runtime.call(&[&["exec", &bundle.id], words].concat());
    exec(&["/bin/true"]).ok();
    assert_eq!(exec(&["/bin/echo", "healthy"]).ok().stdout, "healthy\n");
    for words in [&["/bin/true", "x"][..], &["/bin/echo", "ill"], &["/bin/sh"]] {
        let output = exec(words);
        assert_eq!(output.code, 78, "{output}");
        assert!(output.stderr.contains("is no probe of this container: process.args"), "{output}");
    }
    let output =
        exec_file(&runtime, &bundle, json!({ "args": ["/bin/true"], "user": { "uid": 0, "gid": 0 } }));
    assert_eq!(output.code, 78, "a probe escalates no more than another exec: {output}");
}

#[test]
fn none_runs_where_none_may() {
    skip_unless!(is_root(), "needs root");
    let policy = Policy::new("[exec]\nallow = \"deny\"");
    let runtime = policy.runtime();
    let bundle = running(&runtime);
    let output = runtime.call(&["exec", &bundle.id, "/bin/true"]);
    assert!(output.code == 78 && output.stderr.contains("exec.allow"), "{output}");
    fs::write(policy.path(), "mode = \"warn\"\n[exec]\nallow = \"deny\"").expect("cannot write the policy");
    let log = bundle.path().join("log").display().to_string();
    let output = runtime.call(&["--log", &log, "exec", &bundle.id, "/bin/true"]).ok();
    assert_eq!(output.stderr, "");
    assert!(fs::read_to_string(&log).expect("a log").contains("policy warning: no process is added"));
}
