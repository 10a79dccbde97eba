//! What a container uses, and what happens to it, as `events` and `state` tell.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Bundle, Runtime, is_root};

const MIB: i64 = 1 << 20;

fn running(runtime: &Runtime) -> Bundle {
    let bundle = Bundle::probe(&["sleep", "60"]).edit(|config| {
        config["linux"]["resources"]["memory"] = json!({ "limit": 32 * MIB, "swap": 32 * MIB });
        config["linux"]["resources"]["pids"] = json!({ "limit": 30 });
    });
    runtime.create(&bundle).ok();
    runtime.call(&["start", &bundle.id]).ok();
    bundle
}

#[test]
fn statistics_are_one_object_with_the_names_of_runc() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let bundle = running(&runtime);
    let seen = runtime.call(&["events", "--stats", &bundle.id]).ok().json();
    assert_eq!((&seen["type"], &seen["id"]), (&json!("stats"), &json!(bundle.id)));
    let data = &seen["data"];
    assert_eq!(data["pids"]["limit"], 30, "{data}");
    assert!(data["pids"]["current"].as_i64().is_some_and(|count| count >= 1), "{data}");
    assert_eq!(data["memory"]["usage"]["limit"], 32 * MIB, "{data}");
    for path in ["/memory/usage/usage", "/cpu/usage/total", "/memory/raw/pgfault"] {
        assert!(data.pointer(path).and_then(Value::as_u64).is_some_and(|value| value > 0), "{path}: {data}");
    }
    runtime.call(&["kill", &bundle.id, "KILL"]).ok();
    runtime.await_status(&bundle, "stopped");
    let output = runtime.call(&["events", "--stats", &bundle.id]);
    assert!(output.code == 125 && output.stderr.contains("not running"), "{output}");
}

/// Whatever runc tells of a container is told here.
#[test]
fn nothing_is_missing_that_runc_has() {
    skip_unless!(is_root(), "needs root");
    let Some(runc) = Runtime::peer("runc") else { skip!("needs runc to compare with") };
    let told = |runtime: &Runtime| {
        let bundle = running(runtime);
        runtime.call(&["events", "--stats", &bundle.id]).ok().json()["data"].clone()
    };
    let (theirs, ours) = (told(&runc), told(&Runtime::sandrun()));
    let mut missing = Vec::new();
    absent(&theirs, &ours, "", &mut missing);
    // What is zero comes and goes; which lists of block I/O there are depends on what was read from a disk.
    missing.retain(|path| !path.starts_with("/blkio") && theirs.pointer(path) != Some(&json!(0)));
    assert!(missing.is_empty(), "{missing:?} of {theirs} is not in {ours}");
}

fn absent(theirs: &Value, ours: &Value, at: &str, missing: &mut Vec<String>) {
    for (name, value) in theirs.as_object().into_iter().flatten() {
        let path = format!("{at}/{name}");
        match ours.get(name) {
            None => missing.push(path),
            Some(own) => absent(value, own, &path, missing),
        }
    }
}

#[test]
fn running_out_of_memory_is_told_and_the_end_ends_it() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let bundle = running(&runtime);
    let mut command = runtime.command(&["events", "--interval", "100ms", &bundle.id]);
    let mut events = command.stdout(Stdio::piped()).spawn().expect("a runtime");
    let mut lines = BufReader::new(events.stdout.take().expect("its output")).lines();
    let mut next = || -> Option<Value> {
        lines.next().map(|line| serde_json::from_str(&line.expect("a line")).expect("JSON"))
    };
    let (first, second) = (next().expect("a line"), next().expect("a line"));
    assert_eq!((&first["type"], &second["type"]), (&json!("stats"), &json!("stats")));
    let counted = |line: &Value| line["data"]["cpu"]["usage"]["total"].as_u64().expect("a count");
    assert!(counted(&second) >= counted(&first));

    assert_eq!(runtime.call(&["exec", &bundle.id, "/probe", "eat", "64"]).code, 137);
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut heard = next().expect("a line");
    while heard["type"] == "stats" && Instant::now() < deadline {
        heard = next().expect("a line");
    }
    assert_eq!(heard, json!({ "type": "oom", "id": bundle.id }));
    let state = runtime.call(&["state", &bundle.id]).ok().json();
    assert!(state["sandrun"]["oomKills"].as_u64().is_some_and(|kills| kills >= 1), "{state}");

    runtime.call(&["kill", &bundle.id, "KILL"]).ok();
    while next().is_some() {
        assert!(Instant::now() < deadline + Duration::from_secs(10), "it does not end with the container");
    }
    assert!(events.wait().expect("a status").success());
}

#[test]
fn a_container_that_ran_out_of_memory_says_so_after_its_end() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let eat = |mib: &str| {
        Bundle::probe(&["eat", mib]).edit(|config| {
            config["linux"]["resources"]["memory"] = json!({ "limit": 24 * MIB, "swap": 24 * MIB });
        })
    };
    for (mib, code, killed) in [("8", 0, false), ("64", 137, true)] {
        let bundle = eat(mib);
        assert_eq!(runtime.run_with(&bundle, &["--keep"]).code, code);
        let state = runtime.call(&["state", &bundle.id]).ok().json();
        assert_eq!(state["status"], "stopped");
        assert_eq!(state["sandrun"]["oomKills"].as_u64().map(|kills| kills > 0), Some(killed), "{state}");
    }
}

#[test]
fn a_bad_interval_is_refused() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    for interval in ["0s", "-1s", "soon"] {
        let output = runtime.call(&["events", &format!("--interval={interval}"), "nobody"]);
        assert!(output.code == 125 && output.stderr.contains("duration"), "{output}");
    }
}
