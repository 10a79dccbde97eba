//! Descriptors and directories of the host that reach the container: CVE-2016-9962, CVE-2024-21626.

use std::process::Command;

use serde_json::json;

use super::Outside;
use crate::support::{Bundle, Runtime, is_root};

/// Leaves many descriptors open on a directory.
fn careless(runtime: Runtime, dir: &str) -> Runtime {
    let script = "for n in 3 4 5 6 7 8 9; do eval \"exec $n<\\\"$0\\\"\"; done; exec \"$@\"";
    runtime.wrapped(&["sh", "-c", script, dir])
}

#[test]
fn a_careless_chroot_leaks() {
    skip_unless!(is_root(), "needs root");
    let (outside, bundle) = (Outside::new(), Bundle::probe(&[]));
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec 7<\"$0\"; exec chroot \"$1\" /probe fd-reach 7 canary"]);
    let output = shell.arg(outside.path()).arg(bundle.rootfs()).output().expect("cannot start a shell");
    assert!(String::from_utf8_lossy(&output.stdout).contains("SECRET"), "the probe cannot tell");
}

#[test]
fn the_working_directory_is_a_descriptor() {
    skip_unless!(is_root(), "needs root");
    let outside = Outside::new();
    let runtime = careless(Runtime::at_level("oci"), &outside.path().display().to_string());
    let container = Bundle::shell("sleep 60");
    runtime.create(&container).ok();
    runtime.call(&["start", &container.id]).ok();
    for number in 0..40 {
        for place in [
            format!("/proc/self/fd/{number}"),
            format!("/proc/self/fd/{number}/"),
            format!("/proc/self/fd/{number}/../.."),
        ] {
            let bundle =
                Bundle::probe(&["read", "canary"]).edit(|config| config["process"]["cwd"] = json!(place));
            let output = runtime.run(&bundle);
            assert!(!output.stdout.contains("SECRET"), "run in {place}: {output}");
            let output = runtime.call(&["exec", "--cwd", &place, &container.id, "/probe", "read", "canary"]);
            assert!(!output.stdout.contains("SECRET"), "exec in {place}: {output}");
        }
    }
}

#[test]
fn the_program_is_behind_a_descriptor() {
    skip_unless!(is_root(), "needs root");
    // The host's root, with the host's programs.
    let runtime = careless(Runtime::at_level("oci"), "/");
    let container = Bundle::shell("sleep 60");
    runtime.create(&container).ok();
    runtime.call(&["start", &container.id]).ok();
    for number in 3..40 {
        let program = format!("/proc/self/fd/{number}/bin/true");
        let bundle = Bundle::probe(&[]).edit(|config| config["process"]["args"] = json!([program]));
        assert_ne!(runtime.run(&bundle).code, 0, "{program} was run");
        assert_ne!(runtime.call(&["exec", &container.id, &program]).code, 0, "{program} was run by exec");
    }
}

#[test]
fn the_program_inherits_nothing() {
    skip_unless!(is_root(), "needs root");
    let outside = Outside::new();
    for level in ["oci", "baseline"] {
        let runtime = careless(Runtime::at_level(level), &outside.path().display().to_string());
        let numbers = |seen: serde_json::Value| {
            seen.as_object().expect("an object").keys().cloned().collect::<Vec<_>>()
        };
        assert_eq!(numbers(runtime.ask(&Bundle::probe(&["fds"]))), ["0", "1", "2"]);
        let container = Bundle::shell("sleep 60");
        runtime.create(&container).ok();
        runtime.call(&["start", &container.id]).ok();
        let seen = runtime.call(&["exec", &container.id, "/probe", "fds"]).ok().json();
        assert_eq!(numbers(seen), ["0", "1", "2"]);
        let seen =
            runtime.call(&["exec", &container.id, "/probe", "landlock-escape", &outside.canary()]).ok();
        assert!(!seen.stdout.contains("SECRET"), "{seen}");
    }
}
