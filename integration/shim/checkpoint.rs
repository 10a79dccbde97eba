//! A checkpoint by the service, and the container that Create and Start make of it.

use std::fs;

use containerd_shim_protos::api::*;
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::{Message, MessageField};
use containerd_shim_protos::shim::oci::CheckpointOptions;

use super::driver::{Containerd, Shim, context, text, until};
use crate::checkpoint::obstacle;
use crate::support::{Bundle, is_root};

/// Counts in memory, and shows the number outside of it.
const COUNTER: &str = "i=0; while :; do i=$((i+1)); echo $i > /number; sleep 0.05; done";

fn number(shim: &Shim<'_>) -> u64 {
    let text = fs::read_to_string(shim.bundle.rootfs().join("number")).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

#[test]
fn a_container_goes_on_where_it_was() {
    skip_unless!(is_root(), "needs root");
    if let Some(why) = obstacle() {
        skip!("{why}");
    }
    let containerd = Containerd::new();
    let shim = containerd.start(Bundle::shell(COUNTER));
    shim.client.create(context(), &shim.request("level = \"oci\"\n")).unwrap();
    shim.start();
    until("it counts", || number(&shim) > 20);
    let images = containerd.home.path().join("images");
    fs::create_dir(&images).unwrap();
    let images = images.display().to_string();
    let options = CheckpointOptions { exit: true, ..CheckpointOptions::default() };
    let options = Any {
        type_url: "containerd.runc.v1.CheckpointOptions".to_owned(),
        value: options.write_to_bytes().unwrap(),
        ..Any::default()
    };
    let request = CheckpointTaskRequest {
        id: shim.id(),
        path: images.clone(),
        options: MessageField::some(options),
        ..CheckpointTaskRequest::default()
    };
    shim.client.checkpoint(context(), &request).unwrap();
    shim.wait("");
    shim.delete();
    let before = number(&shim);
    let mut request = shim.request("level = \"oci\"\n");
    request.checkpoint = images;
    assert_eq!(shim.client.create(context(), &request).unwrap().pid, 0);
    assert_eq!(shim.state("").status.enum_value(), Ok(Status::CREATED));
    let pid = shim.start();
    assert_eq!((shim.state("").status.enum_value(), shim.state("").pid), (Ok(Status::RUNNING), pid));
    until("it counts on", || number(&shim) > before);
    shim.kill(9);
    assert_eq!(shim.wait(""), 137);
    shim.delete();
    shim.assert_nothing_left();
}

#[test]
fn one_that_does_not_come_back_leaves_nothing() {
    skip_unless!(is_root(), "needs root");
    let containerd = Containerd::new();
    let shim = containerd.start(Bundle::shell(COUNTER));
    let mut request = shim.request("");
    request.checkpoint = containerd.home.path().join("nothing").display().to_string();
    shim.client.create(context(), &request).unwrap();
    let error = text(shim.try_start(""));
    assert!(error.contains("nothing"), "{error}");
    assert_eq!(shim.wait(""), 255);
    shim.delete();
    shim.assert_nothing_left();
}
