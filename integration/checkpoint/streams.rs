//! Where input and output go after a restore: files, pipes, terminals.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{COUNTER, Trial, obstacle};
use crate::support::{Bundle, Runtime, leaks};

#[test]
fn in_the_foreground_it_ends_with_the_code_of_its_program() {
    needs_criu!();
    let script = "trap 'exit 42' USR1; echo $$ > /dev/shm/n; while :; do sleep 0.05; done";
    let trial = Trial::start(Bundle::shell(script));
    trial.count_beyond(0);
    trial.checkpoint(&[]);
    trial.bundle.write();
    let (images, dir) = (trial.images(), trial.bundle.path().display().to_string());
    let words = ["restore", "--image-path", &images, "--bundle", &dir, &trial.bundle.id];
    let output = fs::File::create(trial.bundle.path().join("output")).expect("a file");
    let mut command = trial.runtime.command(&words);
    command.stdin(Stdio::null()).stdout(output.try_clone().expect("a copy")).stderr(output);
    let mut restored = command.spawn().expect("it starts");
    let deadline = Instant::now() + Duration::from_secs(20);
    while trial.runtime.call(&["kill", &trial.bundle.id, "USR1"]).code != 0 {
        assert!(Instant::now() < deadline, "it is not restored");
        std::thread::sleep(Duration::from_millis(50));
    }
    let status = restored.wait().expect("it ends");
    assert_eq!(status.code(), Some(42));
    leaks::assert_none(&trial.runtime, &trial.bundle);
}

#[test]
fn a_file_cannot_go_on_as_a_pipe() {
    needs_criu!();
    let trial = Trial::start(Bundle::shell(COUNTER));
    trial.count_beyond(2);
    trial.checkpoint(&[]);
    let (images, dir) = (trial.images(), trial.bundle.path().display().to_string());
    let words = ["restore", "--detach", "--image-path", &images, "--bundle", &dir, &trial.bundle.id];
    let output = trial.runtime.command(&words).stdin(Stdio::null()).output().expect("it ends");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("descriptor 1 cannot go on"), "{error}");
    leaks::assert_none(&trial.runtime, &trial.bundle);
}

/// Pipes, as a shim has them.
#[test]
fn pipes_are_replaced_by_those_of_the_restorer() {
    needs_criu!();
    let bundle =
        Bundle::shell("i=0; while :; do i=$((i+1)); echo tick $i; echo $i > /dev/shm/n; sleep 0.05; done");
    bundle.write();
    let runtime = Runtime::at_level("oci");
    runtime.adopt(&bundle);
    let dir = bundle.path().display().to_string();
    let mut run = runtime.command(&["run", "--bundle", &dir, &bundle.id]);
    let mut running =
        run.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    let mut lines = BufReader::new(running.stdout.take().expect("a pipe"));
    let mut line = String::new();
    lines.read_line(&mut line).expect("it says something");
    assert_eq!(line, "tick 1\n");
    let images = bundle.path().join("images").display().to_string();
    runtime.call(&["checkpoint", "--image-path", &images, &bundle.id]).ok();
    drop(lines);
    running.wait().expect("it ends");
    let mut restore = runtime.command(&["restore", "--image-path", &images, "--bundle", &dir, &bundle.id]);
    restore.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut restored = restore.spawn().expect("it starts");
    let mut lines = BufReader::new(restored.stdout.take().expect("a pipe"));
    let mut line = String::new();
    lines.read_line(&mut line).expect("it says something");
    let number: u64 = line.trim().trim_start_matches("tick ").parse().unwrap_or_else(|_| panic!("{line:?}"));
    assert!(number > 1, "{line}");
    runtime.call(&["kill", &bundle.id, "KILL"]).ok();
    assert_eq!(restored.wait().expect("it ends").code(), Some(137));
    leaks::assert_none(&runtime, &bundle);
}

/// Accepts connections and keeps what is sent.
fn console(path: &Path) -> UnixListener {
    // The one of the checkpoint is used up.
    let _ = fs::remove_file(path);
    UnixListener::bind(path).expect("cannot listen")
}

#[test]
fn a_terminal_is_handed_over_again() {
    needs_criu!();
    let bundle = Bundle::shell("stty -echo; while read line; do echo \"got $line\"; done")
        .edit(|config| config["process"]["terminal"] = json!(true));
    let path = bundle.path().join("console");
    let socket = path.display().to_string();
    let runtime = Runtime::at_level("oci");
    bundle.write();
    runtime.adopt(&bundle);
    let listener = console(&path);
    let dir = bundle.path().display().to_string();
    runtime.call(&["create", "--bundle", &dir, "--console-socket", &socket, &bundle.id]).ok();
    let _first = crate::flags::receive(&listener.accept().expect("a connection").0);
    runtime.call(&["start", &bundle.id]).ok();
    std::thread::sleep(Duration::from_millis(300));
    let images = bundle.path().join("images").display().to_string();
    runtime.call(&["checkpoint", "--image-path", &images, &bundle.id]).ok();
    let listener = console(&path);
    let words =
        ["restore", "--detach", "--console-socket", &socket, "--image-path", &images, "--bundle", &dir];
    runtime.call(&[&words[..], &[bundle.id.as_str()]].concat()).ok();
    let (_, master) = crate::flags::receive(&listener.accept().expect("a connection").0);
    let mut terminal = fs::File::from(master);
    terminal.write_all(b"hello\n").expect("it listens");
    let mut said = String::new();
    let mut buffer = [0u8; 256];
    while !said.contains("got hello") {
        let count = terminal.read(&mut buffer).expect("it answers");
        said.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
}
