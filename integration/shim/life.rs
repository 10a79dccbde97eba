//! A container's life, call by call.

use std::fs::File;
use std::io::{Read, Write};

use containerd_shim_protos::api::*;
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::{Message, MessageField};
use containerd_shim_protos::shim::oci::ProcessDetails;
use serde_json::json;
use ttrpc::Code;

use super::driver::{Containerd, code, context, obedient, text, until};
use crate::support::{Bundle, is_root};

#[test]
fn from_create_to_delete() {
    skip_unless!(is_root(), "needs root");
    let containerd = Containerd::new();
    let shim = containerd.start(obedient());
    let pid = shim.create();
    assert_eq!((shim.state("").status.enum_value(), shim.state("").pid), (Ok(Status::CREATED), pid));
    assert_eq!(shim.start(), pid);
    assert_eq!(shim.state("").status.enum_value(), Ok(Status::RUNNING));
    assert_eq!(code(shim.try_delete("")), Code::FAILED_PRECONDITION);
    shim.kill(15);
    assert_eq!(shim.wait(""), 3);
    let state = shim.state("");
    assert_eq!((state.status.enum_value(), state.exit_status), (Ok(Status::STOPPED), 3));
    assert!(state.exited_at.is_some());
    // containerd goes on when a process has ended, and on no other error.
    let late = shim.try_kill("", 15, false);
    assert_eq!((code(late.clone()), text(late)), (Code::NOT_FOUND, "process already finished".to_owned()));
    let deleted = shim.delete();
    assert_eq!((deleted.pid, deleted.exit_status), (pid, 3));
    shim.assert_nothing_left();
    assert!(text(shim.try_delete("")).contains("not created"));
    shim.shut_down();
    until("the server ends", || !shim.alive());
    assert!(!shim.socket().exists());
}

#[test]
fn output_goes_through_fifos_to_its_end() {
    skip_unless!(is_root(), "needs root");
    let containerd = Containerd::new();
    let shim = containerd.start(Bundle::shell("cat; seq 20000; echo to-stderr >&2"));
    let [stdin, stdout, stderr] = ["in", "out", "err"].map(|name| shim.fifo(name));
    let mut request = shim.request("");
    (request.stdin, request.stdout, request.stderr) = (stdin.clone(), stdout.clone(), stderr.clone());
    let read = |path: String| {
        std::thread::spawn(move || {
            let mut all = String::new();
            File::open(path).unwrap().read_to_string(&mut all).unwrap();
            all
        })
    };
    let (out, err) = (read(stdout), read(stderr));
    shim.client.create(context(), &request).unwrap();
    shim.start();
    File::options().write(true).open(stdin).unwrap().write_all(b"from stdin\n").unwrap();
    let close = CloseIORequest { id: shim.id(), stdin: true, ..CloseIORequest::default() };
    shim.client.close_io(context(), &close).unwrap();
    assert_eq!(shim.wait(""), 0);
    shim.delete();
    let expected: String = (1..=20000).map(|number| format!("{number}\n")).collect();
    assert!(out.join().unwrap() == format!("from stdin\n{expected}"));
    assert_eq!(err.join().unwrap(), "to-stderr\n");
}

#[test]
fn another_process_is_added_and_started() {
    skip_unless!(is_root(), "needs root");
    let containerd = Containerd::new();
    let shim = containerd.start(obedient()).run();
    shim.exec("one", "exit 5");
    assert_eq!(shim.state("one").status.enum_value(), Ok(Status::CREATED));
    assert_eq!(code(shim.client.exec(context(), &shim.exec_request("one", "true"))), Code::ALREADY_EXISTS);
    let pid = shim.try_start("one").unwrap().pid;
    assert_eq!(shim.wait("one"), 5);
    assert_eq!(code(shim.try_start("one")), Code::FAILED_PRECONDITION);
    let deleted = shim.try_delete("one").unwrap();
    assert_eq!((deleted.pid, deleted.exit_status), (pid, 5));
    assert!(text(shim.try_delete("one")).contains("does not exist"));
    // One that runs is known by its name, and dies of a signal.
    shim.exec("two", "sleep 60");
    let pid = shim.try_start("two").unwrap().pid;
    let info = shim.pids().into_iter().find(|info| info.pid == pid).expect("it is listed");
    assert_eq!(ProcessDetails::parse_from_bytes(&info.info.value).unwrap().exec_id, "two");
    shim.try_kill("two", 9, false).unwrap();
    assert_eq!(shim.wait("two"), 137);
}

#[test]
fn what_cannot_be_executed_is_told_and_waited_for_by_nobody() {
    skip_unless!(is_root(), "needs root");
    let containerd = Containerd::new();
    let shim = containerd.start(obedient()).run();
    let mut request = shim.exec_request("none", "");
    let spec = json!({ "cwd": "/", "args": ["/no/such/program"], "user": { "uid": 0, "gid": 0 } });
    request.spec.as_mut().unwrap().value = spec.to_string().into_bytes();
    shim.client.exec(context(), &request).unwrap();
    let error = text(shim.try_start("none"));
    assert!(error.contains("/no/such/program") && error.contains("no such file or directory"), "{error}");
    assert_eq!(shim.wait("none"), 255);
    shim.try_delete("none").unwrap();
    assert_eq!(shim.state("").status.enum_value(), Ok(Status::RUNNING));
}

#[test]
fn it_is_frozen_limited_and_measured() {
    skip_unless!(is_root(), "needs root");
    let containerd = Containerd::new();
    let shim = containerd.start(obedient()).run();
    let id = shim.id();
    shim.client.pause(context(), &PauseRequest { id: id.clone(), ..PauseRequest::default() }).unwrap();
    assert_eq!(shim.state("").status.enum_value(), Ok(Status::PAUSED));
    shim.exec("late", "true");
    assert!(text(shim.try_start("late")).contains("paused"));
    shim.client.resume(context(), &ResumeRequest { id: id.clone(), ..ResumeRequest::default() }).unwrap();
    assert_eq!(shim.state("").status.enum_value(), Ok(Status::RUNNING));
    let limit = |resources: serde_json::Value| {
        let resources = Any { value: resources.to_string().into_bytes(), ..Any::default() };
        let resources = MessageField::some(resources);
        shim.client.update(
            context(),
            &UpdateTaskRequest { id: id.clone(), resources, ..UpdateTaskRequest::default() },
        )
    };
    limit(json!({ "pids": { "limit": 77 } })).unwrap();
    assert!(text(limit(json!({ "pids": { "limit": "many" } }))).contains("pids"));
    let stats =
        shim.client.stats(context(), &StatsRequest { id: id.clone(), ..StatsRequest::default() }).unwrap();
    let pids = match stats.stats.type_url.as_str() {
        "io.containerd.cgroups.v1.Metrics" => {
            let read = containerd_shim_protos::cgroups::metrics::Metrics::parse_from_bytes;
            read(&stats.stats.value).unwrap().pids.limit
        }
        "io.containerd.cgroups.v2.Metrics" => {
            let read = containerd_shim_protos::cgroups_v2::metrics::Metrics::parse_from_bytes;
            read(&stats.stats.value).unwrap().pids.limit
        }
        other => panic!("{other}"),
    };
    assert_eq!(pids, 77);
}

#[test]
fn one_that_was_never_started_is_deleted() {
    skip_unless!(is_root(), "needs root");
    let containerd = Containerd::new();
    let shim = containerd.start(obedient());
    shim.create();
    assert_eq!(shim.delete().exit_status, 137);
    shim.assert_nothing_left();
    let told = containerd.until_told("/tasks/delete 137");
    assert_eq!(told, ["/tasks/create", "/tasks/exit 137", "/tasks/delete 137"]);
}

#[test]
fn one_that_is_refused_leaves_nothing_and_says_every_reason() {
    skip_unless!(is_root(), "needs root");
    let containerd = Containerd::new();
    let bundle = obedient().without_namespace("pid").without_namespace("ipc");
    let shim = containerd.start(bundle);
    let refused = shim.client.create(context(), &shim.request("policy = \"builtin:baseline\"\n"));
    assert_eq!(code(refused.clone()), Code::PERMISSION_DENIED);
    let error = text(refused);
    assert!(error.contains("for 2 reasons") && error.contains("(1)") && error.contains("(2)"), "{error}");
    shim.assert_nothing_left();
    // Options that nobody knows are no default.
    let misspelt = text(shim.client.create(context(), &shim.request("levle = \"strict\"\n")));
    assert!(misspelt.contains("levle"), "{misspelt}");
    shim.assert_nothing_left();
    // The id is free.
    shim.create();
    assert_eq!(code(shim.client.create(context(), &shim.request(""))), Code::ALREADY_EXISTS);
}

#[test]
fn the_level_is_the_handlers_and_an_annotation_may_ask_for_more() {
    skip_unless!(is_root(), "needs root");
    let containerd = Containerd::new();
    let level = |bundle: Bundle, options: &str| {
        let shim = containerd.start(bundle);
        shim.client.create(context(), &shim.request(options)).unwrap();
        let plan = std::fs::read_to_string(containerd.kept().join(shim.id()).join("plan.json")).unwrap();
        serde_json::from_str::<serde_json::Value>(&plan).unwrap()["level"].clone()
    };
    assert_eq!(level(obedient(), ""), "baseline");
    assert_eq!(level(obedient(), "level = \"oci\"\n"), "oci");
    let strict = || obedient().edit(|config| config["annotations"]["dev.sandrun.level"] = json!("strict"));
    assert_eq!(level(strict(), "level = \"oci\"\n"), "strict");
}
