//! User ids that are one container's alone: who has them, seen from inside and from the host.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::json;

use crate::support::{Bundle, Output, Runtime, Scratch, is_root, leaks};

mod pod;
mod pool;
mod refused;

/// Ids of the default pool.
const POOL: std::ops::Range<u32> = 0x7800_0000..0x7ffe_0000;

const FLAG: &[&str] = &["--private-ids"];

/// User and group ids of a process, as the host sees them.
fn host_ids(pid: i64) -> BTreeSet<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there");
    let lines = status.lines().filter_map(|line| line.strip_prefix("Uid:").or(line.strip_prefix("Gid:")));
    lines.flat_map(str::split_whitespace).map(|id| id.parse().expect("a number")).collect()
}

/// Every process of a running container, as the host sees it.
fn processes(runtime: &Runtime, bundle: &Bundle) -> Vec<i64> {
    let listed = runtime.call(&["ps", "--format", "json", &bundle.id]).ok().json();
    listed.as_array().expect("a list").iter().map(|pid| pid.as_i64().expect("a pid")).collect()
}

fn running(runtime: &Runtime, bundle: &Bundle, flags: &[&str]) -> i64 {
    bundle.write();
    runtime.adopt(bundle);
    let path = bundle.path().display().to_string();
    let words: Vec<&str> = ["create", "--bundle", &path].iter().chain(flags).copied().collect();
    runtime.call(&[&words[..], &[&bundle.id]].concat()).ok();
    runtime.call(&["start", &bundle.id]).ok();
    runtime.call(&["state", &bundle.id]).ok().json()["pid"].as_i64().expect("a pid")
}

/// What a script says in a container with its own ids, at a level.
#[track_caller]
fn says(level: &str, script: &str) -> String {
    Runtime::at_level(level).run_with(&Bundle::shell(script), FLAG).ok().stdout
}

#[test]
fn no_process_is_the_hosts_root_at_strict_and_on_request() {
    skip_unless!(is_root(), "needs root");
    let cases: [(&str, &[&str], bool); 5] = [
        ("strict", &[], true),
        ("baseline", FLAG, true),
        ("oci", FLAG, true),
        // What the same container is otherwise.
        ("baseline", &[], false),
        ("strict", &["--private-ids=false"], false),
    ];
    for (level, flags, private) in cases {
        let runtime = Runtime::at_level(level);
        let bundle = Bundle::shell("sleep 60 & sleep 60 & wait");
        let pid = running(&runtime, &bundle, flags);
        runtime.call(&["exec", "--detach", &bundle.id, "/bin/sleep", "60"]).ok();
        let mut pids = processes(&runtime, &bundle);
        pids.push(pid);
        assert!(pids.len() >= 3, "{pids:?}");
        for pid in pids {
            let ids = host_ids(pid);
            let expected = if private { ids.iter().all(|id| POOL.contains(id)) } else { ids == [0].into() };
            assert!(expected, "{level} {flags:?}: {ids:?}");
        }
        let state = runtime.call(&["state", &bundle.id]).ok().json();
        let told = state["annotations"]["dev.sandrun.receipt.user-ids"].as_str().unwrap_or("nothing");
        assert_eq!(told.starts_with("enforced: 0 to 65535 are "), private, "{told}");
        runtime.call(&["delete", "--force", &bundle.id]).ok();
        leaks::assert_none(&runtime, &bundle);
    }
}

#[test]
fn the_annotation_asks_too() {
    skip_unless!(is_root(), "needs root");
    let bundle = Bundle::shell("cat /proc/self/uid_map")
        .edit(|config| config["annotations"] = json!({ "dev.sandrun.private-ids": "true" }));
    let map = Runtime::sandrun().run(&bundle).ok().stdout;
    let map: Vec<&str> = map.split_whitespace().collect();
    assert_eq!((map[0], map[2]), ("0", "65536"));
    assert!(POOL.contains(&map[1].parse().expect("a number")));
}

/// Where the container's root has the path and the host's rights are needed: a leaked descriptor.
#[test]
fn root_inside_reads_no_file_that_only_the_hosts_root_may() {
    skip_unless!(is_root(), "needs root");
    let host = Scratch::new("host");
    let secret = host.path().join("secret");
    fs::write(&secret, "secret").expect("cannot plant the secret");
    fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).expect("cannot hide the secret");
    let read = |flags: &[&str]| -> Output {
        let bundle = Bundle::shell("cat /proc/self/fd/3/secret; echo x > /proc/self/fd/3/made");
        let runtime = Runtime::at_level("oci").inheriting(host.path());
        runtime.run_with(&bundle, &[&["--preserve-fds", "1"], flags].concat())
    };
    assert_eq!(read(&[]).stdout, "secret", "the attack works on the host's ids");
    fs::remove_file(host.path().join("made")).expect("the attack wrote");
    let output = read(FLAG);
    assert_eq!(output.stdout, "", "{output}");
    assert!(output.stderr.contains("Permission denied"), "{output}");
    assert!(!host.path().join("made").exists());
}

#[test]
fn files_belong_to_the_same_inside_and_outside() {
    skip_unless!(is_root(), "needs root");
    let volume = Scratch::new("volume");
    fs::write(volume.path().join("of-33"), "theirs").expect("cannot fill the volume");
    fs::set_permissions(volume.path().join("of-33"), PermissionsExt::from_mode(0o600)).expect("chmod");
    chown(volume.path().join("of-33"), Some(33), Some(33)).expect("cannot give the file away");
    // As a package manager does: unpack, give away, let the user at it.
    let script = "
        touch /made /data/made && mkdir -p /var/lib/thing && chown 33:44 /var/lib/thing
        cat /data/of-33 && stat -c %u:%g /data/of-33
        chown 1000:1000 /data/made && chmod u+s /made && stat -c %u:%a /made
        su -s /bin/sh user33 -c 'touch /var/lib/thing/own && id -u'
    ";
    let bundle = Bundle::shell(script).mount(json!({
        "destination": "/data", "type": "bind", "source": volume.path(), "options": ["rbind", "rw"],
    }));
    fs::write(bundle.rootfs().join("etc/passwd"), "root:x:0:0::/:/bin/sh\nuser33:x:33:44::/:/bin/sh\n")
        .expect("cannot write the users");
    let output = Runtime::sandrun().run_with(&bundle, FLAG).ok();
    assert_eq!(output.stdout, "theirs33:33\n0:4644\n33\n", "{output}");
    let owner = |path: &Path| {
        let file = fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (file.uid(), file.gid())
    };
    assert_eq!(owner(&bundle.rootfs().join("made")), (0, 0));
    assert_eq!(owner(&bundle.rootfs().join("var/lib/thing")), (33, 44));
    assert_eq!(owner(&bundle.rootfs().join("var/lib/thing/own")), (33, 44));
    assert_eq!(owner(&volume.path().join("made")), (1000, 1000));
}

#[test]
fn what_services_do_works() {
    skip_unless!(is_root(), "needs root");
    // Low ports are those of its own network, its group may ping, it has a terminal's group.
    let port = "(sleep 0.2; echo there | nc 127.0.0.1 80) & timeout 5 nc -l -p 80";
    assert_eq!(says("baseline", &format!("ip link set lo up 2>/dev/null; {port}")), "there\n");
    for level in ["baseline", "strict"] {
        assert_eq!(says(level, "echo x > /dev/null && head -c 1 /dev/zero | wc -c"), "1\n");
        assert_eq!(says(level, "touch /dev/shm/x /tmp/x && stat -c %u /dev/shm/x /dev/pts"), "0\n0\n");
    }
    let bundle = Bundle::shell("cat /proc/sys/net/ipv4/ping_group_range").edit(|config| {
        config["linux"]["sysctl"] = json!({ "net.ipv4.ping_group_range": "0 2147483647" });
    });
    let range = Runtime::sandrun().run_with(&bundle, FLAG).ok().stdout;
    assert_eq!(range.split_whitespace().collect::<Vec<_>>(), ["0", "65535"]);
}

/// A pipe is made with the caller's id, and the container cannot open it again without being given it.
#[test]
fn a_pipe_to_the_caller_can_be_opened_again() {
    skip_unless!(is_root(), "needs root");
    for script in ["echo again > /dev/stdout", "echo again > /proc/self/fd/1"] {
        let (runtime, bundle) = (Runtime::at_level("strict"), Bundle::shell(script));
        bundle.write();
        runtime.adopt(&bundle);
        let path = bundle.path().display().to_string();
        let mut command = runtime.command(&["run", "--bundle", &path, &bundle.id]);
        let output = command.stdin(Stdio::null()).output().expect("cannot start the runtime");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "again\n", "{output:?}");
    }
}

#[test]
fn an_exec_is_in_it_and_can_be_another_user() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::at_level("strict");
    let bundle = Bundle::shell("sleep 60");
    let pid = running(&runtime, &bundle, &[]);
    let map = fs::read_to_string(format!("/proc/{pid}/uid_map")).expect("the process is there");
    let exec = |flags: &[&str], script: &str| {
        let words = [&["exec"], flags, &[&bundle.id, "/bin/sh", "-c", script]].concat();
        runtime.call(&words).ok().stdout
    };
    assert_eq!(exec(&[], "cat /proc/self/uid_map"), map);
    assert_eq!(exec(&["--user", "33:44"], "id -u; id -g; touch /tmp/x && echo made"), "33\n44\nmade\n");
    runtime.call(&["pause", &bundle.id]).ok();
    runtime.call(&["resume", &bundle.id]).ok();
    runtime.call(&["update", "--pids-limit", "50", &bundle.id]).ok();
    runtime.call(&["kill", &bundle.id, "KILL"]).ok();
    runtime.await_status(&bundle, "stopped");
    runtime.call(&["delete", &bundle.id]).ok();
    leaks::assert_none(&runtime, &bundle);
}

/// Its root may pass through no directory that the host's root keeps to itself, and need not.
#[test]
fn a_bundle_of_roots_alone_can_be_run() {
    skip_unless!(is_root(), "needs root");
    let bundle = Bundle::shell("ls -d /bin");
    fs::set_permissions(bundle.path(), PermissionsExt::from_mode(0o700)).expect("cannot close the bundle");
    assert_eq!(Runtime::at_level("strict").run(&bundle).ok().stdout, "/bin\n");
}

#[test]
fn containers_of_one_moment_share_no_id() {
    skip_unless!(is_root(), "needs root");
    let runtimes = [Runtime::sandrun(), Runtime::sandrun()];
    let bundles: Vec<Bundle> = (0..16).map(|_| Bundle::probe(&["sleep", "60"])).collect();
    let create = |(i, bundle): (usize, &Bundle)| -> Child {
        bundle.write();
        let runtime = &runtimes[i % 2];
        runtime.adopt(bundle);
        let path = bundle.path().display().to_string();
        let mut command = runtime.command(&["create", "--private-ids", "--bundle", &path, &bundle.id]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("cannot start the runtime")
    };
    let children: Vec<Child> = bundles.iter().enumerate().map(create).collect();
    for mut child in children {
        assert!(child.wait().expect("cannot wait for the runtime").success());
    }
    let first_id = |(i, bundle): (usize, &Bundle)| {
        let state = runtimes[i % 2].call(&["state", &bundle.id]).ok().json();
        *host_ids(state["pid"].as_i64().expect("a pid")).first().expect("an id")
    };
    let firsts: Vec<u32> = bundles.iter().enumerate().map(first_id).collect();
    let ranges: BTreeSet<u32> = firsts.iter().map(|first| first / 65536).collect();
    assert_eq!(ranges.len(), 16, "{firsts:?}");
    assert!(firsts.iter().all(|first| first % 65536 == 0 && POOL.contains(first)), "{firsts:?}");
}
