//! Containers become files and come back, with what they had in memory and with all that confines them.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Bundle, Runtime, is_root, leaks};

/// Why nothing can be checkpointed here.
fn obstacle() -> Option<String> {
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

    fn restore(&self, flags: &[&str]) -> crate::support::Output {
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
fn landlock_is_refused_by_name() {
    needs_criu!();
    let runtime = Runtime::sandrun();
    let bundle = Bundle::shell(COUNTER);
    runtime.create(&bundle).ok();
    runtime.call(&["start", &bundle.id]).ok();
    let state = runtime.call(&["state", &bundle.id]).ok().json();
    if !state["sandrun"]["receipt"].to_string().contains("tried on a directory outside") {
        skip!("this kernel has no Landlock");
    }
    let images = bundle.path().join("images");
    let output = runtime.call(&["checkpoint", "--image-path", &images.display().to_string(), &bundle.id]);
    assert_eq!(output.code, 125);
    assert!(output.stderr.contains("Landlock cannot be checkpointed"), "{output}");
    assert!(!images.exists(), "something was written");
    assert_eq!(runtime.status(&bundle), "running");
}

#[test]
fn a_created_container_has_nothing_to_write() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::at_level("oci");
    let bundle = Bundle::shell(COUNTER);
    runtime.create(&bundle).ok();
    let images = bundle.path().join("images").display().to_string();
    let output = runtime.call(&["checkpoint", "--image-path", &images, &bundle.id]);
    assert!(output.code == 125 && output.stderr.contains("it is created"), "{output}");
}

#[test]
fn a_plan_that_confines_otherwise_is_refused() {
    needs_criu!();
    let mut trial = Trial::start(confined(Bundle::shell(COUNTER)));
    trial.checkpoint(&[]);
    let original = trial.bundle.config.clone();
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 6] = [
        ("workload", |config| config["linux"]["seccomp"] = json!(null)),
        ("workload", |config| config["process"]["noNewPrivileges"] = json!(false)),
        ("maskedPaths", |config| config["linux"]["maskedPaths"] = json!([])),
        ("namespaces", |config| {
            let namespaces = config["linux"]["namespaces"].as_array_mut().expect("a list");
            namespaces.retain(|namespace| namespace["type"] != "network");
        }),
        ("mounts", |config| config["mounts"].as_array_mut().expect("a list").truncate(2)),
        ("cgroup", |config| config["linux"]["resources"] = json!({})),
    ];
    for (part, change) in changes {
        trial.bundle.config = original.clone();
        change(&mut trial.bundle.config);
        let output = trial.restore(&["--detach"]);
        assert_eq!(output.code, 78, "{part}: {output}");
        assert!(output.stderr.contains(part), "{part}: {output}");
    }
    trial.bundle.config = original;
    let strict = Runtime::at_level("strict");
    let (images, dir) = (trial.images(), trial.bundle.path().display().to_string());
    trial.bundle.write();
    let output = strict.call(&["restore", "--image-path", &images, "--bundle", &dir, &trial.bundle.id]);
    assert_ne!(output.code, 0, "it cannot get what strict wants");
    leaks::assert_none(&strict, &trial.bundle);
    trial.restore(&["--detach"]).ok();
}

#[test]
fn without_criu_it_is_said_what_to_install() {
    skip_unless!(is_root(), "needs root");
    let trial = Trial::start(Bundle::shell(COUNTER));
    let images = trial.images();
    let mut command = trial.runtime.command(&["checkpoint", "--image-path", &images, &trial.bundle.id]);
    command.env("PATH", "/nonexistent");
    let output = trial.runtime.finish(command, &trial.bundle.path().join("output"));
    assert!(output.code == 125 && output.stderr.contains("install criu"), "{output}");
    assert_eq!(trial.runtime.status(&trial.bundle), "running");
}

#[test]
fn what_was_not_checkpointed_is_not_restored() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::at_level("oci");
    let bundle = Bundle::shell("true");
    bundle.write();
    let dir = bundle.path().display().to_string();
    let output = runtime.call(&["restore", "--image-path", &dir, "--bundle", &dir, &bundle.id]);
    assert!(output.code == 125 && output.stderr.contains("sandrun.json"), "{output}");
    leaks::assert_none(&runtime, &bundle);
}

#[test]
fn in_the_foreground_it_ends_with_the_code_of_its_program() {
    needs_criu!();
    let script = "trap 'exit 42' USR1; echo $$ > /dev/shm/n; while :; do sleep 0.05; done";
    let trial = Trial::start(Bundle::shell(script));
    trial.count_beyond(0);
    trial.checkpoint(&[]);
    trial.bundle.write();
    let (images, dir) = (trial.images(), trial.bundle.path().display().to_string());
    let words = ["restore", "--image-path", &images, "--bundle", &dir, &trial.bundle.id];
    let output = fs::File::create(trial.bundle.path().join("output")).expect("a file");
    let mut command = trial.runtime.command(&words);
    command.stdin(Stdio::null()).stdout(output.try_clone().expect("a copy")).stderr(output);
    let mut restored = command.spawn().expect("it starts");
    let deadline = Instant::now() + Duration::from_secs(20);
    while trial.runtime.call(&["kill", &trial.bundle.id, "USR1"]).code != 0 {
        assert!(Instant::now() < deadline, "it is not restored");
        std::thread::sleep(Duration::from_millis(50));
    }
    let status = restored.wait().expect("it ends");
    assert_eq!(status.code(), Some(42));
    leaks::assert_none(&trial.runtime, &trial.bundle);
}

/// Nothing runs that the kernel shows with less than it should have: here the record is made to ask for more.
#[test]
fn what_is_not_as_recorded_never_runs() {
    needs_criu!();
    let trial = Trial::start(Bundle::shell(COUNTER));
    trial.count_beyond(2);
    trial.checkpoint(&[]);
    let record = Path::new(&trial.images()).join("sandrun.json");
    let text = fs::read_to_string(&record).expect("a record");
    let mut image: Value = serde_json::from_str(&text).expect("JSON");
    let mounts = image["mounts"].as_array_mut().expect("a list");
    let shm = mounts.iter_mut().find(|mounted| mounted["point"] == "/dev/shm").expect("it is mounted");
    shm["options"].as_array_mut().expect("a list").push(json!("ro"));
    fs::write(&record, image.to_string()).expect("cannot write the record");
    let output = trial.restore(&["--detach"]);
    assert!(output.code == 125 && output.stderr.contains("/dev/shm"), "{output}");
    leaks::assert_none(&trial.runtime, &trial.bundle);
    fs::write(&record, text).expect("cannot write the record");
    trial.restore(&["--detach"]).ok();
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
fn a_file_cannot_go_on_as_a_pipe() {
    needs_criu!();
    let trial = Trial::start(Bundle::shell(COUNTER));
    trial.count_beyond(2);
    trial.checkpoint(&[]);
    let (images, dir) = (trial.images(), trial.bundle.path().display().to_string());
    let words = ["restore", "--detach", "--image-path", &images, "--bundle", &dir, &trial.bundle.id];
    let output = trial.runtime.command(&words).stdin(Stdio::null()).output().expect("it ends");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("descriptor 1 cannot go on"), "{error}");
    leaks::assert_none(&trial.runtime, &trial.bundle);
}

/// Pipes, as a shim has them.
#[test]
fn pipes_are_replaced_by_those_of_the_restorer() {
    needs_criu!();
    let bundle =
        Bundle::shell("i=0; while :; do i=$((i+1)); echo tick $i; echo $i > /dev/shm/n; sleep 0.05; done");
    bundle.write();
    let runtime = Runtime::at_level("oci");
    runtime.adopt(&bundle);
    let dir = bundle.path().display().to_string();
    let mut run = runtime.command(&["run", "--bundle", &dir, &bundle.id]);
    let mut running =
        run.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    let mut lines = std::io::BufReader::new(running.stdout.take().expect("a pipe"));
    let mut line = String::new();
    std::io::BufRead::read_line(&mut lines, &mut line).expect("it says something");
    assert_eq!(line, "tick 1\n");
    let images = bundle.path().join("images").display().to_string();
    runtime.call(&["checkpoint", "--image-path", &images, &bundle.id]).ok();
    drop(lines);
    running.wait().expect("it ends");
    let mut restore = runtime.command(&["restore", "--image-path", &images, "--bundle", &dir, &bundle.id]);
    restore.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut restored = restore.spawn().expect("it starts");
    let mut lines = std::io::BufReader::new(restored.stdout.take().expect("a pipe"));
    let mut line = String::new();
    std::io::BufRead::read_line(&mut lines, &mut line).expect("it says something");
    let number: u64 = line.trim().trim_start_matches("tick ").parse().unwrap_or_else(|_| panic!("{line:?}"));
    assert!(number > 1, "{line}");
    runtime.call(&["kill", &bundle.id, "KILL"]).ok();
    assert_eq!(restored.wait().expect("it ends").code(), Some(137));
    leaks::assert_none(&runtime, &bundle);
}

/// Accepts connections and keeps what is sent.
fn console(path: &Path) -> UnixListener {
    // The one of the checkpoint is used up.
    let _ = fs::remove_file(path);
    UnixListener::bind(path).expect("cannot listen")
}

#[test]
fn a_terminal_is_handed_over_again() {
    needs_criu!();
    let bundle = Bundle::shell("stty -echo; while read line; do echo \"got $line\"; done")
        .edit(|config| config["process"]["terminal"] = json!(true));
    let path = bundle.path().join("console");
    let socket = path.display().to_string();
    let runtime = Runtime::at_level("oci");
    bundle.write();
    runtime.adopt(&bundle);
    let listener = console(&path);
    let dir = bundle.path().display().to_string();
    runtime.call(&["create", "--bundle", &dir, "--console-socket", &socket, &bundle.id]).ok();
    let _first = crate::flags::receive(&listener.accept().expect("a connection").0);
    runtime.call(&["start", &bundle.id]).ok();
    std::thread::sleep(Duration::from_millis(300));
    let images = bundle.path().join("images").display().to_string();
    runtime.call(&["checkpoint", "--image-path", &images, &bundle.id]).ok();
    let listener = console(&path);
    let words =
        ["restore", "--detach", "--console-socket", &socket, "--image-path", &images, "--bundle", &dir];
    runtime.call(&[&words[..], &[bundle.id.as_str()]].concat()).ok();
    let (_, master) = crate::flags::receive(&listener.accept().expect("a connection").0);
    let mut terminal = fs::File::from(master);
    use std::io::{Read, Write};
    terminal.write_all(b"hello\n").expect("it listens");
    let mut said = String::new();
    let mut buffer = [0u8; 256];
    while !said.contains("got hello") {
        let count = terminal.read(&mut buffer).expect("it answers");
        said.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
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
