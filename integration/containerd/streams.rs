//! What goes in and out of a container: exec, attach, logs, a forwarded port.

use std::time::{Duration, Instant};

use serde_json::json;

use super::node::Way;

both_ways! {
    commands_run_and_answer
    a_person_at_a_terminal
    logs_are_complete_and_in_order
    a_port_is_forwarded
}

fn commands_run_and_answer(way: Way) {
    let node = node!(way);
    let pod = node.pod();
    let container = pod.run(&["/bin/sleep", "1000"]);
    let output = container.exec(&["sh", "-c", "echo out; echo err >&2; exit 3"]);
    assert_eq!((output.code, &*output.stdout, &*output.stderr), (3, "out\n", "err\n"));
    assert_eq!(container.exec(&["sh", "-c", "kill -SEGV $$"]).code, 128 + 11);
    let started = Instant::now();
    let output = container.exec(&["/no/such/program"]);
    assert!(output.stderr.contains("cannot run \"/no/such/program\""), "{output}");
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "{:?} for a command that is missing",
        started.elapsed()
    );
    let output = container.exec_within(1, &["sleep", "1004"]);
    assert!(
        output.stderr.contains("DeadlineExceeded") || output.stderr.contains("timeout 1s exceeded"),
        "{output}"
    );
    node.until("what took too long is killed", || {
        !container.exec(&["ps"]).ok().stdout.contains("sleep 1004")
    });
    // More than a pipe or a fifo holds.
    let output = container.exec(&["sh", "-c", "head -c 300000 /dev/zero | tr '\\0' x"]).ok();
    assert_eq!(output.stdout.len(), 300_000);
    let mut stream =
        container.exec_stream(false, &["sh", "-c", "read line; echo $line; echo err >&2; exit 6"]);
    stream.say(b"into it\n");
    let output = stream.end();
    assert_eq!((output.code, &*output.stdout, &*output.stderr), (6, "into it\n", "err\n"));
    pod.remove();
    node.assert_empty();
}

fn a_person_at_a_terminal(way: Way) {
    let node = node!(way);
    let pod = node.pod();
    // A shell that edits lines asks the terminal where the cursor is, and takes what is typed then for the answer.
    let shell = ["/bin/sh", "-c", "while read -r line; do eval \"$line\"; done"];
    let container = pod.run_with(&shell, |config| {
        config["stdin"] = json!(true);
        config["tty"] = json!(true);
    });
    let mut stream = container.exec_stream(true, &["/probe", "tty", "--winch"]);
    stream.until_it_says("\"isatty\":[true,true,true]");
    stream.resize(132, 43);
    let said = stream.end().ok().stdout;
    assert!(said.contains("\"columns\":132") && said.contains("\"rows\":43"), "{said}");
    let mut stream = container.exec_stream(true, &["/bin/sh", "-c", "echo ready; sleep 1005"]);
    stream.until_it_says("ready");
    stream.say(b"\x03");
    assert_eq!(stream.end().code, 130, "ctrl-c");
    let mut stream = container.attach(true);
    stream.say(b"echo $((6*7)); tty\n");
    stream.until_it_says("42");
    stream.until_it_says("/dev/pts/0");
    stream.resize(91, 37);
    stream.say(b"sleep 0.2; stty size\n");
    stream.until_it_says("37 91");
    stream.say(b"exit 5\n");
    stream.end().ok();
    assert_eq!(container.ended()["exit_code"], 5);
    pod.remove();
    node.assert_empty();
}

fn logs_are_complete_and_in_order(way: Way) {
    let node = node!(way);
    let pod = node.pod();
    let long = "x".repeat(16384);
    // containerd before 1.6.21 closes its side when a container has ended, whatever is still in it.
    let script = "echo first; sleep 0.3; echo second >&2; sleep 0.3; head -c 20000 /dev/zero | tr '\\0' x; echo; \
                  seq 5000; echo end; sleep 1";
    let container = pod.shell(script);
    assert_eq!(container.ended()["exit_code"], 0);
    container.await_log("stdout F end");
    let log = container.log();
    assert_eq!(log[..2], ["stdout F first", "stderr F second"]);
    assert_eq!(log[2], format!("stdout P {long}"));
    assert_eq!(log[3], format!("stdout F {}", "x".repeat(20000 - 16384)));
    let counted: Vec<String> = (1..=5000).map(|number| format!("stdout F {number}")).collect();
    assert_eq!(log[4..5004], counted);
    assert_eq!(log.len(), 5005);
    let fed = pod.run_with(&["/bin/sh", "-c", "read line; echo $line"], |config| {
        config["stdin"] = json!(true);
        config["stdin_once"] = json!(true);
    });
    let mut stream = fed.attach(false);
    stream.say(b"by hand\n");
    fed.await_log("stdout F by hand");
    stream.until_it_says("by hand");
    assert_eq!(fed.ended()["exit_code"], 0);
    pod.remove();
    node.assert_empty();
}

fn a_port_is_forwarded(way: Way) {
    let node = node!(way);
    let pod = node.pod();
    let container = pod.shell("mkdir /srv; echo served >/srv/page; exec httpd -f -p 8080 -h /srv");
    node.until("it listens", || container.exec(&["sh", "-c", "netstat -ltn | grep -q :8080"]).code == 0);
    let answer = pod.forward(8080, "GET /page HTTP/1.0\r\n\r\n");
    assert!(answer.ends_with("served\n"), "{answer}");
    pod.remove();
    node.assert_empty();
}
