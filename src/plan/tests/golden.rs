//! Pairs of files in `golden/`: a `config.json` as an engine writes it, and the plan of it.
//!
//! `UPDATE_GOLDEN=1 cargo test` writes the plans anew; read their diff as you would read code.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::plan::VERSION;
use crate::plan::cgroup::Manager;

const OCI: Level = Level::Oci;
const BASELINE: Level = Level::Baseline;
const STRICT: Level = Level::Strict;

/// A configuration, what the plan's file adds to its name, the level and the host.
type Case = (&'static str, &'static str, Level, Host);

fn cases() -> Vec<Case> {
    let apparmor = |host: Host| Host { apparmor: true, ..host };
    vec![
        ("runc-spec", "v2-baseline", BASELINE, root(v2(), 7)),
        ("crun-spec", "v1-old-landlock", BASELINE, root(v1(), 1)),
        ("containerd-1.6-pod", "hybrid-baseline", BASELINE, root(hybrid(), 2)),
        ("containerd-2-pod", "v2-baseline", BASELINE, root(v2(), 5)),
        ("sandbox", "v2-baseline", BASELINE, root(v2(), 7)),
        ("docker", "v1-oci", OCI, apparmor(root(v1(), 7))),
        ("docker", "v1-baseline", BASELINE, apparmor(root(v1(), 7))),
        ("docker", "v1-strict", STRICT, apparmor(root(v1(), 7))),
        ("podman", "v2-baseline", BASELINE, root(v2(), 7)),
        ("empty-asking", "v2-baseline", BASELINE, root(v2(), 7)),
        ("empty-asking", "hybrid-no-landlock", BASELINE, root(hybrid(), 0)),
        ("empty-asking", "user-strict", STRICT, user(v2(), 7)),
        ("user-namespace", "v2-oci", OCI, root(v2(), 7)),
        ("user-namespace", "user-oci", OCI, user(v2(), 7)),
        ("time-namespace", "v2-baseline", BASELINE, root(v2(), 2)),
        ("every-process-field", "v2-oci", OCI, root(v2(), 7)),
        ("every-process-field", "v2-baseline", BASELINE, root(v2(), 7)),
        ("every-process-field", "v2-strict", STRICT, root(v2(), 7)),
        ("landlock", "v2-oci", OCI, root(v2(), 7)),
        ("landlock", "v2-baseline", BASELINE, root(v2(), 10)),
        // A pod of private ids: its sandbox, and a container that joins it.
        ("sandbox", "hybrid-private-ids", BASELINE, root(hybrid(), 7)),
        ("containerd-1.6-pod", "hybrid-private-ids", BASELINE, root(hybrid(), 7)),
        ("containerd-2-pod", "v2-strict-private-ids", STRICT, root(v2(), 7)),
        ("systemd-pod", "v2-systemd", BASELINE, root(v2(), 7)),
        ("systemd-pod", "hybrid-systemd", OCI, root(hybrid(), 7)),
    ]
}

fn file(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "src/plan/tests/golden", name].iter().collect()
}

fn text(name: &str) -> String {
    fs::read_to_string(file(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A suffix that ends so has systemd make the cgroup, or the shim ask for private ids.
fn planned((config, suffix, level, host): &Case) -> Plan {
    let manager = suffix.ends_with("-systemd").then(|| Manager { user: false, cgroup: String::new() });
    let mut options = Options { manager, ..Options::default() };
    if suffix.ends_with("-private-ids") {
        options.prefer_private_ids = true;
        options.rootfs = vec![layers()];
        options.pod = (*config != "sandbox").then(pod);
    }
    plan_wanting(&text(&format!("{config}.config.json")), *level, host, options)
        .unwrap_or_else(|error| panic!("{config}: {error}"))
}

#[test]
fn plans_are_as_recorded() {
    let mut different = Vec::new();
    for case in cases() {
        let name = format!("{}.{}.plan.json", case.0, case.1);
        let found = serde_json::to_string_pretty(&planned(&case)).unwrap() + "\n";
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(file(&name), found).unwrap();
        } else if found != text(&name) {
            let line = found.lines().zip(text(&name).lines()).position(|(found, recorded)| found != recorded);
            different.push(format!("{name}, line {}", line.unwrap_or_default() + 1));
        }
    }
    assert!(different.is_empty(), "not as recorded (UPDATE_GOLDEN=1 records anew): {different:#?}");
}

/// A file that no case writes would go stale unseen.
#[test]
fn every_recorded_file_belongs_to_a_case() {
    let cases = cases();
    for entry in fs::read_dir(file("")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let known = cases.iter().any(|(config, suffix, ..)| {
            name == format!("{config}.config.json") || name == format!("{config}.{suffix}.plan.json")
        });
        assert!(known, "{name} belongs to no case");
    }
}

/// Each parse makes new hash maps, whose order is another one: it must not show.
#[test]
fn the_same_input_gives_the_same_bytes() {
    for case in cases() {
        let first = serde_json::to_vec(&planned(&case)).unwrap();
        for _ in 0..8 {
            assert_eq!(serde_json::to_vec(&planned(&case)).unwrap(), first, "{}", case.0);
        }
    }
}

#[test]
fn many_keys_of_every_map_give_the_same_bytes() {
    let mut config = good();
    let names = ["zeta", "beta", "iota", "eta", "alpha", "kappa"];
    config["linux"]["namespaces"] = json!([{ "type": "mount" }, { "type": "network" }, { "type": "time" }]);
    config["linux"]["timeOffsets"] = json!({ "monotonic": { "secs": 1 }, "boottime": { "secs": 2 } });
    for name in names {
        config["annotations"][name] = json!("x");
        config["annotations"][format!("com.example.{name}")] = json!("x");
        config["linux"]["sysctl"][format!("net.{name}")] = json!("1");
        config["linux"]["resources"]["rdma"][name] = json!({ "hcaHandles": 1 });
        config["linux"]["resources"]["unified"][format!("memory.{name}")] = json!("1");
        config["process"][name] = json!("nobody knows this");
    }
    let text = config.to_string();
    let once = || serde_json::to_vec(&plan(&text, BASELINE, &root(v2(), 7)).unwrap()).unwrap();
    let first = once();
    assert!((0..32).all(|_| once() == first));
}

/// So do refusals: a caller may compare them.
#[test]
fn refusals_come_in_the_same_order() {
    let mut config = good();
    for name in ["a.b", "c.d", "e.f", "g.h", "i.j"] {
        config["linux"]["sysctl"][name] = json!("1");
        config["linux"]["timeOffsets"][name] = json!({});
        config["linux"]["resources"]["rdma"][format!("{name} ")] = json!({});
    }
    let text = config.to_string();
    let once = || plan(&text, BASELINE, &root(v2(), 7)).unwrap_err().to_string();
    let first = once();
    assert!(first.contains("for 16 reasons"), "{first}");
    assert!((0..32).all(|_| once() == first));
}

#[test]
fn a_plan_survives_its_wire_format() {
    for case in cases() {
        let plan = planned(&case);
        assert_eq!(plan.version, VERSION);
        let bytes = serde_json::to_vec(&plan).unwrap();
        assert_eq!(serde_json::from_slice::<Plan>(&bytes).unwrap(), plan, "{}", case.0);
    }
}

/// What is given at a level is never more than what the one below it gives.
#[test]
fn a_higher_level_only_takes_away() {
    let host = Host { apparmor: true, ..root(v1(), 7) };
    let [oci, baseline, strict] =
        [OCI, BASELINE, STRICT].map(|level| planned(&("docker", "", level, host.clone())));
    for (weaker, stronger) in [(&oci, &baseline), (&baseline, &strict)] {
        let (weaker, stronger) = (&weaker.workload, &stronger.workload);
        assert_eq!(stronger.capabilities.bounding & !weaker.capabilities.bounding, 0);
        assert_eq!(stronger.capabilities.permitted & !weaker.capabilities.permitted, 0);
        assert!(stronger.no_new_privs >= weaker.no_new_privs);
        assert!(stronger.landlock.len() >= weaker.landlock.len());
    }
    for (weaker, stronger) in [(&oci, &baseline), (&baseline, &strict)] {
        assert!(weaker.masked_paths.iter().all(|path| stronger.masked_paths.contains(path)));
        assert!(weaker.readonly_paths.iter().all(|path| stronger.readonly_paths.contains(path)));
        assert!(weaker.namespaces.new.iter().all(|kind| stronger.namespaces.new.contains(kind)));
    }
    for (plan, names) in [
        (&oci, vec!["config.json"]),
        (&baseline, vec!["baseline", "config.json"]),
        (&strict, vec!["config.json joined with strict"]),
    ] {
        assert_eq!(plan.workload.seccomp.iter().map(|filter| &filter.name).collect::<Vec<_>>(), names);
    }
    assert_eq!(strict.workload.capabilities.bounding, 0);
    assert!(oci.changes.is_empty(), "{:?}", oci.changes);
    assert!(oci.workload.landlock.is_empty());
}
