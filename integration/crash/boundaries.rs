//! SIGKILL at every system call of every verb. In CI at a dozen of them each; `SANDRUN_CRASH=all` walks them all.

use std::time::{Duration, Instant};

use serde_json::json;

use super::killer::{Victim, kill_at};
use crate::support::{Bundle, Runtime, Scratch, is_root, leaks};

/// How many points of a verb are tried in CI.
const SAMPLE: usize = 10;

/// How long after the crash something may be left.
const GRACE: Duration = Duration::from_secs(2);

/// Kills the victim at its system calls, one run for each; `before` brings the container to where the verb applies.
#[track_caller]
fn walk(bundle: &Bundle, words: &[&str], victim: Victim, before: &[&[&str]]) {
    let runtime = Runtime::sandrun();
    bundle.write();
    runtime.adopt(bundle);
    let crash = |number| {
        for words in before {
            runtime.call(&expand(words, bundle)).ok();
        }
        let said = bundle.path().join("said");
        let words = expand(words, bundle);
        let seen = kill_at(&runtime.command(&words), victim, number, &said);
        clean_up(&runtime, bundle, &format!("{words:?}, {victim:?} killed at call {number}"));
        seen
    };
    let all = crash(usize::MAX);
    assert!(all > 20, "{words:?} makes only {all} calls");
    let step = match std::env::var_os("SANDRUN_CRASH") {
        Some(_) => 1,
        None => all.div_ceil(SAMPLE),
    };
    // Not always the same ones.
    let first = 1 + std::process::id() as usize % step;
    let tried = (first..=all).step_by(step).map(crash).count();
    println!("{words:?}: {victim:?} killed at {tried} of {all} calls");
}

/// `BUNDLE` and `ID` stand for the bundle's.
fn expand<'a>(words: &[&'a str], bundle: &'a Bundle) -> Vec<&'a str> {
    let path = bundle.path().to_str().expect("a path of ours");
    let expanded = words.iter().map(|word| match *word {
        "BUNDLE" => path,
        "ID" => &bundle.id,
        word => word,
    });
    expanded.collect()
}

/// Deletes by force, once, and waits until nothing is left.
#[track_caller]
fn clean_up(runtime: &Runtime, bundle: &Bundle, after: &str) {
    let deleted = runtime.call(&["delete", "--force", &bundle.id]);
    assert_eq!(deleted.code, 0, "{after}: {deleted}");
    let deadline = Instant::now() + GRACE;
    loop {
        let left = leaks::all(runtime, bundle);
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "left after {after}: {left:#?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

const CREATE: &[&str] = &["create", "--bundle", "BUNDLE", "ID"];
const START: &[&str] = &["start", "ID"];
const RUN: &[&str] = &["run", "--detach", "--bundle", "BUNDLE", "ID"];
const EXEC: &[&str] = &["exec", "ID", "/probe", "exit", "0"];

fn sleeping() -> Bundle {
    Bundle::probe(&["sleep", "60"])
}

/// With everything that makes creation longer: a user namespace, an idmapped mount, a time namespace.
fn elaborate(source: &Scratch) -> Bundle {
    let mapping = json!([{ "containerID": 0, "hostID": 100_000, "size": 65536 }]);
    let mount = json!({
        "destination": "/mnt/in", "type": "bind", "source": source.path(), "options": ["rbind"],
        "uidMappings": mapping, "gidMappings": mapping,
    });
    sleeping().mount(mount).edit(|config| {
        let linux = &mut config["linux"];
        let namespaces = linux["namespaces"].as_array_mut().expect("a list");
        namespaces.extend([json!({ "type": "user" }), json!({ "type": "time" })]);
        linux["uidMappings"] = mapping.clone();
        linux["gidMappings"] = mapping.clone();
    })
}

#[test]
fn create() {
    skip_unless!(is_root(), "needs root");
    walk(&sleeping(), CREATE, Victim::Runtime, &[]);
}

#[test]
fn init_of_create() {
    skip_unless!(is_root(), "needs root");
    walk(&sleeping(), CREATE, Victim::Init, &[]);
}

#[test]
fn create_with_more_to_do() {
    skip_unless!(is_root(), "needs root");
    walk(&elaborate(&Scratch::new("source")), CREATE, Victim::Runtime, &[]);
}

#[test]
fn init_of_create_with_more_to_do() {
    skip_unless!(is_root(), "needs root");
    walk(&elaborate(&Scratch::new("source")), CREATE, Victim::Init, &[]);
}

/// With ids from the pool, which are to be free again.
fn with_private_ids() -> Bundle {
    sleeping().edit(|config| config["annotations"] = json!({ "dev.sandrun.private-ids": "true" }))
}

#[test]
fn create_with_private_ids() {
    skip_unless!(is_root(), "needs root");
    walk(&with_private_ids(), CREATE, Victim::Runtime, &[]);
}

#[test]
fn init_of_create_with_private_ids() {
    skip_unless!(is_root(), "needs root");
    walk(&with_private_ids(), CREATE, Victim::Init, &[]);
}

#[test]
fn delete_with_private_ids() {
    skip_unless!(is_root(), "needs root");
    walk(&with_private_ids(), &["delete", "--force", "ID"], Victim::Runtime, &[RUN]);
}

#[test]
fn run() {
    skip_unless!(is_root(), "needs root");
    walk(&sleeping(), RUN, Victim::Runtime, &[]);
}

#[test]
fn init_of_run() {
    skip_unless!(is_root(), "needs root");
    walk(&sleeping(), RUN, Victim::Init, &[]);
}

#[test]
fn start() {
    skip_unless!(is_root(), "needs root");
    walk(&sleeping(), START, Victim::Runtime, &[CREATE]);
}

#[test]
fn exec() {
    skip_unless!(is_root(), "needs root");
    walk(&sleeping(), EXEC, Victim::Runtime, &[RUN]);
}

#[test]
fn init_of_exec() {
    skip_unless!(is_root(), "needs root");
    walk(&sleeping(), EXEC, Victim::Init, &[RUN]);
}

#[test]
fn kill() {
    skip_unless!(is_root(), "needs root");
    walk(&sleeping(), &["kill", "--all", "ID", "KILL"], Victim::Runtime, &[RUN]);
}

#[test]
fn delete() {
    skip_unless!(is_root(), "needs root");
    walk(&sleeping(), &["delete", "--force", "ID"], Victim::Runtime, &[RUN]);
}

#[test]
fn pause() {
    skip_unless!(is_root(), "needs root");
    walk(&sleeping(), &["pause", "ID"], Victim::Runtime, &[RUN]);
}
