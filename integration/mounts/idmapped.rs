//! Mounts with ids of their own.

use std::fs;
use std::os::unix::fs::chown;

use serde_json::{Value, json};

use super::{refusal, say, volume};
use crate::support::{Bundle, Runtime, is_root};

fn mapping(inside: u32, outside: u32) -> Value {
    json!([{ "containerID": inside, "hostID": outside, "size": 1000 }])
}

fn in_user_namespace(config: &mut Value) {
    config["linux"]["namespaces"].as_array_mut().expect("a list").push(json!({ "type": "user" }));
    config["linux"]["uidMappings"] = mapping(0, 100_000);
    config["linux"]["gidMappings"] = mapping(0, 100_000);
}

/// A volume whose file belongs to a user.
fn owned(bundle: &Bundle, id: u32) -> std::path::PathBuf {
    let volume = volume(bundle, "volume", &["file"]);
    chown(volume.join("file"), Some(id), Some(id)).expect("cannot give a file away");
    volume
}

#[test]
fn the_ids_of_a_new_user_namespace_are_the_volumes() {
    skip_unless!(is_root(), "needs root");
    let owner = |options: Value| {
        let bundle = Bundle::shell("stat -c %u:%g /volume/file");
        let source = owned(&bundle, 5);
        chown(bundle.rootfs(), Some(100_000), Some(100_000)).expect("cannot give the root away");
        say(&bundle.edit(in_user_namespace).mount(json!({
            "destination": "/volume", "type": "bind", "source": source, "options": options
        })))
    };
    assert_eq!(owner(json!(["rbind"])), "65534:65534\n");
    assert_eq!(owner(json!(["rbind", "idmap"])), "5:5\n");
    assert_eq!(owner(json!(["rbind", "ridmap"])), "5:5\n");
}

#[test]
fn the_ids_of_a_joined_user_namespace_are_the_volumes() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::at_level("oci");
    let first = Bundle::shell("sleep 60").edit(in_user_namespace);
    runtime.create(&first).ok();
    let pid = runtime.call(&["state", &first.id]).ok().json()["pid"].clone();
    let second = Bundle::shell("stat -c %u:%g /volume/file");
    let source = owned(&second, 6);
    chown(second.rootfs(), Some(100_000), Some(100_000)).expect("cannot give the root away");
    let second = second
        .edit(|config| {
            let joined = json!({ "type": "user", "path": format!("/proc/{pid}/ns/user") });
            config["linux"]["namespaces"].as_array_mut().expect("a list").push(joined);
        })
        .mount(json!({ "destination": "/volume", "type": "bind", "source": source, "options": ["bind", "idmap"] }));
    assert_eq!(runtime.run(&second).ok().stdout, "6:6\n");
}

#[test]
fn only_ridmap_reaches_the_mounts_below() {
    skip_unless!(is_root(), "needs root");
    let owners = |option: &str| {
        let bundle = Bundle::shell("stat -c %u /volume/file /volume/below");
        let source = owned(&bundle, 7);
        fs::create_dir(source.join("below")).expect("cannot make a directory");
        let below = source.join("below").display().to_string();
        let bundle = bundle.mount(json!({
            "destination": "/volume", "type": "bind", "source": source, "options": ["rbind", option],
            "uidMappings": mapping(0, 1000), "gidMappings": mapping(0, 1000)
        }));
        let script = "mount -t tmpfs -o uid=7 below \"$0\" && exec \"$@\"";
        let words = ["unshare", "-m", "--propagation", "private", "sh", "-c", script, &below];
        Runtime::at_level("oci").wrapped(&words).run(&bundle).ok().stdout
    };
    assert_eq!(owners("idmap"), "1007\n7\n");
    assert_eq!(owners("ridmap"), "1007\n1007\n");
}

#[test]
fn a_new_filesystem_is_idmapped_too_where_the_kernel_can() {
    skip_unless!(is_root(), "needs root");
    let bundle = |fstype: &str| {
        Bundle::shell("stat -c %u:%g /mapped").mount(json!({
            "destination": "/mapped", "type": fstype, "source": fstype, "options": ["idmap"],
            "uidMappings": mapping(0, 1000), "gidMappings": mapping(0, 1000)
        }))
    };
    let output = Runtime::at_level("oci").run(&bundle("tmpfs"));
    skip_unless!(!output.stderr.contains("tmpfs since 6.3"), "needs Linux 6.3: {}", output.stderr.trim());
    assert_eq!(output.ok().stdout, "1000:1000\n");
    let said = refusal(&bundle("mqueue"));
    assert!(said.contains("mounts[7]") && said.contains("since Linux 5.12"), "{said}");
}
