//! Bind sources: where they lead, not what they are called.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::*;
use crate::plan::mounts::Source;

/// A directory with `allowed/volume`, `outside/secret` and a link from one to the other.
struct Tree(PathBuf);

impl Tree {
    fn new() -> Tree {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("sandrun-tree-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().canonicalize().unwrap().join(name);
        fs::create_dir_all(dir.join("allowed/volume")).unwrap();
        fs::create_dir_all(dir.join("outside/secret")).unwrap();
        symlink("../outside/secret", dir.join("allowed/link")).unwrap();
        symlink("allowed", dir.join("called-otherwise")).unwrap();
        Tree(dir)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn bound(source: &str, options: &[&str]) -> Value {
    let mount = json!({ "destination": "/a", "type": "bind", "source": source, "options": options });
    with(careful(), "/mounts", json!([mount]))
}

#[test]
fn the_real_path_counts_and_is_what_is_mounted() {
    let tree = Tree::new();
    let policy = format!("[mounts]\nallow = [{:?}]", tree.path("allowed"));
    for name in ["allowed", "allowed/volume", "called-otherwise/volume", "allowed/../allowed/volume"] {
        let plan = allowed(&policy, &bound(&tree.path(name), &["rbind"])).plan;
        let Source::Bind { path, judged, .. } = &plan.mounts[0].source else { panic!() };
        assert!(
            *judged && Path::new(path).starts_with(tree.path("allowed")) && !path.contains(".."),
            "{path}"
        );
    }
    for name in ["allowed/link", "outside", "allowed/../outside/secret", "", "allowed-not"] {
        let refusal = refused(&policy, &bound(&tree.path(name), &["rbind"]));
        assert_eq!(refusal.at.as_deref(), Some("mounts[0].source"), "{refusal}");
        assert!(refusal.why.starts_with("mounts.allow "), "{refusal}");
    }
    // The link itself is in the allowed place.
    allowed(&policy, &bound(&tree.path("allowed/link"), &["bind", "src-nofollow"]));
    // The administrator's own links count.
    let policy = format!("[mounts]\nallow = [{:?}]", tree.path("called-otherwise"));
    allowed(&policy, &bound(&tree.path("allowed/volume"), &["rbind"]));
    // One that is not there is judged as it is written, and mounted only if it is there then.
    let missing = allowed(&policy, &bound(&tree.path("called-otherwise/none"), &["rbind"])).plan;
    assert!(matches!(&missing.mounts[0].source, Source::Bind { judged: true, .. }));
    let refusal = refused(&policy, &bound(&tree.path("called-otherwise/none/../../x"), &["rbind"]));
    assert!(refusal.what.contains("nobody can tell where"), "{refusal}");
}

#[test]
fn a_place_of_another_mount_namespace_is_not_taken_for_ours() {
    // The kernel tells the path that a file has over there.
    let policy = "[mounts]\nallow = [\"/etc\"]";
    let plan = allowed(policy, &bound("/proc/self/root/etc", &["rbind"])).plan;
    let Source::Bind { path, judged: true, .. } = &plan.mounts[0].source else { panic!() };
    assert_eq!(path, "/etc", "it is ours that is mounted");
}

#[test]
fn read_only_places_are_read_only_to_the_bottom() {
    let tree = Tree::new();
    let policy = format!("[mounts]\nallow = []\nallow-read-only = [{:?}]", tree.path("allowed"));
    let source = tree.path("allowed/volume");
    assert!(refused(&policy, &bound(&source, &["rbind"])).why.contains("mounts.allow-read-only"));
    let plan = allowed(&policy, &bound(&source, &["rbind", "ro"])).plan;
    assert_eq!(plan.mounts[0].set_recursive & 1, 1);
    assert!(plan.changes.iter().any(|change| change.what.starts_with("rro added")), "{:?}", plan.changes);
    let mut undone = bound(&source, &["rbind", "ro"]);
    undone["mounts"].as_array_mut().unwrap().push(json!(
        { "destination": "/a", "type": "bind", "source": "none", "options": ["bind", "remount", "rw"] }
    ));
    assert!(refused(&policy, &undone).why.contains("mounts.allow-read-only"));
}

#[test]
fn an_engines_socket_is_refused_and_so_is_what_holds_it() {
    let policy = "[mounts]\nengine-sockets = false";
    for source in ["/", "/run", "/var/run", "/run/docker.sock", "/run/containerd/containerd.sock"] {
        let refusal = refused(policy, &bound(source, &["rbind"]));
        assert!(refusal.why.contains("mounts.engine-sockets"), "{refusal}");
    }
    allowed(policy, &bound("/etc", &["rbind"]));
}

/// Another pod's volumes are no less the host's.
#[test]
fn a_place_is_that_of_the_containers_own_pod() {
    let policy = "[mounts]\nallow = [\"/no/such/{pod-uid}/{sandbox-id}\"]";
    let of_pod =
        |annotations: Value, source: &str| with(bound(source, &["rbind"]), "/annotations", annotations);
    let mine = json!({ "io.kubernetes.cri.sandbox-uid": "mine", "io.kubernetes.cri.sandbox-id": "1" });
    allowed(policy, &of_pod(mine.clone(), "/no/such/mine/1/volume"));
    let escape = json!({ "io.kubernetes.pod.uid": "../..", "io.kubernetes.cri.sandbox-id": ".." });
    let rows = [(mine, "/no/such/other/1"), (json!({}), "/no/such/{pod-uid}/{sandbox-id}"), (escape, "/etc")];
    for (annotations, source) in rows {
        assert!(refused(policy, &of_pod(annotations, source)).why.contains("mounts.allow"));
    }
    let pod = include_str!("../../plan/tests/golden/containerd-2-pod.config.json");
    let pod: Value = serde_json::from_str(pod).unwrap();
    assert!(considered("extends = \"baseline\"", &pod).refusals.is_empty(), "an ordinary pod breaks no rule");
    let sandbox = include_str!("../../plan/tests/golden/sandbox.config.json");
    let sandbox: Value = serde_json::from_str(sandbox).unwrap();
    assert!(considered("extends = \"restricted\"", &sandbox).refusals.is_empty(), "nor does its sandbox");
}
