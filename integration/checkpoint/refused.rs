//! What is not checkpointed, and not restored.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{COUNTER, Trial, confined, obstacle};
use crate::support::{Bundle, Runtime, is_root, leaks};

#[test]
fn landlock_is_refused_by_name() {
    needs_criu!();
    let runtime = Runtime::sandrun();
    let bundle = Bundle::shell(COUNTER);
    runtime.create(&bundle).ok();
    runtime.call(&["start", &bundle.id]).ok();
    let state = runtime.call(&["state", &bundle.id]).ok().json();
    if !state["sandrun"]["receipt"].to_string().contains("tried on a directory outside") {
        skip!("this kernel has no Landlock");
    }
    let images = bundle.path().join("images");
    let output = runtime.call(&["checkpoint", "--image-path", &images.display().to_string(), &bundle.id]);
    assert_eq!(output.code, 125);
    assert!(output.stderr.contains("Landlock cannot be checkpointed"), "{output}");
    assert!(!images.exists(), "something was written");
    assert_eq!(runtime.status(&bundle), "running");
}

#[test]
fn a_created_container_has_nothing_to_write() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::at_level("oci");
    let bundle = Bundle::shell(COUNTER);
    runtime.create(&bundle).ok();
    let images = bundle.path().join("images").display().to_string();
    let output = runtime.call(&["checkpoint", "--image-path", &images, &bundle.id]);
    assert!(output.code == 125 && output.stderr.contains("it is created"), "{output}");
}

#[test]
fn a_plan_that_confines_otherwise_is_refused() {
    needs_criu!();
    let mut trial = Trial::start(confined(Bundle::shell(COUNTER)));
    trial.checkpoint(&[]);
    let original = trial.bundle.config.clone();
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 6] = [
        ("workload", |config| config["linux"]["seccomp"] = json!(null)),
        ("workload", |config| config["process"]["noNewPrivileges"] = json!(false)),
        ("maskedPaths", |config| config["linux"]["maskedPaths"] = json!([])),
        ("namespaces", |config| {
            let namespaces = config["linux"]["namespaces"].as_array_mut().expect("a list");
            namespaces.retain(|namespace| namespace["type"] != "network");
        }),
        ("mounts", |config| config["mounts"].as_array_mut().expect("a list").truncate(2)),
        ("cgroup", |config| config["linux"]["resources"] = json!({})),
    ];
    for (part, change) in changes {
        trial.bundle.config = original.clone();
        change(&mut trial.bundle.config);
        let output = trial.restore(&["--detach"]);
        assert_eq!(output.code, 78, "{part}: {output}");
        assert!(output.stderr.contains(part), "{part}: {output}");
    }
    trial.bundle.config = original;
    let strict = Runtime::at_level("strict");
    let (images, dir) = (trial.images(), trial.bundle.path().display().to_string());
    trial.bundle.write();
    let output = strict.call(&["restore", "--image-path", &images, "--bundle", &dir, &trial.bundle.id]);
    assert_ne!(output.code, 0, "it cannot get what strict wants");
    leaks::assert_none(&strict, &trial.bundle);
    trial.restore(&["--detach"]).ok();
}

#[test]
fn a_cgroup_of_somebody_else_stays() {
    needs_criu!();
    let other = Trial::start(Bundle::shell("sleep 600"));
    let mut trial = Trial::start(Bundle::shell(COUNTER));
    trial.count_beyond(2);
    trial.checkpoint(&[]);
    let original = trial.bundle.config.clone();
    trial.bundle.config["linux"]["cgroupsPath"] = json!(format!("/{}", other.bundle.id));
    assert_ne!(trial.restore(&["--detach"]).code, 0);
    assert_eq!(other.runtime.status(&other.bundle), "running");
    trial.bundle.config = original;
    trial.restore(&["--detach"]).ok();
}

#[test]
fn without_criu_it_is_said_what_to_install() {
    skip_unless!(is_root(), "needs root");
    let trial = Trial::start(Bundle::shell(COUNTER));
    let images = trial.images();
    let mut command = trial.runtime.command(&["checkpoint", "--image-path", &images, &trial.bundle.id]);
    command.env("PATH", "/nonexistent");
    let output = trial.runtime.finish(command, &trial.bundle.path().join("output"));
    assert!(output.code == 125 && output.stderr.contains("install criu"), "{output}");
    assert_eq!(trial.runtime.status(&trial.bundle), "running");
}

#[test]
fn what_was_not_checkpointed_is_not_restored() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::at_level("oci");
    let bundle = Bundle::shell("true");
    bundle.write();
    let dir = bundle.path().display().to_string();
    let output = runtime.call(&["restore", "--image-path", &dir, "--bundle", &dir, &bundle.id]);
    assert!(output.code == 125 && output.stderr.contains("sandrun.json"), "{output}");
    leaks::assert_none(&runtime, &bundle);
}

/// Nothing runs that the kernel shows with less than it should have: here the record is made to ask for more.
#[test]
fn what_is_not_as_recorded_never_runs() {
    needs_criu!();
    let trial = Trial::start(Bundle::shell(COUNTER));
    trial.count_beyond(2);
    trial.checkpoint(&[]);
    let record = Path::new(&trial.images()).join("sandrun.json");
    let text = fs::read_to_string(&record).expect("a record");
    let mut image: Value = serde_json::from_str(&text).expect("JSON");
    let mounts = image["mounts"].as_array_mut().expect("a list");
    let shm = mounts.iter_mut().find(|mounted| mounted["point"] == "/dev/shm").expect("it is mounted");
    shm["options"].as_array_mut().expect("a list").push(json!("ro"));
    fs::write(&record, image.to_string()).expect("cannot write the record");
    let output = trial.restore(&["--detach"]);
    assert!(output.code == 125 && output.stderr.contains("/dev/shm"), "{output}");
    leaks::assert_none(&trial.runtime, &trial.bundle);
    fs::write(&record, text).expect("cannot write the record");
    trial.restore(&["--detach"]).ok();
}

#[test]
fn what_the_node_policy_refuses_is_not_restored() {
    needs_criu!();
    let trial = Trial::start(confined(Bundle::shell(COUNTER)));
    trial.checkpoint(&[]);
    let output = trial.restore(&["--policy", "builtin:baseline", "--detach"]);
    assert_eq!(output.code, 78, "{output}");
    assert!(output.stderr.contains("level.minimum of the policy builtin:baseline"), "{output}");
    leaks::assert_none(&trial.runtime, &trial.bundle);
    trial.restore(&["--policy", "builtin:privileged", "--detach"]).ok();
}
