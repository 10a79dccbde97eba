//! Flags and answers that callers of runc count on.

use std::fs;
use std::io::{IoSliceMut, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use serde_json::Value;

use crate::support::{Bundle, Runtime, is_root};

/// What was written to a socket, and the descriptor that came along.
pub fn receive(socket: &UnixStream) -> (String, OwnedFd) {
    let mut bytes = [0u8; 64];
    let mut space = nix::cmsg_space!([i32; 1]);
    let mut into = [IoSliceMut::new(&mut bytes)];
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut into, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)
        .expect("a message");
    let descriptor = message.cmsgs().expect("whole").find_map(|control| match control {
        ControlMessageOwned::ScmRights(descriptors) => descriptors.first().copied(),
        _ => None,
    });
    let count = message.bytes;
    // SAFETY: the kernel has just made it for us.
    let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor.expect("a descriptor")) };
    (String::from_utf8_lossy(&bytes[..count]).into_owned(), descriptor)
}

/// The process that a pidfd stands for.
fn process_of(pidfd: &OwnedFd) -> i64 {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).expect("fdinfo");
    let line = info.lines().find_map(|line| line.strip_prefix("Pid:")).expect("it is a pidfd");
    line.trim().parse().expect("a number")
}

#[test]
fn the_pidfd_is_sent_to_the_socket() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let bundle = Bundle::shell("sleep 60");
    bundle.write();
    runtime.adopt(&bundle);
    let path = bundle.path().join("pidfd.sock");
    let listener = UnixListener::bind(&path).expect("cannot listen");
    let (dir, socket) = (bundle.path().display().to_string(), path.display().to_string());
    runtime.call(&["create", "--bundle", &dir, "--pidfd-socket", &socket, &bundle.id]).ok();
    let (kind, pidfd) = receive(&listener.accept().expect("somebody connected").0);
    let state = runtime.call(&["state", &bundle.id]).ok().json();
    assert_eq!((kind.as_str(), process_of(&pidfd)), ("standard", state["pid"].as_i64().unwrap()));
    runtime.call(&["start", &bundle.id]).ok();

    let pid_file = bundle.path().join("pid").display().to_string();
    let exec =
        ["exec", "--detach", "--pidfd-socket", &socket, "--pid-file", &pid_file, &bundle.id, "sleep", "60"];
    runtime.call(&exec).ok();
    let (kind, pidfd) = receive(&listener.accept().expect("somebody connected").0);
    let written = fs::read_to_string(&pid_file).expect("a pid file");
    assert_eq!((kind.as_str(), process_of(&pidfd).to_string()), ("setns", written));
}

#[test]
fn nothing_runs_when_nobody_takes_the_pidfd() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let bundle = Bundle::shell("sleep 60");
    bundle.write();
    let dir = bundle.path().display().to_string();
    let output = runtime.call(&["create", "--bundle", &dir, "--pidfd-socket", "/nonexistent", &bundle.id]);
    assert_eq!(output.code, 125, "{output}");
    crate::support::leaks::assert_none(&runtime, &bundle);
}

#[test]
fn an_exec_can_have_less_than_its_container() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::at_level("oci");
    let bundle = Bundle::shell("sleep 60").edit(|config| config["process"]["noNewPrivileges"] = false.into());
    runtime.create(&bundle).ok();
    runtime.call(&["start", &bundle.id]).ok();
    let script = ["sh", "-c", "grep NoNewPrivs /proc/self/status"];
    let says = |flags: &[&str]| {
        let words = [&["exec"], flags, &[bundle.id.as_str()], &script].concat();
        runtime.call(&words).ok().stdout
    };
    assert_eq!(says(&[]), "NoNewPrivs:\t0\n");
    assert_eq!(says(&["--no-new-privs"]), "NoNewPrivs:\t1\n");
}

#[test]
fn debug_logs_what_the_level_changed() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let bundle = Bundle::shell("true");
    let log = bundle.path().join("log");
    let path = log.display().to_string();
    bundle.write();
    let dir = bundle.path().display().to_string();
    let flags = ["--log", &path, "--log-format", "json"];
    runtime.call(&[&flags[..], &["run", "--bundle", &dir, &bundle.id]].concat()).ok();
    assert!(!log.exists(), "nothing is logged on success");
    runtime.call(&[&flags[..], &["--debug", "run", "--bundle", &dir, &bundle.id]].concat()).ok();
    let lines = fs::read_to_string(&log).expect("a log");
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(lines.iter().all(|line| line["level"] == "debug" && line["time"].is_string()), "{lines:?}");
    assert!(lines.iter().any(|line| line["msg"].to_string().contains("linux.seccomp")), "{lines:?}");
}

#[test]
fn the_version_is_in_the_form_of_runc() {
    let output = Runtime::sandrun().call(&["--version"]).ok();
    let lines: Vec<&str> = output.stdout.lines().collect();
    assert!(lines[0].starts_with("sandrun version "), "{output}");
    assert!(lines.contains(&"spec: 1.3.0"), "{output}");
}

#[test]
fn a_list_has_the_fields_of_runc() {
    skip_unless!(is_root(), "needs root");
    let Some(runc) = Runtime::peer("runc") else { skip!("there is no runc") };
    let listed = |runtime: &Runtime| {
        let bundle = Bundle::shell("sleep 60");
        runtime.create(&bundle).ok();
        let list = runtime.call(&["list", "--format", "json"]).ok().json();
        let container = list[0].as_object().expect("one container").clone();
        assert_eq!(runtime.call(&["list", "-q"]).ok().stdout, format!("{}\n", bundle.id));
        let table = runtime.call(&["list"]).ok().stdout;
        let head: Vec<String> =
            table.lines().next().expect("a head").split_whitespace().map(str::to_owned).collect();
        assert_eq!(
            (container["id"].as_str(), container["status"].as_str()),
            (Some(bundle.id.as_str()), Some("created"))
        );
        assert!(container["created"].as_str().expect("a time").ends_with('Z'));
        let mut fields: Vec<String> = container.keys().cloned().collect();
        fields.sort();
        (head, fields)
    };
    assert_eq!(listed(&Runtime::sandrun()), listed(&runc));
}

/// Every flag in a help text of runc's, without the dashes.
fn flags_of(help: &str) -> Vec<String> {
    let options = help.split("OPTIONS:").nth(1).unwrap_or_default();
    let words = options.split_whitespace().filter_map(|word| word.strip_prefix("--"));
    let names = words.map(|word| word.trim_end_matches([',', '.', '"', ')']).to_owned());
    names.filter(|name| name != "help" && name != "version").collect()
}

#[test]
fn every_flag_of_runc_is_known() {
    let Some(runc) = Runtime::peer("runc") else { skip!("there is no runc") };
    let help = |words: &[&str]| {
        let output =
            std::process::Command::new(runc.program()).args(words).arg("--help").output().expect("it runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let ours = sandrun::cli::definition();
    let has =
        |command: &clap::Command, flag: &str| command.get_arguments().any(|own| own.get_long() == Some(flag));
    let mut missing: Vec<String> =
        flags_of(&help(&[])).into_iter().filter(|flag| !has(&ours, flag)).collect();
    for verb in ours.get_subcommands().filter(|verb| !matches!(verb.get_name(), "help" | "try")) {
        let flags = flags_of(&help(&[verb.get_name()]));
        missing.extend(
            flags
                .into_iter()
                .filter(|flag| !has(verb, flag))
                .map(|flag| format!("{} --{flag}", verb.get_name())),
        );
    }
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn a_manual_page_is_written_for_every_verb() {
    let dir = crate::support::Scratch::new("manual");
    let mut write = std::process::Command::new(env!("CARGO"));
    write.args(["run", "--quiet", "--locked", "-p", "manual", "--"]).arg(dir.path());
    let status = write.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo runs");
    assert!(status.success());
    let read = |path: &Path| {
        let mut text = String::new();
        fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text)).map(|_| text)
    };
    for verb in sandrun::cli::definition().get_subcommands().filter(|verb| !verb.is_hide_set()) {
        let page = read(&dir.path().join(format!("man8/sandrun-{}.8", verb.get_name()))).expect("a page");
        assert!(page.contains("SYNOPSIS") && page.contains("\\-\\-root"), "{page}");
    }
    let bash = read(&dir.path().join("completions/sandrun.bash")).expect("a completion");
    assert!(bash.contains("--pidfd-socket"), "{bash}");
}

#[test]
fn sockets_of_a_service_manager_are_handed_on() {
    skip_unless!(is_root(), "needs root");
    let script = "echo $LISTEN_FDS $LISTEN_PID $$; cat <&3";
    let handed_on = |pid: &str| {
        let given = format!("exec 3</etc/hostname; export LISTEN_FDS=1 LISTEN_PID={pid}; exec \"$@\"");
        Runtime::at_level("oci").wrapped(&["sh", "-c", &given, "sh"]).run(&Bundle::shell(script))
    };
    let name = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    assert_eq!(handed_on("$$").ok().stdout, format!("1 1 1\n{name}"));
    let another = handed_on("1");
    assert!(another.code != 0 && another.stdout == "1\n", "they are another process's: {another}");
}
