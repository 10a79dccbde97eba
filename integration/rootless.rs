//! An ordinary user: containers of their own, in their own user namespace, with what they may not have stated
//! or refused, never left out in silence.

mod engine;
mod ids;
mod inside;

use serde_json::{Value, json};

use crate::support::{Bundle, Runtime, is_root, leaks};

/// Has no entry anywhere, and need not.
const USER: u32 = 51_234;

fn user() -> Runtime {
    Runtime::sandrun().of_user(USER)
}

/// The receipt's line about a layer.
fn layer(state: &Value, name: &str) -> Value {
    let layers = state["sandrun"]["receipt"]["layers"].as_array().expect("a receipt has layers");
    layers.iter().find(|layer| layer["layer"] == name).cloned().unwrap_or_default()
}

#[test]
fn root_inside_is_the_user_outside() {
    skip_unless!(is_root(), "needs root, to become an ordinary user");
    let runtime = user();
    let script = "id -u; cat /proc/self/uid_map; chown 1 /tmp/x 2>/dev/null || echo refused";
    let bundle = Bundle::shell(script).rootless(USER);
    let output = runtime.run(&bundle).ok();
    let words: Vec<&str> = output.stdout.split_whitespace().collect();
    assert_eq!(words, ["0", "0", &USER.to_string(), "1", "refused"]);
    assert_eq!(output.stderr, "", "nothing is said on success");
    leaks::assert_none(&runtime, &bundle);
}

#[test]
fn files_of_root_stay_out_of_reach() {
    skip_unless!(is_root(), "needs root, to become an ordinary user");
    let secret = |bundle: &Bundle| {
        let path = bundle.path().join("rootfs/secret");
        std::fs::write(&path, "secret").expect("cannot plant the secret");
        let owner_only = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&path, owner_only).expect("cannot protect the secret");
    };
    let bundle = Bundle::shell("cat /secret");
    secret(&bundle);
    assert_eq!(Runtime::sandrun().run(&bundle).ok().stdout, "secret", "root's own container reads it");
    let bundle = Bundle::shell("cat /secret").rootless(USER);
    secret(&bundle);
    assert_ne!(user().run(&bundle).code, 0, "an ordinary user's container read a file of root's");
}

#[test]
fn from_created_to_deleted() {
    skip_unless!(is_root(), "needs root, to become an ordinary user");
    let runtime = user();
    let bundle = Bundle::shell("sleep 60 & sleep 60").rootless(USER);
    runtime.create(&bundle).ok();
    assert_eq!(runtime.status(&bundle), "created");
    runtime.call(&["start", &bundle.id]).ok();
    assert_eq!(runtime.status(&bundle), "running");
    assert_eq!(runtime.call(&["exec", &bundle.id, "/bin/sh", "-c", "exit 9"]).code, 9);
    assert_ne!(runtime.call(&["delete", &bundle.id]).code, 0, "a running container was deleted");
    runtime.call(&["kill", "--all", &bundle.id, "KILL"]).ok();
    runtime.await_status(&bundle, "stopped");
    runtime.call(&["delete", &bundle.id]).ok();
    leaks::assert_none(&runtime, &bundle);
}

#[test]
fn an_exec_is_in_the_same_namespaces_and_as_confined() {
    skip_unless!(is_root(), "needs root, to become an ordinary user");
    let runtime = user();
    let bundle = Bundle::shell("sleep 60").rootless(USER);
    runtime.create(&bundle).ok();
    runtime.call(&["start", &bundle.id]).ok();
    let pid = runtime.call(&["state", &bundle.id]).ok().json()["pid"].clone();
    let inside = runtime.call(&["exec", &bundle.id, "/probe", "report"]).ok().json();
    for kind in ["user", "pid", "mnt", "net", "cgroup"] {
        let first = std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).expect("a namespace");
        assert_eq!(inside["namespaces"][kind], first.to_string_lossy().as_ref(), "{kind}");
    }
    let of_first = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a status");
    let script = ["exec", &bundle.id, "/bin/sh", "-c", "cat /proc/self/status"];
    let of_exec = runtime.call(&script).ok().stdout;
    for line in ["CapPrm:", "CapEff:", "CapBnd:", "NoNewPrivs:", "Seccomp:", "Seccomp_filters:"] {
        let value = |status: &str| status.lines().find(|text| text.starts_with(line)).map(str::to_owned);
        assert_eq!(value(&of_exec), value(&of_first), "{line}");
        assert!(value(&of_exec).is_some(), "{line}");
    }
}

#[test]
fn what_is_not_limited_is_in_the_receipt() {
    skip_unless!(is_root(), "needs root, to become an ordinary user");
    let runtime = user();
    let bundle = Bundle::probe(&["sleep", "60"]).rootless(USER);
    runtime.create(&bundle).ok();
    let state = runtime.call(&["state", &bundle.id]).ok().json();
    assert_eq!(layer(&state, "cgroup")["state"], "absent", "{state}");
    for name in ["namespaces", "capabilities", "no_new_privs"] {
        assert_eq!(layer(&state, name)["state"], "enforced", "{name}: {state}");
    }
}

#[test]
fn a_limit_that_cannot_be_applied_is_refused_by_field() {
    skip_unless!(is_root(), "needs root, to become an ordinary user");
    let runtime = user();
    for (limit, field) in [
        (json!({ "memory": { "limit": 50_000_000 } }), "linux.resources.memory.limit"),
        (json!({ "pids": { "limit": 10 } }), "linux.resources.pids.limit"),
    ] {
        let bundle = Bundle::shell("echo ran")
            .rootless(USER)
            .edit(|config| config["linux"]["resources"] = limit.clone());
        let output = runtime.run(&bundle);
        assert_eq!((output.code, output.stdout.as_str()), (125, ""), "{output}");
        assert!(output.stderr.contains(field), "{output}");
        leaks::assert_none(&runtime, &bundle);
    }
}

#[test]
fn a_state_directory_of_somebody_else_is_explained() {
    skip_unless!(is_root(), "needs root, to become an ordinary user");
    let runtime = user();
    let bundle = Bundle::shell("true").rootless(USER);
    bundle.write();
    std::os::unix::fs::chown(runtime.root(), Some(0), Some(0)).expect("cannot take the directory back");
    let path = bundle.path().display().to_string();
    let output = runtime.call(&["run", "--bundle", &path, &bundle.id]);
    assert_eq!(output.code, 125, "{output}");
    assert!(output.stderr.contains("--root"), "{output}");
}
