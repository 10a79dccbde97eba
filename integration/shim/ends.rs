//! A server that is killed, and what becomes of its containers.

use std::fs;

use containerd_shim_protos::api::DeleteResponse;
use containerd_shim_protos::protobuf::Message;
use serde_json::json;

use super::driver::{Containerd, context, obedient, until};
use crate::support::{Bundle, Scratch, is_root};

fn api_mount(source: &str) -> containerd_shim_protos::api::Mount {
    containerd_shim_protos::api::Mount {
        type_: "bind".to_owned(),
        source: source.to_owned(),
        options: vec!["rbind".to_owned(), "rw".to_owned()],
        ..Default::default()
    }
}

/// A bundle whose root filesystem is elsewhere, for the shim to mount.
fn elsewhere(bundle: &Bundle) -> Scratch {
    let place = Scratch::new("layer");
    fs::remove_dir(place.path()).unwrap();
    fs::rename(bundle.rootfs(), place.path()).unwrap();
    place
}

#[test]
fn delete_removes_what_a_killed_server_has_left() {
    skip_unless!(is_root(), "needs root");
    let containerd = Containerd::new();
    let bundle = obedient().edit(|config| config["annotations"]["dev.sandrun.private-ids"] = json!("true"));
    let layer = elsewhere(&bundle);
    let shim = containerd.start(bundle);
    let mut request = shim.request("");
    request.rootfs.push(api_mount(&layer.path().display().to_string()));
    let pid = shim.client.create(context(), &request).unwrap().pid;
    shim.start();
    shim.exec("one", "sleep 600");
    shim.try_start("one").unwrap();
    let mounted = || {
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
        table.contains(&shim.bundle.rootfs().display().to_string())
    };
    assert!(mounted() && containerd.kept().join(shim.id()).exists());
    shim.kill_server();
    let output = shim.delete_action();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = DeleteResponse::parse_from_bytes(&output.stdout).unwrap();
    assert_eq!((told.pid, told.exit_status), (pid, 137));
    assert!(told.exited_at.is_some());
    shim.assert_nothing_left();
    assert!(!mounted());
    // containerd calls it after an ordinary removal, too.
    let again = DeleteResponse::parse_from_bytes(&shim.delete_action().stdout).unwrap();
    assert_eq!(again.exit_status, 137);
}

#[test]
fn the_socket_of_a_killed_server_is_used_again() {
    skip_unless!(is_root(), "needs root");
    let containerd = Containerd::new();
    let first = containerd.start(obedient());
    let address = first.address.clone();
    first.kill_server();
    assert!(first.socket().exists());
    let output = containerd.command(&first.bundle, &["start"]).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), address);
    let client = containerd_shim_protos::TaskClient::new(
        containerd_shim_protos::Client::connect(&address).expect("another server answers"),
    );
    let connected = client.connect(context(), &Default::default()).unwrap();
    assert_ne!(connected.shim_pid as i32, first.pid);
    client.shutdown(context(), &Default::default()).unwrap_or_default();
    until("it ends", || !first.socket().exists());
}

#[test]
fn containerd_finds_it_again_after_it_was_away() {
    skip_unless!(is_root(), "needs root");
    let containerd = Containerd::new();
    let shim = containerd.start(obedient()).run();
    let pid = shim.state("").pid;
    let address = fs::read_to_string(shim.bundle.path().join("address")).unwrap();
    let again = containerd_shim_protos::TaskClient::new(
        containerd_shim_protos::Client::connect(&address).expect("the server answers"),
    );
    let request = containerd_shim_protos::api::ConnectRequest { id: shim.id(), ..Default::default() };
    let connected = again.connect(context(), &request).unwrap();
    assert_eq!((connected.shim_pid as i32, connected.task_pid), (shim.pid, pid));
}
