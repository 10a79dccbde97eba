//! Hooks: when each kind runs, where, what it is told, and what comes of one that fails.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Bundle, Runtime, is_root, leaks};

const POINTS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// A hook of the host's shell.
fn shell(script: &str) -> Value {
    json!({ "path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"] })
}

/// A bundle with one hook at each point; each appends a line to the file `told` (in the container's root for the
/// one inside): its name, its mount namespace, its working directory, and what it has read.
fn with_all_hooks(script: &str) -> Bundle {
    let bundle = Bundle::shell(script);
    let told = bundle.path().join("told");
    bundle.edit(|config| {
        for point in POINTS {
            let file = if point == "startContainer" { Path::new("/told") } else { told.as_path() };
            let line = format!(
                "echo {point} $(readlink /proc/self/ns/mnt) $(pwd) $(cat) $HOOK >> {}",
                file.display()
            );
            let mut hook = shell(&line);
            hook["env"].as_array_mut().unwrap().push(json!("HOOK=env"));
            config["hooks"][point] = json!([hook]);
        }
    })
}

struct Told {
    point: String,
    namespace: String,
    dir: String,
    state: Value,
}

fn read(file: &Path) -> Vec<Told> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = |line: &str| {
        let mut words = line.splitn(4, ' ').map(str::to_owned);
        let [point, namespace, dir, rest] = std::array::from_fn(|_| words.next().unwrap_or_default());
        let state = rest.strip_suffix(" env").unwrap_or_else(|| panic!("no environment in {line}"));
        let state = serde_json::from_str(state).unwrap_or_else(|error| panic!("{error} in {line}"));
        Told { point, namespace, dir, state }
    };
    text.lines().map(line).collect()
}

#[test]
fn each_kind_runs_in_its_turn_and_place() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let bundle = with_all_hooks("sleep 60").edit(|config| config["annotations"] = json!({ "a": "b" }));
    let outside = bundle.path().join("told");
    let points = |file: &Path| -> Vec<String> { read(file).into_iter().map(|told| told.point).collect() };
    runtime.create(&bundle).ok();
    assert_eq!(points(&outside), ["prestart", "createRuntime", "createContainer"]);
    let pid = runtime.call(&["state", &bundle.id]).ok().json()["pid"].clone();
    let inside = bundle.rootfs().join("told");
    assert!(!inside.exists(), "startContainer ran before start");
    runtime.call(&["start", &bundle.id]).ok();
    assert_eq!(points(&inside), ["startContainer"]);
    assert_eq!(points(&outside)[3..], ["poststart"]);
    let ours = fs::read_link("/proc/self/ns/mnt").unwrap().display().to_string();
    let theirs = fs::read_link(format!("/proc/{pid}/ns/mnt")).unwrap().display().to_string();
    runtime.call(&["delete", "--force", &bundle.id]).ok();
    assert_eq!(points(&outside)[4..], ["poststop"]);
    let bundle_dir = bundle.path().display().to_string();
    let expected = [
        ("prestart", &ours, json!(pid), "created"),
        ("createRuntime", &ours, json!(pid), "creating"),
        ("createContainer", &theirs, json!(1), "creating"),
        ("poststart", &ours, json!(pid), "running"),
        ("poststop", &ours, Value::Null, "stopped"),
        ("startContainer", &theirs, json!(1), "created"),
    ];
    let told = read(&outside).into_iter().chain(read(&inside));
    for (told, (point, namespace, pid, status)) in told.zip(expected) {
        assert_eq!((told.point.as_str(), &told.namespace), (point, namespace));
        let dir = if point == "startContainer" { "/" } else { &bundle_dir };
        assert_eq!(told.dir, dir, "{point}");
        assert_eq!(told.state["pid"], pid, "{point}");
        assert_eq!(told.state["status"], status, "{point}");
        assert_eq!(told.state["id"], bundle.id, "{point}");
        assert_eq!(told.state["bundle"], bundle_dir, "{point}");
        assert_eq!(told.state["annotations"], json!({ "a": "b" }), "{point}");
        assert!(told.state["ociVersion"].is_string(), "{point}");
    }
    leaks::assert_none(&runtime, &bundle);
}

#[test]
fn run_runs_all_of_them() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let bundle = with_all_hooks("cat /told > /seen");
    runtime.run(&bundle).ok();
    assert!(fs::read_to_string(bundle.rootfs().join("seen")).unwrap().starts_with("startContainer"));
    let points: Vec<String> = read(&bundle.path().join("told")).into_iter().map(|told| told.point).collect();
    assert_eq!(points, ["prestart", "createRuntime", "createContainer", "poststart", "poststop"]);
    leaks::assert_none(&runtime, &bundle);
}

/// A mount that a hook makes in the container's namespaces is there for the program, and nowhere else.
#[test]
fn the_container_can_be_prepared() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let bundle = Bundle::shell("cat /mnt/file; touch /etc/more 2>&1").edit(|config| {
        config["root"]["readonly"] = json!(true);
        config["hooks"]["createContainer"] = json!([shell(
            "mkdir -p rootfs/mnt && mount -t tmpfs none rootfs/mnt && echo here > rootfs/mnt/file"
        )]);
    });
    let output = runtime.run(&bundle);
    assert!(output.stdout.starts_with("here\n"), "{output}");
    assert!(output.stdout.contains("Read-only file system"), "{output}");
    leaks::assert_none(&runtime, &bundle);
}

#[test]
fn one_that_fails_while_the_container_is_made_leaves_nothing() {
    skip_unless!(is_root(), "needs root");
    for point in ["prestart", "createRuntime", "createContainer"] {
        let runtime = Runtime::sandrun();
        let bundle = Bundle::probe(&["sleep", "60"]);
        let stopped = bundle.path().join("stopped");
        let bundle = bundle.edit(|config| {
            config["hooks"][point] = json!([shell("echo the reason >&2; exit 3"), shell("touch never")]);
            config["hooks"]["poststop"] = json!([shell(&format!("cat > {}", stopped.display()))]);
        });
        let output = runtime.create(&bundle);
        assert_eq!(output.code, 1, "{output}");
        for words in ["/bin/sh", &format!("hooks.{point}[0]"), "code 3", "the reason"] {
            assert!(output.stderr.contains(words), "{words:?} is not in {output}");
        }
        assert!(!bundle.path().join("never").exists(), "{point}: the next hook ran");
        assert!(fs::read_to_string(stopped).unwrap().contains("stopped"), "{point}: no poststop");
        leaks::assert_none(&runtime, &bundle);
    }
}

#[test]
fn one_that_fails_at_start_stops_the_container() {
    skip_unless!(is_root(), "needs root");
    for point in ["startContainer", "poststart"] {
        let runtime = Runtime::sandrun();
        let bundle = Bundle::shell("touch /ran; sleep 60")
            .edit(|config| config["hooks"][point] = json!([shell("echo the reason; exit 3")]));
        runtime.create(&bundle).ok();
        let output = runtime.call(&["start", &bundle.id]);
        assert_eq!(output.code, 1, "{output}");
        assert!(output.stderr.contains(&format!("hooks.{point}[0]")), "{output}");
        assert!(output.stderr.contains("the reason"), "{output}");
        runtime.await_status(&bundle, "stopped");
        if point == "startContainer" {
            assert!(!bundle.rootfs().join("ran").exists(), "the program ran all the same");
        }
        runtime.call(&["delete", &bundle.id]).ok();
        leaks::assert_none(&runtime, &bundle);
    }
}

#[test]
fn one_that_fails_after_the_end_is_told_and_the_others_run() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let bundle = Bundle::probe(&["exit", "0"]).edit(|config| {
        config["hooks"]["poststop"] =
            json!([shell("exit 4"), shell("touch last"), { "path": "/nowhere/hook" }]);
    });
    let output = runtime.run(&bundle).ok();
    assert!(output.stderr.contains("hooks.poststop[0]") && output.stderr.contains("code 4"), "{output}");
    assert!(output.stderr.contains("/nowhere/hook") && output.stderr.contains("No such file"), "{output}");
    assert!(bundle.path().join("last").exists(), "the second hook did not run");
    leaks::assert_none(&runtime, &bundle);
}

#[test]
fn one_that_takes_too_long_is_killed() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let mut hook = shell("echo $$ > pid; exec sleep 60");
    hook["timeout"] = json!(1);
    let bundle =
        Bundle::probe(&["exit", "0"]).edit(|config| config["hooks"]["createRuntime"] = json!([hook]));
    let before = Instant::now();
    let output = runtime.create(&bundle);
    assert!(output.stderr.contains("did not end within 1 s"), "{output}");
    assert!(before.elapsed() < Duration::from_secs(30), "it was waited for");
    let pid = fs::read_to_string(bundle.path().join("pid")).unwrap();
    assert!(!Path::new(&format!("/proc/{}", pid.trim())).exists(), "it still runs");
    leaks::assert_none(&runtime, &bundle);
}

/// A hook inside is a program of the image's: it gets no system call that the container does not get. At level
/// `oci`, without a profile, the same hook makes a namespace.
#[test]
fn one_inside_is_confined_like_the_program() {
    skip_unless!(is_root(), "needs root");
    let gate = |level: &str| -> String {
        let runtime = Runtime::at_level(level);
        let bundle = Bundle::shell("cat /found").edit(|config| {
            config["hooks"]["startContainer"] = json!([shell("/probe gates unshare-user > /found")]);
        });
        let output = runtime.run(&bundle).ok();
        leaks::assert_none(&runtime, &bundle);
        output.stdout
    };
    let (weak, strong) = (gate("oci"), gate("baseline"));
    assert!(weak.contains("\"open\":true"), "the attack does not work: {weak}");
    assert!(strong.contains("\"open\":false"), "{strong}");
}

#[test]
fn inside_it_has_the_environment_of_the_program_with_a_home() {
    skip_unless!(is_root(), "needs root");
    let script = "test \"$ONE\" = two && echo \"$HOME\" >> /told";
    let bundle = Bundle::shell(script).edit(|config| {
        config["process"]["env"] = json!(["PATH=/bin", "ONE=two"]);
        let args = ["sh", "-c", script];
        config["hooks"]["startContainer"] = json!([{ "path": "/bin/sh", "args": args }]);
    });
    Runtime::sandrun().run(&bundle).ok();
    let told = fs::read_to_string(bundle.rootfs().join("told")).expect("both wrote it");
    let homes: Vec<&str> = told.lines().collect();
    assert!(homes.len() == 2 && homes[0] == homes[1] && homes[0].starts_with('/'), "{homes:?}");
}

#[test]
fn one_that_says_nothing_of_its_environment_has_the_callers() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    for (env, code) in [(json!(null), 0), (json!([]), 1)] {
        let bundle = Bundle::probe(&["exit", "0"]).edit(|config| {
            let args = ["sh", "-c", "test \"$MARK\" = here"];
            config["hooks"]["prestart"] = json!([{ "path": "/bin/sh", "args": args, "env": env }]);
        });
        bundle.write();
        runtime.adopt(&bundle);
        let path = bundle.path().display().to_string();
        let mut command = runtime.command(&["run", "--bundle", &path, &bundle.id]);
        let output = command.env("MARK", "here").output().expect("cannot run sandrun");
        assert_eq!(output.status.code(), Some(code), "{output:?}");
    }
}
