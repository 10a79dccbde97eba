//! What the node is labelled with.

use super::MAIN;

#[test]
fn they_say_what_this_host_has() {
    let node = node!("1.6").with(MAIN, "version = 2\n");
    let checked = node.finish(node.sandrun(&["install", "--check"]));
    assert_eq!(checked.code, 1);
    let standing = checked.json();
    assert!(standing["why"].as_str().unwrap().contains("/run/containerd/containerd.sock"), "{standing}");
    let labels = standing["labels"].as_object().unwrap();
    assert_eq!(labels["sandrun.dev/version"], env!("CARGO_PKG_VERSION"));
    let abi = sandrun::sys::process::landlock_abi();
    assert_eq!(labels["sandrun.dev/landlock-abi"], abi.to_string());
    let layers = labels["sandrun.dev/layers"].as_str().unwrap();
    assert_eq!(layers.split('.').any(|layer| layer == "landlock"), abi > 0, "{layers}");
    let unified = std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    assert_eq!(labels["sandrun.dev/cgroup"] == "v2", unified);
    for value in labels.values() {
        let value = value.as_str().unwrap();
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let ends = [value.chars().next(), value.chars().last()];
        assert!(value.len() <= 63 && value.chars().all(allowed), "{value}");
        assert!(ends.iter().flatten().all(char::is_ascii_alphanumeric), "{value}");
    }
}
