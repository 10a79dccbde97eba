//! What is executed and what is written, at `strict`.

use super::fields::{changed, planned};
use super::*;
use crate::plan::namespaces::NamespaceKind;
use crate::plan::write_xor_execute::memory::MemfdNoexec;

const RDONLY: u64 = 1;
const NODEV: u64 = 4;
const NOEXEC: u64 = 8;

fn strict(config: &Value) -> Plan {
    planned(config, Level::Strict, &root(v2(), 7))
}

fn with_process(args: &[&str], cwd: &str, path: &str) -> Value {
    let process = json!({ "args": args, "cwd": cwd, "env": [format!("PATH={path}")] });
    with(good(), "/process", process)
}

#[test]
fn a_process_says_where_its_programs_are() {
    let parts = |args: &[&str], cwd: &str, path: &str| {
        let parts = strict(&with_process(args, cwd, path)).rootfs.write_xor_execute.unwrap();
        let standard = strict(&good()).rootfs.write_xor_execute.unwrap().programs;
        let programs: Vec<String> =
            parts.programs.into_iter().filter(|path| !standard.contains(path)).collect();
        (programs.join(" "), parts.executable.join(" "))
    };
    let expect = |programs: &str, executable: &str| (programs.to_owned(), executable.to_owned());
    assert_eq!(parts(&["sh"], "/", "/bin:/usr/bin"), expect("", ""));
    assert_eq!(parts(&["/app/bin/server"], "/", "/bin"), expect("/app", ""));
    assert_eq!(parts(&["bin/server"], "/app", "/bin"), expect("/app", ""));
    assert_eq!(parts(&["server"], "/work", "/app/bin:/venv/bin"), expect("/app /venv /work", ""));
    assert_eq!(parts(&["/home/u/server"], "/home/u", "/root/.local/bin"), {
        expect("", "/home/u/server /root/.local/bin")
    });
    assert_eq!(parts(&["/tmp/../app/x"], "/tmp", ".:/proc/1/root:/tmp:"), expect("", ""));
}

#[test]
fn every_mount_is_read_only_or_noexec() {
    let mount = |destination: &str, fstype: &str, source: &str, options: &[&str]| json!({ "destination": destination, "type": fstype, "source": source, "options": options });
    let config = with(
        good(),
        "/mounts",
        json!([
            mount("/a", "bind", "/src/a", &["rbind", "rw", "exec"]),
            mount("/b", "bind", "/src/b", &["rbind", "ro"]),
            mount("/c", "tmpfs", "tmpfs", &["exec", "dev"]),
            mount("/dev", "tmpfs", "tmpfs", &[]),
            mount("/dev/kvm", "bind", "/dev/kvm", &["bind", "rw"]),
            mount("/d", "bind", "/src/d", &["bind", "ro"]),
            mount("/e", "bind", "/src/d/inner", &["bind", "rw"]),
            mount("/f", "bind", "/src/f", &["bind", "ro"]),
            mount("/f/inner", "bind", "/src/f/inner", &["bind", "rw"]),
            mount("/g", "bind", "/src/g", &["rbind", "rro", "rexec"]),
            mount("/c", "", "", &["remount", "rw", "exec"]),
        ]),
    );
    let plan = strict(&config);
    let by_place = |place: &str| plan.mounts.iter().find(|mount| mount.destination == place).unwrap();
    for mount in &plan.mounts {
        let own = mount.set & !mount.clear_recursive | mount.set_recursive;
        assert!(own & (RDONLY | NOEXEC) != 0, "{mount:?}");
        assert!((mount.clear | mount.clear_recursive) & NOEXEC == 0 || mount.is_readonly(), "{mount:?}");
        let devices = mount.destination.starts_with("/dev");
        assert_eq!(own & NODEV == 0, devices, "{mount:?}");
    }
    assert!(by_place("/a").set_recursive & NOEXEC != 0 && by_place("/b").set_recursive & RDONLY != 0);
    assert!(!by_place("/b").is_noexec() && !by_place("/g").is_noexec(), "programs may be there");
    assert!(by_place("/d").is_noexec(), "what is in it can be written on /e");
    assert!(!by_place("/f").is_noexec(), "what can be written covers it");
    for i in 0..=2 {
        assert!(changed(&plan, &format!("mounts[{i}].options")), "{:?}", plan.changes);
    }
    let weaker = planned(&config, Level::Baseline, &root(v2(), 7));
    assert!(weaker.mounts.iter().all(|mount| !mount.is_noexec()) && !weaker.rootfs.readonly);
}

#[test]
fn a_mount_over_the_root_is_sealed_as_a_whole() {
    let mounts = json!([{ "destination": "/", "type": "bind", "source": "/src", "options": ["rbind"] }]);
    let plan = strict(&with(good(), "/mounts", mounts));
    let parts = plan.rootfs.write_xor_execute.unwrap();
    assert!(plan.rootfs.readonly && !parts.has_data && parts.programs.is_empty());
    assert!(!plan.mounts[0].is_noexec());
}

#[test]
fn landlock_executes_and_writes_in_different_places() {
    const EXECUTE: u64 = 1;
    const WRITE: u64 = 2;
    let mounts = json!([
        { "destination": "/proc", "type": "proc", "source": "proc" },
        { "destination": "/rw", "type": "bind", "source": "/a", "options": ["rbind"] },
        { "destination": "/ro", "type": "bind", "source": "/b", "options": ["rbind", "ro"] },
    ]);
    for readonly in [false, true] {
        let config = with(with(good(), "/mounts", mounts.clone()), "/root/readonly", json!(readonly));
        let domain = strict(&config).workload.landlock.remove(0);
        let granting = |right: u64| {
            let rules = domain.path_beneath.iter().filter(|rule| rule.allowed_access & right != 0);
            rules.map(|rule| rule.path.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(granting(WRITE), ["/dev", "/rw"]);
        assert_eq!(granting(EXECUTE), if readonly { vec!["/", "/ro"] } else { vec!["/ro"] });
        assert_eq!(domain.top_level.is_some(), !readonly);
        if let Some(top) = domain.top_level {
            assert_eq!((top.execute & WRITE, top.write & EXECUTE), (0, 0));
            assert!(top.programs.contains(&"/usr".to_owned()) && top.neither.contains(&"/rw".to_owned()));
        }
    }
}

#[test]
fn exceptions_are_paths_of_the_root_filesystem() {
    let refusal = |name: &str, value: &str| {
        let mounts =
            json!([{ "destination": "/data", "type": "bind", "source": "/a", "options": ["rbind"] }]);
        let config = with(with(good(), "/mounts", mounts), "/annotations", json!({ name: value }));
        plan(&config.to_string(), Level::Strict, &root(v2(), 7)).err().map(|error| error.to_string())
    };
    for name in ["dev.sandrun.writable", "dev.sandrun.executable"] {
        assert_eq!(refusal(name, "/opt/a, /srv/b,"), None);
        for bad in ["/", "opt", "/opt/../etc", "/opt/", "/proc/self", "/dev", "/data/x"] {
            let refusal = refusal(name, bad).unwrap_or_else(|| panic!("{name} takes {bad}"));
            assert!(refusal.contains(&format!("annotations[{name:?}]")), "{refusal}");
        }
        let config = with(good(), "/annotations", json!({ name: "/opt/a" }));
        let weaker = planned(&config, Level::Baseline, &root(v2(), 7));
        assert!(changed(&weaker, &format!("annotations[{name:?}]")));
    }
}

#[test]
fn memory_is_as_far_shut_as_the_host_can() {
    let shut = |namespaces: Value, host: &Host| {
        let plan = planned(&with(good(), "/linux/namespaces", namespaces), Level::Strict, host);
        let layers = plan.absent.into_iter().map(|absent| absent.layer);
        let absent: Vec<String> = layers.filter(|layer| layer != "user ids").collect();
        (plan.namespaces.memfd_noexec, plan.workload.mdwe, absent.join(" "))
    };
    let host = root(v2(), 7);
    let new = json!([{ "type": "pid" }]);
    let joined = json!([{ "type": "pid", "path": "/proc/1/ns/pid" }]);
    assert_eq!(shut(new.clone(), &host), (Some(MemfdNoexec::Set), true, String::new()));
    assert_eq!(shut(joined, &host), (Some(MemfdNoexec::Inherited), true, String::new()));
    assert_eq!(shut(json!([{ "type": "uts" }]), &host), (None, true, "memfd".to_owned()));
    let old = Host { memfd_noexec: None, mdwe: false, ..host.clone() };
    assert_eq!(shut(new.clone(), &old), (None, false, "memfd mdwe".to_owned()));
    let hardened = Host { memfd_noexec: Some(2), ..host };
    assert_eq!(shut(new.clone(), &hardened).0, Some(MemfdNoexec::Inherited));
    let of_user = planned(&with(good(), "/linux/namespaces", new), Level::Strict, &user(v2(), 7));
    assert_eq!(of_user.namespaces.memfd_noexec, None);
    assert!(of_user.namespaces.is_new(NamespaceKind::User));
}
