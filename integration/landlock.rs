//! Landlock holds where the mount namespace does not: a descriptor that was left open, a socket without a path.

use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

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
    let runtime = Runtime::sandrun().inheriting(outside.path());
    let seen =
        runtime.run_with(&Bundle::probe(&["landlock-escape", &path]), &["--preserve-fds", "1"]).ok().json();
    for (way, found) in seen.as_object().expect("an object") {
        assert!(found["errno"].is_string(), "{way}: {found}");
    }
}

#[test]
fn an_abstract_socket_of_the_host_network_cannot_be_reached() {
    skip_unless!(is_root(), "needs root");
    skip_unless!(landlock_abi() >= Some(6), "this kernel's Landlock does not know abstract sockets (6.12)");
    let name = unique("abstract");
    let address = SocketAddr::from_abstract_name(&name).expect("a name");
    let _listener = UnixListener::bind_addr(&address).expect("cannot listen");
    let bundle = || Bundle::probe(&["connect-abstract", &name]).without_namespace("network");
    let seen = Runtime::at_level("oci").ask(&bundle());
    assert_eq!(seen["connected"], true, "the attack does not work at all: {seen}");
    let seen = Runtime::sandrun().ask(&bundle());
    assert_eq!(seen["errno"], "EPERM", "{seen}");
}
