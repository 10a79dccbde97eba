//! What is wrong with the input is said once, with the right exit code, and nothing is left behind.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::{Value, json};

use crate::support::{Bundle, Output, Runtime, Scratch, is_root, leaks};

/// Runs what must fail: the exit code, one line on stderr, one JSON error in the log, nothing left.
#[track_caller]
fn assert_fails(bundle: &Bundle, code: i32, about: &str) {
    let log = bundle.path().join("log");
    let runtime = Runtime::sandrun().flags(&["--log", &log.display().to_string(), "--log-format", "json"]);
    let output = runtime.run(bundle);
    assert_told(&output, code, about);
    let logged = fs::read_to_string(&log).unwrap_or_default();
    let errors: Vec<Value> = logged
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON in the log: {line}")))
        .filter(|entry: &Value| entry["level"] == "error")
        .collect();
    assert_eq!(errors.len(), 1, "errors in the log: {logged}");
    assert!(errors[0]["msg"].is_string() && errors[0]["time"].is_string(), "{logged}");
    leaks::assert_none(&runtime, bundle);
}

#[track_caller]
fn assert_told(output: &Output, code: i32, about: &str) {
    assert_eq!(output.code, code, "{output}");
    assert_eq!(output.stderr.lines().count(), 1, "one line on stderr: {output}");
    assert!(output.stderr.contains(about), "does not name {about:?}: {output}");
}

fn with(change: impl FnOnce(&mut Value)) -> Bundle {
    Bundle::probe(&["exit", "0"]).edit(change)
}

#[test]
fn no_config_json() {
    let runtime = Runtime::sandrun();
    let empty = Scratch::new("empty");
    let output = runtime.call(&["run", "--bundle", &empty.path().display().to_string(), "empty"]);
    assert_told(&output, 125, "config.json");
}

#[test]
fn config_json_is_not_json() {
    let bundle = Bundle::probe(&[]);
    fs::write(bundle.path().join("config.json"), "{ \"ociVersion\": ").expect("cannot write");
    let runtime = Runtime::sandrun();
    let output = runtime.call(&["run", "--bundle", &bundle.path().display().to_string(), &bundle.id]);
    assert_told(&output, 125, "config.json");
    leaks::assert_none(&runtime, &bundle);
}

#[test]
fn an_unknown_namespace() {
    let bundle = with(|config| {
        config["linux"]["namespaces"].as_array_mut().expect("a list").push(json!({ "type": "bogus" }));
    });
    assert_fails(&bundle, 125, "bogus");
}

/// It cannot be granted, which is no reason to fail (OCI config, "Linux Process"); but it is not forgotten.
#[test]
fn an_unknown_capability_is_listed() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let bundle = Bundle::probe(&["sleep", "60"])
        .edit(|config| config["process"]["capabilities"]["bounding"] = json!(["CAP_BOGUS"]));
    runtime.create(&bundle).ok();
    let state = runtime.call(&["state", &bundle.id]).ok();
    assert!(state.stdout.contains("CAP_BOGUS"), "{state}");
}

/// Nothing is ignored in silence: what this version cannot do is refused by name.
#[test]
fn a_field_that_is_not_supported() {
    let bundle = with(|config| {
        config["linux"]["personality"] = json!({ "domain": "LINUX", "flags": ["ADDR_NO_RANDOMIZE"] });
    });
    assert_fails(&bundle, 125, "linux.personality.flags[0]");
}

#[test]
fn an_id_that_is_taken() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let bundle = Bundle::probe(&["sleep", "60"]);
    runtime.create(&bundle).ok();
    let output = runtime.run(&bundle);
    assert_told(&output, 125, &bundle.id);
    assert_eq!(runtime.status(&bundle), "created", "the first one is not disturbed");
}

#[test]
fn an_id_that_is_a_path() {
    let runtime = Runtime::sandrun();
    let mut bundle = Bundle::probe(&["exit", "0"]);
    bundle.id = "../climbing".to_owned();
    assert_told(&runtime.run(&bundle), 125, "../climbing");
    assert!(!runtime.root().join("../climbing").exists());
}

#[test]
fn a_program_that_is_not_there() {
    skip_unless!(is_root(), "needs root");
    assert_fails(
        &with(|config| config["process"]["args"] = json!(["/no/such/program"])),
        127,
        "/no/such/program",
    );
    assert_fails(
        &with(|config| config["process"]["args"] = json!(["no-such-program"])),
        127,
        "no-such-program",
    );
}

#[test]
fn a_program_that_cannot_be_executed() {
    skip_unless!(is_root(), "needs root");
    let bundle = with(|config| config["process"]["args"] = json!(["/etc/plain"]));
    fs::write(bundle.rootfs().join("etc/plain"), "no program").expect("cannot write");
    fs::set_permissions(bundle.rootfs().join("etc/plain"), fs::Permissions::from_mode(0o644))
        .expect("cannot chmod");
    assert_fails(&bundle, 126, "/etc/plain");
}

#[test]
fn a_working_directory_that_is_a_file() {
    skip_unless!(is_root(), "needs root");
    assert_fails(&with(|config| config["process"]["cwd"] = json!("/probe")), 125, "/probe");
}

#[test]
fn a_working_directory_that_is_not_absolute() {
    assert_fails(&with(|config| config["process"]["cwd"] = json!("relative")), 125, "cwd");
}

#[test]
fn a_mapping_that_is_impossible() {
    skip_unless!(is_root(), "needs root");
    let bundle = with(|config| {
        config["linux"]["namespaces"].as_array_mut().expect("a list").push(json!({ "type": "user" }));
        let overlapping = json!([
            { "containerID": 0, "hostID": 100_000, "size": 1000 },
            { "containerID": 500, "hostID": 200_000, "size": 1000 }
        ]);
        config["linux"]["uidMappings"] = overlapping.clone();
        config["linux"]["gidMappings"] = overlapping;
    });
    assert_fails(&bundle, 125, "apping");
}

#[test]
fn a_root_filesystem_that_is_not_there() {
    assert_fails(&with(|config| config["root"]["path"] = json!("no-such-rootfs")), 125, "no-such-rootfs");
}

#[test]
fn a_source_that_is_not_there() {
    skip_unless!(is_root(), "needs root");
    let mount =
        json!({ "destination": "/mnt", "type": "bind", "source": "/no/such/source", "options": ["bind"] });
    assert_fails(&Bundle::probe(&["exit", "0"]).mount(mount), 125, "/no/such/source");
}

#[test]
fn a_destination_that_escapes_changes_nothing_outside() {
    skip_unless!(is_root(), "needs root");
    let outside = Scratch::new("outside");
    let bundle = Bundle::probe(&["exit", "0"]);
    symlink(outside.path(), bundle.rootfs().join("link")).expect("cannot plant the link");
    let mount = json!({ "destination": "/link/made", "type": "tmpfs", "source": "tmpfs", "options": [] });
    let bundle = bundle.mount(mount);
    let runtime = Runtime::sandrun();
    runtime.run(&bundle);
    assert_eq!(fs::read_dir(outside.path()).expect("still there").count(), 0, "made outside");
    leaks::assert_none(&runtime, &bundle);
}

#[test]
fn a_limit_that_no_controller_can_hold() {
    skip_unless!(is_root(), "needs root");
    let bundle = with(|config| config["linux"]["resources"]["cpu"] = json!({ "cpus": "4090-4095" }));
    assert_fails(&bundle, 125, "4090-4095");
}

#[test]
fn verbs_for_a_container_that_is_not_there() {
    let runtime = Runtime::sandrun();
    for words in [
        ["state", "nobody"],
        ["start", "nobody"],
        ["kill", "nobody"],
        ["delete", "nobody"],
        ["pause", "nobody"],
    ] {
        let output = runtime.call(&words);
        assert_told(&output, 125, "nobody");
        assert!(output.stderr.contains("does not exist"), "what containerd looks for: {output}");
    }
}
