//! Where mounts land: missing places, files, links, the root itself.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use super::{say, tmpfs, volume};
use crate::support::{Bundle, Runtime, is_root};

fn bind(source: &std::path::Path, destination: &str, options: &[&str]) -> Value {
    json!({ "destination": destination, "type": "bind", "source": source, "options": options })
}

#[test]
fn a_missing_place_is_made_in_the_image_and_only_there() {
    skip_unless!(is_root(), "needs root");
    let script = "cat /new/deep/dir/file /new/file; stat -c %a /new /new/deep";
    let bundle = Bundle::shell(script);
    let files = volume(&bundle, "volume", &["file"]);
    let bundle = bundle
        .mount(bind(&files, "/new/deep/dir", &["bind"]))
        .mount(bind(&files.join("file"), "/new/file", &["bind"]))
        .edit(|config| config["root"]["readonly"] = json!(true));
    assert_eq!(say(&bundle), "filefile755\n755\n");
    assert!(bundle.rootfs().join("new/deep/dir").is_dir());
    assert_eq!(fs::read(bundle.rootfs().join("new/file")).expect("the mount point is a file"), b"");
}

#[test]
fn a_mount_hides_what_is_there_file_on_file_and_mount_on_mount() {
    skip_unless!(is_root(), "needs root");
    let bundle = Bundle::shell(
        "cat /etc/there; cat /twice/second; ls /twice; echo w > /ro/below/x && cat /ro/below/x; touch /ro/y",
    );
    fs::write(bundle.rootfs().join("etc/there"), "the image's").expect("cannot write");
    let files = volume(&bundle, "volume", &["there"]);
    let (first, second) = (volume(&bundle, "one", &["first"]), volume(&bundle, "two", &["second"]));
    let sealed = volume(&bundle, "sealed", &[]);
    let bundle = bundle
        .mount(bind(&files.join("there"), "/etc/there", &["bind"]))
        .mount(bind(&first, "/twice", &["bind"]))
        .mount(bind(&second, "/twice", &["bind"]))
        .mount(bind(&sealed, "/ro", &["bind"]))
        .mount(tmpfs("/ro/below", &[]))
        .mount(json!({ "destination": "/ro", "options": ["bind", "remount", "ro"] }));
    let output = Runtime::at_level("oci").run(&bundle);
    assert_eq!(output.stdout, "theresecondsecond\nw\n");
    assert_ne!(output.code, 0, "a remount that is read-only can be written");
    assert!(output.stderr.contains("Read-only"), "{output}");
}

#[test]
fn links_are_followed_beneath_the_root_also_where_they_dangle() {
    skip_unless!(is_root(), "needs root");
    let bundle = || {
        let bundle = Bundle::shell(
            "cat /etc/resolv.conf; cat /data/file; cat /run/stub/resolv.conf; cat /srv/real/file",
        );
        let root = bundle.rootfs();
        fs::remove_file(root.join("etc/resolv.conf")).expect("the image has one");
        symlink("../run/stub/resolv.conf", root.join("etc/resolv.conf")).expect("cannot link");
        symlink("/srv/real", root.join("data")).expect("cannot link");
        let files = volume(&bundle, "volume", &["file", "stub"]);
        bundle.mount(bind(&files.join("stub"), "/etc/resolv.conf", &["bind"])).mount(bind(
            &files,
            "/data",
            &["bind"],
        ))
    };
    let ours = bundle();
    assert_eq!(say(&ours), "stubfilestubfile");
    assert!(ours.rootfs().join("run/stub/resolv.conf").is_file());
    let circle = Bundle::shell("true");
    symlink("circle", circle.rootfs().join("circle")).expect("cannot link");
    let output = Runtime::at_level("oci").run(&circle.mount(tmpfs("/circle", &[])));
    assert!(output.code == 125 && output.stderr.contains("Too many levels"), "{output}");
}

#[test]
fn links_are_made_mounted_and_mounted_on_as_crun_does() {
    skip_unless!(is_root(), "needs root");
    let bundle = || {
        let script = "readlink /copied; readlink /source-link; cat /on-link; readlink /same; cat /plain";
        let bundle = Bundle::shell(script);
        let files = volume(&bundle, "volume", &["file"]);
        symlink("led/somewhere", files.join("link")).expect("cannot link");
        symlink("led/somewhere", bundle.rootfs().join("same")).expect("cannot link");
        for name in ["on-link", "source-link"] {
            symlink("/not/there", bundle.rootfs().join(name)).expect("cannot link");
        }
        bundle
            .mount(bind(&files.join("link"), "/copied", &["bind", "copy-symlink"]))
            .mount(bind(&files.join("link"), "/same", &["bind", "copy-symlink"]))
            .mount(bind(&files.join("link"), "/source-link", &["bind", "src-nofollow", "dest-nofollow"]))
            .mount(bind(&files.join("file"), "/on-link", &["bind", "dest-nofollow"]))
            .mount(bind(&files.join("file"), "/plain", &["bind", "copy-symlink"]))
    };
    let ours = say(&bundle());
    assert_eq!(ours, "led/somewhere\nled/somewhere\nfileled/somewhere\nfile");
    let Some(crun) = Runtime::peer("crun") else { skip!("needs crun to compare with") };
    let theirs = crun.run(&bundle());
    skip_unless!(theirs.code == 0, "this crun does not know these options: {}", theirs.stderr.trim());
    assert_eq!(ours, theirs.stdout);
}

#[test]
fn the_root_itself_can_be_mounted_on() {
    skip_unless!(is_root(), "needs root");
    let bundle = Bundle::shell("cat /etc/which; touch /new && echo writable");
    let other = Bundle::shell("");
    fs::write(other.rootfs().join("etc/which"), "the volume\n").expect("cannot write");
    let bundle = bundle.edit(|config| {
        let root = bind(&other.rootfs(), "/", &["rbind", "rw"]);
        config["mounts"].as_array_mut().expect("a list").insert(0, root);
    });
    assert_eq!(say(&bundle), "the volume\nwritable\n");
    assert!(other.rootfs().join("new").exists() && !bundle.rootfs().join("new").exists());
}

#[test]
fn paths_that_are_not_there_need_no_mask_and_no_seal() {
    skip_unless!(is_root(), "needs root");
    let bundle = Bundle::shell("cat /etc/masked; ls /etc; echo x > /etc/sealed").edit(|config| {
        config["linux"]["maskedPaths"] =
            json!(["/no/such", "/etc/masked", "/etc/masked/below", "/proc/no-such"]);
        config["linux"]["readonlyPaths"] = json!(["/neither", "/etc/sealed", "/sys/no-such"]);
    });
    for name in ["masked", "sealed"] {
        fs::write(bundle.rootfs().join("etc").join(name), name).expect("cannot write");
    }
    let output = Runtime::at_level("oci").run(&bundle);
    assert!(output.stdout.contains("sealed\n"), "{output}");
    assert!(output.stdout.starts_with("group\n") || output.stdout.starts_with("masked\n"), "{output}");
    assert!(output.stderr.contains("Read-only"), "{output}");
}

#[test]
fn a_read_only_tmpfs_has_its_mount_points_devices_and_copies() {
    skip_unless!(is_root(), "needs root");
    let script = "cat /copied/file; ls -d /dev/pts /dev/null /copied/below; for place in /dev /copied /copied/below; do \
        touch $place/x 2>/dev/null && echo $place; done";
    let bundle = Bundle::shell(script);
    fs::create_dir(bundle.rootfs().join("copied")).expect("cannot make a directory");
    fs::write(bundle.rootfs().join("copied/file"), "copy\n").expect("cannot write");
    let bundle = bundle
        .mount(tmpfs("/copied", &["rro", "tmpcopyup"]))
        .mount(tmpfs("/copied/below", &[]))
        .edit(|config| config["mounts"][1]["options"].as_array_mut().expect("a list").push(json!("ro")));
    assert_eq!(say(&bundle), "copy\n/copied/below\n/dev/null\n/dev/pts\n/copied/below\n");
}
