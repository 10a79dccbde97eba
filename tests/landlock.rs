//! The plan for every ABI of Landlock in the kernel: a thread enters the domain that was planned for that ABI, and
//! tries what this ABI refuses, and what only a younger one does.

// A test that cannot go on has failed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs::{self, File};
use std::io;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use sandrun::enforce::steps::landlock::enter;
use sandrun::host::{Caller, Host};
use sandrun::level::Level;
use sandrun::plan::cgroup::{Layout, Unified};
use sandrun::plan::landlock::Landlock;
use sandrun::plan::landlock::rights::NEWEST_ABI;
use sandrun::plan::{Input, Options, Plan, resolve};
use sandrun::{oci, sys};

const EACCES: i32 = 13;
const EXDEV: i32 = 18;
const ENOTTY: i32 = 25;
const EPERM: i32 = 1;

/// Root of a host whose Landlock has this ABI.
fn host(landlock_abi: u32) -> Host {
    Host {
        euid: 0,
        egid: 0,
        caller: Caller::Root,
        may_mount: true,
        id_mappers: [None, None],
        capabilities: u64::MAX,
        landlock_abi,
        cgroup: Layout::V2 { unified: Unified { controllers: Vec::new(), dir: "/sys/fs/cgroup".to_owned() } },
        delegated_cgroup: None,
        apparmor: false,
        selinux: false,
        unmappable: None,
        seccomp_wait_killable: true,
        memfd_noexec: Some(0),
        mdwe: true,
    }
}

/// The plan of a container on the host's network, at the lowest level that has rules for the ABI.
fn plan(abi: u32, ports: bool) -> sandrun::error::Result<Plan> {
    let text = r#"{ "ociVersion": "1.3.0", "process": { "args": ["true"], "cwd": "/" }, "root": { "path": "rootfs" },
        "linux": { "namespaces": [{ "type": "mount" }] } }"#;
    let config = oci::parse(text).unwrap();
    resolve(&Input {
        id: "pinned",
        config: &config.spec,
        options: Options { tcp_bind: ports.then(|| "none".to_owned()), ..Options::default() },
        pids_limit: None,
        landlock: None,
        unknown: &[],
        bundle: Path::new("/bundle"),
        level: if abi == 1 { Level::Strict } else { Level::Baseline },
        loosening: sandrun::plan::annotations::Loosening::default(),
        host: &host(abi),
    })
}

/// The domains for an ABI, with a directory in the place of the container's root.
fn domains(abi: u32, root: &Path) -> Vec<Landlock> {
    let mut domains = plan(abi, abi >= 4).unwrap().workload.landlock;
    if abi == 1 {
        // What strict takes away from single directories is not what is tried here.
        let domain = &mut domains[0];
        domain.top_level = None;
        domain.path_beneath.retain(|rule| rule.path == "/");
        domain.path_beneath[0].allowed_access = domain.handled_access_fs;
    }
    for rule in domains.iter_mut().flat_map(|domain| &mut domain.path_beneath) {
        let inside = root.display().to_string();
        rule.path = if rule.path == "/" { inside } else { inside + &rule.path };
    }
    domains
}

/// Two directories and a device that are the container's, and a file that is not.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let place =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("landlock-{}-{name}", std::process::id()));
        for dir in ["root/from", "root/to", "outside"] {
            fs::create_dir_all(place.join(dir)).unwrap();
        }
        for file in ["root/from/file", "outside/file"] {
            fs::write(place.join(file), "content").unwrap();
        }
        Place(place)
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn errno<T>(result: io::Result<T>) -> Option<i32> {
    result.err().and_then(|error| error.raw_os_error())
}

/// What a thread in the domain of an ABI may do.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    read_inside: Option<i32>,
    read_outside: Option<i32>,
    write_outside: Option<i32>,
    move_between_directories: Option<i32>,
    truncate_outside: Option<i32>,
    bind: Option<i32>,
    ioctl_on_a_device: Option<i32>,
    connect_to_an_abstract_socket: Option<i32>,
}

fn tried(abi: u32) -> Seen {
    let place = Place::new(&abi.to_string());
    let name = format!("sandrun-landlock-{}-{abi}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let _listener = UnixListener::bind_addr(&address).unwrap();
    let domains = domains(abi, &place.at("root"));
    // The handle leads to the device without its path, which is outside of the domain, but the rights are those of
    // the moment when it is opened.
    let attempt = || {
        // Of this thread; without it only who has CAP_SYS_ADMIN may enter.
        rustix::thread::set_no_new_privs(true).unwrap();
        for domain in &domains {
            assert!(enter(domain).unwrap().is_empty());
        }
        Seen {
            read_inside: errno(fs::read(place.at("root/from/file"))),
            read_outside: errno(fs::read(place.at("outside/file"))),
            write_outside: errno(fs::write(place.at("outside/new"), "")),
            move_between_directories: errno(fs::rename(place.at("root/from/file"), place.at("root/to/file"))),
            truncate_outside: errno(nix::unistd::truncate(&place.at("outside/file"), 0).map_err(Into::into)),
            bind: errno(TcpListener::bind("127.0.0.1:0")),
            ioctl_on_a_device: errno(terminal_settings(&place.at("root/null"))),
            connect_to_an_abstract_socket: errno(UnixStream::connect_addr(&address)),
        }
    };
    make_null(&place.at("root/null"));
    // A domain binds the thread that enters it.
    std::thread::scope(|scope| scope.spawn(attempt).join().unwrap())
}

fn make_null(path: &Path) {
    use nix::sys::stat::{Mode, SFlag, makedev, mknod};
    mknod(path, SFlag::S_IFCHR, Mode::from_bits_truncate(0o666), makedev(1, 3)).unwrap();
}

/// ENOTTY from a device that is no terminal, once it may be asked.
fn terminal_settings(path: &Path) -> io::Result<()> {
    let device = File::open(path)?;
    rustix::termios::tcgetattr(&device).map(drop).map_err(Into::into)
}

#[test]
fn each_abi_refuses_what_it_knows_and_nothing_that_it_does_not() {
    let newest = sys::process::landlock_abi().min(NEWEST_ABI);
    if newest == 0 || !rustix::process::geteuid().is_root() {
        eprintln!("skipped: needs root and a kernel with Landlock");
        return;
    }
    for abi in 1..=newest {
        let from = |first: u32, refused: i32, otherwise: Option<i32>| {
            if abi >= first { Some(refused) } else { otherwise }
        };
        let expected = Seen {
            read_inside: None,
            read_outside: Some(EACCES),
            write_outside: Some(EACCES),
            // Before ABI 2 the kernel refuses it to whoever is in a domain.
            move_between_directories: if abi == 1 { Some(EXDEV) } else { None },
            truncate_outside: from(3, EACCES, None),
            bind: from(4, EACCES, None),
            ioctl_on_a_device: from(5, EACCES, Some(ENOTTY)),
            connect_to_an_abstract_socket: from(6, EPERM, None),
        };
        assert_eq!(tried(abi), expected, "ABI {abi}");
    }
}

#[test]
fn ports_are_refused_on_every_abi_without_them() {
    for abi in 0..=NEWEST_ABI {
        let planned = plan(abi, true);
        assert_eq!(planned.is_ok(), abi >= 4, "ABI {abi}");
    }
}

/// What was planned for a younger kernel is an error on this one, never less than planned.
#[test]
fn a_plan_for_a_younger_kernel_is_an_error_on_this_one() {
    let newest = sys::process::landlock_abi();
    if newest == 0 || newest >= NEWEST_ABI {
        eprintln!("skipped: needs a kernel with a Landlock that is older than the newest known");
        return;
    }
    let place = Place::new("younger");
    let rules = domains(NEWEST_ABI, &place.at("root"));
    let entered = std::thread::scope(|scope| scope.spawn(|| enter(&rules[0])).join().unwrap());
    assert!(entered.is_err(), "{entered:?}");
}
