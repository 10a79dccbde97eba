//! What is tightened instead of refused.

use super::*;

const CLAMP: &str = "mode = \"clamp\"\nextends = \"restricted\"\n[level]\nminimum = \"oci\"\n[annotations.allow]\n\"dev.sandrun.level\" = [\"oci\"]\n";

#[test]
fn what_can_be_tightened_is_and_each_is_a_change() {
    let config = with(careful(), "/process/noNewPrivileges", json!(false));
    let config = with(
        config,
        "/process/capabilities",
        json!({ "bounding": ["CAP_SYS_ADMIN", "CAP_NET_BIND_SERVICE"] }),
    );
    let config = with(config, "/linux/seccomp", json!({ "defaultAction": "SCMP_ACT_ALLOW" }));
    let config = to_the_letter(with(
        config,
        "/linux/sysctl",
        json!({ "net.ipv4.ip_forward": "1", "net.ipv4.tcp_rmem": "1" }),
    ));
    let config = with(with(config, "/linux/maskedPaths", json!([])), "/linux/readonlyPaths", json!([]));
    let plan = allowed(CLAMP, &config).plan;
    assert_eq!(plan.level, Level::Oci);
    assert!(plan.workload.no_new_privs);
    assert_eq!(plan.workload.capabilities.bounding, 1 << 10);
    assert_eq!(plan.asked_capabilities.bounding, 1 << 10 | 1 << 21, "an exec may repeat what was asked");
    assert_eq!(plan.sysctl.keys().collect::<Vec<_>>(), ["net.ipv4.tcp_rmem"]);
    assert!(plan.masked_paths.contains(&"/proc/kcore".to_owned()), "{:?}", plan.masked_paths);
    assert!(plan.readonly_paths.contains(&"/proc/sys".to_owned()), "{:?}", plan.readonly_paths);
    for at in [
        "process.noNewPrivileges",
        "process.capabilities",
        "linux.sysctl[\"net.ipv4.ip_forward\"]",
        "linux.maskedPaths",
    ] {
        assert!(
            plan.changes.iter().any(|change| change.at == at && change.what.ends_with("by the node policy")),
            "{at}"
        );
    }
}

#[test]
fn what_cannot_be_tightened_is_refused() {
    let bind = json!([{ "destination": "/a", "type": "bind", "source": "/etc", "options": ["bind"] }]);
    for (pointer, value) in [
        ("/mounts", bind),
        (
            "/linux/namespaces",
            json!([{ "type": "mount" }, { "type": "pid" }, { "type": "uts" }, { "type": "ipc" }]),
        ),
        ("/process/user/uid", json!(0)),
        ("/linux/devices", json!([{ "type": "c", "path": "/dev/mem", "major": 1, "minor": 1 }])),
    ] {
        refused(CLAMP, &with(careful(), pointer, value));
    }
}

/// The limits in the plan: processes, bytes, CPU.
fn limits(policy: &str, resources: Value) -> [Option<String>; 3] {
    let config = with(careful(), "/linux/resources", resources);
    let plan = allowed(policy, &config).plan;
    ["pids.max", "memory.max", "cpu.max"].map(|file| {
        let found = plan.cgroup.settings.iter().find(|setting| setting.file == file);
        found.map(|setting| setting.value.clone())
    })
}

fn texts(limits: [&str; 3]) -> [Option<String>; 3] {
    limits.map(|text| (!text.is_empty()).then(|| text.to_owned()))
}

#[test]
fn limits_are_filled_in_and_lowered() {
    let ceilings = "[ceilings]\nmode = \"clamp\"\npids = 100\nmemory = \"1M\"\ncpu = 0.5\n";
    let defaults = "[defaults]\npids = 50\nmemory = 4096\ncpu = 0.25\n";
    let asked = json!({ "pids": { "limit": 7 }, "memory": { "limit": 8192 }, "cpu": { "quota": 5000, "period": 20000 } });
    let more = json!({ "pids": { "limit": 700 }, "memory": { "limit": 2097152 }, "cpu": { "quota": -1, "period": 20000 } });
    let kept = texts(["7", "8192", "5000 20000"]);
    assert_eq!(limits(ceilings, json!({})), texts(["100", "1048576", "50000 100000"]));
    assert_eq!(limits(ceilings, asked.clone()), kept);
    assert_eq!(limits(ceilings, more), texts(["100", "1048576", "10000 20000"]));
    assert_eq!(limits(defaults, json!({})), texts(["50", "4096", "25000 100000"]));
    assert_eq!(limits(defaults, asked), kept);
    assert_eq!(limits(&format!("{ceilings}{defaults}"), json!({})), texts(["50", "4096", "25000 100000"]));
    let beyond = "[ceilings]\nmode = \"clamp\"\npids = 100\n[defaults]\npids = 500\n";
    assert_eq!(limits(beyond, json!({})), texts(["100", "", ""]), "a ceiling is above its own default");
}

/// A file of the cgroup that is named itself wins over the limit, so it is what is judged.
#[test]
fn a_unified_file_is_no_way_round_a_ceiling() {
    let config = with(careful(), "/linux/resources", json!({ "unified": { "memory.max": "max" } }));
    let refusal = refused("[ceilings]\nmode = \"clamp\"\nmemory = \"1M\"", &config);
    assert_eq!(refusal.at.as_deref(), Some("linux.resources.memory.limit"), "{refusal}");
}
