//! The root filesystem: what is masked, what is read-only, which devices there are, where mounts land.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use crate::support::bundle::{MASKED, READONLY};
use crate::support::{Bundle, Runtime, Scratch, is_root};

fn members(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    object.as_object().expect("an object").iter()
}

#[test]
fn masked_paths_tell_nothing() {
    skip_unless!(is_root(), "needs root");
    let words: Vec<&str> = std::iter::once("masked").chain(MASKED.iter().copied()).collect();
    let seen = Runtime::sandrun().ask(&Bundle::probe(&words));
    assert!(
        members(&seen).any(|(_, mask)| mask["state"] != "absent"),
        "nothing to mask on this kernel: {seen}"
    );
    for (path, mask) in members(&seen) {
        assert_ne!(mask["state"], "content", "{path}: {mask}");
    }
    let unmasked = Bundle::probe(&words).edit(|config| config["linux"]["maskedPaths"] = json!([]));
    let seen = Runtime::at_level("oci").ask(&unmasked);
    assert!(members(&seen).any(|(_, mask)| mask["state"] == "content"), "the probe cannot tell: {seen}");
}

#[test]
fn read_only_paths_refuse_a_writer() {
    skip_unless!(is_root(), "needs root");
    let words: Vec<&str> = ["masked", "/proc/sys/kernel/core_pattern", "/proc/sys/vm/overcommit_memory"]
        .into_iter()
        .chain(READONLY.iter().copied())
        .collect();
    let seen = Runtime::sandrun().ask(&Bundle::probe(&words));
    for (path, mask) in members(&seen).filter(|(_, mask)| mask["state"] != "absent") {
        assert!(mask["write"].is_string(), "{path} can be written: {mask}");
    }
    assert_eq!(seen["/proc/sys/kernel/core_pattern"]["write"], "EROFS");
    let writable = Bundle::probe(&words).edit(|config| config["linux"]["readonlyPaths"] = json!([]));
    let seen = Runtime::at_level("oci").ask(&writable);
    assert_eq!(seen["/proc/sys/kernel/core_pattern"]["write"], json!(null), "the probe cannot tell");
}

#[test]
fn a_read_only_root_is_read_only() {
    skip_unless!(is_root(), "needs root");
    let bundle = |readonly| {
        Bundle::probe(&["write", "/written"]).edit(|config| config["root"]["readonly"] = json!(readonly))
    };
    assert_eq!(Runtime::sandrun().ask(&bundle(true))["errno"], "EROFS");
    let writable = bundle(false);
    assert_eq!(Runtime::sandrun().ask(&writable)["errno"], json!(null));
    assert!(writable.rootfs().join("written").exists());
}

#[test]
fn dev_has_the_default_devices_and_links_and_nothing_else() {
    skip_unless!(is_root(), "needs root");
    let seen = Runtime::sandrun().ask(&Bundle::probe(&["devices"]));
    let numbers: Vec<(&str, &str)> = members(&seen)
        .filter(|(_, device)| device["type"] == "c")
        .map(|(name, device)| (name.as_str(), device["number"].as_str().unwrap_or_default()))
        .collect();
    let defaults = [
        ("full", "1:7"),
        ("null", "1:3"),
        ("random", "1:8"),
        ("tty", "5:0"),
        ("urandom", "1:9"),
        ("zero", "1:5"),
    ];
    assert_eq!(numbers, defaults);
    for (link, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        assert_eq!(seen[link]["target"], target, "/dev/{link}");
    }
    assert!(members(&seen).all(|(_, device)| device["type"] != "b"), "a block device: {seen}");
    assert_eq!(seen["null"]["mode"], "666");
}

#[test]
fn a_bind_mount_shows_the_source_with_its_options() {
    skip_unless!(is_root(), "needs root");
    let source = Scratch::new("source");
    fs::write(source.path().join("file"), "from outside").expect("cannot write the source");
    let bind = |options: &[&str]| {
        let options: Vec<&str> = ["rbind"].iter().chain(options).copied().collect();
        json!({ "destination": "/mnt/in", "type": "bind", "source": source.path(), "options": options })
    };
    let runtime = Runtime::sandrun();
    let read = runtime.ask(&Bundle::probe(&["read", "/mnt/in/file"]).mount(bind(&["ro"])));
    assert_eq!(read["content"], "from outside");
    let write = runtime.ask(&Bundle::probe(&["write", "/mnt/in/file"]).mount(bind(&["ro"])));
    assert_eq!(write["errno"], "EROFS");
    let write = runtime.ask(&Bundle::probe(&["write", "/mnt/in/file"]).mount(bind(&["rw"])));
    assert_eq!(write["errno"], json!(null));
}

#[test]
fn a_tmpfs_has_the_options_asked_for() {
    skip_unless!(is_root(), "needs root");
    let options = ["nosuid", "nodev", "noexec", "size=1m", "mode=1770"];
    let tmpfs = json!({ "destination": "/scratch", "type": "tmpfs", "source": "tmpfs", "options": options });
    let seen = Runtime::sandrun().ask(&Bundle::probe(&["mounts"]).mount(tmpfs));
    let mounts = seen.as_array().expect("a list");
    let mount = mounts.iter().find(|mount| mount["destination"] == "/scratch").expect("the tmpfs is mounted");
    for option in ["nosuid", "nodev", "noexec"] {
        assert!(
            mount["options"].as_array().is_some_and(|all| all.contains(&json!(option))),
            "{option}: {mount}"
        );
    }
    for option in ["size=1024k", "mode=1770"] {
        assert!(
            mount["superOptions"].as_array().is_some_and(|all| all.contains(&json!(option))),
            "{option}: {mount}"
        );
    }
}

#[test]
fn no_mount_of_the_host_is_visible() {
    skip_unless!(is_root(), "needs root");
    let bundle = Bundle::probe(&["mounts"]);
    let seen = Runtime::sandrun().ask(&bundle);
    let wanted: Vec<&str> = bundle.config["mounts"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|m| m["destination"].as_str())
        .collect();
    let allowed = |place: &str| {
        place == "/"
            || wanted.contains(&place)
            || place.starts_with("/sys/fs/cgroup/")
            || place.starts_with("/dev/")
            || READONLY.iter().any(|sealed| place.starts_with(sealed))
    };
    let masks =
        |mount: &Value| mount["type"] == "tmpfs" && (mount["root"] == "/file" || mount["root"] == "/dir");
    for mount in seen.as_array().expect("a list") {
        let place = mount["destination"].as_str().expect("a destination");
        assert!(allowed(place) || masks(mount), "an unexpected mount: {mount}");
    }
}

#[test]
fn a_link_in_the_image_cannot_lead_a_mount_outside() {
    skip_unless!(is_root(), "needs root");
    let outside = Scratch::new("outside");
    let source = Scratch::new("source");
    fs::write(source.path().join("file"), "from the volume").expect("cannot write the source");
    for (name, target) in [
        ("absolute", outside.path().to_path_buf()),
        ("climbing", std::path::PathBuf::from(format!("../../../../../../..{}", outside.path().display()))),
    ] {
        let bundle = Bundle::probe(&["read", &format!("{}/inside/file", outside.path().display())]);
        symlink(&target, bundle.rootfs().join("link")).expect("cannot plant the link");
        let bundle = bundle.mount(
            json!({ "destination": "/link/inside", "type": "bind", "source": source.path(), "options": ["bind"] }),
        );
        // A runtime may refuse the link or follow it inside the root filesystem; it may not follow it outside.
        let output = Runtime::sandrun().run(&bundle);
        assert_eq!(fs::read_dir(outside.path()).expect("still there").count(), 0, "{name}: written outside");
        if output.code == 0 {
            assert_eq!(output.json()["content"], "from the volume", "{name}");
        }
    }
}

#[test]
fn a_dev_that_is_a_link_gets_no_device_nodes_on_the_host() {
    skip_unless!(is_root(), "needs root");
    let outside = Scratch::new("outside");
    let bundle = Bundle::probe(&["devices"]).edit(|config| {
        let mounts = config["mounts"].as_array_mut().expect("a list");
        mounts.retain(|mount| !mount["destination"].as_str().unwrap_or_default().starts_with("/dev"));
    });
    fs::remove_dir(bundle.rootfs().join("dev")).expect("cannot remove dev");
    symlink(outside.path(), bundle.rootfs().join("dev")).expect("cannot plant the link");
    Runtime::sandrun().run(&bundle);
    assert_eq!(fs::read_dir(outside.path()).expect("still there").count(), 0, "written outside");
}
