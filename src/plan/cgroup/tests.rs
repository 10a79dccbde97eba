//! Pairs of resources and the writes that come of them; and what is refused, by field.

use super::*;
use crate::error::Kind;

pub(super) const V1: [&str; 12] = [
    "cpu",
    "cpuset",
    "memory",
    "pids",
    "blkio",
    "hugetlb",
    "net_cls",
    "net_prio",
    "rdma",
    "devices",
    "freezer",
    "name=systemd",
];
pub(super) const V2: [&str; 7] = ["cpu", "cpuset", "memory", "pids", "io", "hugetlb", "rdma"];

pub(super) fn v1(controllers: &[&str]) -> Layout {
    let hierarchy = |name: &&str| Hierarchy {
        controllers: vec![(*name).to_owned()],
        dir: format!("/sys/fs/cgroup/{}", name.trim_start_matches("name=")),
    };
    Layout::V1 { hierarchies: controllers.iter().map(hierarchy).collect() }
}

fn unified(controllers: &[&str], dir: &str) -> Unified {
    Unified { controllers: controllers.iter().map(|name| (*name).to_owned()).collect(), dir: dir.to_owned() }
}

pub(super) fn v2(controllers: &[&str]) -> Layout {
    Layout::V2 { unified: unified(controllers, "/sys/fs/cgroup") }
}

fn plan(json: serde_json::Value, layout: &Layout) -> Result<Cgroup, Vec<Error>> {
    let pids_limit = json.pointer("/pids/limit").and_then(serde_json::Value::as_i64);
    let resources: LinuxResources = serde_json::from_value(json).expect("valid resources");
    resolve(&Request { id: "web", resources: Some(&resources), pids_limit, ..Request::default() }, layout)
}

/// The writes, as `file=value`.
fn writes(json: serde_json::Value, layout: &Layout) -> Vec<String> {
    let cgroup = plan(json, layout).expect("a plan");
    cgroup.settings.iter().map(|setting| format!("{}={}", setting.file, setting.value)).collect()
}

fn device_writes(rules: serde_json::Value) -> Vec<String> {
    let cgroup = plan(serde_json::json!({ "devices": rules }), &v1(&V1)).expect("a plan");
    cgroup.devices.list.iter().map(|setting| format!("{}={}", setting.file, setting.value)).collect()
}

/// Where the refusals point.
fn refused(json: serde_json::Value, layout: &Layout) -> Vec<(Kind, String)> {
    let errors = plan(json, layout).expect_err("a refusal");
    errors.into_iter().map(|error| (error.kind, error.at.unwrap_or_default())).collect()
}

macro_rules! json { ($($tokens:tt)*) => { serde_json::json!({ $($tokens)* }) } }

#[test]
fn what_an_engine_sends_becomes_v1_writes() {
    let json = json!(
        "memory": { "limit": 67_108_864, "swap": 134_217_728, "reservation": 33_554_432, "swappiness": 10,
                    "disableOOMKiller": false },
        "cpu": { "shares": 512, "quota": 50_000, "period": 100_000, "cpus": "0-1", "mems": "0" },
        "pids": { "limit": 100 },
        "blockIO": { "weight": 500, "throttleReadBpsDevice": [{ "major": 8, "minor": 0, "rate": 1_048_576 }] },
        "hugepageLimits": [{ "pageSize": "2MB", "limit": 4_194_304 }],
        "network": { "classID": 1_048_577, "priorities": [{ "name": "eth0", "priority": 5 }] }
    );
    assert_eq!(
        writes(json, &v1(&V1)),
        [
            "memory.limit_in_bytes=67108864",
            "memory.memsw.limit_in_bytes=134217728",
            "memory.soft_limit_in_bytes=33554432",
            "memory.swappiness=10",
            "memory.oom_control=0",
            "cpu.shares=512",
            "cpu.cfs_period_us=100000",
            "cpu.cfs_quota_us=50000",
            "cpuset.cpus=0-1",
            "cpuset.mems=0",
            "pids.max=100",
            "blkio.weight=500",
            "blkio.throttle.read_bps_device=8:0 1048576",
            "hugetlb.2MB.rsvd.limit_in_bytes=4194304",
            "hugetlb.2MB.limit_in_bytes=4194304",
            "net_cls.classid=1048577",
            "net_prio.ifpriomap=eth0 5",
        ]
    );
}

#[test]
fn what_an_engine_sends_becomes_v2_writes() {
    let json = json!(
        "memory": { "limit": 67_108_864, "swap": 134_217_728, "reservation": 33_554_432,
                    "disableOOMKiller": false },
        "cpu": { "shares": 1024, "quota": 50_000, "period": 100_000, "burst": 1000, "idle": 0, "cpus": "0-1" },
        "pids": { "limit": -1 },
        "blockIO": { "weight": 500, "weightDevice": [{ "major": 8, "minor": 0, "weight": 10 }],
                     "throttleReadBpsDevice": [{ "major": 8, "minor": 0, "rate": 1_048_576 }],
                     "throttleWriteIOPSDevice": [{ "major": 8, "minor": 0, "rate": 0 }] },
        "hugepageLimits": [{ "pageSize": "2MB", "limit": 4_194_304 }],
        "rdma": { "mlx5_1": { "hcaHandles": 3 }, "mlx5_2": { "hcaHandles": 0, "hcaObjects": 9 } },
        "unified": { "memory.high": "60000000", "cgroup.max.depth": "4", "io.max": "8:16 rbps=1\n8:32 rbps=2" }
    );
    assert_eq!(
        writes(json, &v2(&V2)),
        [
            "memory.swap.max=67108864",
            "memory.max=67108864",
            "memory.low=33554432",
            "cpu.weight=100",
            "cpu.max=50000 100000",
            "cpu.max.burst=1000",
            "cpu.idle=0",
            "cpuset.cpus=0-1",
            "pids.max=max",
            "io.bfq.weight=500",
            "io.bfq.weight=8:0 10",
            "hugetlb.2MB.rsvd.max=4194304",
            "hugetlb.2MB.max=4194304",
            "rdma.max=mlx5_1 hca_handle=3",
            "rdma.max=mlx5_2 hca_handle=0 hca_object=9",
            "cgroup.max.depth=4",
            "io.max=8:16 rbps=1",
            "io.max=8:32 rbps=2",
            "memory.high=60000000",
        ]
    );
}

#[test]
fn no_limit_and_not_set_are_two_things() {
    let unlimited = || json!("memory": { "limit": -1 }, "cpu": { "quota": -1 });
    assert_eq!(
        writes(unlimited(), &v1(&V1)),
        ["memory.limit_in_bytes=-1", "memory.memsw.limit_in_bytes=-1", "cpu.cfs_quota_us=-1"]
    );
    assert_eq!(
        writes(unlimited(), &v2(&V2)),
        ["memory.swap.max=max", "memory.max=max", "cpu.max=max 100000"]
    );
    let unset = || {
        json!("memory": { "limit": 0, "swap": 0, "reservation": 0 }, "cpu": { "shares": 0, "quota": 0, "cpus": "" },
              "blockIO": { "weight": 0 }, "network": { "classID": 0 })
    };
    for layout in [v1(&V1), v2(&V2), v1(&[]), v2(&[])] {
        assert_eq!(writes(unset(), &layout), [""; 0]);
    }
    let pages = || json!("hugepageLimits": [{ "pageSize": "1GB", "limit": i64::MAX }], "memory": { "swappiness": u64::MAX });
    assert_eq!(
        writes(pages(), &v1(&V1)),
        ["hugetlb.1GB.rsvd.limit_in_bytes=-1", "hugetlb.1GB.limit_in_bytes=-1"]
    );
    assert_eq!(writes(pages(), &v2(&V2)), ["hugetlb.1GB.rsvd.max=max", "hugetlb.1GB.max=max"]);
}

#[test]
fn a_process_limit_of_0_lets_one_in_and_the_default_fills_a_gap() {
    let limit = |given, default, layout: &Layout| {
        let request = Request { pids_limit: given, default_pids_limit: default, ..Request::default() };
        let cgroup = resolve(&request, layout).expect("a plan");
        let pids = cgroup.settings.into_iter().find(|setting| setting.file == "pids.max");
        (pids.map(|setting| (setting.value, setting.at.is_some())), cgroup.ignored.len())
    };
    let v2 = v2(&V2);
    assert_eq!(limit(Some(0), Some(1000), &v2), (Some(("1".to_owned(), true)), 0));
    assert_eq!(limit(Some(-1), Some(1000), &v2), (Some(("max".to_owned(), true)), 0));
    assert_eq!(limit(None, Some(1000), &v2), (Some(("1000".to_owned(), false)), 0));
    assert_eq!(limit(None, None, &v2), (None, 0));
    assert_eq!(limit(None, Some(1000), &self::v2(&[])), (None, 1));
    assert_eq!(limit(Some(-1), None, &self::v2(&[])), (None, 0));
}

#[test]
fn a_controller_is_missed_only_by_what_asks_for_it() {
    let json = || json!("memory": { "limit": 4096, "reservation": 4096 }, "cpu": { "shares": 2 });
    let expected = [
        (Kind::Unsupported, "linux.resources.memory.limit".to_owned()),
        (Kind::Unsupported, "linux.resources.memory.reservation".to_owned()),
    ];
    assert_eq!(refused(json(), &v2(&["cpu"])), expected);
    assert_eq!(refused(json(), &v1(&["cpu"])), expected);
    let error = &plan(json(), &v2(&["cpu"])).expect_err("a refusal")[0];
    assert!(error.to_string().contains("this host's cgroup v2 has no memory controller"), "{error}");
}

#[test]
fn a_hybrid_host_takes_what_v1_lacks_from_v2() {
    let Layout::V1 { hierarchies } = v1(&["memory", "devices"]) else { unreachable!() };
    let unified = unified(&["hugetlb"], "/sys/fs/cgroup/unified");
    let layout = Layout::Hybrid { hierarchies, unified };
    let json = json!("memory": { "limit": 4096 }, "hugepageLimits": [{ "pageSize": "2MB", "limit": 0 }]);
    assert_eq!(
        writes(json, &layout),
        ["memory.limit_in_bytes=4096", "hugetlb.2MB.rsvd.max=0", "hugetlb.2MB.max=0"]
    );
    assert_eq!(layout.dir_of("hugetlb"), Some("/sys/fs/cgroup/unified"));
    let unified = json!("unified": { "hugetlb.2MB.max": "0" });
    assert_eq!(refused(unified, &layout), [(Kind::Unsupported, "linux.resources.unified".to_owned())]);
}

#[test]
fn values_that_cannot_be_meant_are_refused_by_field() {
    for (json, at) in [
        (json!("memory": { "limit": -2 }), "memory.limit"),
        (json!("memory": { "limit": 8192, "swap": 4096 }), "memory.swap"),
        (json!("memory": { "swap": 4096 }), "memory.swap"),
        (json!("cpu": { "cpus": "0\n1" }), "cpu.cpus"),
        (json!("cpu": { "realtimeRuntime": 1000 }), "cpu.realtimeRuntime"),
        (json!("blockIO": { "weight": 9 }), "blockIO.weight"),
        (json!("hugepageLimits": [{ "pageSize": "../2MB", "limit": 1 }]), "hugepageLimits[0].pageSize"),
        (json!("rdma": { "a b": {} }), "rdma.a b"),
        (json!("rdma": { "mlx5_1": {} }), "rdma.mlx5_1"),
        (json!("cpu": { "idle": 2 }), "cpu.idle"),
        (json!("hugepageLimits": [{ "pageSize": "2MB", "limit": -1 }]), "hugepageLimits[0].limit"),
        (json!("network": { "classID": 5 }), "network.classID"),
        (json!("unified": { "../memory.max": "1" }), "unified.../memory.max"),
        (json!("unified": { "cgroup.procs": "1" }), "unified.cgroup.procs"),
        (json!("unified": { "cgroup.kill": "1" }), "unified.cgroup.kill"),
        (json!("unified": { "release_agent": "/x" }), "unified.release_agent"),
        (json!("unified": { "misc.max": "x 1" }), "unified.misc.max"),
        (json!("devices": [{ "allow": true, "type": "c", "major": 1, "access": "rx" }]), "devices[0].access"),
        (json!("devices": [{ "allow": true, "type": "c", "major": 4096 }]), "devices[0].major"),
        (json!("devices": [{ "allow": true, "type": "c", "minor": -7 }]), "devices[0].minor"),
        (json!("devices": [{ "allow": true, "type": "p" }]), "devices[0].type"),
    ] {
        let refusals = refused(json, &v2(&V2));
        assert_eq!(refusals.len(), 1, "{at}");
        assert_eq!(refusals[0].1, format!("linux.resources.{at}"));
    }
}

#[test]
fn what_has_no_effect_is_listed() {
    let json = json!("memory": { "kernel": 1, "kernelTCP": 1, "swappiness": 60, "disableOOMKiller": true,
                                 "useHierarchy": true }, "blockIO": { "leafWeight": 10 });
    let cgroup = plan(json, &v2(&V2)).expect("a plan");
    let mut fields: Vec<_> =
        cgroup.ignored.iter().map(|ignored| ignored.at.rsplit('.').next().unwrap()).collect();
    fields.sort_unstable();
    assert_eq!(
        fields,
        ["disableOOMKiller", "kernel", "kernelTCP", "leafWeight", "swappiness", "useHierarchy"]
    );
    assert!(cgroup.settings.is_empty());
    let leaves = json!("blockIO": { "leafWeight": 10, "weightDevice": [{ "major": 8, "minor": 0, "leafWeight": 20 }] });
    let cgroup = plan(leaves, &v1(&V1)).expect("a plan");
    assert_eq!((cgroup.ignored.len(), cgroup.settings.len()), (2, 0));
}

#[test]
fn a_unified_file_wins_over_the_field_that_writes_it() {
    let json = json!("memory": { "limit": 8192 }, "unified": { "memory.max": "4096" });
    assert_eq!(writes(json, &v2(&V2)), ["memory.max=4096"]);
}

#[test]
fn check_before_update_guards_the_limit() {
    let json = json!("memory": { "limit": 8192, "checkBeforeUpdate": true });
    let cgroup = plan(json, &v2(&V2)).expect("a plan");
    assert_eq!(cgroup.settings[0].not_below.as_deref(), Some("memory.current"));
}

#[test]
fn shares_keep_their_order_and_the_three_fixed_points() {
    let points = [0, 2, 1024, 1 << 18, u64::MAX].map(cpu::weight);
    assert_eq!(points, [1, 1, 100, 10_000, 10_000]);
    let mut last = 0;
    for shares in 0..=(1 << 18) {
        let weight = cpu::weight(shares);
        assert!((1..=10_000).contains(&weight) && weight >= last, "{shares} shares weigh {weight}");
        last = weight;
    }
}

#[test]
fn a_path_stays_below_the_root() {
    let path = |path: Option<&str>| {
        let request = Request { id: "web", path, ..Request::default() };
        resolve(&request, &v2(&V2)).map(|cgroup| cgroup.path)
    };
    assert_eq!(path(None).as_deref(), Ok("/sandrun-web"));
    assert_eq!(path(Some("")).as_deref(), Ok("/sandrun-web"));
    assert_eq!(path(Some("/kubepods/pod1/web")).as_deref(), Ok("/kubepods/pod1/web"));
    assert_eq!(path(Some("docker/web")).as_deref(), Ok("/docker/web"));
    let long = format!("/{}", "a/".repeat(2000) + "a");
    for bad in [
        "/",
        "/..",
        "../x",
        "/a/../../x",
        "/a/..",
        "/./a",
        "a//b",
        "//a",
        "/a/",
        "/a\0b",
        "/a\nb",
        &long,
        &"a".repeat(256),
    ] {
        let errors = path(Some(bad)).expect_err(bad);
        assert_eq!(errors.len(), 1);
        assert_eq!(
            (errors[0].kind, errors[0].at.as_deref()),
            (Kind::Invalid, Some("linux.cgroupsPath")),
            "{bad}"
        );
    }
}

#[test]
fn a_device_list_refuses_first_and_keeps_the_defaults() {
    let defaults = [
        "devices.allow=c 1:3 rwm",
        "devices.allow=c 1:5 rwm",
        "devices.allow=c 1:7 rwm",
        "devices.allow=c 1:8 rwm",
        "devices.allow=c 1:9 rwm",
        "devices.allow=c 5:0 rwm",
        "devices.allow=c 5:1 rwm",
        "devices.allow=c 5:2 rwm",
        "devices.allow=c 136:* rwm",
    ];
    let mut expected = vec!["devices.deny=a"];
    expected.extend(defaults);
    assert_eq!(device_writes(serde_json::json!([])), expected);

    let given = serde_json::json!([
        { "allow": false, "access": "rwm" },
        { "allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw" },
        { "allow": true, "type": "a", "major": 7, "access": "r" },
        { "allow": true, "type": "c", "major": 10, "minor": 229, "access": "m" },
        { "allow": false, "type": "c", "major": 1, "minor": 3, "access": "rwm" },
        { "allow": false, "type": "b", "major": 7, "access": "r" },
    ]);
    let mut expected = vec!["devices.deny=a", "devices.allow=c 10:229 rwm", "devices.allow=c 7:* r"];
    expected.extend(defaults);
    assert_eq!(device_writes(given), expected);

    let privileged = serde_json::json!([{ "allow": true, "access": "rwm" }]);
    assert_eq!(device_writes(privileged), ["devices.allow=a"]);
}

#[test]
fn a_device_rule_that_v1_cannot_say_is_refused_and_v2_says_it() {
    let rules = || {
        json!("devices": [
            { "allow": true, "type": "c", "major": 7, "access": "rw" },
            { "allow": false, "type": "c", "major": 7, "minor": 1, "access": "w" },
        ])
    };
    assert_eq!(refused(rules(), &v1(&V1)), [(Kind::Unsupported, "linux.resources.devices[1]".to_owned())]);
    let cgroup = plan(rules(), &v2(&V2)).expect("a plan");
    assert_eq!(cgroup.devices.gate, DeviceGate::Program);
    assert_eq!(cgroup.devices.rules.len(), 2 + 9);
}

#[test]
fn a_plan_survives_its_wire_format() {
    let json = json!("memory": { "limit": 8192, "swap": 8192 }, "blockIO": { "weight": 100 },
                     "devices": [{ "allow": true, "type": "b", "major": 8, "access": "mr" }]);
    for layout in [v1(&V1), v2(&V2)] {
        let cgroup = plan(json.clone(), &layout).expect("a plan");
        let text = serde_json::to_string(&(&cgroup, &layout)).expect("JSON");
        assert_eq!(serde_json::from_str::<(Cgroup, Layout)>(&text).expect("the same"), (cgroup, layout));
    }
}
