//! Attacks that need a hand: of the image, of who wrote config.json, or of who calls the runtime.

use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::{SocketAddr, UnixListener};

use serde_json::{Value, json};

use super::host::{Disk, Sleeper, has_hierarchy};
use crate::escape::Outside;
use crate::support::bundle::unique;
use crate::support::{Bundle, Runtime};

/// An attack on a runtime.
pub struct Attack {
    pub name: &'static str,
    pub what: &'static str,
    /// Whether it succeeds; none where this machine has not what it takes.
    pub succeeds: fn(&Runtime) -> Option<bool>,
}

const fn attack(name: &'static str, what: &'static str, succeeds: fn(&Runtime) -> Option<bool>) -> Attack {
    Attack { name, what, succeeds }
}

pub const ATTACKS: &[Attack] = &[
    attack(
        "abstract-socket",
        "on the host's network: connects to a socket of the host's that has no path",
        abstract_socket,
    ),
    attack("host-signal", "with the host's process ids: signals a process of the host", host_signal),
    attack(
        "host-memory",
        "privileged, with the host's process ids: traces a process of the host",
        host_memory,
    ),
    attack(
        "host-files",
        "privileged, with the host's process ids: reads a file by /proc/PID/root",
        host_files,
    ),
    attack("host-disk", "privileged: makes a node for a disk, and reads it", host_disk),
    attack("host-agent", "privileged: has the host run a program by way of release_agent", host_agent),
    attack("device-list", "privileged but for devices: rewrites which ones it may open", device_list),
    attack(
        "exec-capability",
        "the caller of exec gives it a capability that the container lacks",
        exec_capability,
    ),
    attack("exec-user", "the caller of exec asks for user 4294967296, and it runs as root", exec_user),
    attack(
        "device-link",
        "the image's /dev is a link: the runtime makes files where that leads",
        device_link,
    ),
    attack("pid-file-link", "the pid file is a link: the runtime writes where that leads", pid_file_link),
];

/// The agent is set to what it is already.
const SET_AGENT: &str = "
    mkdir -p /tmp/cgroup && mount -t cgroup -o freezer cgroup /tmp/cgroup || exit 1
    cp /tmp/cgroup/release_agent /tmp/agent && cat /tmp/agent > /tmp/cgroup/release_agent && echo ESCAPED";

/// Character device 1:11 is /dev/kmsg.
const ALLOW_KMSG: &str = "
    mkdir -p /tmp/cgroup && mount -t cgroup -o devices cgroup /tmp/cgroup || exit 1
    mknod /tmp/kmsg c 1 11; dd if=/tmp/kmsg of=/dev/null bs=8k count=1 && exit 2
    echo 'c 1:11 rwm' > /tmp/cgroup/devices.allow || exit 3
    test -e /tmp/kmsg || mknod /tmp/kmsg c 1 11; dd if=/tmp/kmsg of=/dev/null bs=8k count=1 && echo ESCAPED";

fn done(answer: &Value) -> Option<bool> {
    Some(answer["errno"].is_null())
}

/// What the probe answers; a container that is refused answers nothing, and has done nothing.
fn asked(runtime: &Runtime, bundle: &Bundle) -> Value {
    let output = runtime.run(bundle);
    if output.code == 0 { output.json() } else { json!({ "errno": "not run" }) }
}

fn escaped(runtime: &Runtime, bundle: &Bundle) -> Option<bool> {
    Some(runtime.run(bundle).stdout.contains("ESCAPED"))
}

fn abstract_socket(runtime: &Runtime) -> Option<bool> {
    let name = unique("abstract");
    let address = SocketAddr::from_abstract_name(&name).expect("a name");
    let _listener = UnixListener::bind_addr(&address).expect("cannot listen");
    done(&asked(runtime, &Bundle::probe(&["connect-abstract", &name]).without_namespace("network")))
}

fn host_signal(runtime: &Runtime) -> Option<bool> {
    let sleeper = Sleeper::new();
    done(&asked(runtime, &Bundle::probe(&["syscall", "kill", &sleeper.pid(), "0"]).without_namespace("pid")))
}

fn host_memory(runtime: &Runtime) -> Option<bool> {
    let (sleeper, seize) = (Sleeper::new(), libc::PTRACE_SEIZE.to_string());
    let words = ["syscall", "ptrace", &seize, &sleeper.pid(), "0", "0"];
    done(&asked(runtime, &Bundle::probe(&words).privileged().without_namespace("pid")))
}

fn host_files(runtime: &Runtime) -> Option<bool> {
    let (sleeper, outside) = (Sleeper::new(), Outside::new());
    let path = format!("/proc/{}/root{}", sleeper.pid(), outside.canary());
    done(&asked(runtime, &Bundle::probe(&["read", &path]).privileged().without_namespace("pid")))
}

fn host_disk(runtime: &Runtime) -> Option<bool> {
    let disk = Disk::new()?;
    let script = format!("mknod /tmp/disk b {} && grep -q SECRET /tmp/disk && echo ESCAPED", disk.numbers());
    escaped(runtime, &Bundle::shell(&script).privileged())
}

fn host_agent(runtime: &Runtime) -> Option<bool> {
    has_hierarchy("freezer").then_some(())?;
    escaped(runtime, &Bundle::shell(SET_AGENT).privileged().without_namespace("cgroup"))
}

fn device_list(runtime: &Runtime) -> Option<bool> {
    has_hierarchy("devices").then_some(())?;
    let bundle = Bundle::shell(ALLOW_KMSG).privileged().edit(|config| {
        config["linux"]["resources"]["devices"] = json!([{ "allow": false, "access": "rwm" }]);
    });
    escaped(runtime, &bundle)
}

/// An exec in a container that waits.
fn executed(runtime: &Runtime, flag: &str, value: &str, question: &str) -> Option<Value> {
    let bundle = Bundle::probe(&["sleep", "60"]);
    runtime.create(&bundle).ok();
    runtime.call(&["start", &bundle.id]).ok();
    let output = runtime.call(&["exec", flag, value, &bundle.id, "/probe", question]);
    (output.code == 0).then(|| output.json())
}

fn exec_capability(runtime: &Runtime) -> Option<bool> {
    let seen = executed(runtime, "--cap", "CAP_SYS_ADMIN", "caps").unwrap_or_default();
    Some(seen["effective"].as_array().is_some_and(|held| held.contains(&json!("CAP_SYS_ADMIN"))))
}

fn exec_user(runtime: &Runtime) -> Option<bool> {
    let seen = executed(runtime, "--user", "4294967296", "status").unwrap_or_default();
    Some(seen["Uid"].as_str().is_some_and(|ids| ids.starts_with("0 ")))
}

fn device_link(runtime: &Runtime) -> Option<bool> {
    let outside = Outside::new();
    let bundle = Bundle::probe(&["exit", "0"]).edit(|config| {
        let mounts = config["mounts"].as_array_mut().expect("a list");
        mounts.retain(|mount| !mount["destination"].as_str().is_some_and(|at| at.starts_with("/dev")));
    });
    let place = bundle.rootfs().join("dev");
    fs::remove_dir(&place).expect("cannot make room for the link");
    symlink(outside.path(), place).expect("cannot plant the link");
    runtime.run(&bundle);
    Some(!outside.intruders().is_empty())
}

fn pid_file_link(runtime: &Runtime) -> Option<bool> {
    let (outside, bundle) = (Outside::new(), Bundle::probe(&["sleep", "60"]));
    let link = bundle.path().join("link");
    symlink(outside.canary(), &link).expect("cannot plant the link");
    runtime.run_with(&bundle, &["--detach", "--pid-file", &link.display().to_string()]).ok();
    Some(fs::read_to_string(outside.canary()).expect("the canary is there") != "SECRET")
}
