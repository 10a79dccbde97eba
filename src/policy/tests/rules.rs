//! One row for each rule.

use super::*;
use crate::error::Kind;

/// A policy, what spoils a careful configuration, and what is said of it.
type Row = (&'static str, &'static str, Value, &'static str, &'static str);

/// Each is one refusal, complete: what, field, rule, what to do. `%` stands for the policy's name.
#[test]
fn every_rule_says_what_where_why_and_what_to_do() {
    let rows: Vec<Row> = vec![
        (
            "[namespaces]\nhost = [\"user\", \"cgroup\", \"time\"]",
            "/linux/namespaces",
            json!([{ "type": "mount" }, { "type": "pid" }, { "type": "uts" }, { "type": "ipc" }]),
            "linux.namespaces",
            "the container is in the host's network namespace: linux.namespaces in config.json: namespaces.host of the \
             policy % does not allow it; give it one of its own: {\"type\": \"network\"}, in a pod without hostNetwork",
        ),
        (
            "[namespaces]\njoin = [\"pid\"]",
            "/linux/namespaces",
            json!([{ "type": "mount" }, { "type": "network", "path": "/proc/self/ns/net" }]),
            "linux.namespaces[1].path",
            "a network namespace is joined: linux.namespaces[1].path in config.json: namespaces.join of the policy % does \
             not allow it; leave the path out",
        ),
        (
            "[devices]\nallow = [\"c 10:200\"]",
            "/linux/devices",
            json!([{ "type": "c", "path": "/dev/fuse", "major": 10, "minor": 229 }]),
            "linux.devices",
            "device /dev/fuse is 10:229: linux.devices in config.json: devices.allow of the policy % does not allow it; leave \
             it out, in a pod without privileged: true, or have the device listed in the policy",
        ),
        (
            "[devices]\nallow = []",
            "/linux/resources",
            json!({ "devices": [{ "allow": false }, { "allow": true, "access": "m" }, { "allow": true, "type": "b", "major": 8, "access": "r" }] }),
            "linux.resources.devices[2]",
            "the container may open block device 8:*: linux.resources.devices[2] in config.json: devices.allow of the \
             policy % does not allow it; leave it out, in a pod without privileged: true, or have the device listed in \
             the policy",
        ),
        (
            "[capabilities]\nallow = [\"CHOWN\"]",
            "/process/capabilities",
            json!({ "bounding": ["CAP_CHOWN", "CAP_SYS_ADMIN"] }),
            "process.capabilities",
            "CAP_SYS_ADMIN asked for: process.capabilities in config.json: capabilities.allow of the policy % does not allow \
             it; drop them, in a pod by capabilities.drop, or have them listed in the policy",
        ),
        (
            "[process]\nrun-as-root = \"never\"",
            "/process/user/uid",
            json!(0),
            "process.user.uid",
            "the process would be root: process.user.uid in config.json: process.run-as-root of the policy % does not allow \
             it; run it as another user, in a pod by runAsUser",
        ),
        (
            "[process]\nselinux-types = [\"container_t\"]",
            "/process/selinuxLabel",
            json!("system_u:system_r:spc_t:s0"),
            "process.selinuxLabel",
            "SELinux type \"spc_t\": process.selinuxLabel in config.json: process.selinux-types of the policy % does not allow \
             it; use container_t, in a pod without seLinuxOptions.type",
        ),
        (
            "[process]\napparmor-unconfined = false",
            "/process/apparmorProfile",
            json!("unconfined"),
            "process.apparmorProfile",
            "not confined by AppArmor: process.apparmorProfile in config.json: process.apparmor-unconfined of the policy % \
             does not allow it; give a profile, in a pod appArmorProfile RuntimeDefault",
        ),
        (
            "[sysctl]\nallow = [\"net.ipv4.tcp_keepalive_*\"]",
            "/linux/sysctl",
            json!({ "net.ipv4.tcp_keepalive_time": "1", "net/ipv4/ip_forward": "1" }),
            "linux.sysctl[\"net.ipv4.ip_forward\"]",
            "kernel parameter net.ipv4.ip_forward is set: linux.sysctl[\"net.ipv4.ip_forward\"] in config.json: sysctl.allow \
             of the policy % does not allow it; leave it out, or have it listed in the policy",
        ),
        (
            "[hooks]\nallow = [\"/usr/bin/good\"]",
            "/hooks",
            json!({ "prestart": [{ "path": "/usr/bin/good" }], "poststop": [{ "path": "/tmp/evil" }], "startContainer": [{ "path": "/x" }] }),
            "hooks.poststop[0].path",
            "/tmp/evil would run as the caller on the host: hooks.poststop[0].path in config.json: hooks.allow of the policy \
             % does not allow it; remove the hook, or list its program in the policy",
        ),
        (
            "[ceilings]\npids = 100",
            "/linux/resources",
            json!({ "pids": { "limit": 101 } }),
            "linux.resources.pids.limit",
            "101 processes are more than 100: linux.resources.pids.limit in config.json: ceilings.pids of the policy % does \
             not allow it; set a limit up to 100, in a pod by podPidsLimit of the kubelet",
        ),
        (
            "[ceilings]\nmemory = \"1M\"",
            "/linux/resources",
            json!({ "memory": { "limit": -1 } }),
            "linux.resources.memory.limit",
            "no limit, where 1048576 bytes are the most: linux.resources.memory.limit in config.json: ceilings.memory of \
             the policy % does not allow it; set a limit up to 1048576, in a pod by resources.limits.memory",
        ),
        (
            "[ceilings]\ncpu = 1.5",
            "/linux/resources",
            json!({ "cpu": { "quota": 80_000, "period": 40_000 } }),
            "linux.resources.cpu.quota",
            "2 CPUs are more than 1.5: linux.resources.cpu.quota in config.json: ceilings.cpu of the policy % does not \
             allow it; set a limit up to 1.5, in a pod by resources.limits.cpu",
        ),
        (
            "[mounts]\nfilesystems = [\"proc\"]",
            "/mounts",
            json!([{ "destination": "/a", "type": "ext4", "source": "/dev/sda1" }]),
            "mounts[0].type",
            "a new ext4 on /a: mounts[0].type in config.json: mounts.filesystems of the policy % does not allow it; let the \
             engine mount it, and bind it from a place that the policy allows",
        ),
        (
            "[mounts]\nshared = false",
            "/linux/rootfsPropagation",
            json!("rshared"),
            "linux.rootfsPropagation",
            "mounts made inside would appear on the host: linux.rootfsPropagation in config.json: mounts.shared of the \
             policy % does not allow it; use slave or private, in a pod mountPropagation other than Bidirectional",
        ),
        (
            "require = [\"user-ids\"]",
            "/hostname",
            json!("web"),
            "linux.namespaces",
            "layer namespaces is not part of the plan at level baseline: linux.namespaces in config.json: require of the \
             policy % does not allow it; add {\"type\": \"user\"} with id mappings, in a pod hostUsers: false",
        ),
        (
            "",
            "/annotations",
            json!({ "dev.sandrun.no-new-privileges": "false" }),
            "annotations[\"dev.sandrun.no-new-privileges\"]",
            "annotation dev.sandrun.no-new-privileges=false loosens the confinement: \
             annotations[\"dev.sandrun.no-new-privileges\"] in config.json: a container cannot loosen its own, unless the \
             node policy lets it; remove the annotation, or have \"false\" listed for it in annotations.allow of the policy",
        ),
    ];
    let host = Host { selinux: true, apparmor: true, ..root(v2(), 7) };
    for (policy, pointer, value, at, words) in rows {
        let config = with(careful(), pointer, value);
        let draft = consider_at(policy, None, &host, &config);
        let [refusal] = draft.refusals.as_slice() else { panic!("{policy}: {:?}", draft.refusals) };
        assert_eq!((refusal.kind, refusal.at.as_deref()), (Kind::Refused, Some(at)), "{refusal}");
        let name = draft.plan.policy.as_ref().map_or("", |policy| &policy.name);
        let said = if name.is_empty() { refusal.to_string() } else { refusal.to_string().replace(name, "%") };
        assert_eq!(said, words.split_whitespace().collect::<Vec<_>>().join(" "));
        assert_eq!(draft.finish().unwrap_err().exit_code(), 78);
    }
}

/// What the level tightens by itself is only broken where config.json counts to the letter.
#[test]
fn rules_that_baseline_keeps_by_itself() {
    for (policy, pointer, value, at) in [
        (
            "[process]\nprivilege-escalation = false",
            "/process/noNewPrivileges",
            json!(false),
            "process.noNewPrivileges",
        ),
        ("[process]\nseccomp-unconfined = false", "/hostname", json!("x"), "linux.seccomp"),
        ("require = [\"landlock\"]", "/hostname", json!("x"), "linux"),
        ("require = [\"seccomp\"]", "/hostname", json!("x"), "linux.seccomp"),
        ("[process]\nunmasked = false", "/linux/maskedPaths", json!([]), "linux.maskedPaths"),
        ("[ceilings]\npids = 4096", "/hostname", json!("x"), "linux.resources.pids.limit"),
    ] {
        let policy = format!("{policy}\n{LETTER}");
        let config = with(careful(), pointer, value);
        allowed(&policy, &config);
        let refusal = refused(&policy, &to_the_letter(config));
        assert_eq!((refusal.kind, refusal.at.as_deref()), (Kind::Refused, Some(at)), "{refusal}");
    }
}

#[test]
fn a_user_namespace_makes_root_somebody_else_unless_it_maps_root() {
    let policy = "[process]\nrun-as-root = \"user-namespace\"";
    let config = with(careful(), "/process/user/uid", json!(0));
    assert!(refused(policy, &config).what.contains("would be root"));
    let mapped = |outside: u32| {
        let map = json!([{ "containerID": 0, "hostID": outside, "size": 65536 }]);
        let config = with(config.clone(), "/linux/uidMappings", map.clone());
        let config = with(config, "/linux/gidMappings", map);
        with(config, "/linux/namespaces", json!([{ "type": "mount" }, { "type": "user" }]))
    };
    allowed(policy, &mapped(100_000));
    assert!(refused(policy, &mapped(0)).what.contains("would be root"));
}

#[test]
fn the_hosts_namespace_by_a_path_is_the_hosts() {
    let policy = "[namespaces]\nhost = []";
    let kinds = ["mount", "pid", "uts", "ipc", "user", "cgroup", "time"];
    let mut list: Vec<Value> = kinds.iter().map(|kind| json!({ "type": kind })).collect();
    list.push(json!({ "type": "network", "path": "/proc/self/ns/net" }));
    let map = json!([{ "containerID": 0, "hostID": 1000, "size": 65536 }]);
    let config = with(with(careful(), "/linux/uidMappings", map.clone()), "/linux/gidMappings", map);
    let refusal = refused(policy, &with(config, "/linux/namespaces", json!(list)));
    assert_eq!(refusal.at.as_deref(), Some("linux.namespaces[7].path"));
    assert!(refusal.what.contains("is the host's network namespace"), "{refusal}");
}

#[test]
fn levels_are_bounded_for_containers_and_callers() {
    let host = root(v2(), 7);
    let at = |policy: &str, level: Option<Level>, config: &Value| {
        let draft = consider_at(policy, level, &host, config);
        (draft.plan.level, draft.refusals.first().map(ToString::to_string))
    };
    // Without a file, and with one that says nothing of it, who calls may ask for less, and a container may not.
    assert_eq!(at("", Some(Level::Oci), &careful()), (Level::Oci, None));
    let (level, refusal) = at("", None, &to_the_letter(careful()));
    assert!(level == Level::Baseline && refusal.unwrap().contains("dev.sandrun.level=oci loosens"));
    assert_eq!(at(LETTER, None, &to_the_letter(careful())), (Level::Oci, None));
    assert_eq!(at("[level]\ndefault = \"strict\"", None, &careful()), (Level::Strict, None));
    let minimum = format!("[level]\nminimum = \"baseline\"\n{LETTER}");
    for (level, config) in [(Some(Level::Oci), careful()), (None, to_the_letter(careful()))] {
        let (level, refusal) = at(&minimum, level, &config);
        let refusal = refusal.unwrap();
        assert!(level == Level::Baseline && refusal.contains("level oci is less than baseline"), "{refusal}");
        assert!(refusal.contains("level.minimum"), "{refusal}");
    }
    let clamp = format!("mode = \"clamp\"\n{minimum}");
    assert_eq!(at(&clamp, Some(Level::Oci), &careful()), (Level::Baseline, None));
    let raised = consider_at(&clamp, Some(Level::Oci), &host, &careful()).plan.changes;
    assert!(
        raised.iter().any(|change| change.what.starts_with("level oci raised to baseline")),
        "{raised:?}"
    );
    assert_eq!(at(&format!("mode = \"warn\"\n{minimum}"), Some(Level::Oci), &careful()), (Level::Oci, None));
}

#[test]
fn what_a_policy_lets_loosen_is_loosened_and_no_more() {
    let caps = json!({ "bounding": ["CAP_NET_RAW", "CAP_SYS_ADMIN"], "permitted": ["CAP_NET_RAW"] });
    let config = with(careful(), "/process/capabilities", caps);
    let bounding = |policy: &str| allowed(policy, &config).plan.workload.capabilities.bounding;
    assert_eq!(bounding(""), 0);
    assert_eq!(bounding("[capabilities]\nkeep-at-baseline = [\"NET_RAW\"]"), 1 << 13);
    let gaining = with(careful(), "/process/noNewPrivileges", json!(false));
    let gaining = with(gaining, "/annotations", json!({ "dev.sandrun.no-new-privileges": "false" }));
    let policy = "[annotations.allow]\n\"dev.sandrun.no-new-privileges\" = [\"false\"]";
    assert!(!allowed(policy, &gaining).plan.workload.no_new_privs);
    let strict = consider_at(policy, Some(Level::Strict), &root(v2(), 7), &gaining);
    assert!(strict.plan.workload.no_new_privs && strict.refusals[0].what.contains("at level strict"));
    let asks = with(to_the_letter(careful()), "/process/noNewPrivileges", json!(false));
    let mut asks = asks;
    asks["annotations"]["dev.sandrun.no-new-privileges"] = json!("true");
    assert!(allowed(LETTER, &asks).plan.workload.no_new_privs, "to tighten is free");
}

#[test]
fn all_refusals_come_at_once_with_those_of_the_plan() {
    let config = with(careful(), "/process/user/uid", json!(0));
    let config = with(config, "/linux/sysctl", json!({ "kernel.panic": "1" }));
    let config = with(config, "/process/capabilities", json!({ "bounding": ["CAP_SYS_ADMIN"] }));
    let error = considered("extends = \"restricted\"\n[capabilities]\nmode = \"enforce\"", &config)
        .finish()
        .unwrap_err();
    assert_eq!(error.exit_code(), 78, "one refusal of the policy is enough: {error}");
    for words in ["CAP_SYS_ADMIN asked for", "would be root", "kernel.panic cannot be set"] {
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn a_warning_is_a_change_and_part_of_the_plan() {
    let config = with(careful(), "/process/user/uid", json!(0));
    let plan = allowed("mode = \"warn\"\nextends = \"restricted\"", &config).plan;
    let warnings = plan.policy.unwrap().warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].what.starts_with("policy warning: the process would be root"), "{warnings:?}");
    assert!(plan.changes.contains(&warnings[0]));
    let mixed = "extends = \"restricted\"\n[process]\nmode = \"warn\"";
    allowed(mixed, &config);
    let asking = with(config.clone(), "/process/capabilities", json!({ "bounding": ["CAP_SYS_ADMIN"] }));
    assert_eq!(
        allowed(mixed, &asking).plan.workload.capabilities.bounding,
        0,
        "the built-in one clamps these"
    );
    let warned = allowed("mode = \"warn\"\nextends = \"restricted\"", &asking).plan.policy.unwrap().warnings;
    assert_eq!(warned.len(), 2, "one that only warns clamps nothing: {warned:?}");
    let config = with(config, "/linux/sysctl", json!({ "net.core.somaxconn": "1" }));
    let config = with(
        config,
        "/linux/namespaces",
        json!([{ "type": "mount" }, { "type": "pid" }, { "type": "ipc" }, { "type": "network" }, { "type": "uts" }]),
    );
    assert_eq!(refused(mixed, &config).at.as_deref(), Some("linux.sysctl[\"net.core.somaxconn\"]"));
}

/// A configuration that breaks nothing is left as it is.
#[test]
fn a_careful_pod_is_not_touched_by_any_builtin() {
    let without = crate::plan::tests::plan(&careful().to_string(), Level::Baseline, &root(v2(), 7)).unwrap();
    for name in ["privileged", "baseline", "restricted"] {
        for mode in ["enforce", "warn", "clamp"] {
            let policy = format!("extends = \"{name}\"\nmode = \"{mode}\"");
            let mut plan = allowed(&policy, &careful()).plan;
            plan.policy = None;
            assert_eq!(plan, without, "{policy}");
        }
    }
}
