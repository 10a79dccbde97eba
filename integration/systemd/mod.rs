//! Containers whose cgroup systemd makes. It is this host's own, started for each test in namespaces (`boot` and
//! the units beside it), so the host need not run it.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::bundle::unique;
use crate::support::systemd::{Systemd, USER};
use crate::support::{Bundle, Runtime, is_root};

macro_rules! systemd {
    () => {{
        skip_unless!(is_root(), "needs root");
        match Systemd::start() {
            Ok(systemd) => systemd,
            Err(why) => skip!("no systemd: {why}"),
        }
    }};
}

/// A container in a slice of the test's own, its unit, and the path of its cgroup.
fn in_slice(bundle: Bundle) -> (Bundle, String, String) {
    let name = bundle.id.clone();
    let bundle = bundle.edit(|config| {
        config["linux"]["cgroupsPath"] = json!(format!("tests-some.slice:test:{name}"));
        config["linux"].as_object_mut().expect("an object").remove("resources");
    });
    let unit = format!("test-{name}.scope");
    let path = format!("/tests.slice/tests-some.slice/{unit}");
    (bundle, unit, path)
}

fn without_path(bundle: Bundle) -> Bundle {
    bundle.edit(|config| {
        let linux = config["linux"].as_object_mut().expect("an object");
        linux.remove("cgroupsPath");
        linux.remove("resources");
    })
}

fn layer(state: &Value, name: &str) -> Value {
    let layers = state["sandrun"]["receipt"]["layers"].as_array().expect("a receipt has layers");
    layers.iter().find(|layer| layer["layer"] == name).cloned().unwrap_or_default()
}

/// The cgroup of a process, on the unified hierarchy.
fn cgroup_of(pid: &Value) -> String {
    let lines = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("it runs");
    lines.lines().find_map(|line| line.strip_prefix("0::")).expect("a unified hierarchy").to_owned()
}

/// The first process, as this namespace numbers it: that of the cgroup.
fn members(systemd: &Systemd, path: &str) -> Vec<String> {
    let procs = fs::read_to_string(systemd.cgroup(path).join("cgroup.procs")).unwrap_or_default();
    procs.lines().map(str::to_owned).collect()
}

#[test]
fn from_created_to_deleted_in_a_scope() {
    let systemd = systemd!();
    let runtime = systemd.runtime();
    let (bundle, unit, path) = in_slice(Bundle::shell("exec sleep 60"));
    runtime.create(&bundle).ok();
    let shown = systemd.show(&unit);
    for property in [
        "ActiveState=active",
        "Slice=tests-some.slice",
        "Delegate=yes",
        "DefaultDependencies=no",
        "CollectMode=inactive-or-failed",
        "DevicePolicy=strict",
        &format!("ControlGroup={path}"),
        &format!("Description=sandrun container {}", bundle.id),
    ] {
        assert!(shown.iter().any(|line| line == property), "no {property} in {shown:#?}");
    }
    assert_eq!(members(&systemd, &path).len(), 1, "init, and none of ours beside it");
    runtime.call(&["start", &bundle.id]).ok();
    let state = runtime.call(&["state", &bundle.id]).ok().json();
    assert_eq!(layer(&state, "cgroup")["state"], "enforced", "{state}");
    assert_eq!(layer(&state, "devices")["state"], "enforced", "{state}");
    assert_eq!(runtime.call(&["exec", &bundle.id, "/bin/sh", "-c", "sleep 60 & exit 9"]).code, 9);
    assert_eq!(members(&systemd, &path).len(), 2, "the exec's child is in it, too");
    // What is told on the command line when it is made holds for later commands without it.
    let plain = systemd.wrap(Runtime::sandrun(), &[]);
    let call = |words: &[&str]| {
        let root = runtime.root().display().to_string();
        plain.call(&[words, &["--root", &root]].concat()).ok()
    };
    call(&["pause", &bundle.id]);
    assert_eq!(runtime.status(&bundle), "paused");
    call(&["resume", &bundle.id]);
    call(&["kill", "--all", &bundle.id, "KILL"]);
    runtime.await_status(&bundle, "stopped");
    call(&["delete", &bundle.id]);
    assert!(!systemd.knows(&unit), "the unit is left");
    assert!(!systemd.cgroup(&path).exists(), "the cgroup is left");
}

#[test]
fn a_program_in_the_foreground_leaves_no_unit() {
    let systemd = systemd!();
    let runtime = systemd.runtime();
    let bundle = without_path(Bundle::shell("sleep 60 & exit 7"));
    assert_eq!(runtime.run(&bundle).code, 7);
    let unit = format!("sandrun-{}.scope", bundle.id);
    assert!(!systemd.knows(&unit), "the unit is left");
    assert!(!systemd.cgroup(&format!("/system.slice/{unit}")).exists(), "the cgroup is left");
    let bundle = without_path(Bundle::shell("exit 7")).edit(|config| {
        config["process"]["args"] = json!(["/no/such/program"]);
    });
    assert_eq!(runtime.run(&bundle).code, 127);
    assert!(!systemd.knows(&format!("sandrun-{}.scope", bundle.id)), "the unit is left");
}

#[test]
fn delete_with_force_ends_what_runs() {
    let systemd = systemd!();
    let runtime = systemd.runtime();
    let (bundle, unit, path) = in_slice(Bundle::shell("trap '' TERM; while :; do sleep 1; done"));
    runtime.create(&bundle).ok();
    runtime.call(&["start", &bundle.id]).ok();
    let begun = std::time::Instant::now();
    runtime.call(&["delete", "--force", &bundle.id]).ok();
    assert!(begun.elapsed() < Duration::from_secs(20), "systemd waited for it to end by itself");
    assert!(!systemd.knows(&unit) && !systemd.cgroup(&path).exists());
}

#[test]
fn a_path_of_the_other_form_is_refused() {
    let systemd = systemd!();
    let runtime = systemd.runtime();
    let bundle = Bundle::shell("echo ran");
    let output = runtime.run(&bundle);
    assert_eq!((output.code, output.stdout.as_str()), (125, ""), "{output}");
    assert!(output.stderr.contains("linux.cgroupsPath"), "{output}");
    assert!(output.stderr.contains("slice:prefix:name"), "{output}");
}

#[test]
fn a_name_that_is_taken_stays_with_its_first_user() {
    let systemd = systemd!();
    let runtime = systemd.runtime();
    let (first, unit, path) = in_slice(Bundle::shell("sleep 60"));
    runtime.create(&first).ok();
    let second = Bundle::shell("echo ran").edit(|config| {
        config["linux"]["cgroupsPath"] = first.config["linux"]["cgroupsPath"].clone();
    });
    let output = runtime.run(&second);
    assert_eq!((output.code, output.stdout.as_str()), (125, ""), "{output}");
    assert!(output.stderr.contains("linux.cgroupsPath"), "{output}");
    assert_eq!(runtime.status(&first), "created");
    assert_eq!(members(&systemd, &path).len(), 1);
    assert!(systemd.knows(&unit));
}

/// systemd writes what it knows of a cgroup again when it is reloaded.
#[test]
fn a_reload_opens_no_device() {
    let systemd = systemd!();
    let runtime = systemd.runtime().flags(&["--level", "oci"]);
    let (bundle, ..) = in_slice(Bundle::shell("sleep 60"));
    let bundle = bundle.edit(|config| {
        for set in ["bounding", "effective", "permitted"] {
            config["process"]["capabilities"][set] = json!(["CAP_MKNOD"]);
        }
        config["root"]["readonly"] = json!(false);
        // kmsg may be made, and not read.
        config["linux"]["resources"] = json!({ "devices": [
            { "allow": false, "access": "rwm" }, { "allow": true, "type": "c", "access": "m" } ] });
    });
    runtime.create(&bundle).ok();
    runtime.call(&["start", &bundle.id]).ok();
    let script =
        "[ -e /k ] || mknod /k c 1 11 && ! head -c1 /k && head -c1 /dev/zero >/dev/null && echo held";
    let held = || runtime.call(&["exec", &bundle.id, "/bin/sh", "-c", script]);
    assert_eq!(held().stdout, "held\n", "{}", held());
    systemd.call(&["systemctl", "daemon-reload"]).ok();
    assert_eq!(held().stdout, "held\n", "{}", held());
}

#[test]
fn systemd_itself_is_asked_where_there_is_no_bus() {
    let systemd = systemd!();
    systemd.call(&["systemctl", "stop", "dbus.socket", "dbus.service"]).ok();
    let runtime = systemd.runtime();
    let (bundle, unit, path) = in_slice(Bundle::shell("sleep 60"));
    runtime.create(&bundle).ok();
    assert_eq!(members(&systemd, &path).len(), 1);
    runtime.call(&["delete", "--force", &bundle.id]).ok();
    assert!(!systemd.knows(&unit) && !systemd.cgroup(&path).exists());
}

#[test]
fn without_systemd_the_flag_is_refused() {
    skip_unless!(is_root(), "needs root");
    let hidden = ["unshare", "-m", "sh", "-c", "mount -t tmpfs none /run && exec \"$@\"", "sh"];
    let runtime = Runtime::sandrun().wrapped(&hidden).flags(&["--systemd-cgroup"]);
    let output = runtime.run(&without_path(Bundle::shell("echo ran")));
    assert_eq!((output.code, output.stdout.as_str()), (125, ""), "{output}");
    assert!(output.stderr.contains("--systemd-cgroup"), "{output}");
}

/// Whenever `create` is killed, the record leads to the unit.
#[test]
fn a_killed_create_leaves_nothing_that_delete_does_not_find() {
    let systemd = systemd!();
    let runtime = systemd.runtime();
    let (program, root) = (runtime.program().display().to_string(), runtime.root().display().to_string());
    for milliseconds in (2..120).step_by(6) {
        let (bundle, unit, path) = in_slice(Bundle::shell("sleep 60"));
        bundle.write();
        runtime.adopt(&bundle);
        let (dir, after) = (bundle.path().display().to_string(), format!("0.{milliseconds:03}"));
        let killed = ["timeout", "--foreground", "--signal=KILL", &after, &program, "--root", &root];
        let create = ["--systemd-cgroup", "create", "--bundle", &dir, &bundle.id];
        systemd.call(&[&killed[..], &create].concat());
        runtime.call(&["delete", "--force", &bundle.id]).ok();
        assert!(!systemd.knows(&unit), "after {milliseconds} ms: the unit is left");
        assert!(!systemd.cgroup(&path).exists(), "after {milliseconds} ms: the cgroup is left");
        assert!(!runtime.root().join(&bundle.id).exists(), "after {milliseconds} ms: state is left");
    }
}

/// The caller is in a session, as after a login: outside of the tree that its own systemd has.
#[test]
fn an_ordinary_users_container_is_in_a_scope_of_their_own_systemd() {
    let systemd = systemd!();
    systemd.call(&["systemctl", "start", &format!("user@{USER}.service")]).ok();
    let runtime_dir = format!("XDG_RUNTIME_DIR=/run/user/{USER}");
    let ids = [format!("--reuid={USER}"), format!("--regid={USER}"), "--clear-groups".to_owned()];
    let words = ["setpriv", &ids[0], &ids[1], &ids[2], "env", &runtime_dir];
    let runtime = systemd.wrap(Runtime::sandrun().of_user(USER), &words).flags(&["--systemd-cgroup"]);
    let bundle = Bundle::shell("exec sleep 60").rootless(USER);
    runtime.create(&bundle).ok();
    let path =
        format!("/user.slice/user-{USER}.slice/user@{USER}.service/user.slice/sandrun-{}.scope", bundle.id);
    assert_eq!(members(&systemd, &path).len(), 1, "init is in the user's scope");
    runtime.call(&["start", &bundle.id]).ok();
    let receipt = runtime.call(&["state", &bundle.id]).ok().json();
    assert_eq!(layer(&receipt, "cgroup")["state"], "enforced", "{receipt}");
    runtime.call(&["exec", &bundle.id, "/bin/sh", "-c", "sleep 60 &"]).ok();
    assert_eq!(members(&systemd, &path).len(), 2, "so is the exec's child");
    runtime.call(&["delete", "--force", &bundle.id]).ok();
    assert!(!systemd.cgroup(&path).exists(), "the cgroup is left");
}

/// A part of the tree that an administrator has given to a user: the container's cgroup is beside the caller's.
#[test]
fn an_ordinary_user_makes_cgroups_where_they_are_delegated() {
    skip_unless!(is_root(), "needs root");
    let unified = std::path::Path::new("/sys/fs/cgroup/unified");
    let unified = if unified.exists() { unified } else { std::path::Path::new("/sys/fs/cgroup") };
    let tree = Delegated::new(unified.join(unique("delegated")));
    let enter = "umount -l /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && \
         echo $$ >\"/sys/fs/cgroup/$0/caller/cgroup.procs\" && exec setpriv \"$@\"";
    let name = tree.0.file_name().expect("a name").to_string_lossy().into_owned();
    let ids = [format!("--reuid={USER}"), format!("--regid={USER}")];
    let runtime = Runtime::sandrun().of_user(USER).wrapped(&[
        "unshare",
        "-m",
        "--propagation",
        "private",
        "sh",
        "-c",
        enter,
        &name,
        &ids[0],
        &ids[1],
        "--clear-groups",
    ]);
    let bundle = Bundle::shell("sleep 60 & sleep 60").rootless(USER);
    runtime.create(&bundle).ok();
    let state = runtime.call(&["state", &bundle.id]).ok().json();
    let path = format!("/{name}/sandrun-{}", bundle.id);
    assert_eq!(cgroup_of(&state["pid"]), path);
    runtime.call(&["start", &bundle.id]).ok();
    assert_eq!(layer(&state, "cgroup")["state"], "enforced", "{state}");
    runtime.call(&["exec", &bundle.id, "/bin/sh", "-c", "sleep 60 &"]).ok();
    runtime.call(&["pause", &bundle.id]).ok();
    assert_eq!(runtime.status(&bundle), "paused");
    runtime.call(&["resume", &bundle.id]).ok();
    runtime.call(&["kill", "--all", &bundle.id, "KILL"]).ok();
    runtime.await_status(&bundle, "stopped");
    runtime.call(&["delete", &bundle.id]).ok();
    assert!(!tree.0.join(format!("sandrun-{}", bundle.id)).exists(), "the cgroup is left");
}

/// A cgroup that belongs to the user, with one beneath for the caller.
struct Delegated(std::path::PathBuf);

impl Delegated {
    fn new(dir: std::path::PathBuf) -> Delegated {
        fs::create_dir_all(dir.join("caller")).expect("cannot make a cgroup");
        for file in ["", "cgroup.procs", "cgroup.subtree_control", "caller", "caller/cgroup.procs"] {
            std::os::unix::fs::chown(dir.join(file), Some(USER), Some(USER)).expect("cannot delegate it");
        }
        Delegated(dir)
    }
}

impl Drop for Delegated {
    fn drop(&mut self) {
        for dir in [self.0.join("caller"), self.0.clone()] {
            if let Err(error) = fs::remove_dir(&dir) {
                eprintln!("left behind: {}: {error}", dir.display());
            }
        }
    }
}
