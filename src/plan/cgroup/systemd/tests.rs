//! What names and limits become when systemd makes the cgroup.

use serde_json::json;

use super::super::layout::{Hierarchy, Unified};
use super::super::{Cgroup, Request, resolve};
use super::*;

fn v1() -> Layout {
    let hierarchy = |name: &str| Hierarchy {
        controllers: vec![name.to_owned()],
        dir: format!("/sys/fs/cgroup/{}", name.trim_start_matches("name=")),
    };
    let all = ["cpu", "memory", "pids", "blkio", "cpuset", "devices", "name=systemd"];
    Layout::V1 { hierarchies: all.into_iter().map(hierarchy).collect() }
}

fn v2() -> Layout {
    let controllers = ["cpu", "cpuset", "memory", "pids", "io"].map(str::to_owned).to_vec();
    Layout::V2 { unified: Unified { controllers, dir: "/sys/fs/cgroup".to_owned() } }
}

fn system() -> Manager {
    Manager { user: false, cgroup: String::new() }
}

fn user() -> Manager {
    Manager { user: true, cgroup: "/user.slice/user-1000.slice/user@1000.service".to_owned() }
}

fn plan(
    path: Option<&str>,
    resources: serde_json::Value,
    manager: &Manager,
    layout: &Layout,
) -> Result<Cgroup, Vec<Error>> {
    let pids_limit = resources.pointer("/pids/limit").and_then(serde_json::Value::as_i64);
    let resources = serde_json::from_value(resources).expect("valid resources");
    let request = Request {
        id: "web",
        path,
        resources: Some(&resources),
        pids_limit,
        manager: Some(manager),
        ..Request::default()
    };
    resolve(&request, layout)
}

/// The path, the unit and the slice.
fn placed(path: Option<&str>, manager: &Manager) -> (String, String, String) {
    let cgroup = plan(path, json!({}), manager, &v2()).expect("a plan");
    let scope = cgroup.scope.expect("a scope");
    let slice = scope.properties.iter().find(|property| property.name == "Slice").expect("a slice");
    let Value::Text(slice) = &slice.value else { panic!("{slice:?}") };
    (cgroup.path, scope.unit.name, slice.clone())
}

/// The limits as `systemctl show` would print them.
fn limited(resources: serde_json::Value, layout: &Layout) -> Vec<String> {
    let scope = plan(None, resources, &system(), layout).expect("a plan").scope.expect("a scope");
    let settled = ["Description", "Slice", "Delegate", "DefaultDependencies", "CollectMode"];
    let shown = |property: &Property| match &property.value {
        Value::Flag(value) => format!("{}={value}", property.name),
        Value::Number(INFINITY) => format!("{}=infinity", property.name),
        Value::Number(value) => format!("{}={value}", property.name),
        Value::Text(value) => format!("{}={value}", property.name),
        Value::Set(bits) => format!("{}={bits:x?}", property.name),
        Value::Devices(list) => format!("{}={} devices", property.name, list.len()),
    };
    let all = scope
        .properties
        .iter()
        .filter(|property| !settled.contains(&&*property.name) && !property.name.ends_with("Accounting"));
    all.map(shown).collect()
}

#[test]
fn a_path_names_slice_prefix_and_name() {
    for (path, manager, expected) in [
        (None, system(), ("/system.slice/sandrun-web.scope", "sandrun-web.scope", "system.slice")),
        (Some(""), system(), ("/system.slice/sandrun-web.scope", "sandrun-web.scope", "system.slice")),
        (Some("::x"), system(), ("/system.slice/x.scope", "x.scope", "system.slice")),
        (
            Some("machine.slice:libpod:c5a2"),
            system(),
            ("/machine.slice/libpod-c5a2.scope", "libpod-c5a2.scope", "machine.slice"),
        ),
        (
            Some("kubepods-besteffort-pod1.slice:cri-containerd:8f14"),
            system(),
            (
                "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod1.slice/cri-containerd-8f14.scope",
                "cri-containerd-8f14.scope",
                "kubepods-besteffort-pod1.slice",
            ),
        ),
        (Some("-.slice:a:b"), system(), ("/a-b.scope", "a-b.scope", "-.slice")),
        (
            None,
            user(),
            (
                "/user.slice/user-1000.slice/user@1000.service/user.slice/sandrun-web.scope",
                "sandrun-web.scope",
                "user.slice",
            ),
        ),
    ] {
        let (cgroup, unit, slice) = placed(path, &manager);
        assert_eq!((&*cgroup, &*unit, &*slice), expected, "{path:?}");
    }
}

#[test]
fn any_other_path_is_refused_by_its_field() {
    for path in [
        "/kubepods/pod1/web",
        "web",
        "a.slice:b",
        "a.slice:b:c:d",
        "a:b:c",
        "a.slice:b:",
        "-a.slice:b:c",
        "a-.slice:b:c",
        "a--b.slice:c:d",
        ".slice:b:c",
        "../a.slice:b:c",
        "a.slice:b:../c",
        "a.slice:b:c d",
        "a.slice:b:c\n",
    ] {
        let errors = plan(Some(path), json!({}), &system(), &v2()).expect_err(path);
        assert_eq!(errors[0].at.as_deref(), Some("linux.cgroupsPath"), "{path}");
        assert!(errors[0].fix.as_deref().is_some_and(|fix| fix.contains("slice:prefix:name")), "{path}");
    }
    let long = "x".repeat(250);
    plan(Some(&format!("a.slice:{long}:b")), json!({}), &system(), &v2()).expect_err("a name too long");
}

#[test]
fn an_ordinary_user_needs_cgroup_v2() {
    let errors = plan(None, json!({}), &user(), &v1()).expect_err("a refusal");
    assert_eq!(errors[0].kind, Kind::Unsupported);
}

#[test]
fn limits_become_properties_of_v2() {
    let resources = json!({
        "memory": { "limit": 67_108_864, "swap": 134_217_728, "reservation": 33_554_432 },
        "cpu": { "shares": 1024, "quota": 25_500, "period": 100_000, "cpus": "0-1,9", "mems": "0" },
        "pids": { "limit": 100 },
        "blockIO": { "weight": 500, "weightDevice": [{ "major": 8, "minor": 0, "weight": 10 }] },
        "unified": { "memory.high": "50000000", "memory.oom.group": "1" },
    });
    assert_eq!(
        limited(resources, &v2()),
        [
            "MemorySwapMax=67108864",
            "MemoryMax=67108864",
            "MemoryLow=33554432",
            "CPUWeight=100",
            "AllowedCPUs=[3, 2]",
            "AllowedMemoryNodes=[1]",
            "TasksMax=100",
            "IOWeight=4950",
            "MemoryHigh=50000000",
            // Rounded up to a whole percent.
            "CPUQuotaPerSecUSec=260000",
            "CPUQuotaPeriodUSec=100000",
            "DevicePolicy=strict",
            "DeviceAllow=9 devices",
        ]
    );
}

#[test]
fn limits_become_properties_of_v1() {
    let resources = json!({
        "memory": { "limit": 67_108_864, "swap": 134_217_728 },
        "cpu": { "shares": 512, "quota": 50_000, "period": 200_000, "cpus": "0" },
        "pids": { "limit": -1 },
        "blockIO": { "weight": 500 },
    });
    assert_eq!(
        limited(resources, &v1()),
        [
            "MemoryLimit=67108864",
            "CPUShares=512",
            "TasksMax=infinity",
            "BlockIOWeight=500",
            "CPUQuotaPerSecUSec=250000",
            "CPUQuotaPeriodUSec=200000",
            "DevicePolicy=strict",
            "DeviceAllow=9 devices",
        ]
    );
}

#[test]
fn no_limit_is_none_and_not_the_hosts_default() {
    assert_eq!(limited(json!({}), &v2())[0], "TasksMax=infinity");
    let raised = limited(json!({ "memory": { "limit": -1 }, "cpu": { "quota": -1 } }), &v2());
    for property in ["MemoryMax=infinity", "MemorySwapMax=infinity", "CPUQuotaPerSecUSec=infinity"] {
        assert!(raised.iter().any(|given| given == property), "{property}: {raised:?}");
    }
}

/// A program in the kernel is ours beside systemd's: a device has to pass both.
#[test]
fn devices_are_listed_only_where_that_refuses_no_more_than_the_rules() {
    let policy = |rules: serde_json::Value| {
        let scope = plan(None, json!({ "devices": rules }), &system(), &v2()).expect("a plan").scope;
        let mut given = scope.expect("a scope").properties.into_iter();
        let policy = given.find(|property| property.name == "DevicePolicy").expect("a policy");
        (policy.value, given.next().map(|property| property.value))
    };
    let auto = (Value::Text("auto".to_owned()), None);
    let (strict, list) = policy(json!([
        { "allow": false, "access": "rwm" },
        { "allow": true, "type": "c", "access": "m" },
        { "allow": true, "type": "b", "major": 8, "minor": 0, "access": "r" },
        { "allow": true, "type": "c", "major": 10, "access": "rw" },
    ]));
    assert_eq!(strict, Value::Text("strict".to_owned()));
    let Some(Value::Devices(list)) = list else { panic!("{list:?}") };
    let given: Vec<_> = list.iter().take(3).map(|(path, access)| (&**path, &**access)).collect();
    assert_eq!(given, [("char-*", "m"), ("/dev/block/8:0", "r"), ("char-10", "rw")]);
    assert_eq!(policy(json!([{ "allow": true, "access": "rwm" }])), auto, "everything is allowed");
    assert_eq!(
        policy(json!([{ "allow": true, "type": "c", "minor": 3, "access": "r" }])),
        auto,
        "one minor number of every major"
    );
    let cut = json!([
        { "allow": true, "type": "c", "major": 10, "access": "rw" },
        { "allow": false, "type": "c", "major": 10, "minor": 200, "access": "rw" },
    ]);
    assert_eq!(policy(cut), auto, "a piece is cut out");
}

#[test]
fn without_systemd_colons_are_part_of_a_path() {
    let request = Request { id: "web", path: Some("a.slice:b:c"), ..Request::default() };
    let cgroup = resolve(&request, &v2()).expect("a plan");
    assert_eq!((&*cgroup.path, cgroup.scope), ("/a.slice:b:c", None));
}
