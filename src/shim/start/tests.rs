//! Standard input and output of `start`, as each version of containerd has them.

use containerd_shim_protos::bootstrap_api::{Extension, LogLevel};
use containerd_shim_protos::protobuf::MessageField;

use super::*;

fn flags() -> Flags {
    let line = "-namespace k8s.io -address /run/containerd/containerd.sock -id abc start";
    Flags::parse(line.split(' ').map(str::to_owned)).unwrap()
}

fn options(body: &str) -> Any {
    let value = [&[0x1a, u8::try_from(body.len()).unwrap()], body.as_bytes()].concat();
    Any { type_url: "runtimeoptions.v1.Options".to_owned(), value, ..Any::default() }
}

fn params() -> BootstrapParams {
    BootstrapParams {
        instance_id: "abc".to_owned(),
        namespace: "k8s.io".to_owned(),
        containerd_version: "2.3.0".to_owned(),
        containerd_ttrpc_address: "/run/other.ttrpc".to_owned(),
        containerd_grpc_address: "/run/other.sock".to_owned(),
        ..BootstrapParams::default()
    }
}

/// containerd 1.6 to 2.2: flags, and options or nothing.
#[test]
fn by_flags() {
    for input in [Vec::new(), options("debug = true").write_to_bytes().unwrap()] {
        let asked = Asked::read(&input, &flags()).unwrap();
        assert_eq!(asked.containerd, "/run/containerd/containerd.sock");
        assert_eq!(asked.socket_dir, Path::new(socket::DIR));
        assert_eq!(asked.settings.debug, !input.is_empty());
        assert!(!asked.message && asked.ttrpc.is_empty());
    }
}

/// Options of a type that is nobody's are Create's to refuse, and so is what is no message at all.
#[test]
fn what_is_not_understood_prevents_nothing() {
    let unknown = Any { type_url: "somebody.else.Options".to_owned(), value: vec![1], ..Any::default() };
    for input in [unknown.write_to_bytes().unwrap(), vec![0xff; 20]] {
        let asked = Asked::read(&input, &flags()).unwrap();
        assert!(!asked.message);
        assert_eq!(asked.settings, Settings::default());
    }
}

/// containerd 2.3 and later.
#[test]
fn by_message() {
    let mut params = params();
    let asked = |params: &BootstrapParams| Asked::read(&params.write_to_bytes().unwrap(), &flags()).unwrap();
    let plain = asked(&params);
    assert!(plain.message && !plain.debug);
    assert_eq!((plain.containerd.as_str(), plain.ttrpc.as_str()), ("/run/other.sock", "/run/other.ttrpc"));
    assert_eq!(plain.socket_dir, Path::new(socket::DIR));
    params.socket_dir = Some("/run/s".to_owned());
    params.log_level = LogLevel::LOG_LEVEL_DEBUG.into();
    let extension = Extension { value: MessageField::some(options("debug = true")), ..Extension::default() };
    params.extensions.push(extension);
    let more = asked(&params);
    assert_eq!(more.socket_dir, Path::new("/run/s"));
    assert!(more.debug && more.settings.debug);
}

/// The bytes of a message can be those of options, too: it is told by the names in it.
#[test]
fn a_message_about_another_container_is_none() {
    let other = BootstrapParams { instance_id: "other".to_owned(), ..params() };
    assert!(!Asked::read(&other.write_to_bytes().unwrap(), &flags()).unwrap().message);
}

#[test]
fn the_answer_has_the_form_of_the_question() {
    let address = "unix:///run/containerd/s/0123";
    assert_eq!(encoded(address, false).unwrap(), address.as_bytes());
    // What an address is must not pass for a message: containerd 2.3 tries that first.
    assert!(BootstrapResult::parse_from_bytes(address.as_bytes()).is_err());
    let result = BootstrapResult::parse_from_bytes(&encoded(address, true).unwrap()).unwrap();
    assert_eq!((result.version, result.protocol.as_str()), (3, "ttrpc"));
    assert_eq!(result.address, address);
}
