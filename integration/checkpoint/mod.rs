//! Containers become files and come back, with what they had in memory and with all that confines them.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Bundle, Output, Runtime, is_root, leaks};

/// Why nothing can be checkpointed here.
pub fn obstacle() -> Option<String> {
    if !is_root() {
        return Some("needs root".to_owned());
    }
    let Ok(output) = Command::new("criu").arg("--version").output() else {
        return Some("there is no criu".to_owned());
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text.lines().find_map(|line| line.strip_prefix("Version: ")).unwrap_or("?").to_owned();
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let numbers =
        |text: &str| -> Vec<u32> { text.split(['.', '-']).map_while(|part| part.parse().ok()).collect() };
    // The vDSO of newer kernels has parts that an older criu takes for an error.
    (numbers(&version) < vec![4] && numbers(&release) > vec![6, 12, u32::MAX])
        .then(|| format!("criu {version} is too old for Linux {}", release.trim()))
}

macro_rules! needs_criu {
    () => {
        if let Some(why) = obstacle() {
            skip!("{why}");
        }
    };
}

// After the macro that they use.
mod refused;
mod streams;

/// Counts in memory, and shows the number in a file of a tmpfs.
const COUNTER: &str = "i=0; while :; do i=$((i+1)); echo $i > /dev/shm/n; sleep 0.05; done";

/// A profile that refuses one call, and a limit: what a restore has to bring back.
fn confined(bundle: Bundle) -> Bundle {
    bundle.edit(|config| {
        config["linux"]["seccomp"] = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{ "names": ["sethostname"], "action": "SCMP_ACT_ERRNO", "errnoRet": 77 }]
        });
        config["process"]["rlimits"] = json!([{ "type": "RLIMIT_NOFILE", "hard": 512, "soft": 512 }]);
        config["process"]["oomScoreAdj"] = json!(300);
    })
}

struct Trial {
    runtime: Runtime,
    bundle: Bundle,
}

impl Trial {
    fn start(bundle: Bundle) -> Trial {
        let runtime = Runtime::at_level("oci");
        runtime.create(&bundle).ok();
        runtime.call(&["start", &bundle.id]).ok();
        Trial { runtime, bundle }
    }

    fn images(&self) -> String {
        self.bundle.path().join("images").display().to_string()
    }

    #[track_caller]
    fn checkpoint(&self, flags: &[&str]) {
        let images = self.images();
        let words = [&["checkpoint", "--image-path", &images], flags, &[self.bundle.id.as_str()]].concat();
        self.runtime.call(&words).ok();
    }

    fn restore(&self, flags: &[&str]) -> Output {
        self.bundle.write();
        let (images, dir) = (self.images(), self.bundle.path().display().to_string());
        let words = ["restore", "--image-path", &images, "--bundle", &dir];
        self.runtime.call(&[&words, flags, &[self.bundle.id.as_str()]].concat())
    }

    #[track_caller]
    fn inside(&self, script: &str) -> String {
        self.runtime.call(&["exec", &self.bundle.id, "/bin/sh", "-c", script]).ok().stdout
    }

    /// Waits until the number is above another.
    #[track_caller]
    fn count_beyond(&self, least: u64) -> u64 {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let number = self.inside("cat /dev/shm/n 2>/dev/null || true").trim().parse().unwrap_or(0);
            if number > least {
                return number;
            }
            assert!(Instant::now() < deadline, "it stays at {number}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn pid(&self) -> i64 {
        let state = self.runtime.call(&["state", &self.bundle.id]).ok().json();
        state["pid"].as_i64().expect("a pid")
    }
}

/// What confines a process, as the kernel says.
fn confinement(pid: i64) -> Vec<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).expect("it lives");
    let score = fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).expect("it lives");
    let wanted = ["Cap", "NoNewPrivs", "Seccomp", "Uid", "Gid", "Groups"];
    let status = status.lines().filter(|line| wanted.iter().any(|name| line.starts_with(name)));
    let limits = limits.lines().filter(|line| line.starts_with("Max open files"));
    status.chain(limits).chain([score.trim()]).map(str::to_owned).collect()
}

#[test]
fn it_goes_on_where_it_was_and_is_confined_as_it_was() {
    needs_criu!();
    let trial = Trial::start(confined(Bundle::shell(COUNTER)));
    let before = trial.count_beyond(3);
    let confined = confinement(trial.pid());
    trial.checkpoint(&[]);
    let text = fs::read(trial.bundle.path().join("images/descriptors.json")).expect("it was written");
    let streams: Vec<String> = serde_json::from_slice(&text).expect("a list of names");
    assert_eq!((streams.len(), streams[0].is_empty()), (3, false), "{streams:?}");
    leaks::assert_none(&trial.runtime, &trial.bundle);
    trial.restore(&["--detach"]).ok();
    assert!(trial.count_beyond(before) > before);
    assert_eq!(confinement(trial.pid()), confined);
    // An exec joins everything, the clocks too.
    let clock = "readlink /proc/self/ns/time; readlink /proc/1/ns/time";
    let both = trial.inside(clock);
    let clocks: Vec<&str> = both.lines().collect();
    assert_eq!(clocks[0], clocks[1]);
    assert!(trial.inside("ip addr show lo").contains("LOOPBACK,UP"));
    let state = trial.runtime.call(&["state", &trial.bundle.id]).ok().json();
    let receipt = state["sandrun"]["receipt"]["layers"].clone();
    let layer = |name: &str| {
        let layers = receipt.as_array().expect("layers");
        layers.iter().find(|layer| layer["layer"] == name).cloned().unwrap_or_default()
    };
    for name in ["seccomp", "capabilities", "no_new_privs", "mounts", "namespaces"] {
        assert_eq!(layer(name)["state"], "enforced", "{receipt}");
    }
    assert_eq!(layer("keyring")["state"], "partial", "{receipt}");
    trial.runtime.call(&["kill", &trial.bundle.id, "KILL"]).ok();
    trial.runtime.await_status(&trial.bundle, "stopped");
    trial.runtime.call(&["delete", &trial.bundle.id]).ok();
    leaks::assert_none(&trial.runtime, &trial.bundle);
}

#[test]
fn it_can_be_done_again_and_again() {
    needs_criu!();
    let trial = Trial::start(confined(Bundle::shell(COUNTER)));
    let mut number = trial.count_beyond(2);
    for _ in 0..3 {
        trial.checkpoint(&[]);
        trial.restore(&["--detach"]).ok();
        number = trial.count_beyond(number);
    }
}

#[test]
fn it_may_go_on_meanwhile() {
    needs_criu!();
    let trial = Trial::start(Bundle::shell(COUNTER));
    let number = trial.count_beyond(2);
    trial.checkpoint(&[
        "--leave-running",
        "--work-path",
        &trial.bundle.path().join("work").display().to_string(),
    ]);
    trial.count_beyond(number);
    assert!(trial.bundle.path().join("work/dump.log").exists());
    assert_eq!(trial.restore(&["--detach"]).code, 125, "the id is taken");
    trial.count_beyond(number);
}

#[test]
fn memory_can_be_written_ahead() {
    needs_criu!();
    let trial = Trial::start(Bundle::shell(COUNTER));
    let number = trial.count_beyond(2);
    let images = trial.bundle.path().join("images");
    let ahead = images.join("ahead").display().to_string();
    let output = trial.runtime.call(&["checkpoint", "--pre-dump", "--image-path", &ahead, &trial.bundle.id]);
    if output.stderr.contains("dirty") || output.stderr.contains("rack") {
        skip!("this kernel does not track dirty memory");
    }
    output.ok();
    assert!(!images.join("ahead/sandrun.json").exists(), "a pre-dump cannot be restored");
    let number = trial.count_beyond(number);
    trial.checkpoint(&["--parent-path", "ahead"]);
    trial.restore(&["--detach"]).ok();
    trial.count_beyond(number);
}

#[test]
fn what_a_bind_mount_may_not_it_may_not_afterwards() {
    needs_criu!();
    let bundle = Bundle::shell(COUNTER);
    let volume = bundle.path().join("volume");
    fs::create_dir(&volume).expect("cannot make a volume");
    fs::write(volume.join("file"), "").expect("cannot write a file");
    std::os::unix::fs::chown(volume.join("file"), Some(1000), Some(1000)).expect("cannot give a file away");
    let ids = json!([{ "containerID": 1000, "hostID": 0, "size": 1 }]);
    let bundle = bundle
        .mount(json!({ "destination": "/ro", "type": "bind", "source": volume, "options": ["rbind", "rro", "nodev"] }))
        .mount(json!({ "destination": "/etc/one", "type": "bind", "source": volume.join("file"), "options": ["bind"] }))
        .mount(json!({
            "destination": "/ids", "type": "bind", "source": volume, "options": ["rbind", "idmap", "noexec"],
            "uidMappings": ids, "gidMappings": ids
        }))
        .edit(|config| config["root"]["readonly"] = json!(true));
    let trial = Trial::start(bundle);
    let look = "touch /ro/x /x /proc/sys/kernel/hostname 2>&1; stat -c %u:%g /ids/file; ls -A /proc/acpi; \
                grep -E ' (/|/ro|/ids|/etc/one) ' /proc/self/mountinfo | cut -d' ' -f4-6 | sort";
    let before = trial.inside(look);
    assert!(before.contains("0:0\n") && before.matches("Read-only").count() >= 2, "{before}");
    trial.checkpoint(&[]);
    trial.restore(&["--detach"]).ok();
    assert_eq!(trial.inside(look), before);
}

#[test]
fn a_bind_mount_comes_back_where_a_link_has_led_it() {
    needs_criu!();
    let bundle = Bundle::shell(COUNTER);
    let (volume, rootfs) = (bundle.path().join("volume"), bundle.rootfs());
    fs::create_dir(&volume).expect("cannot make a volume");
    fs::write(volume.join("file"), "mine").expect("cannot write a file");
    fs::create_dir(rootfs.join("real")).expect("cannot make a directory");
    std::os::unix::fs::symlink("/real", rootfs.join("link")).expect("cannot make a link");
    let mount =
        json!({ "destination": "/link/volume", "type": "bind", "source": volume, "options": ["bind", "ro"] });
    let trial = Trial::start(bundle.mount(mount));
    let look = "cat /link/volume/file; grep -c ' /real/volume ro' /proc/self/mountinfo";
    assert_eq!(trial.inside(look), "mine1\n");
    trial.checkpoint(&[]);
    trial.restore(&["--detach"]).ok();
    assert_eq!(trial.inside(look), "mine1\n");
}

#[test]
fn a_mount_point_that_the_host_removed_is_made_again() {
    needs_criu!();
    let bundle = Bundle::shell(COUNTER);
    let (outer, inner) = (bundle.path().join("outer"), bundle.path().join("inner"));
    fs::create_dir(&outer).expect("cannot make a volume");
    fs::create_dir(&inner).expect("cannot make a volume");
    fs::write(inner.join("file"), "mine").expect("cannot write a file");
    let bind = |to: &str, source| json!({ "destination": to, "type": "bind", "source": source, "options": ["bind"] });
    let trial = Trial::start(bundle.mount(bind("/out", &outer)).mount(bind("/out/a/b", &inner)));
    trial.checkpoint(&[]);
    fs::remove_dir_all(outer.join("a")).expect("it was made");
    trial.restore(&["--detach"]).ok();
    assert_eq!(trial.inside("cat /out/a/b/file"), "mine");
}

#[test]
fn hooks_make_its_surroundings_ready_again() {
    needs_criu!();
    let bundle = Bundle::shell(COUNTER);
    let log = bundle.path().join("log");
    let hook = |name: &str| {
        let script = format!("grep -o '\"pid\":[ ]*[0-9]*' | sed 's/.*/{name}/' >>{}", log.display());
        json!([{ "path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"] }])
    };
    let bundle = bundle.edit(|config| {
        config["hooks"] = json!({ "createRuntime": hook("ready"), "poststart": hook("started") });
    });
    let trial = Trial::start(bundle);
    trial.count_beyond(2);
    trial.checkpoint(&[]);
    trial.restore(&["--detach"]).ok();
    assert_eq!(fs::read_to_string(&log).expect("hooks ran"), "ready\nstarted\nready\n");
}

#[test]
fn a_joined_network_namespace_is_joined_again() {
    needs_criu!();
    let pause = Trial::start(Bundle::shell("sleep 600"));
    let network = format!("/proc/{}/ns/net", pause.pid());
    let trial = Trial::start(Bundle::shell(COUNTER).edit(|config| {
        for namespace in config["linux"]["namespaces"].as_array_mut().expect("a list") {
            if namespace["type"] == "network" {
                namespace["path"] = json!(network);
            }
        }
    }));
    let number = trial.count_beyond(2);
    trial.checkpoint(&[]);
    trial.restore(&["--detach"]).ok();
    trial.count_beyond(number);
    let namespace = |pid: i64| fs::read_link(format!("/proc/{pid}/ns/net")).expect("it lives");
    assert_eq!(namespace(trial.pid()), namespace(pause.pid()));
}

#[test]
fn a_user_namespace_comes_back() {
    needs_criu!();
    let trial = Trial::start(Bundle::shell(COUNTER).edit(|config| {
        let ids = json!([{ "containerID": 0, "hostID": 0, "size": 65536 }]);
        config["linux"]["uidMappings"] = ids.clone();
        config["linux"]["gidMappings"] = ids;
        config["linux"]["namespaces"].as_array_mut().expect("a list").push(json!({ "type": "user" }));
    }));
    let number = trial.count_beyond(2);
    let map = |pid: i64| fs::read_to_string(format!("/proc/{pid}/uid_map")).expect("it lives");
    let before = map(trial.pid());
    trial.checkpoint(&[]);
    trial.restore(&["--detach"]).ok();
    trial.count_beyond(number);
    assert_eq!(map(trial.pid()), before);
}
