//! Limits that change while processes run.

use super::*;
use crate::cgroup::update;

fn settings(fixture: &Fixture, json: serde_json::Value) -> Vec<plan::Setting> {
    let resources = serde_json::from_value(json).expect("valid resources");
    fixture.cgroup.update(&resources, None, &fixture.layout).expect("an update").writes
}

fn all_hold(fixture: &Fixture, settings: &[plan::Setting]) {
    for outcome in verify(&fixture.dirs, settings) {
        assert!(outcome.holds, "{outcome:?}");
    }
}

#[test]
fn limits_go_up_and_down_in_whatever_order_the_kernel_wants() {
    if skipped("limits_go_up_and_down_in_whatever_order_the_kernel_wants") {
        return;
    }
    let limits = |factor: i64| {
        serde_json::json!({
            "memory": { "limit": factor << 24, "swap": factor << 25 },
            "cpu": { "quota": factor * 10_000, "period": factor * 20_000, "burst": factor * 5000 },
        })
    };
    let fixture = Fixture::new("both-ways", limits(2));
    for factor in [1, 8, 2, 4] {
        let new = settings(&fixture, limits(factor));
        let before = update(&fixture.dirs, &new, &fixture.layout).expect("updated");
        assert_eq!(before.len(), new.len());
        all_hold(&fixture, &new);
    }
}

#[test]
fn if_one_write_fails_all_are_taken_back() {
    if skipped("if_one_write_fails_all_are_taken_back") {
        return;
    }
    let before = serde_json::json!({
        "memory": { "limit": 33_554_432, "swap": 67_108_864 },
        "cpu": { "shares": 512, "quota": 50_000, "cpus": "0" },
        "pids": { "limit": 30 },
    });
    let fixture = Fixture::new("taken-back", before);
    let change = serde_json::json!({
        "memory": { "limit": 134_217_728, "swap": 134_217_728 },
        "cpu": { "shares": 2048, "quota": 20_000, "cpus": "0" },
    });
    let mut new = settings(&fixture, change);
    let bad = plan::Setting { value: "many".to_owned(), ..new.last().expect("a setting").clone() };
    new.push(bad);
    let error = update(&fixture.dirs, &new, &fixture.layout).expect_err("no such CPU");
    assert!(!error.to_string().contains("and then"), "{error}");
    all_hold(&fixture, &fixture.cgroup.settings);
}

#[test]
fn a_limit_below_what_is_in_use_is_refused_where_that_is_asked() {
    if skipped("a_limit_below_what_is_in_use_is_refused_where_that_is_asked") {
        return;
    }
    let fixture = Fixture::new("in-use", serde_json::json!({ "memory": { "limit": 67_108_864 } }));
    let shell = fixture.shell("x=$(head -c 8000000 /dev/zero | tr '\\0' x); while :; do sleep 1; done");
    let used = || stats::read(&fixture.dirs).expect("statistics").memory.usage.usage;
    let deadline = Instant::now() + Duration::from_secs(5);
    while used() < 8_000_000 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    let low = serde_json::json!({ "memory": { "limit": 4_194_304, "checkBeforeUpdate": true } });
    let error = update(&fixture.dirs, &settings(&fixture, low), &fixture.layout).expect_err("in use");
    assert!(error.to_string().contains("checkBeforeUpdate"), "{error}");
    all_hold(&fixture, &fixture.cgroup.settings);
    kill_all(&fixture.dirs).expect("killed");
    reap(shell);
}

#[test]
fn statistics_are_those_of_what_ran() {
    if skipped("statistics_are_those_of_what_ran") {
        return;
    }
    let fixture = Fixture::new(
        "stats",
        serde_json::json!({ "memory": { "limit": 67_108_864 }, "pids": { "limit": 9 } }),
    );
    let idle = stats::read(&fixture.dirs).expect("statistics");
    assert_eq!((idle.pids.current, idle.pids.limit), (0, 9));
    assert_eq!(idle.memory.usage.limit, 67_108_864);
    let shell = fixture.shell("while :; do :; done");
    assert_eq!(fixture.settled(|count| count == 1), 1);
    let deadline = Instant::now() + Duration::from_secs(10);
    let enough = |busy: &stats::Stats| {
        busy.cpu.usage.total > idle.cpu.usage.total + 50_000_000 && busy.cpu.usage.user > 0
    };
    let mut busy = stats::read(&fixture.dirs).expect("statistics");
    while !enough(&busy) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
        busy = stats::read(&fixture.dirs).expect("statistics");
    }
    kill_all(&fixture.dirs).expect("killed");
    reap(shell);
    assert_eq!(busy.pids.current, 1);
    assert!(enough(&busy), "{:?}", busy.cpu);
    assert!(busy.memory.usage.usage > 0 && !busy.memory.raw.is_empty());
    assert!(!busy.cpuset.cpus.is_empty(), "{:?}", busy.cpuset);
}

#[test]
fn memory_that_runs_out_is_heard_of() {
    if skipped("memory_that_runs_out_is_heard_of") {
        return;
    }
    let memory = serde_json::json!({ "memory": { "limit": 33_554_432, "swap": 33_554_432 } });
    let fixture = Fixture::new("heard", memory);
    let mut watch = OomWatch::new(&fixture.dirs).expect("a watch").expect("a memory controller");
    assert_eq!(watch.happened(), Ok(0));
    let shell = fixture.shell("head -c 100000000 /dev/zero | tail");
    let second = rustix::event::Timespec { tv_sec: 20, tv_nsec: 0 };
    assert_eq!(rustix::event::poll(&mut [watch.poll_fd()], Some(&second)), Ok(1), "nothing was heard");
    assert!(watch.happened().expect("a count") > 0);
    reap(shell);
    kill_all(&fixture.dirs).expect("killed");
    watch.happened().expect("a count");
    delete(&fixture.cgroup.path, &fixture.layout).expect("deleted");
    assert_eq!(watch.happened(), Ok(0), "the end of the cgroup is not the end of its memory");
}
