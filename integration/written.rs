//! Nothing that is written at run time is executed at `strict`: no file, no memory without a name, no page.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Bundle, Runtime, Scratch, is_root, leaks};

const USER: u32 = 51_247;
const WEAKER: [&str; 2] = ["oci", "baseline"];

fn has_memfd_noexec() -> bool {
    Path::new("/proc/sys/vm/memfd_noexec").exists()
}

/// An image with what images have: programs, data, a directory of nobody's standard, links between them.
fn image(words: &[&str]) -> Bundle {
    let bundle = Bundle::probe(words);
    for place in
        ["bin", "usr/bin", "usr/lib", "opt/x", "var/lib", "var/tmp", "home/u", "srv", "data/x", "run", "root"]
    {
        fs::create_dir_all(bundle.rootfs().join(place)).expect("cannot make the image");
    }
    fs::copy(bundle.rootfs().join("probe"), bundle.rootfs().join("usr/bin/probe")).expect("a program");
    fs::copy(bundle.rootfs().join("probe"), bundle.rootfs().join("data/x/probe")).expect("a program");
    std::os::unix::fs::symlink("usr/bin", bundle.rootfs().join("sbin")).expect("a link");
    std::os::unix::fs::symlink("/data", bundle.rootfs().join("lib")).expect("a link");
    bundle
}

/// A volume with a program in it.
fn volume(bundle: Bundle, options: &[&str]) -> (Bundle, Scratch) {
    let source = Scratch::new("volume");
    fs::set_permissions(source.path(), fs::Permissions::from_mode(0o777)).expect("a volume for all");
    fs::copy(bundle.rootfs().join("probe"), source.path().join("probe")).expect("a program");
    let mount = json!({
        "destination": "/mnt/volume", "type": "bind", "source": source.path(), "options": options,
    });
    (bundle.mount(mount), source)
}

fn executed(seen: &Value) -> Vec<&str> {
    ["executed", "mapped", "overwritten"]
        .iter()
        .flat_map(|list| seen[list].as_array().expect("a list"))
        .map(|path| path.as_str().expect("a path"))
        .collect()
}

#[track_caller]
fn assert_nothing(seen: &Value, least: i64) {
    assert_eq!(executed(seen), [""; 0], "{seen}");
    assert!(seen["tried"].as_i64() >= Some(least), "hardly anything could be written: {seen}");
}

#[test]
fn no_file_is_written_and_executed() {
    skip_unless!(is_root(), "needs root");
    for level in WEAKER {
        let (bundle, _volume) = volume(image(&["written"]), &["rbind", "rw"]);
        let seen = Runtime::at_level(level).ask(&bundle);
        let found = executed(&seen);
        for place in ["/tmp/.written: path", "/data/.written: link in /proc", "/mnt/volume", "/usr/bin/probe"]
        {
            assert!(found.contains(&place), "the attack does not work at all at {level}: {seen}");
        }
    }
    let runtime = Runtime::at_level("strict");
    let (bundle, volume) = volume(image(&["written"]), &["rbind", "rw"]);
    assert_nothing(&runtime.ask(&bundle), 15);
    leaks::assert_none(&runtime, &bundle);
    fs::write(volume.path().join("script"), "#!/bin/sh\nexit 7\n").expect("the host's side is writable");
    fs::set_permissions(volume.path().join("script"), fs::Permissions::from_mode(0o755))
        .expect("and executable");
    let host = std::process::Command::new(volume.path().join("script")).status().expect("as it was");
    assert_eq!(host.code(), Some(7), "the host's side of a volume has changed");
}

#[test]
fn a_read_only_root_leaves_nothing_either() {
    skip_unless!(is_root(), "needs root");
    let bundle = || {
        image(&["written"]).edit(|config| {
            config["root"]["readonly"] = json!(true);
            let mounts = config["mounts"].as_array_mut().expect("mounts is a list");
            mounts.push(json!({ "destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": [] }));
        })
    };
    let seen = Runtime::at_level("baseline").ask(&bundle());
    assert!(executed(&seen).contains(&"/tmp/.written: path"), "the attack does not work at all: {seen}");
    assert_nothing(&Runtime::at_level("strict").ask(&bundle()), 2);
}

#[test]
fn what_the_host_has_mounted_in_the_root_filesystem_is_no_exception() {
    skip_unless!(is_root(), "needs root");
    let bundle = image(&["written"]);
    // In a mount namespace of its own, which takes the mounts with it.
    let script = format!(
        "for dir in usr/lib data/x; do mount -t tmpfs none {}/$dir; done; exec \"$@\"",
        bundle.rootfs().display()
    );
    let with_mounts = |level| Runtime::at_level(level).in_own_mounts(&script);
    let seen = with_mounts("baseline").ask(&bundle);
    for place in ["/usr/lib/.written: path", "/data/x/.written: path"] {
        assert!(executed(&seen).contains(&place), "the attack does not work at all: {seen}");
    }
    assert_nothing(&with_mounts("strict").ask(&bundle), 10);
}

#[test]
fn data_does_not_become_a_program() {
    skip_unless!(is_root(), "needs root");
    let ways = |level, to| Runtime::at_level(level).ask(&image(&["written-to", "/data", to]));
    let seen = ways("baseline", "/usr/bin");
    for way in ["copy", "hard link", "rename", "rename the directory", "rename the directory in its place"] {
        assert!(seen[way].is_null(), "the attack does not work at all: {seen}");
    }
    for to in ["/usr/bin", "/", "/bin", "/opt/x"] {
        let seen = ways("strict", to);
        assert!(seen["written"].is_null(), "{seen}");
        for (way, errno) in seen.as_object().expect("an object").iter().filter(|(way, _)| *way != "written") {
            assert!(errno.is_string(), "{way} to {to}: {seen}");
        }
    }
}

#[test]
fn no_memory_is_written_and_executed() {
    skip_unless!(is_root(), "needs root");
    skip_unless!(has_memfd_noexec(), "this kernel has no vm.memfd_noexec (6.3)");
    let bundle = || image(&["written-in-memory"]);
    for level in WEAKER {
        let seen = Runtime::at_level(level).ask(&bundle());
        for (way, errno) in seen.as_object().expect("an object") {
            // A sealed file is never made executable, wherever it is, and our filters know no execveat(2).
            let never = way == "memfd made executable" || (way == "memfd by execveat" && level == "baseline");
            assert!(errno.is_null() || never, "{way} at {level}: {seen}");
        }
    }
    let assert_refused = |seen: &Value| {
        for (way, errno) in seen.as_object().expect("an object") {
            assert!(errno.is_string(), "{way}: {seen}");
        }
    };
    assert_refused(&Runtime::at_level("strict").ask(&bundle()));
    let ids = bundle().edit(|config| {
        config["linux"]["namespaces"].as_array_mut().expect("a list").push(json!({ "type": "user" }));
        for name in ["uidMappings", "gidMappings"] {
            config["linux"][name] = json!([{ "containerID": 0, "hostID": 200_000, "size": 65536 }]);
        }
    });
    assert_refused(&Runtime::at_level("strict").ask(&ids));
    // Also without our filter: by the pid namespace, whoever is root in it.
    let ids = ids.edit(|config| {
        config["process"]["args"] = json!(["/probe", "read", "/proc/sys/vm/memfd_noexec"]);
    });
    assert_eq!(Runtime::at_level("strict").ask(&ids)["content"], "2\n");
    let host = fs::read_to_string("/proc/sys/vm/memfd_noexec").expect("the host's");
    assert_eq!(host.trim(), "0", "the host's own value has changed");
}

#[test]
fn an_exec_executes_nothing_written_either() {
    skip_unless!(is_root(), "needs root");
    skip_unless!(has_memfd_noexec(), "this kernel has no vm.memfd_noexec (6.3)");
    let runtime = Runtime::at_level("strict");
    let bundle = image(&["sleep", "60"]);
    runtime.create(&bundle).ok();
    runtime.call(&["start", &bundle.id]).ok();
    let exec = |words: &[&str]| {
        let words: Vec<&str> = ["exec", &bundle.id, "/probe"].iter().chain(words).copied().collect();
        runtime.call(&words).ok().json()
    };
    assert_nothing(&exec(&["written"]), 12);
    let seen = exec(&["written-in-memory"]);
    assert!(seen.as_object().expect("an object").values().all(Value::is_string), "{seen}");
}

#[test]
fn each_layer_is_read_back() {
    skip_unless!(is_root(), "needs root");
    skip_unless!(has_memfd_noexec(), "this kernel has no vm.memfd_noexec (6.3)");
    let layers = |level| {
        let runtime = Runtime::at_level(level);
        let bundle = image(&["sleep", "60"]);
        runtime.create(&bundle).ok();
        let state = runtime.call(&["state", &bundle.id]).ok().json();
        ["write_xor_execute", "memfd", "mdwe"].map(|layer| {
            state["annotations"][format!("dev.sandrun.receipt.{layer}")].as_str().map(str::to_owned)
        })
    };
    let told = layers("strict").map(|text| text.expect("a layer"));
    assert!(told.iter().all(|text| text.starts_with("enforced: ")), "{told:?}");
    assert!(
        told[0].ends_with("mounts, each read-only or noexec, the root read-only but for data directories")
    );
    assert_eq!(layers("baseline"), [None, None, None]);
}

/// A hook is trusted with mounts; what it makes of them is not overlooked.
#[test]
fn a_mount_of_a_hook_that_is_both_is_refused() {
    skip_unless!(is_root(), "needs root");
    let bundle = image(&["status"]).edit(|config| {
        let script = "mount -t tmpfs none rootfs/srv";
        config["hooks"] = json!({ "createContainer": [{ "path": "/bin/sh", "args": ["sh", "-c", script] }] });
    });
    Runtime::at_level("baseline").run(&bundle).ok();
    let runtime = Runtime::at_level("strict");
    let output = runtime.run(&bundle);
    assert!(output.code != 0 && output.stderr.contains("/srv is writable and executable"), "{output}");
    leaks::assert_none(&runtime, &bundle);
}

#[test]
fn two_mounts_of_one_volume_do_not_make_it_both() {
    skip_unless!(is_root(), "needs root");
    let (bundle, volume) = volume(image(&["written"]), &["rbind", "ro"]);
    let program = bundle.edit(|config| config["process"]["args"] = json!(["/mnt/volume/probe", "status"]));
    Runtime::at_level("strict").run(&program).ok();
    let twice = program.mount(json!({
        "destination": "/srv", "type": "bind", "source": volume.path(), "options": ["bind", "rw"],
    }));
    let output = Runtime::at_level("strict").run(&twice);
    assert!(output.code == 126 && output.stderr.contains("noexec mount"), "{output}");
}

#[test]
fn annotations_make_exceptions_that_keep_the_promise() {
    skip_unless!(is_root(), "needs root");
    let asking = |words: &[&str]| {
        image(words).edit(|config| {
            config["annotations"] = json!({
                "dev.sandrun.writable": "/usr/lib, /opt/cache/deep",
                "dev.sandrun.executable": "/data/x",
            });
        })
    };
    let strict = Runtime::at_level("strict");
    let writes = |path: &str| strict.ask(&asking(&["write", path]))["errno"].clone();
    assert!(writes("/usr/lib/file").is_null() && writes("/opt/cache/deep/file").is_null());
    assert_eq!((writes("/usr/file"), writes("/opt/cache/file")), (json!("EROFS"), json!("EROFS")));
    assert_eq!((writes("/data/x/file"), writes("/data/file")), (json!("EROFS"), Value::Null));
    assert_nothing(&strict.ask(&asking(&["written"])), 15);
    let program = asking(&[]).edit(|config| config["process"]["args"] = json!(["/usr/bin/probe", "written"]));
    assert_nothing(&strict.ask(&program), 15);
    let from_data = asking(&[]).edit(|config| config["process"]["args"] = json!(["/lib/x/probe", "status"]));
    strict.run(&from_data).ok();
    let readonly = asking(&["status"]).edit(|config| config["root"]["readonly"] = json!(true));
    let output = strict.run(&readonly);
    assert!(output.code != 0 && output.stderr.contains("annotations[\"dev.sandrun.writable\"]"), "{output}");
    let in_a_file = image(&["status"])
        .edit(|config| config["annotations"] = json!({ "dev.sandrun.writable": "/usr/bin/probe/below" }));
    let output = strict.run(&in_a_file);
    assert!(output.code != 0 && output.stderr.contains("/usr/bin/probe/below"), "{output}");
}

/// Where a program is, its process says.
#[test]
fn programs_are_found_wherever_a_process_has_them() {
    skip_unless!(is_root(), "needs root");
    let strict = Runtime::at_level("strict");
    let copied = |path: &str| {
        let bundle = image(&[]);
        let place = bundle.rootfs().join(path.trim_start_matches('/'));
        fs::create_dir_all(place.parent().expect("a parent")).expect("cannot make the image");
        fs::copy(bundle.rootfs().join("probe"), place).expect("a program");
        bundle
    };
    for (path, args, cwd, env) in [
        ("/server", "/server", "/", "A=B"),
        ("/app/bin/server", "/app/bin/server", "/", "A=B"),
        ("/app/bin/server", "bin/server", "/app", "A=B"),
        ("/app/bin/server", "server", "/", "PATH=/usr/bin:/app/bin"),
        ("/home/u/server", "/home/u/server", "/", "A=B"),
        ("/root/.local/bin/server", "server", "/tmp", "PATH=/root/.local/bin"),
    ] {
        let bundle = copied(path).edit(|config| {
            config["process"]["args"] = json!([args, "written"]);
            config["process"]["cwd"] = json!(cwd);
            config["process"]["env"] = json!([env]);
        });
        assert_nothing(&strict.ask(&bundle), 10);
    }
    let elsewhere = copied("/tmp/server").edit(|config| {
        config["process"]["args"] = json!(["/usr/bin/probe", "exit", "0"]);
    });
    strict.run(&elsewhere).ok();
}

#[test]
fn an_ordinary_users_container_executes_nothing_written() {
    skip_unless!(is_root(), "needs root");
    let bundle = || image(&["written"]).rootless(USER);
    let of_user = |level| Runtime::at_level(level).of_user(USER);
    let owned = |bundle: Bundle| {
        let chown =
            std::process::Command::new("chown").arg("-R").arg(USER.to_string()).arg(bundle.path()).status();
        assert!(chown.expect("chown").success());
        bundle
    };
    let seen = of_user("baseline").ask(&owned(bundle()));
    assert!(executed(&seen).contains(&"/tmp/.written: path"), "the attack does not work at all: {seen}");
    assert_nothing(&of_user("strict").ask(&owned(bundle())), 10);
}

#[test]
fn what_try_runs_executes_nothing_that_it_wrote() {
    skip_unless!(is_root(), "needs root");
    for (level, works) in [("baseline", true), ("strict", false)] {
        for runtime in [Runtime::at_level(level), Runtime::at_level(level).of_user(USER)] {
            let script = "cp /bin/true /tmp/true && /tmp/true";
            let output = runtime.call(&["try", "--", "sh", "-c", script]);
            assert_eq!(output.code == 0, works, "{level}: {output}");
            assert!(works || output.stderr.contains("Permission denied"), "{output}");
        }
    }
}
