use std::path::PathBuf;

use crate::error::Kind;
use crate::shim::io::target::{Program, Target};

fn logger(path: &str, arguments: &[&str], must_tell: bool) -> Target {
    let arguments = arguments.iter().map(|it| (*it).to_owned()).collect();
    Target::Logger(Program { path: PathBuf::from(path), arguments, must_tell })
}

#[test]
fn a_stream_is_a_path_or_a_uri() {
    let cases = [
        ("", Target::Nothing),
        ("/run/containerd/fifo/1/c:1-stdout", Target::Path("/run/containerd/fifo/1/c:1-stdout".into())),
        ("fifo:///run/x", Target::Path("/run/x".into())),
        ("file:///var/log/a%20b.log", Target::File("/var/log/a b.log".into())),
        ("file:/var/log/x", Target::File("/var/log/x".into())),
        ("binary:///bin/logger", logger("/bin/logger", &[], false)),
        ("binary:///l?id=c%2f1&--verbose", logger("/l", &["id", "c/1", "--verbose", ""], false)),
        ("binary-v2:///l?a=b+c%2B", logger("/l", &["a", "b c+"], true)),
    ];
    for (stream, target) in cases {
        assert_eq!(Target::parse(stream).unwrap(), target, "{stream}");
    }
}

#[test]
fn what_cannot_be_understood_is_refused_by_name() {
    for (stream, why) in [
        ("npipe:////./pipe/x", "nobody knows the scheme \"npipe\""),
        ("tcp://host/x", "nobody knows the scheme \"tcp\""),
        ("stdout", "its path is not absolute"),
        ("file://log", "its path is not absolute"),
        ("binary:///bin/%00x", "its path is not absolute"),
    ] {
        let error = Target::parse(stream).unwrap_err();
        assert_eq!((error.kind, error.what), (Kind::Invalid, format!("cannot use the stream {stream:?}")));
        assert!(why == error.why || stream.starts_with("tcp"), "{stream}: {}", error.why);
    }
}
