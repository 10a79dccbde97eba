//! Limits of a container that lives: they change for what runs in it, and in what is stored of it.

use std::fs::{self, File};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{Bundle, Output, Runtime, is_root};

const MIB: i64 = 1 << 20;

fn limited() -> Bundle {
    Bundle::probe(&["sleep", "60"]).edit(|config| {
        config["linux"]["resources"]["memory"] = json!({ "limit": 64 * MIB, "swap": 64 * MIB });
        config["linux"]["resources"]["cpu"] = json!({ "shares": 512, "quota": 50_000, "period": 100_000 });
        config["linux"]["resources"]["pids"] = json!({ "limit": 30 });
    })
}

fn running(runtime: &Runtime) -> Bundle {
    let bundle = limited();
    runtime.create(&bundle).ok();
    runtime.call(&["start", &bundle.id]).ok();
    bundle
}

/// The limits as a process in the container reads them.
#[track_caller]
fn inside(runtime: &Runtime, bundle: &Bundle) -> Value {
    runtime.call(&["exec", &bundle.id, "/probe", "cgroup"]).ok().json()["limits"].clone()
}

/// The receipt's line about limits.
#[track_caller]
fn receipt(runtime: &Runtime, bundle: &Bundle) -> (String, String) {
    let state = runtime.call(&["state", &bundle.id]).ok().json();
    let layers = state["sandrun"]["receipt"]["layers"].as_array().expect("layers").clone();
    let layer = layers.into_iter().find(|layer| layer["layer"] == "cgroup").expect("a layer");
    let text = |member: &str| layer[member].as_str().expect("a text").to_owned();
    (text("state"), text("detail"))
}

fn update(runtime: &Runtime, bundle: &Bundle, flags: &[&str]) -> Output {
    let mut words = vec!["update"];
    words.extend(flags);
    words.push(&bundle.id);
    runtime.call(&words)
}

#[test]
fn flags_change_what_the_container_reads_and_what_its_state_says() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let bundle = running(&runtime);
    let before = inside(&runtime, &bundle);
    assert_eq!(before["memory"], (64 * MIB).to_string());
    let flags = [
        "--memory",
        "96M",
        "--memory-swap=128m",
        "--pids-limit",
        "44",
        "--cpu-quota",
        "30000",
        "--cpu-share=1024",
    ];
    let said = update(&runtime, &bundle, &flags).ok();
    assert_eq!((said.stdout.as_str(), said.stderr.as_str()), ("", ""), "nothing is said on success");
    let after = inside(&runtime, &bundle);
    assert_eq!(after["memory"], (96 * MIB).to_string(), "{after}");
    assert_eq!(after["pids"], "44", "{after}");
    assert!(after["cpuMax"].as_str().is_some_and(|text| text.starts_with("30000")), "{after}");
    let (state, detail) = receipt(&runtime, &bundle);
    assert_eq!(state, "enforced", "{detail}");
    assert!(detail.contains("=44") && detail.contains(&(96 * MIB).to_string()), "{detail}");
    assert!(!detail.contains(&format!("={}", 64 * MIB)), "an old limit is still told: {detail}");
}

#[test]
fn resources_come_from_a_file_or_from_standard_input() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let bundle = running(&runtime);
    let file = bundle.path().join("resources.json");
    for (flags, limit) in [
        (vec!["--resources".to_owned(), "-".to_owned()], 41),
        (vec!["--resources=-".to_owned()], 42),
        (vec!["-r".to_owned(), "-".to_owned()], 43),
        (vec![format!("--resources={}", file.display())], 44),
    ] {
        // What engines send: everything they know of, empty parts too.
        let resources = json!({
            "pids": { "limit": limit }, "memory": { "limit": 0, "swap": 0 }, "cpu": {}, "blockIO": { "weight": 0 },
            "devices": [{ "allow": false, "access": "rwm" }]
        });
        fs::write(&file, resources.to_string()).expect("cannot write the file");
        let mut words = vec!["update"];
        words.extend(flags.iter().map(String::as_str));
        words.push(&bundle.id);
        let mut command = runtime.command(&words);
        command.stdin(Stdio::from(File::open(&file).expect("a file")));
        let output = command.output().expect("a runtime");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && stderr.is_empty(), "{flags:?}: {stderr}");
        assert_eq!(inside(&runtime, &bundle)["pids"], limit.to_string());
    }
}

#[test]
fn created_and_paused_are_updated_and_stopped_is_not() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let bundle = limited();
    runtime.create(&bundle).ok();
    update(&runtime, &bundle, &["--pids-limit", "31"]).ok();
    runtime.call(&["start", &bundle.id]).ok();
    assert_eq!(inside(&runtime, &bundle)["pids"], "31");
    runtime.call(&["pause", &bundle.id]).ok();
    update(&runtime, &bundle, &["--pids-limit", "32"]).ok();
    assert_eq!(runtime.status(&bundle), "paused");
    runtime.call(&["resume", &bundle.id]).ok();
    assert_eq!(inside(&runtime, &bundle)["pids"], "32");
    runtime.call(&["kill", &bundle.id, "KILL"]).ok();
    runtime.await_status(&bundle, "stopped");
    let output = update(&runtime, &bundle, &["--pids-limit", "33"]);
    assert!(output.code == 125 && output.stderr.contains("container not running"), "{output}");
}

#[test]
fn a_new_limit_holds_for_what_already_runs() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let bundle = running(&runtime);
    let eat = |mib: &str| runtime.call(&["exec", &bundle.id, "/probe", "eat", mib]);
    assert_eq!(eat("48").ok().json()["touchedMib"], 48);
    update(&runtime, &bundle, &["--memory=32M", "--memory-swap=32M"]).ok();
    assert_eq!(eat("48").code, 137, "it got more than the limit");
    update(&runtime, &bundle, &["--memory=96M", "--memory-swap=96M"]).ok();
    assert_eq!(eat("48").ok().json()["touchedMib"], 48);
    let forked = |count: &str| runtime.call(&["exec", &bundle.id, "/probe", "forkbomb", count]).ok().json();
    assert_eq!(forked("20")["forked"], 20);
    update(&runtime, &bundle, &["--pids-limit=10"]).ok();
    assert_eq!(forked("20")["errno"], "EAGAIN");
}

#[test]
fn if_one_limit_is_refused_none_is_changed() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let bundle = running(&runtime);
    let (before, told) = (inside(&runtime, &bundle), receipt(&runtime, &bundle));
    for flags in [
        // The kernel refuses the second, after the first was written.
        ["--memory=96M", "--memory-swap=96M", "--cpuset-cpus=4000"],
        ["--memory=96M", "--memory-swap=96M", "--cpuset-cpus=all"],
        ["--pids-limit=3", "--memory=96M", "--memory-swap=80M"],
    ] {
        let output = update(&runtime, &bundle, &flags);
        assert_eq!(output.code, 125, "{flags:?}: {output}");
        assert!(output.stderr.contains("linux.resources."), "no field is named: {output}");
        let mut after = inside(&runtime, &bundle);
        after["procs"].clone_from(&before["procs"]);
        assert_eq!(after, before, "{flags:?}: {output}");
        assert_eq!(receipt(&runtime, &bundle), told);
    }
}

#[test]
fn a_default_that_is_lifted_and_what_has_no_effect_are_listed() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let bundle = Bundle::probe(&["sleep", "60"]);
    runtime.create(&bundle).ok();
    runtime.call(&["start", &bundle.id]).ok();
    let output = update(&runtime, &bundle, &["--pids-limit=-1", "--kernel-memory=64M"]).ok();
    let state = runtime.call(&["state", &bundle.id]).ok().json();
    let changes = state["sandrun"]["changes"].to_string();
    for field in ["linux.resources.pids.limit", "linux.resources.memory.kernel"] {
        assert!(output.stderr.contains(field), "{output}");
        assert!(changes.contains(field), "{changes}");
    }
    assert_eq!(inside(&runtime, &bundle)["pids"], "max");
}

#[test]
fn mistakes_are_explained() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let bundle = running(&runtime);
    for (flags, word) in [
        (vec!["--l3-cache-schema", "L3:0=f"], "intelRdt"),
        (vec!["--mem-bw-schema", "MB:0=10"], "intelRdt"),
        (vec!["--memory", "lots"], "no size"),
        (vec!["--resources", "/nowhere", "--pids-limit", "3"], "both"),
        (vec!["--resources", "/nowhere"], "/nowhere"),
    ] {
        let output = update(&runtime, &bundle, &flags);
        assert!(output.code == 125 && output.stderr.contains(word), "{flags:?}: {output}");
    }
    let missing = runtime.call(&["update", "--pids-limit", "3", "nobody"]);
    assert!(missing.stderr.contains("does not exist"), "{missing}");
}
