//! What private ids cannot be had with: refused when they were asked for, said when a level wants them.

use std::fs;

use serde_json::{Value, json};

use super::FLAG;
use crate::support::{Bundle, Runtime, Scratch, is_root};

/// A runtime that sees an overlay at the scratch directory's `merged`, which no kernel before Linux 7 idmaps.
fn with_overlay(level: &str, scratch: &Scratch) -> Runtime {
    let dir = scratch.path().display().to_string();
    let script = format!(
        "cd {dir} && mkdir -p layers merged && mount -t tmpfs none layers && cd layers && \
         mkdir lower upper work && cp -a ../rootfs/. lower/ && \
         mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work none {dir}/merged && exec \"$@\""
    );
    Runtime::at_level(level).in_own_mounts(&script)
}

/// A bundle whose root filesystem is at the scratch directory's `merged`.
fn on_overlay(scratch: &Scratch, script: &str) -> Bundle {
    let bundle = Bundle::shell(script);
    fs::rename(bundle.rootfs(), scratch.path().join("rootfs")).expect("cannot move the root filesystem");
    let merged = scratch.path().join("merged");
    bundle.edit(|config| config["root"]["path"] = json!(merged))
}

#[test]
fn a_root_filesystem_that_cannot_be_idmapped() {
    skip_unless!(is_root(), "needs root");
    let scratch = Scratch::new("overlay");
    let bundle = on_overlay(&scratch, "cat /proc/self/uid_map; sleep 60");
    let refused = with_overlay("baseline", &scratch).run_with(&bundle, FLAG);
    skip_unless!(refused.code != 0, "this kernel idmaps overlays");
    assert_eq!(refused.code, 125, "{refused}");
    assert!(refused.stderr.contains("root.path") && refused.stderr.contains("mount_setattr"), "{refused}");

    let runtime = with_overlay("strict", &scratch);
    runtime.create(&bundle).ok();
    runtime.call(&["start", &bundle.id]).ok();
    let state = runtime.call(&["state", &bundle.id]).ok().json();
    let told = state["annotations"]["dev.sandrun.receipt.user-ids"].as_str().unwrap_or("nothing");
    assert!(told.starts_with("absent: the host's root is the container's: root.path: "), "{told}");
}

/// Where the volume is read, it is; where it would be written, the level does not break it.
#[test]
fn a_volume_that_cannot_be_idmapped() {
    skip_unless!(is_root(), "needs root");
    let read = |level: &str, flags: &[&str], access: &str| {
        let scratch = Scratch::new("overlay");
        fs::create_dir(scratch.path().join("rootfs")).expect("cannot make the layer");
        fs::write(scratch.path().join("rootfs/file"), "content").expect("cannot fill the layer");
        let bundle = Bundle::shell("cat /data/file; stat -c ' %u' /data/file; cat /proc/self/uid_map")
            .mount(json!({ "destination": "/data", "type": "bind", "source": scratch.path().join("merged"),
                "options": ["rbind", access] }));
        with_overlay(level, &scratch).run_with(&bundle, flags).ok().stdout
    };
    let readonly = read("strict", &[], "ro");
    skip_unless!(!readonly.starts_with("content 0\n"), "this kernel idmaps overlays");
    assert!(readonly.starts_with("content 65534\n") && readonly.ends_with("65536\n"), "{readonly}");
    let writable = read("strict", &[], "rw");
    assert!(writable.starts_with("content 0\n") && writable.ends_with("4294967295\n"), "{writable}");
    let asked = read("baseline", FLAG, "rw");
    assert!(asked.starts_with("content 65534\n") && asked.ends_with("65536\n"), "{asked}");
}

#[test]
fn what_does_not_go_together_is_refused_with_its_field() {
    skip_unless!(is_root(), "needs root");
    let host_network = Bundle::shell("true").without_namespace("network");
    let joined = Bundle::shell("true").edit(|config| {
        config["linux"]["namespaces"][1] = json!({ "type": "network", "path": "/proc/self/ns/net" });
    });
    let own = Bundle::shell("true").in_user_namespace();
    let large = Bundle::shell("true").edit(|config| config["process"]["user"]["uid"] = json!(70000));
    for (bundle, said) in [
        (host_network, "the network namespace is the host's"),
        (joined, "linux.namespaces[1].path"),
        (own, "config.json has a user namespace"),
        (large, "process.user.uid: only ids below 65536"),
    ] {
        let output = Runtime::sandrun().run_with(&bundle, FLAG);
        assert_eq!(output.code, 125, "{output}");
        assert!(output.stderr.contains(said), "{output}");
    }
}

#[test]
fn a_container_cannot_take_them_off() {
    skip_unless!(is_root(), "needs root");
    let bundle = |value: Value| {
        Bundle::shell("cat /proc/self/uid_map")
            .edit(|config| config["annotations"] = json!({ "dev.sandrun.private-ids": value }))
    };
    let refused = Runtime::at_level("strict").run(&bundle(json!("false")));
    assert_eq!(refused.code, 78, "{refused}");
    assert!(refused.stderr.contains("cannot loosen its own"), "{refused}");
    let refused = Runtime::sandrun().run(&bundle(json!("maybe")));
    assert!(refused.code == 125 && refused.stderr.contains("neither true nor false"), "{refused}");
    // The command line can, and below strict it says nothing new.
    let map = Runtime::at_level("strict").run_with(&bundle(json!("false")), &["--private-ids=false"]).ok();
    assert!(map.stdout.ends_with("4294967295\n"), "{map}");
    Runtime::sandrun().run(&bundle(json!("false"))).ok();
}
