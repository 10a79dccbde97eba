//! Another process in a container.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::time::Duration;

use serde_json::json;

use crate::support::{Bundle, Runtime, is_root};

#[track_caller]
fn running() -> (Runtime, Bundle) {
    let runtime = Runtime::sandrun();
    let bundle = Bundle::shell("sleep 60");
    runtime.create(&bundle).ok();
    runtime.call(&["start", &bundle.id]).ok();
    (runtime, bundle)
}

#[test]
fn a_process_file_says_everything() {
    skip_unless!(is_root(), "needs root");
    let (runtime, bundle) = running();
    let file = bundle.path().join("process.json");
    let process = json!({
        "user": { "uid": 77, "gid": 78, "additionalGids": [79] },
        "args": ["sh", "-c", "id -u; id -G; pwd; echo $NAME; exit 5"],
        "env": ["PATH=/bin:/usr/bin", "NAME=value"],
        "cwd": "/tmp"
    });
    fs::write(&file, process.to_string()).expect("cannot write the file");
    let output = runtime.call(&["exec", "--process", &file.display().to_string(), &bundle.id]);
    assert_eq!((output.code, output.stdout.as_str()), (5, "77\n78 79\n/tmp\nvalue\n"), "{output}");
}

#[test]
fn flags_change_the_containers_own_process() {
    skip_unless!(is_root(), "needs root");
    let (runtime, bundle) = running();
    let output = runtime.call(&[
        "exec",
        "--user",
        "10:11",
        "-g",
        "12",
        "--env",
        "A=1",
        "--cwd",
        "/tmp",
        &bundle.id,
        "sh",
        "-c",
        "id -u; id -G; echo $A; pwd",
    ]);
    assert_eq!(output.ok().stdout, "10\n11 12\n1\n/tmp\n");
}

#[test]
fn what_the_container_lacks_is_refused_with_the_code_of_a_refusal() {
    skip_unless!(is_root(), "needs root");
    let (runtime, bundle) = running();
    let output = runtime.call(&["exec", "--cap", "sys_admin", &bundle.id, "true"]);
    assert_eq!(output.code, 78, "{output}");
    assert!(output.stderr.contains("CAP_SYS_ADMIN"), "{output}");
}

#[test]
fn at_oci_each_process_has_what_its_caller_gives_it() {
    skip_unless!(is_root(), "needs root");
    let (runtime, bundle) = (Runtime::at_level("oci"), Bundle::shell("sleep 60"));
    runtime.create(&bundle).ok();
    runtime.call(&["start", &bundle.id]).ok();
    let before = runtime.call(&["exec", &bundle.id, "/probe", "status"]).ok().stdout;
    let after = runtime.call(&["exec", "--cap", "sys_admin", &bundle.id, "/probe", "status"]).ok().stdout;
    let effective = |said: &str| {
        let status: serde_json::Value = serde_json::from_str(said).expect("JSON");
        u64::from_str_radix(status["CapEff"].as_str().expect("a mask"), 16).expect("hexadecimal")
    };
    const SYS_ADMIN: u64 = 1 << 21;
    assert_eq!(effective(&after), effective(&before) | SYS_ADMIN, "{before} {after}");
}

#[test]
fn detached_it_goes_on_and_its_pid_is_told() {
    skip_unless!(is_root(), "needs root");
    let (runtime, bundle) = running();
    let file = bundle.path().join("pid");
    let name = file.display().to_string();
    runtime.call(&["exec", "-d", "--pid-file", &name, &bundle.id, "sleep", "50"]).ok();
    let pid: i32 = fs::read_to_string(&file).expect("no pid file").trim().parse().expect("a number");
    let pids = runtime.call(&["ps", "--format", "json", &bundle.id]).ok().json();
    assert!(pids.as_array().expect("a list").contains(&json!(pid)), "{pids}");
}

#[test]
fn its_terminal_goes_over_the_console_socket() {
    skip_unless!(is_root(), "needs root");
    let (runtime, bundle) = running();
    let path = std::env::temp_dir().join(format!("sandrun-console-{}", std::process::id()));
    let listener = UnixListener::bind(&path).expect("cannot listen");
    let socket = path.display().to_string();
    let script = "read line; echo got $line; tty";
    let words = ["exec", "-d", "--tty", "--console-socket", &socket, &bundle.id, "sh", "-c", script];
    let output = runtime.call(&words);
    fs::remove_file(&path).expect("cannot remove the socket");
    output.ok();
    let (connection, _) = listener.accept().expect("nobody connected");
    let mut terminal = fs::File::from(receive(&connection));
    terminal.write_all(b"a line\n").expect("cannot write to the terminal");
    let mut said = String::new();
    let mut buffer = [0; 256];
    while !said.contains("/dev/pts/") {
        match terminal.read(&mut buffer) {
            Ok(count) if count > 0 => said.push_str(&String::from_utf8_lossy(&buffer[..count])),
            _ => break,
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(said.contains("got a line") && said.contains("/dev/pts/"), "{said}");
}

/// The descriptor that comes with the next message.
fn receive(connection: &std::os::unix::net::UnixStream) -> OwnedFd {
    use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
    use std::os::fd::AsRawFd;
    let mut space = nix::cmsg_space!([RawFd; 1]);
    let mut data = [0; 256];
    let mut slices = [std::io::IoSliceMut::new(&mut data)];
    let message = recvmsg::<()>(connection.as_raw_fd(), &mut slices, Some(&mut space), MsgFlags::empty())
        .expect("cannot receive");
    let fd = message.cmsgs().expect("a control message").find_map(|message| match message {
        ControlMessageOwned::ScmRights(descriptors) => descriptors.first().copied(),
        _ => None,
    });
    // SAFETY: the kernel has just made the descriptor for this message, and nobody else knows it.
    unsafe { OwnedFd::from_raw_fd(fd.expect("no descriptor")) }
}

#[test]
fn a_container_that_does_not_run_takes_none() {
    skip_unless!(is_root(), "needs root");
    let (runtime, bundle) = running();
    runtime.call(&["pause", &bundle.id]).ok();
    let paused = runtime.call(&["exec", &bundle.id, "true"]);
    assert!(paused.code == 125 && paused.stderr.contains("paused"), "{paused}");
    runtime.call(&["resume", &bundle.id]).ok();
    runtime.call(&["kill", &bundle.id, "SIGKILL"]).ok();
    let ended = (0..200).find_map(|_| {
        std::thread::sleep(Duration::from_millis(10));
        let output = runtime.call(&["exec", &bundle.id, "true"]);
        output.stderr.contains("not running").then_some(output.code)
    });
    assert_eq!(ended, Some(125));
}
