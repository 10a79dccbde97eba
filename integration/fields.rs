//! Fields of config.json, each looked at from inside.

use std::fs;
use std::os::unix::fs::MetadataExt;

use serde_json::json;

use crate::support::{Bundle, Runtime, is_root};

/// What a shell in the container says.
#[track_caller]
fn say(bundle: &Bundle) -> String {
    Runtime::sandrun().run(bundle).ok().stdout
}

#[test]
fn clocks_of_a_new_time_namespace_are_moved() {
    skip_unless!(is_root(), "needs root");
    let uptime = |offset: i64| {
        let bundle = Bundle::shell("cut -d. -f1 /proc/uptime").edit(|config| {
            let namespaces = config["linux"]["namespaces"].as_array_mut().expect("a list");
            namespaces.push(json!({ "type": "time" }));
            config["linux"]["timeOffsets"] =
                json!({ "boottime": { "secs": offset, "nanosecs": 5 }, "monotonic": { "secs": offset } });
        });
        say(&bundle).trim().parse::<i64>().expect("seconds")
    };
    let (now, moved) = (uptime(0), uptime(1_000_000));
    assert!((999_990..1_000_100).contains(&(moved - now)), "{now} and {moved}");
}

#[test]
fn host_and_domain_name_are_set() {
    skip_unless!(is_root(), "needs root");
    let bundle = Bundle::shell("cat /proc/sys/kernel/hostname /proc/sys/kernel/domainname").edit(|config| {
        config["hostname"] = json!("inside");
        config["domainname"] = json!("example.test");
    });
    assert_eq!(say(&bundle), "inside\nexample.test\n");
}

#[test]
fn parameters_of_its_own_namespaces_are_set() {
    skip_unless!(is_root(), "needs root");
    let bundle = Bundle::shell("cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/shmmni")
        .edit(|config| {
            config["linux"]["sysctl"] =
                json!({ "net.ipv4.ip_unprivileged_port_start": "81", "kernel/shmmni": "77" });
        });
    assert_eq!(say(&bundle), "81\n77\n");
    let host = fs::read_to_string("/proc/sys/kernel/shmmni").expect("cannot read the host's");
    assert_ne!(host.trim(), "77", "the host's was changed");
}

#[test]
fn devices_are_made_as_asked() {
    skip_unless!(is_root(), "needs root");
    let bundle = Bundle::shell("stat -c '%F %t:%T %a %u:%g' /dev/zero-too /dev/pipe; head -c 3 /dev/zero-too | wc -c")
        .edit(|config| {
            config["linux"]["devices"] = json!([
                { "path": "/dev/zero-too", "type": "c", "major": 1, "minor": 5, "fileMode": 0o640, "uid": 0, "gid": 7 },
                { "path": "/dev/pipe", "type": "p", "fileMode": 0o600 }
            ]);
            let rules = config["linux"]["resources"]["devices"].as_array().cloned().unwrap_or_default();
            let rule = json!({ "allow": true, "type": "c", "major": 1, "minor": 5, "access": "rwm" });
            config["linux"]["resources"]["devices"] = rules.into_iter().chain([rule]).collect();
        });
    assert_eq!(say(&bundle), "character special file 1:5 640 0:7\nfifo 0:0 600 0:0\n3\n");
}

#[test]
fn a_tmpfs_takes_over_what_it_hides() {
    skip_unless!(is_root(), "needs root");
    let bundle = Bundle::shell(
        "cat /full/file; readlink /full/link; stat -c '%a %u' /full/dir; touch /full/new",
    )
    .mount(json!({ "destination": "/full", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"] }));
    let full = bundle.rootfs().join("full");
    fs::create_dir_all(full.join("dir")).expect("cannot make a directory");
    fs::write(full.join("file"), "copied\n").expect("cannot write a file");
    std::os::unix::fs::symlink("file", full.join("link")).expect("cannot make a link");
    std::os::unix::fs::chown(full.join("dir"), Some(33), None).expect("cannot give a directory away");
    assert_eq!(say(&bundle), "copied\nfile\n755 33\n");
    assert!(!full.join("new").exists(), "it was written into the image");
}

#[test]
fn read_only_reaches_the_mounts_below_if_asked() {
    skip_unless!(is_root(), "needs root");
    let write = |option: &str| {
        let bundle = Bundle::shell("touch /volume/below/file 2>/dev/null && echo written || echo refused");
        let volume = bundle.path().join("volume");
        fs::create_dir_all(volume.join("below")).expect("cannot make a volume");
        let mount = |source: &str, options: &[&str]| json!({ "destination": "/volume", "type": "bind", "source": source, "options": options });
        let volume = volume.display().to_string();
        let below = json!({ "destination": "/volume/below", "type": "tmpfs", "source": "tmpfs" });
        // The second bind is of the first one, with the tmpfs that is on it by then.
        let bundle = bundle.mount(mount(&volume, &["rbind"])).mount(below).edit(|config| {
            let mounts = config["mounts"].as_array_mut().expect("a list");
            mounts.push(json!({ "destination": "/volume", "options": ["bind", "remount", option] }));
        });
        say(&bundle)
    };
    assert_eq!(write("ro"), "written\n", "ro is for the mount itself");
    assert_eq!(write("rro"), "refused\n");
}

#[test]
fn an_idmapped_mount_shows_other_owners() {
    skip_unless!(is_root(), "needs root");
    let bundle = Bundle::shell("stat -c '%u:%g' /volume/file; touch /volume/new");
    let volume = bundle.path().join("volume");
    fs::create_dir(&volume).expect("cannot make a volume");
    fs::write(volume.join("file"), "").expect("cannot write a file");
    std::os::unix::fs::chown(volume.join("file"), Some(1000), Some(1000)).expect("cannot give a file away");
    std::os::unix::fs::chown(&volume, Some(1000), Some(1000)).expect("cannot give a directory away");
    let ids = json!([{ "containerID": 1000, "hostID": 0, "size": 1 }]);
    let bundle = bundle.mount(json!({
        "destination": "/volume", "type": "bind", "source": volume, "options": ["rbind", "idmap"],
        "uidMappings": ids, "gidMappings": ids
    }));
    assert_eq!(say(&bundle), "0:0\n");
    let made = fs::metadata(volume.join("new")).expect("nothing was made");
    assert_eq!(
        (made.uid(), made.gid()),
        (1000, 1000),
        "what root makes inside belongs to the volume's owner"
    );
}

#[test]
fn a_working_directory_is_made_where_the_image_has_none() {
    skip_unless!(is_root(), "needs root");
    let bundle = Bundle::shell("pwd").edit(|config| config["process"]["cwd"] = json!("/srv/app/data"));
    assert_eq!(say(&bundle), "/srv/app/data\n");
}

#[test]
fn the_home_directory_is_that_of_the_user() {
    skip_unless!(is_root(), "needs root");
    let bundle = Bundle::shell("echo $HOME; umask; id -G").edit(|config| {
        config["process"]["user"] =
            json!({ "uid": 1234, "gid": 1235, "umask": 0o027, "additionalGids": [5, 6] });
    });
    fs::create_dir_all(bundle.rootfs().join("etc")).expect("cannot make /etc");
    fs::write(bundle.rootfs().join("etc/passwd"), "someone:x:1234:1235::/home/someone:/bin/sh\n")
        .expect("cannot write /etc/passwd");
    assert_eq!(say(&bundle), "/home/someone\n0027\n1235 5 6\n");
}
