//! What is written holds, and is enforced.

use super::*;

#[test]
fn what_is_written_is_read_back() {
    if skipped("what_is_written_is_read_back") {
        return;
    }
    let fixture = Fixture::new(
        "verify",
        serde_json::json!({
            "memory": { "limit": 33_556_000, "swap": 67_108_864, "reservation": 16_777_216,
                        "disableOOMKiller": false, "swappiness": 10 },
            "cpu": { "shares": 512, "quota": 50_000, "period": 100_000, "burst": 0, "idle": 0,
                     "cpus": "0", "mems": "0" },
            "pids": { "limit": 5 },
            "devices": [{ "allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw" }],
        }),
    );
    restrict(&fixture.dirs, &fixture.cgroup.devices).expect("a list or a program");
    let list = verify(&fixture.dirs, &fixture.cgroup.devices.list);
    assert_eq!(list.is_empty(), fixture.cgroup.devices.gate != plan::DeviceGate::List);
    let mut outcomes = verify(&fixture.dirs, &fixture.cgroup.settings);
    assert!(outcomes.len() >= 10);
    outcomes.extend(list);
    for outcome in &outcomes {
        assert!(outcome.holds, "{outcome:?}");
    }
    let at = |outcome: &&Outcome| outcome.at.as_deref() == Some("linux.resources.cpu.quota");
    let quota = outcomes.iter().find(at).expect("a quota");
    let actual = quota.actual.as_deref();
    assert!(matches!(actual, Some("50000" | "50000 100000")), "{actual:?}");

    let other = plan::Setting { value: "6".to_owned(), ..pids_setting(&fixture.cgroup).clone() };
    assert!(!verify(&fixture.dirs, &[other])[0].holds);
}

pub(super) fn pids_setting(cgroup: &Cgroup) -> &plan::Setting {
    cgroup.settings.iter().find(|setting| setting.file == "pids.max").expect("a process limit")
}

#[test]
fn limits_move_both_ways_and_errors_name_the_field() {
    if skipped("limits_move_both_ways_and_errors_name_the_field") {
        return;
    }
    let memory = |limit: i64| serde_json::json!({ "memory": { "limit": limit, "swap": limit } });
    let fixture = Fixture::new("update", memory(32 << 20));
    for limit in [64 << 20, 16 << 20] {
        let resources = serde_json::from_value(memory(limit)).expect("valid resources");
        let request = Request { path: Some("/x"), resources: Some(&resources), ..Request::default() };
        let update = plan::resolve(&request, &fixture.layout).expect("a plan").settings;
        assert_eq!(update.len(), 2);
        apply(&fixture.dirs, &update).expect("both limits");
        assert!(verify(&fixture.dirs, &update).iter().all(|outcome| outcome.holds));
    }
    let limit = |setting: &&plan::Setting| setting.at.as_deref() == Some("linux.resources.memory.limit");
    let limit = fixture.cgroup.settings.iter().find(limit).expect("a limit");
    let bad = plan::Setting { value: "many".to_owned(), ..limit.clone() };
    let error = apply(&fixture.dirs, &[bad]).expect_err("an error");
    assert_eq!(error.at.as_deref(), Some("linux.resources.memory.limit"));
    assert!(
        error.to_string().contains("EINVAL") || error.to_string().contains("Invalid argument"),
        "{error}"
    );
}

#[test]
fn a_process_limit_stops_what_would_start_otherwise() {
    if skipped("a_process_limit_stops_what_would_start_otherwise") {
        return;
    }
    let many = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 100 & done; wait";
    let free = Fixture::new("free", serde_json::json!({}));
    let shell = free.shell(many);
    assert_eq!(free.settled(|count| count == 13), 13, "without a limit all of them run");
    kill_all(&free.dirs).expect("killed");
    assert!(!reap(shell).success());

    let limited = Fixture::new("limited", serde_json::json!({ "pids": { "limit": 5 } }));
    let shell = limited.shell(many);
    let refused = || {
        let events = files::read(&limited.dirs.of("pids").expect("pids").fd, "pids.events").expect("events");
        files::keyed(&events, "max").expect("a count")
    };
    limited.settled(|_| refused() > 0);
    assert!(refused() > 0, "a fork was refused");
    let count = limited.pids().len();
    assert!((1..=5).contains(&count), "{count} processes");
    kill_all(&limited.dirs).expect("killed");
    assert_eq!(limited.pids(), [0; 0]);
    reap(shell);
}

#[test]
fn too_much_memory_is_killed_and_counted() {
    if skipped("too_much_memory_is_killed_and_counted") {
        return;
    }
    let memory = serde_json::json!({ "memory": { "limit": 33_554_432, "swap": 33_554_432 } });
    let fixture = Fixture::new("oom", memory);
    assert_eq!(oom_kills(fixture.dirs.path(), &fixture.layout), Ok(Some(0)));
    reap(fixture.shell("head -c 100000000 /dev/zero | tail"));
    assert!(oom_kills(fixture.dirs.path(), &fixture.layout).expect("a count") >= Some(1));
}

#[test]
fn a_device_outside_the_list_cannot_be_opened() {
    if skipped("a_device_outside_the_list_cannot_be_opened") {
        return;
    }
    std::fs::File::open(SECRET_DEVICE).expect("without rules it can be opened");
    let fixture = Fixture::new("devices", serde_json::json!({}));
    restrict(&fixture.dirs, &fixture.cgroup.devices).expect("a list or a program");
    denies_the_secret_device(&fixture);
}

pub(super) fn denies_the_secret_device(fixture: &Fixture) {
    assert!(reap(fixture.shell(": < /dev/zero && : > /dev/null")).success());
    assert!(!reap(fixture.shell(&format!(": < {SECRET_DEVICE}"))).success());
}

#[test]
fn newer_files_are_written_where_the_kernel_has_them() {
    if skipped("newer_files_are_written_where_the_kernel_has_them") {
        return;
    }
    let fixture = Fixture::new("newer", serde_json::json!({ "cpu": { "quota": 50_000, "burst": 0 } }));
    let burst = |setting: &&plan::Setting| setting.at.as_deref() == Some("linux.resources.cpu.burst");
    let given = fixture.cgroup.settings.iter().find(burst).map(|setting| plan::Setting {
        value: "1000".to_owned(),
        otherwise: None,
        ..setting.clone()
    });
    let Some(given) = given else {
        eprintln!("skipped: no cpu controller");
        return;
    };
    match apply(&fixture.dirs, std::slice::from_ref(&given)) {
        Ok(()) => assert!(verify(&fixture.dirs, &[given])[0].holds),
        Err(error) => assert_eq!(error.kind, Kind::Unsupported, "{error}"),
    }
}
