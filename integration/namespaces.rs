//! Every namespace is new, joined or the host's, exactly as config.json says.

use std::fs;

use serde_json::json;

use crate::support::{Bundle, Runtime, is_root};

fn of_host(kind: &str) -> String {
    let link = fs::read_link(format!("/proc/self/ns/{kind}")).expect("cannot read a namespace link");
    link.to_string_lossy().into_owned()
}

#[test]
fn all_that_are_named_are_new() {
    skip_unless!(is_root(), "needs root");
    let seen = Runtime::sandrun().ask(&Bundle::probe(&["namespaces"]));
    for kind in ["cgroup", "ipc", "mnt", "net", "pid", "uts"] {
        assert_ne!(seen[kind], of_host(kind), "{kind} is the host's");
    }
}

#[test]
fn one_that_is_not_named_is_the_callers() {
    skip_unless!(is_root(), "needs root");
    for (name, link) in [("network", "net"), ("ipc", "ipc"), ("uts", "uts")] {
        let mut bundle = Bundle::probe(&["namespaces"]).without_namespace(name);
        if name == "uts" {
            bundle = bundle.edit(|config| config["hostname"] = json!(null));
        }
        let seen = Runtime::at_level("oci").ask(&bundle);
        assert_eq!(seen[link], of_host(link), "{name}");
    }
}

#[test]
fn one_with_a_path_is_joined() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let first = Bundle::probe(&["sleep", "60"]);
    runtime.create(&first).ok();
    let pid = runtime.call(&["state", &first.id]).ok().json()["pid"].clone();
    let path = format!("/proc/{pid}/ns/net");
    let expected = fs::read_link(&path).expect("cannot read the first container's namespace");
    let second = Bundle::probe(&["namespaces"]).without_namespace("network").edit(|config| {
        let namespaces = config["linux"]["namespaces"].as_array_mut().expect("namespaces is a list");
        namespaces.push(json!({ "type": "network", "path": path }));
    });
    let seen = runtime.ask(&second);
    assert_eq!(seen["net"], expected.to_string_lossy().as_ref());
}

/// A shell that waits, in the mount namespace that `entry` says; nothing is hidden, which needs one of its own.
fn with_mounts(entry: Option<serde_json::Value>) -> Bundle {
    Bundle::shell("sleep 60").without_namespace("mount").edit(|config| {
        for name in ["maskedPaths", "readonlyPaths"] {
            config["linux"].as_object_mut().expect("linux is an object").remove(name);
        }
        config["linux"]["namespaces"].as_array_mut().expect("namespaces is a list").extend(entry);
    })
}

/// Its mount namespace, and what an exec finds in its root.
fn mounts_of(runtime: &Runtime, bundle: &Bundle) -> (String, String) {
    runtime.create(bundle).ok();
    runtime.call(&["start", &bundle.id]).ok();
    let pid = runtime.call(&["state", &bundle.id]).ok().json()["pid"].clone();
    let link = fs::read_link(format!("/proc/{pid}/ns/mnt")).expect("cannot read its mount namespace");
    let root = runtime.call(&["exec", &bundle.id, "ls", "/probe"]).ok().stdout;
    (link.to_string_lossy().into_owned(), root)
}

#[test]
fn the_callers_mounts_stay_as_they_are_and_the_root_is_the_containers() {
    skip_unless!(is_root(), "needs root");
    let bundle = with_mounts(None);
    let before = fs::read_to_string("/proc/self/mountinfo").expect("cannot read the mounts");
    let (link, root) = mounts_of(&Runtime::at_level("oci"), &bundle);
    assert_eq!((link, root.as_str()), (of_host("mnt"), "/probe\n"));
    let after = fs::read_to_string("/proc/self/mountinfo").expect("cannot read the mounts");
    let below = |mounts: &str| mounts.matches(&*bundle.path().to_string_lossy()).count();
    assert_eq!((below(&before), below(&after)), (0, 0));
    let bundle = with_mounts(None);
    let (link, root) = mounts_of(&Runtime::sandrun(), &bundle);
    assert!(link != of_host("mnt") && root == "/probe\n", "baseline shares the host's mounts");
}

#[test]
fn a_mount_namespace_is_joined_at_oci_but_never_the_callers_own() {
    skip_unless!(is_root(), "needs root");
    let mut other = std::process::Command::new("unshare");
    let other = other.args(["-m", "--propagation", "private", "sh", "-c", "echo; exec sleep 60"]);
    let mut other = other.stdout(std::process::Stdio::piped()).spawn().expect("cannot run unshare");
    let mut line = [0; 1];
    std::io::Read::read_exact(other.stdout.as_mut().expect("a pipe"), &mut line).expect("it says nothing");
    let path = format!("/proc/{}/ns/mnt", other.id());
    let wanted =
        fs::read_link(&path).expect("cannot read its mount namespace").to_string_lossy().into_owned();
    let at = |path: &str| with_mounts(Some(json!({ "type": "mount", "path": path })));
    let (oci, baseline) = (Runtime::at_level("oci"), Runtime::sandrun());
    let bundle = at(&path);
    let joined = mounts_of(&oci, &bundle);
    let refused = baseline.run(&at(&path));
    let own = oci.run(&at("/proc/self/ns/mnt"));
    other.kill().and_then(|()| other.wait()).expect("cannot end it");
    assert_eq!(joined, (wanted, "/probe\n".to_owned()));
    assert!(refused.code == 78 && refused.stderr.contains("level baseline"), "{refused}");
    assert!(own.code == 125 && own.stderr.contains("the caller's"), "{own}");
}

#[test]
fn the_first_process_is_pid_1_and_sees_no_other() {
    skip_unless!(is_root(), "needs root");
    let bundle = Bundle::shell("echo $$; ls /proc | grep -c '^[0-9]'; hostname");
    let output = Runtime::sandrun().run(&bundle).ok();
    let lines: Vec<&str> = output.stdout.lines().collect();
    // The shell and ls; and grep, if it was there already.
    assert!(matches!(lines[..], ["1", "2" | "3", "probed"]), "{lines:?}");
}

#[test]
fn a_user_namespace_maps_root_to_the_range_given() {
    skip_unless!(is_root(), "needs root");
    let bundle = Bundle::probe(&["sleep", "60"]).edit(|config| {
        config["linux"]["namespaces"]
            .as_array_mut()
            .expect("namespaces is a list")
            .push(json!({ "type": "user" }));
        let mapping = json!([{ "containerID": 0, "hostID": 300_000, "size": 65_536 }]);
        config["linux"]["uidMappings"] = mapping.clone();
        config["linux"]["gidMappings"] = mapping;
    });
    let runtime = Runtime::sandrun();
    runtime.create(&bundle).ok();
    runtime.call(&["start", &bundle.id]).ok();
    let pid = runtime.call(&["state", &bundle.id]).ok().json()["pid"].clone();
    let status =
        fs::read_to_string(format!("/proc/{pid}/status")).expect("cannot read the container's status");
    let uid = status.lines().find(|line| line.starts_with("Uid:")).unwrap_or_default();
    assert_eq!(uid.split_whitespace().nth(1), Some("300000"), "the container's root on the host");
}
