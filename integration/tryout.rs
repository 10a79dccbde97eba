//! `try`: a program among the host's own files, which it can read and not write, without what is private on
//! them and without the network. As root and as an ordinary user.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use crate::support::terminal::{Running, Terminal};
use crate::support::{Output, Runtime, Scratch, is_root};

const USER: u32 = 51_236;

/// Both callers; what holds for one must hold for the other.
fn callers() -> [Runtime; 2] {
    [Runtime::sandrun(), Runtime::sandrun().of_user(USER)]
}

#[track_caller]
fn sh(runtime: &Runtime, flags: &[&str], script: &str) -> Output {
    let mut words = vec!["try"];
    words.extend(flags);
    words.extend(["--", "sh", "-c", script]);
    runtime.call(&words)
}

/// A directory that everybody may write to.
fn open_directory() -> Scratch {
    let dir = Scratch::new("try");
    fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o777)).expect("cannot open the directory");
    dir
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn the_hosts_files_are_there_and_cannot_be_written() {
    skip_unless!(is_root(), "needs root");
    for runtime in callers() {
        let output = sh(&runtime, &[], "cat /etc/passwd; touch /etc/sandrun-was-here && echo WROTE");
        assert_eq!(output.stdout, fs::read_to_string("/etc/passwd").expect("a file of the host"));
        assert!(!Path::new("/etc/sandrun-was-here").exists());
    }
}

#[test]
fn what_is_mounted_below_the_root_cannot_be_written_either() {
    skip_unless!(is_root(), "needs root");
    let dir = format!("/opt/{}", crate::support::bundle::unique("mounted"));
    // In a mount namespace of the test's own: a writable disk below the root, as hosts have them.
    let script = format!(
        "mkdir {dir}; trap 'rmdir {dir}' EXIT; unshare -m sh -c 'mount -t tmpfs -o mode=777 none {dir} && \
        touch {dir}/host && \"$@\"' sh \"$@\""
    );
    let runtime = Runtime::sandrun().wrapped(&["sh", "-c", &script, "sh"]);
    let output = sh(&runtime, &["--user", "0"], &format!("ls {dir}; touch {dir}/inside && echo WROTE"));
    assert_eq!(output.stdout, "host\n", "{output}");
    assert!(output.stderr.contains("Read-only file system"), "{output}");
    let output = sh(&runtime, &["--user", "0", "--rw", &dir], &format!("touch {dir}/inside && echo WROTE"));
    assert_eq!(output.stdout, "WROTE\n", "it was writable, but for try: {output}");
}

#[test]
fn root_tries_as_nobody() {
    skip_unless!(is_root(), "needs root");
    skip_unless!(fs::read("/etc/shadow").is_ok(), "this host has no /etc/shadow");
    assert_ne!(sh(&Runtime::sandrun(), &[], "cat /etc/shadow").code, 0, "a file of root's was read");
    let ids = |flags: &[&str]| {
        let map = sh(&Runtime::sandrun(), flags, "cat /proc/self/uid_map").stdout;
        let map: Vec<u32> = map.split_whitespace().map(|number| number.parse().expect("a number")).collect();
        assert_eq!((map[0], map[2]), (0, 65536));
        assert!(map[1] >= 0x7800_0000, "{map:?}");
        map[1]
    };
    assert_ne!(ids(&[]), ids(&[]), "nobody else has the same");
    // On the host's network, and at a lower level, too.
    ids(&["--net"]);
    ids(&["--level", "baseline"]);
}

#[test]
fn the_places_of_people_and_daemons_are_hidden() {
    skip_unless!(is_root(), "needs root");
    // The scratch directory is in /tmp, which everybody can read on the host.
    let dir = open_directory();
    fs::write(dir.path().join("secret"), "secret").expect("cannot plant the secret");
    let secret = text(&dir.path().join("secret"));
    for runtime in callers() {
        let output =
            sh(&runtime, &[], &format!("cat {secret}; ls -A /tmp /home /root /run /var/tmp | grep -v :"));
        assert_eq!(output.stdout.trim(), "", "{output}");
        let shown = sh(
            &runtime,
            &["--ro", &text(dir.path())],
            &format!("cat {secret}; touch {secret}2 && echo WROTE"),
        );
        assert_eq!(shown.stdout, "secret", "what is shown is seen, and no more: {shown}");
    }
}

#[test]
fn home_and_tmp_are_its_own_and_gone_at_the_end() {
    skip_unless!(is_root(), "needs root");
    let name = crate::support::bundle::unique("own");
    for runtime in callers() {
        let script = format!("touch /tmp/{name} $HOME/{name} && echo wrote; cd; pwd");
        let output = sh(&runtime, &["--cwd", "/"], &script);
        assert!(output.stdout.starts_with("wrote\n/"), "{output}");
        assert!(!Path::new("/tmp").join(&name).exists() && !Path::new("/root").join(&name).exists());
    }
}

#[test]
fn only_what_is_named_can_be_written() {
    skip_unless!(is_root(), "needs root");
    let (named, other) = (open_directory(), open_directory());
    chown(named.path(), Some(USER), Some(USER)).expect("cannot give the directory away");
    let script = format!("touch {}/new; touch {}/new", text(named.path()), text(other.path()));
    for (runtime, flags) in callers().iter().zip([&["--user", "51236"][..], &[]]) {
        let dir = text(named.path());
        let flags: Vec<&str> = flags.iter().copied().chain(["--rw", &dir]).collect();
        assert_ne!(sh(runtime, &flags, &script).code, 0);
        let written = fs::metadata(named.path().join("new")).expect("the file was written");
        assert_eq!(std::os::unix::fs::MetadataExt::uid(&written), USER);
        assert!(!other.path().join("new").exists());
        fs::remove_file(named.path().join("new")).expect("cannot clean up");
    }
    let refused = sh(&Runtime::sandrun(), &["--rw", "/"], "true");
    assert_eq!(refused.code, 125, "{refused}");
}

#[test]
fn the_hosts_network_is_only_there_with_net() {
    skip_unless!(is_root(), "needs root");
    skip_unless!(Path::new("/bin/bash").exists(), "needs bash, to connect");
    let listener = TcpListener::bind("127.0.0.1:0").expect("cannot listen");
    let port = listener.local_addr().expect("an address").port();
    let script = format!("bash -c 'echo > /dev/tcp/127.0.0.1/{port}' && echo connected");
    for runtime in callers() {
        let interfaces = sh(&runtime, &[], "ls /sys/class/net").stdout;
        assert_eq!(interfaces, "lo\n");
        assert_eq!(sh(&runtime, &[], &script).stdout, "");
        assert_eq!(sh(&runtime, &["--net"], &script).stdout, "connected\n", "it can be reached, but for try");
    }
}

#[test]
fn it_has_no_capability_and_no_way_to_one() {
    skip_unless!(is_root(), "needs root");
    for runtime in callers() {
        let output = sh(&runtime, &[], "grep -E '^(Cap(Prm|Eff|Bnd)|NoNewPrivs)' /proc/self/status").ok();
        let values: Vec<&str> = output.stdout.split_whitespace().skip(1).step_by(2).collect();
        assert_eq!(values, ["0000000000000000", "0000000000000000", "0000000000000000", "1"]);
        assert_ne!(sh(&runtime, &[], "unshare --user --map-root-user true").code, 0);
        assert_ne!(sh(&runtime, &[], "mount -t tmpfs none /tmp").code, 0);
    }
}

#[test]
fn the_exit_code_is_the_programs() {
    skip_unless!(is_root(), "needs root");
    for runtime in callers() {
        assert_eq!(sh(&runtime, &[], "exit 7").code, 7);
        assert_eq!(runtime.call(&["try", "no-such-program"]).code, 127);
        assert_eq!(runtime.call(&["try", "/etc/passwd"]).code, 126);
    }
}

#[test]
fn the_environment_is_small() {
    skip_unless!(is_root(), "needs root");
    let output = sh(&Runtime::sandrun(), &["--env", "ASKED=for"], "env").ok();
    assert!(output.stdout.contains("ASKED=for\n") && output.stdout.contains("PATH="), "{output}");
    assert!(!output.stdout.contains("CARGO"), "the caller's environment got in: {output}");
}

#[test]
fn the_receipt_is_printed_when_asked_for() {
    skip_unless!(is_root(), "needs root");
    let quiet = sh(&Runtime::sandrun(), &[], "true").ok();
    assert_eq!(quiet.stderr, "", "everything is enforced, so nothing is said");
    let told = sh(&Runtime::sandrun(), &["--verbose"], "true").ok();
    for layer in ["namespaces", "capabilities", "no_new_privs", "seccomp"] {
        assert!(told.stderr.lines().any(|line| line.contains(layer) && line.contains("enforced")), "{told}");
    }
}

#[test]
fn nothing_is_left() {
    skip_unless!(is_root(), "needs root");
    for runtime in callers() {
        sh(&runtime, &[], "sleep 60 & true").ok();
        let left: Vec<_> = fs::read_dir(runtime.root()).expect("a state directory").collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// A first process of a pid namespace gets no signal that it does not handle; people expect it to end anyway.
#[test]
fn control_c_ends_a_program_without_a_handler() {
    skip_unless!(is_root(), "needs root");
    for (script, code) in [
        ("echo ready; exec sleep 60", 130),
        ("trap 'exit 5' INT; echo ready; while :; do sleep 0.1; done", 5),
    ] {
        let mut terminal = Terminal::new(80, 24);
        let runtime = Runtime::sandrun();
        let running = Running(terminal.start(&runtime.command(&["try", "--", "sh", "-c", script])));
        terminal.read_until("ready");
        terminal.press(b"\x03");
        assert_eq!(running.finish(), Some(code), "{script}");
    }
}

#[test]
fn a_polite_signal_ends_it_too() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let script = "exec timeout --preserve-status --signal TERM 1 \"$@\"";
    let runtime = runtime.wrapped(&["sh", "-c", script, "sh"]);
    assert_eq!(sh(&runtime, &[], "exec sleep 60").code, 143);
}
