//! Words of errors by which engines decide, the log file in which they look for them, and exit codes.
//!
//! | who | looks for | and then |
//! | --- | --- | --- |
//! | runc shim, `kill` | `os: process already finished`, `container not running`, `no such process` | the task has ended |
//! | runc shim, `kill` and `delete` | `does not exist` | there is nothing to do |
//! | CRI-O, every call | `no such process`, `container not running` | there is nothing to do |
//! | dockerd, `create` | `permission denied`, `is a directory` | exit code 126 |
//! | dockerd, `create` | `executable file not found`, `no such file or directory` | exit code 127 |
//! | podman, `create` and `exec` | `permission denied`, `operation not permitted` | exit code 126 |
//! | podman, `create` and `exec` | `executable file not found in`, `no such file or directory` | exit code 127 |
//! | podman, `restore --lsm-mount-context` | `flag needs an argument` | it can restore into pods |

use std::fs;

use serde_json::{Value, json};

use super::gorunc::{Shim, Spelling};
use crate::support::{Bundle, Runtime, is_root};

fn shim() -> Shim {
    Shim::new(Spelling::Apart, None)
}

/// A call that must fail; the text is the last error of the log, and on standard error too.
#[track_caller]
fn refused(shim: &mut Shim, verb: &str, flags: &[(&str, &str)], rest: &[&str]) -> String {
    let answer = shim.call(verb, flags, rest);
    assert!(answer["code"].as_i64().is_some_and(|code| code != 0), "{verb}: {answer}");
    let text = shim.last_error();
    assert!(answer["stderr"].as_str().is_some_and(|stderr| stderr.contains(&text)), "{text:?}: {answer}");
    assert_eq!(text.lines().count(), 1, "{text:?}");
    text
}

#[test]
fn what_has_ended_is_told_in_the_words_that_are_looked_for() {
    skip_unless!(is_root(), "needs root");
    let mut shim = shim();
    let bundle = Bundle::shell("exit 0");
    let pid = shim.create(&bundle);
    shim.ask("start", &[], &[&bundle.id]);
    assert_eq!(shim.reap(pid), 0);
    for signal in ["15", "9", "KILL", "SIGTERM"] {
        let text = refused(&mut shim, "kill", &[], &[&bundle.id, signal]);
        assert!(text.contains("container not running"), "{signal}: {text}");
    }
    let process = shim.path("process.json");
    let true_program = json!({ "args": ["true"], "cwd": "/", "user": { "uid": 0, "gid": 0 } });
    fs::write(&process, true_program.to_string()).expect("cannot write the process");
    for (verb, flags) in [
        ("exec", &[("--process", process.as_str())][..]),
        ("pause", &[]),
        ("events", &[("--stats", "")]),
        ("update", &[("--pids-limit", "5")]),
    ] {
        let text = refused(&mut shim, verb, flags, &[&bundle.id]);
        assert!(text.contains("not running"), "{verb}: {text}");
    }
    shim.ask("delete", &[], &[&bundle.id]);
}

#[test]
fn what_is_not_there_is_told_in_the_words_that_are_looked_for() {
    let mut shim = shim();
    fs::create_dir(shim.runtime.root()).expect("cannot make the state directory");
    for (verb, rest) in
        [("kill", &["never", "9"][..]), ("delete", &["never"]), ("state", &["never"]), ("start", &["never"])]
    {
        let text = refused(&mut shim, verb, &[], rest);
        assert!(text.contains("does not exist"), "{verb}: {text}");
    }
    shim.ask("delete", &[("--force", "")], &["never"]);
}

/// By the exit codes of docker and podman, which read the text: 127, and 126.
#[test]
fn a_program_that_cannot_run_is_told_in_the_words_that_are_looked_for() {
    skip_unless!(is_root(), "needs root");
    let mut shim = shim();
    for (program, code, words) in [
        ("/no/such", 127, "no such file or directory"),
        ("nosuch", 127, "executable file not found in"),
        ("/etc", 126, "permission denied"),
        ("/text", 126, "permission denied"),
    ] {
        let bundle = Bundle::shell("").edit(|config| config["process"]["args"] = json!([program]));
        fs::write(bundle.rootfs().join("text"), "no program").expect("cannot write");
        bundle.write();
        let dir = bundle.path().display().to_string();
        assert_eq!(shim.give("create", &[("--bundle", &dir)], &[&bundle.id]), code, "{program}");
        let text = shim.last_error();
        assert!(text.to_lowercase().contains(words), "{program}: {text}");
        assert!(shim.said().contains(&text), "{program}: conmon reads standard error");
    }
}

/// A newer engine may know a flag that we do not; the shim shows the last error of the log.
#[test]
fn a_command_line_that_is_no_good_is_in_the_log() {
    let mut shim = shim();
    let text = refused(&mut shim, "create", &[("--bundle", "/b"), ("--unheard-of", "")], &["c"]);
    assert!(text.contains("--unheard-of"), "{text}");
    assert_eq!(shim.log().len(), 1);
}

#[test]
fn podman_finds_out_what_it_can_restore() {
    let runtime = Runtime::sandrun();
    assert_eq!(runtime.call(&["checkpoint", "--help"]).code, 0);
    let output = runtime.call(&["restore", "--lsm-mount-context"]);
    assert!(output.code != 0 && output.stderr.contains("flag needs an argument"), "{output}");
}

/// One object a line whatever is told: an error that has several lines, a warning, and what `--debug` adds.
#[test]
fn the_log_holds_objects_and_nothing_else() {
    skip_unless!(is_root(), "needs root");
    let mut shim = shim();
    let bundle = Bundle::shell("true").edit(|config| {
        config["process"]["capabilities"]["bounding"] = json!(["CAP_UNHEARD_OF"]);
        config["process"]["args"] = json!(["/no\nsuch\t\"program\"\\\u{1}"]);
    });
    bundle.write();
    let dir = bundle.path().display().to_string();
    let flags = [("--debug", ""), ("--bundle", dir.as_str())];
    assert_eq!(shim.give("create", &flags, &[&bundle.id]), 127, "--debug may come after the verb");
    let levels: Vec<Value> = shim.log().iter().map(|line| line["level"].clone()).collect();
    assert_eq!(levels, ["warning", "error"], "{:?}", shim.log());

    let bundle = Bundle::shell("true");
    bundle.write();
    shim.runtime.adopt(&bundle);
    let dir = bundle.path().display().to_string();
    assert_eq!(shim.give("create", &[("--debug", ""), ("--bundle", &dir)], &[&bundle.id]), 0);
    assert_eq!(shim.log().last().expect("what the level changed")["level"], "debug");
}
