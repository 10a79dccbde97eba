//! A state file that is cut short, or has a wrong bit: the container can still be removed, all of it.

use std::fs;

use serde_json::json;

use crate::support::{Bundle, Runtime, is_root, leaks};

/// How many damages of each kind are tried.
const ROUNDS: usize = 24;

/// A running container whose cgroup has another path than the default.
fn running(runtime: &Runtime) -> Bundle {
    let bundle = Bundle::shell("sleep 60 & sleep 60 & wait");
    assert_ne!(bundle.config["linux"]["cgroupsPath"], json!(format!("/sandrun-{}", bundle.id)));
    runtime.create(&bundle).ok();
    runtime.call(&["start", &bundle.id]).ok();
    bundle
}

#[track_caller]
fn damage(change: impl Fn(usize, &mut Vec<u8>)) {
    for round in 0..ROUNDS {
        let runtime = Runtime::sandrun();
        let bundle = running(&runtime);
        let file = runtime.root().join(&bundle.id).join("state.json");
        let mut text = fs::read(&file).expect("cannot read the state");
        change(round, &mut text);
        fs::write(&file, &text).expect("cannot write the state");
        let text = String::from_utf8_lossy(&text);
        let deleted = runtime.call(&["delete", "--force", &bundle.id]);
        assert_eq!(deleted.code, 0, "{deleted}\n{text}");
        let left = leaks::all(&runtime, &bundle);
        assert!(left.is_empty(), "left: {left:#?}\n{text}");
    }
}

#[test]
fn the_state_is_cut_short() {
    skip_unless!(is_root(), "needs root");
    damage(|round, text| text.truncate(text.len() * round / ROUNDS));
}

#[test]
fn a_bit_of_the_state_is_wrong() {
    skip_unless!(is_root(), "needs root");
    damage(|round, text| {
        let at = text.len() * round / ROUNDS;
        text[at] ^= 1 << (round % 8);
    });
}

#[test]
fn numbers_of_the_state_are_wrong() {
    skip_unless!(is_root(), "needs root");
    damage(|round, text| {
        let mut record: serde_json::Value = serde_json::from_slice(text).expect("the state is JSON");
        match round % 4 {
            0 => record["process"]["pid"] = json!([-1, 0, 1, i32::MAX, i32::MIN, 2][round / 4]),
            1 => record["process"]["startTime"] = json!(round),
            2 => record["cgroup"] = json!(["/", "", "/..", "/no/such", "x", "/a//b"][round / 4]),
            _ => record["version"] = json!(round),
        }
        *text = record.to_string().into_bytes();
    });
}
