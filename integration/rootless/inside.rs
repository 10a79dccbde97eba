//! Root inside a user namespace: of `unshare -r`, of an engine that made one, of another container.

use serde_json::json;

use crate::support::{Bundle, Runtime, is_root, leaks};

const MOUNTS_TOO: &[&str] = &["unshare", "-r", "-m"];
const NOT_MOUNTS: &[&str] = &["unshare", "-r"];

/// As nobody in particular, who is then root of a user namespace.
fn inside(words: &[&str]) -> Runtime {
    let runtime = Runtime::sandrun().of_user(super::USER);
    let id = super::USER.to_string();
    let (uid, gid) = (format!("--reuid={id}"), format!("--regid={id}"));
    let become_user = ["setpriv", &uid, &gid, "--clear-groups"];
    runtime.wrapped(&become_user.iter().chain(words).copied().collect::<Vec<_>>())
}

/// What an engine without root writes: the user namespace is its own.
fn without_mappings(bundle: Bundle) -> Bundle {
    bundle.rootless(super::USER).without_namespace("user").edit(|config| {
        let linux = config["linux"].as_object_mut().expect("an object");
        linux.remove("uidMappings");
        linux.remove("gidMappings");
    })
}

#[test]
fn the_namespace_that_is_there_is_enough() {
    skip_unless!(is_root(), "needs root, to become an ordinary user");
    for words in [MOUNTS_TOO, NOT_MOUNTS] {
        let script = "cat /proc/self/uid_map /proc/self/oom_score_adj; echo x > /dev/null && ls /sys/class/net; ulimit -n";
        let bundle = without_mappings(Bundle::shell(script)).edit(|config| {
            config["process"]["oomScoreAdj"] = json!(700);
            config["process"]["rlimits"] = json!([{ "type": "RLIMIT_NOFILE", "hard": 300, "soft": 200 }]);
        });
        let runtime = inside(words);
        let output = runtime.run(&bundle).ok();
        let said: Vec<&str> = output.stdout.split_whitespace().collect();
        assert_eq!(said, ["0", &super::USER.to_string(), "1", "700", "lo", "200"], "{words:?} {output}");
        leaks::assert_none(&runtime, &bundle);
    }
}

#[test]
fn another_one_can_be_made_in_it() {
    skip_unless!(is_root(), "needs root, to become an ordinary user");
    for words in [MOUNTS_TOO, NOT_MOUNTS] {
        let script = "cat /proc/self/uid_map; readlink /proc/self/ns/user; ls -l /dev/null | cut -c1";
        let output = inside(words).run(&Bundle::shell(script).rootless(0)).ok();
        let said: Vec<&str> = output.stdout.split_whitespace().collect();
        assert_eq!((said[..3].to_vec(), said[4]), (vec!["0", "0", "1"], "c"), "{words:?} {output}");
        let output = inside(words).run(&Bundle::shell(script).rootless(super::USER));
        assert!(output.code == 125 && output.stderr.contains("/proc/self/uid_map"), "{output}");
    }
}

#[test]
fn the_default_mounts_are_all_there() {
    skip_unless!(is_root(), "needs root, to become an ordinary user");
    for words in [MOUNTS_TOO, NOT_MOUNTS] {
        let seen = inside(words).ask(&without_mappings(Bundle::probe(&["mounts"])));
        let kind = |place: &str| {
            let mut all = seen.as_array().expect("a list").iter();
            all.find(|mount| mount["destination"] == place)
                .map(|mount| mount["type"].clone())
                .unwrap_or_default()
        };
        for (place, fstype) in [
            ("/proc", "proc"),
            ("/dev", "tmpfs"),
            ("/dev/pts", "devpts"),
            ("/dev/shm", "tmpfs"),
            ("/dev/mqueue", "mqueue"),
            ("/sys", "sysfs"),
            ("/dev/null", "devtmpfs"),
        ] {
            assert_eq!(kind(place), fstype, "{place}: {words:?} {seen}");
        }
    }
}

#[test]
fn the_hosts_network_brings_the_hosts_sys_read_only() {
    skip_unless!(is_root(), "needs root, to become an ordinary user");
    let bundle = without_mappings(Bundle::probe(&["mounts"])).without_namespace("network");
    let seen = inside(MOUNTS_TOO).ask(&bundle);
    let mounts = seen.as_array().expect("a list");
    let sys = mounts.iter().find(|mount| mount["destination"] == "/sys").expect("a mount on /sys");
    assert_eq!(sys["type"], "sysfs");
    assert!(sys["options"].as_array().expect("a list").contains(&json!("ro")), "{sys}");
}

#[test]
fn what_cannot_be_lowered_or_locked_is_named() {
    skip_unless!(is_root(), "needs root, to become an ordinary user");
    let lower =
        without_mappings(Bundle::shell("true")).edit(|config| config["process"]["oomScoreAdj"] = json!(-900));
    let output = inside(MOUNTS_TOO).run(&lower);
    assert!(output.code == 125 && output.stderr.contains("process.oomScoreAdj"), "{output}");
    let bundle = without_mappings(Bundle::shell("true"));
    let sealed = bundle.path().display().to_string();
    let bundle = bundle.mount(json!({
        "destination": "/volume", "type": "bind", "source": sealed, "options": ["bind", "exec"]
    }));
    let script = format!("mount -t tmpfs -o noexec none {sealed}/sealed && exec \"$@\"");
    std::fs::create_dir(bundle.path().join("sealed")).expect("cannot make a directory");
    let bundle = bundle.edit(|config| {
        config["mounts"][7]["source"] = json!(format!("{sealed}/sealed"));
    });
    let id = format!("--reuid={}", super::USER);
    let words =
        ["unshare", "-m", "sh", "-c", &script, "sh", "setpriv", &id, "--clear-groups", "unshare", "-r", "-m"];
    let output = Runtime::sandrun().of_user(super::USER).wrapped(&words).run(&bundle);
    for words in ["mounts[7]", "leave out what takes them away"] {
        assert!(output.code == 125 && output.stderr.contains(words), "{output}");
    }
}

/// A procfs over which something is mounted, as in containers: the kernel lets nobody make one that shows more.
#[test]
fn a_procfs_that_is_not_allowed_is_explained() {
    skip_unless!(is_root(), "needs root, to become an ordinary user");
    let script = "mount -t tmpfs none /proc/sys && exec \"$@\"";
    let id = format!("--reuid={}", super::USER);
    let words =
        ["unshare", "-m", "sh", "-c", script, "sh", "setpriv", &id, "--clear-groups", "unshare", "-r", "-m"];
    let runtime = Runtime::sandrun().of_user(super::USER).wrapped(&words);
    let output = runtime.run(&without_mappings(Bundle::shell("true")));
    assert_eq!(output.code, 125, "{output}");
    for words in ["cannot mount proc", "mounted over the caller's are", "/proc/sys", "--mount-proc"] {
        assert!(output.stderr.contains(words), "{words}: {output}");
    }
}
