//! Landlock holds where the mount namespace does not: a descriptor that was left open, a socket without a path.

mod ports;
mod rules;

use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::Command;

use serde_json::json;

use crate::support::bundle::unique;
use crate::support::{Bundle, Runtime, Scratch, is_root};

fn has_landlock() -> bool {
    fs::read_to_string("/sys/kernel/security/lsm").is_ok_and(|list| list.contains("landlock"))
        || landlock_abi().is_some()
}

/// The version that the kernel tells; none without Landlock.
fn landlock_abi() -> Option<i64> {
    const LANDLOCK_CREATE_RULESET_VERSION: u32 = 1;
    let nothing = std::ptr::null::<u8>();
    // SAFETY: with this flag the call reads no memory and only returns a number.
    let version = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, nothing, 0, LANDLOCK_CREATE_RULESET_VERSION)
    };
    (version > 0).then_some(version)
}

#[test]
fn a_descriptor_left_open_leads_nowhere() {
    skip_unless!(is_root(), "needs root");
    skip_unless!(has_landlock(), "this kernel has no Landlock");
    let outside = Scratch::new("outside");
    fs::write(outside.path().join("secret"), "of the host").expect("cannot write the secret");
    let bundle = || Bundle::probe(&["fd-reach", "3", "secret"]);
    let weak = Runtime::at_level("oci").inheriting(outside.path());
    let seen = weak.run_with(&bundle(), &["--preserve-fds", "1"]).ok().json();
    assert_eq!(seen["content"], "of the host", "the attack does not work at all: {seen}");
    let strong = Runtime::sandrun().inheriting(outside.path());
    let seen = strong.run_with(&bundle(), &["--preserve-fds", "1"]).ok().json();
    assert_eq!(seen["errno"], "EACCES", "{seen}");
}

#[test]
fn a_descriptor_is_not_inherited_unless_asked() {
    skip_unless!(is_root(), "needs root");
    let outside = Scratch::new("outside");
    fs::write(outside.path().join("secret"), "of the host").expect("cannot write the secret");
    for level in ["oci", "baseline"] {
        let runtime = Runtime::at_level(level).inheriting(outside.path());
        let seen = runtime.ask(&Bundle::probe(&["fd-reach", "3", "secret"]));
        assert_eq!(seen["errno"], "EBADF", "{level}");
        let open = runtime.ask(&Bundle::probe(&["fds"]));
        let open: Vec<&String> = open.as_object().expect("an object").keys().collect();
        assert_eq!(open, ["0", "1", "2"], "{level}");
    }
}

#[test]
fn no_known_way_leads_to_a_file_of_the_host() {
    skip_unless!(is_root(), "needs root");
    let outside = Scratch::new("outside");
    let secret = outside.path().join("secret");
    fs::write(&secret, "of the host").expect("cannot write the secret");
    let path = secret.display().to_string();
    let ways = |level: &str| {
        let runtime = Runtime::at_level(level).inheriting(outside.path());
        runtime.run_with(&Bundle::probe(&["landlock-escape", &path]), &["--preserve-fds", "1"]).ok().json()
    };
    let weak = ways("oci");
    for way in ["climb from fd 3", "/proc/self/fd/3"] {
        assert_eq!(weak[way]["content"], "of the host", "the attack does not work at all: {weak}");
    }
    for level in ["baseline", "strict"] {
        for (way, found) in ways(level).as_object().expect("an object") {
            assert!(found["errno"].is_string(), "{level}: {way}: {found}");
        }
    }
}

/// In the host's pid namespace another process's root is a path away, and it is in a foreign mount namespace.
#[test]
fn the_root_of_another_process_leads_nowhere() {
    skip_unless!(is_root(), "needs root");
    skip_unless!(has_landlock(), "this kernel has no Landlock");
    let outside = Scratch::new("outside");
    fs::write(outside.path().join("secret"), "of the host").expect("cannot write the secret");
    let mut other =
        Command::new("unshare").args(["-m", "sleep", "60"]).spawn().expect("cannot start a process");
    let path = format!("/proc/{}/root{}/secret", other.id(), outside.path().display());
    let bundle = || {
        Bundle::probe(&["read", &path]).without_namespace("pid").edit(|config| {
            for set in ["bounding", "effective", "permitted"] {
                let list = config["process"]["capabilities"][set].as_array_mut().expect("a list");
                list.push(json!("CAP_SYS_PTRACE"));
            }
        })
    };
    let seen = ["oci", "baseline"].map(|level| Runtime::at_level(level).ask(&bundle()));
    other.kill().and_then(|()| other.wait()).expect("cannot end the process");
    let [weak, strong] = seen;
    skip_unless!(weak["errno"] != "EACCES", "this host gives nobody the root of another process");
    assert_eq!(weak["content"], "of the host", "the attack does not work at all: {weak}");
    assert_eq!(strong["errno"], "EACCES");
}

/// A descriptor of a directory that is mounted in another mount namespace only.
#[test]
fn a_descriptor_of_a_foreign_mount_namespace_leads_nowhere() {
    skip_unless!(is_root(), "needs root");
    skip_unless!(has_landlock(), "this kernel has no Landlock");
    let script = "mount -t tmpfs none /mnt && echo of another >/mnt/secret && cd /mnt && exec 3<. && cd / && \
        exec nsenter --mount=/proc/$PPID/ns/mnt \"$@\"";
    let reach = |level: &str, path: &str| {
        let runtime =
            Runtime::at_level(level).wrapped(&["unshare", "-m", "--fork", "sh", "-c", script, "sh"]);
        runtime.run_with(&Bundle::probe(&["fd-reach", "3", path]), &["--preserve-fds", "1"]).ok().json()
    };
    assert_eq!(reach("oci", "secret")["content"], "of another\n", "the attack does not work at all");
    for level in ["baseline", "strict"] {
        for path in ["secret", "../etc/passwd"] {
            assert_eq!(reach(level, path)["errno"], "EACCES", "{level}: {path}");
        }
    }
}

#[test]
fn no_ioctl_reaches_a_device_that_is_not_the_containers() {
    skip_unless!(is_root(), "needs root");
    skip_unless!(landlock_abi() >= Some(5), "this kernel's Landlock does not know ioctl (6.10)");
    let bundle = |path: &str| {
        let bundle = Bundle::probe(&["ioctl", path]).mount(json!({ "destination": "/bound", "type": "bind",
            "source": "/dev/null", "options": ["bind"] }));
        bundle.edit(|config| {
            let device = json!({ "path": "/opt/null", "type": "c", "major": 1, "minor": 3 });
            config["linux"]["devices"] = json!([device]);
        })
    };
    let errno = |level: &str, path: &str| Runtime::at_level(level).ask(&bundle(path))["errno"].clone();
    assert_eq!(errno("oci", "/bound"), "ENOTTY", "the device cannot be asked at all");
    assert_eq!(errno("baseline", "/bound"), "EACCES");
    for allowed in ["/opt/null", "/dev/null"] {
        assert_eq!(errno("baseline", allowed), "ENOTTY", "{allowed} is the container's own");
    }
}

#[test]
fn an_abstract_socket_of_the_host_network_cannot_be_reached() {
    skip_unless!(is_root(), "needs root");
    skip_unless!(landlock_abi() >= Some(6), "this kernel's Landlock does not know abstract sockets (6.12)");
    let name = unique("abstract");
    let address = SocketAddr::from_abstract_name(&name).expect("a name");
    let _listener = UnixListener::bind_addr(&address).expect("cannot listen");
    let shared = || Bundle::probe(&["connect-abstract", &name]).without_namespace("network");
    let by_path = || {
        shared().edit(|config| {
            let namespaces = config["linux"]["namespaces"].as_array_mut().expect("namespaces is a list");
            namespaces.push(json!({ "type": "network", "path": "/proc/self/ns/net" }));
        })
    };
    for bundle in [&shared as &dyn Fn() -> Bundle, &by_path] {
        let seen = Runtime::at_level("oci").ask(&bundle());
        assert_eq!(seen["connected"], true, "the attack does not work at all: {seen}");
        for level in ["baseline", "strict"] {
            let seen = Runtime::at_level(level).ask(&bundle());
            assert_eq!(seen["errno"], "EPERM", "{level}: {seen}");
        }
    }
}

/// The same where the network that is shared is one of the test's own, with nothing of the host in it.
#[test]
fn an_abstract_socket_of_a_shared_network_namespace_cannot_be_reached() {
    skip_unless!(is_root(), "needs root");
    skip_unless!(landlock_abi() >= Some(6), "this kernel's Landlock does not know abstract sockets (6.12)");
    let name = unique("abstract");
    let script = format!(
        "socat ABSTRACT-LISTEN:{name},fork - >/dev/null 2>&1 </dev/null & listener=$!\n\
        while ! grep -q {name} /proc/net/unix; do kill -0 $listener || exit 9; done\n\
        \"$@\"; code=$?; kill $listener; exit $code"
    );
    skip_unless!(crate::support::runtime::find("socat").is_some(), "there is no socat");
    let seen = |level: &str| {
        let runtime = Runtime::at_level(level).wrapped(&["unshare", "-n", "sh", "-c", &script, "sh"]);
        runtime.ask(&Bundle::probe(&["connect-abstract", &name]).without_namespace("network"))
    };
    assert_eq!(seen("oci")["connected"], true, "the attack does not work at all");
    assert_eq!(seen("baseline")["errno"], "EPERM");
}
