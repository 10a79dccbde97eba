//! What an update writes, and what is in force afterwards.

use serde_json::{Value, json};

use super::super::tests::{V1, V2, v1, v2};
use super::super::{Request, resolve};
use super::*;
use crate::error::Kind;

fn created(resources: &Value, layout: &Layout) -> Cgroup {
    let pids_limit = resources.pointer("/pids/limit").and_then(Value::as_i64);
    let resources = serde_json::from_value(resources.clone()).expect("valid resources");
    let request = Request {
        id: "web",
        resources: Some(&resources),
        pids_limit,
        default_pids_limit: Some(2048),
        ..Default::default()
    };
    resolve(&request, layout).expect("a plan")
}

fn updated(before: &Value, change: &Value, layout: &Layout) -> Result<Update, Vec<Error>> {
    let pids_limit = change.pointer("/pids/limit").and_then(Value::as_i64);
    let change = serde_json::from_value(change.clone()).expect("valid resources");
    created(before, layout).update(&change, pids_limit, layout)
}

fn lines(settings: &[Setting]) -> Vec<String> {
    settings.iter().map(|setting| format!("{}={}", setting.file, setting.value)).collect()
}

/// The writes.
fn writes(before: &Value, change: &Value, layout: &Layout) -> Vec<String> {
    lines(&updated(before, change, layout).expect("an update").writes)
}

#[test]
fn only_what_is_named_is_written_and_the_rest_stays_in_force() {
    let before = json!({ "memory": { "limit": 4096, "reservation": 4096 }, "cpu": { "shares": 512 } });
    let change = json!({ "memory": { "limit": 8192, "swap": 0 }, "cpu": {}, "pids": {}, "blockIO": {} });
    let update = updated(&before, &change, &v1(&V1)).expect("an update");
    assert_eq!(lines(&update.writes), ["memory.limit_in_bytes=8192"]);
    assert_eq!(
        lines(&update.cgroup.settings),
        ["memory.soft_limit_in_bytes=4096", "cpu.shares=512", "pids.max=2048", "memory.limit_in_bytes=8192"]
    );
    assert!(update.notes.is_empty(), "{:?}", update.notes);
    assert_eq!(updated(&before, &json!({}), &v1(&V1)).map(|update| update.writes), Ok(Vec::new()));
}

#[test]
fn quota_and_period_share_a_file_on_v2_and_keep_each_other() {
    let before = json!({ "cpu": { "quota": 20_000, "period": 50_000 } });
    for (cpu, value) in [
        (json!({ "quota": 30_000 }), "cpu.max=30000 50000"),
        (json!({ "period": 100_000 }), "cpu.max=20000 100000"),
        (json!({ "quota": -1 }), "cpu.max=max 50000"),
        (json!({ "quota": 1000, "period": 1000 }), "cpu.max=1000 1000"),
    ] {
        let change = json!({ "cpu": cpu });
        assert_eq!(writes(&before, &change, &v2(&V2)), [value]);
        assert_eq!(
            writes(&json!({ "memory": { "limit": 1 } }), &json!({ "cpu": { "period": 7000 } }), &v2(&V2)),
            ["cpu.max=max 7000"]
        );
    }
    assert_eq!(writes(&before, &json!({ "cpu": { "quota": 30_000 } }), &v1(&V1)), ["cpu.cfs_quota_us=30000"]);
}

#[test]
fn swap_is_counted_from_the_memory_limit_in_force() {
    let before = json!({ "memory": { "limit": 4096, "swap": 8192 } });
    let swap = |bytes: i64| json!({ "memory": { "swap": bytes } });
    assert_eq!(writes(&before, &swap(12_288), &v2(&V2)), ["memory.swap.max=8192"]);
    assert_eq!(writes(&before, &swap(12_288), &v1(&V1)), ["memory.memsw.limit_in_bytes=12288"]);
    assert_eq!(writes(&before, &swap(-1), &v2(&V2)), ["memory.swap.max=max"]);
    let both = json!({ "memory": { "limit": 16_384, "swap": 16_384 } });
    assert_eq!(writes(&before, &both, &v2(&V2)), ["memory.swap.max=0", "memory.max=16384"]);
    for (change, layout, at) in [
        (swap(2048), v2(&V2), "swap"),
        (swap(2048), v1(&V1), "swap"),
        (json!({ "memory": { "limit": 16_384 } }), v1(&V1), "limit"),
    ] {
        let errors = updated(&before, &change, &layout).expect_err("a refusal");
        assert_eq!(errors[0].at.as_deref(), Some(&*format!("linux.resources.memory.{at}")), "{change}");
    }
    let none = json!({ "memory": { "limit": -1 } });
    assert_eq!(writes(&before, &none, &v2(&V2)), ["memory.swap.max=max", "memory.max=max"]);
}

#[test]
fn the_default_limit_of_processes_does_not_go_unseen() {
    let change = json!({ "pids": { "limit": -1 } });
    let update = updated(&json!({}), &change, &v2(&V2)).expect("an update");
    assert_eq!(lines(&update.cgroup.settings), ["pids.max=max"]);
    assert_eq!(update.notes.len(), 1);
    assert_eq!(update.notes[0].at, "linux.resources.pids.limit");
    let given = updated(&json!({ "pids": { "limit": 9 } }), &change, &v2(&V2)).expect("an update");
    assert_eq!(given.notes, [], "it was config.json's");
    let tighter = updated(&json!({}), &json!({ "pids": { "limit": 9 } }), &v2(&V2)).expect("an update");
    assert_eq!(tighter.notes, []);
}

#[test]
fn a_line_for_each_device_is_replaced_by_itself() {
    let throttle = |field: &str, minor: i64, rate: u64| json!({ "blockIO": { field: [{ "major": 8, "minor": minor, "rate": rate }] } });
    let before = json!({ "unified": { "io.max": "8:0 rbps=1 wbps=2\n8:16 rbps=3" } });
    let update = updated(&before, &throttle("throttleReadBpsDevice", 0, 9), &v2(&V2)).expect("an update");
    assert_eq!(
        lines(&update.cgroup.settings),
        ["pids.max=2048", "io.max=8:0 wbps=2", "io.max=8:16 rbps=3", "io.max=8:0 rbps=9"]
    );
    let before = throttle("throttleReadBpsDevice", 0, 1);
    let update = updated(&before, &throttle("throttleReadBpsDevice", 0, 9), &v1(&V1)).expect("an update");
    let expected = ["pids.max=2048", "blkio.throttle.read_bps_device=8:0 9"];
    assert_eq!(lines(&update.cgroup.settings), expected);
}

#[test]
fn devices_stay_and_a_caller_who_wants_others_is_told() {
    let rules = |minor: i64| json!({ "devices": [{ "allow": true, "type": "c", "major": 10, "minor": minor, "access": "rw" }] });
    let same = updated(&rules(229), &rules(229), &v2(&V2)).expect("an update");
    assert_eq!((same.notes.len(), same.writes.len()), (0, 0));
    let other = updated(&rules(229), &rules(230), &v2(&V2)).expect("an update");
    assert_eq!(other.notes[0].at, "linux.resources.devices");
    assert_eq!(other.cgroup.devices, created(&rules(229), &v2(&V2)).devices);
}

#[test]
fn what_cannot_be_meant_changes_nothing() {
    let change =
        json!({ "memory": { "limit": -7 }, "cpu": { "cpus": "x" }, "unified": { "cgroup.procs": "1" } });
    let errors = updated(&json!({}), &change, &v2(&V2)).expect_err("refusals");
    assert_eq!(errors.len(), 3);
    let errors =
        updated(&json!({}), &json!({ "cpu": { "shares": 2 } }), &v2(&["pids"])).expect_err("a refusal");
    assert_eq!(errors[0].kind, Kind::Unsupported);
}
