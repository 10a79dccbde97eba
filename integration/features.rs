//! What the features document promises is tried in containers.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Bundle, Runtime, is_root};

fn features() -> Value {
    Runtime::sandrun().call(&["features"]).ok().json()
}

/// The strings of a list in the document.
fn list(place: &str) -> Vec<String> {
    let document = features();
    let list = document.pointer(place).and_then(Value::as_array).unwrap_or_else(|| panic!("no list {place}"));
    list.iter().map(|name| name.as_str().expect("a name").to_owned()).collect()
}

fn assert_no_null(value: &Value) {
    match value {
        Value::Null => panic!("null in the document"),
        Value::Array(list) => list.iter().for_each(assert_no_null),
        Value::Object(fields) => fields.values().for_each(assert_no_null),
        _ => {}
    }
}

#[test]
fn an_engine_reads_it_without_flags_and_as_any_user() {
    let program = Runtime::sandrun().program().to_owned();
    let mut command = if is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    let output = command.arg("features").env_clear().env("PATH", "/usr/bin:/bin").output().expect("it runs");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_no_null(&document);
    assert_eq!(document, features(), "it depends on who asks");
}

/// containerd 2: `rro` among the options is recursiveReadOnlyMounts; the namespace `user` together with idmapped
/// mounts is userNamespaces.
#[test]
fn containerd_deduces_what_pods_may_ask_for() {
    let document = features();
    assert!(list("/mountOptions").contains(&"rro".to_owned()));
    assert!(list("/linux/namespaces").contains(&"user".to_owned()));
    assert_eq!(document["linux"]["mountExtensions"]["idmap"]["enabled"], true);
}

#[test]
fn both_ends_of_the_versions_are_accepted() {
    skip_unless!(is_root(), "needs root");
    let document = features();
    for end in ["ociVersionMin", "ociVersionMax"] {
        let bundle = Bundle::shell("true").edit(|config| config["ociVersion"] = document[end].clone());
        Runtime::sandrun().run(&bundle).ok();
    }
}

/// One mount for each option, on a directory of the option's name.
fn mount_with(option: &str, source: &str) -> Vec<Value> {
    let destination = format!("/m/{option}");
    let bind = |options: &[&str]| json!({ "destination": destination, "type": "bind", "source": source, "options": options });
    let tmpfs = |options: &[&str]| json!({ "destination": destination, "type": "tmpfs", "source": "tmpfs", "options": options });
    let ids = json!([{ "containerID": 0, "hostID": 0, "size": 10 }]);
    match option {
        "bind" | "rbind" => vec![bind(&[option])],
        "src-nofollow" | "copy-symlink" | "dest-nofollow" => vec![bind(&["bind", option])],
        "remount" => vec![bind(&["bind"]), bind(&["bind", option, "ro"])],
        "idmap" | "ridmap" => {
            let mut mount = bind(&["bind", option]);
            mount["uidMappings"] = ids.clone();
            mount["gidMappings"] = ids;
            vec![mount]
        }
        // Whatever turns something off is tried on something that has it.
        "rw" | "dev" | "suid" | "exec" | "symfollow" | "diratime" | "rrw" | "rdev" | "rsuid" | "rexec" => {
            vec![tmpfs(&["ro", "nodev", "nosuid", "noexec", "nosymfollow", "nodiratime", option])]
        }
        _ => vec![tmpfs(&[option])],
    }
}

/// The words that the kernel shows in `mountinfo` for a mount with this option, and those it does not.
fn shown(option: &str) -> (&'static [&'static str], &'static [&'static str]) {
    match option.strip_prefix('r').filter(|_| !matches!(option, "ro" | "rw" | "relatime" | "remount")) {
        Some("bind" | "idmap") | None => {}
        Some(below) => return shown(below),
    }
    match option {
        "ro" | "remount" => (&["ro"], &["rw"]),
        "rw" => (&["rw"], &["ro"]),
        "nosuid" => (&["nosuid"], &[]),
        "nodev" => (&["nodev"], &[]),
        "noexec" => (&["noexec"], &[]),
        "nosymfollow" => (&["nosymfollow"], &[]),
        "noatime" => (&["noatime"], &["relatime"]),
        "nodiratime" => (&["nodiratime"], &[]),
        "strictatime" => (&[], &["relatime", "noatime"]),
        "atime" | "relatime" | "norelatime" | "nostrictatime" => (&["relatime"], &["noatime"]),
        "suid" => (&[], &["nosuid"]),
        "dev" => (&[], &["nodev"]),
        "exec" => (&[], &["noexec"]),
        "symfollow" => (&[], &["nosymfollow"]),
        "diratime" => (&[], &["nodiratime"]),
        "sync" => (&["sync"], &[]),
        "dirsync" => (&["dirsync"], &[]),
        "lazytime" => (&["lazytime"], &[]),
        "idmap" | "ridmap" => (&["idmapped"], &[]),
        "shared" => (&["shared:"], &[]),
        "unbindable" => (&["unbindable"], &[]),
        "private" => (&[], &["shared:", "master:", "unbindable"]),
        _ => (&[], &[]),
    }
}

#[test]
fn every_mount_option_works_in_a_container() {
    skip_unless!(is_root(), "needs root");
    let options = list("/mountOptions");
    let mut bundle = Bundle::shell("cat /proc/self/mountinfo");
    // Ids are mapped on a filesystem of its own, for an overlay would not have it.
    let source = bundle.path().join("source");
    std::fs::create_dir(&source).expect("cannot make a volume");
    for mount in options.iter().flat_map(|option| mount_with(option, &source.display().to_string())) {
        bundle = bundle.mount(mount);
    }
    let table = Runtime::at_level("oci").run(&bundle).ok().stdout;
    for option in &options {
        let place = format!(" /m/{option} ");
        let line = table.lines().find(|line| line.contains(&place));
        let line = line.unwrap_or_else(|| panic!("{option}: not mounted"));
        let words: Vec<&str> = line.split([' ', ',']).collect();
        let has = |word: &str| {
            words.iter().any(|other| *other == word || (word.ends_with(':') && other.starts_with(word)))
        };
        let (present, absent) = shown(option);
        assert!(present.iter().all(|word| has(word)), "{option}: {line}");
        // The superblock has its own `rw`, after the dash.
        let own: Vec<&str> = line.split(" - ").next().unwrap_or_default().split([' ', ',']).collect();
        assert!(
            !absent.iter().any(|word| own.iter().any(|other| other.starts_with(word))),
            "{option}: {line}"
        );
    }
}

#[test]
fn every_namespace_is_made() {
    skip_unless!(is_root(), "needs root");
    let names = list("/linux/namespaces");
    let bundle = Bundle::shell("for ns in /proc/self/ns/*; do readlink $ns; done").edit(|config| {
        let ids = json!([{ "containerID": 0, "hostID": 0, "size": 65536 }]);
        config["linux"]["uidMappings"] = ids.clone();
        config["linux"]["gidMappings"] = ids;
        config["linux"]["namespaces"] = names.iter().map(|name| json!({ "type": name })).collect();
    });
    let inside = Runtime::sandrun().run(&bundle).ok().stdout;
    for name in &names {
        let file = match name.as_str() {
            "network" => "net",
            "mount" => "mnt",
            other => other,
        };
        let ours = std::fs::read_link(format!("/proc/self/ns/{file}")).expect("the kernel has it");
        let ours = ours.display().to_string();
        assert!(inside.lines().any(|line| line.starts_with(&format!("{file}:["))), "{name}: {inside}");
        assert!(!inside.lines().any(|line| line == ours), "{name} is the host's: {inside}");
    }
}

#[test]
fn every_capability_is_read() {
    skip_unless!(is_root(), "needs root");
    let names = list("/linux/capabilities");
    let bundle = Bundle::probe(&["caps"]).edit(|config| {
        config["process"]["capabilities"] =
            json!({ "bounding": names, "effective": names, "permitted": names });
    });
    let runtime = Runtime::at_level("oci");
    runtime.create(&bundle).ok();
    let state = runtime.call(&["state", &bundle.id]).ok().json();
    let unknown = state["sandrun"]["changes"].to_string();
    assert!(!unknown.contains("not known"), "{unknown}");
}

#[test]
fn every_word_of_a_seccomp_profile_is_read() {
    skip_unless!(is_root(), "needs root");
    let arguments: Vec<Value> = list("/linux/seccomp/operators")
        .iter()
        .map(|op| json!({ "names": ["getppid"], "action": "SCMP_ACT_ALLOW", "args": [{ "index": 0, "value": 1, "op": op }] }))
        .collect();
    let mut rules = arguments;
    for action in list("/linux/seccomp/actions") {
        // A listener is another test's.
        if action != "SCMP_ACT_NOTIFY" {
            rules.push(json!({ "names": ["getpgid"], "action": action }));
        }
    }
    let flags: Vec<String> = list("/linux/seccomp/supportedFlags");
    let flags: Vec<&String> = flags.iter().filter(|flag| !flag.contains("WAIT_KILLABLE")).collect();
    let bundle = Bundle::shell("grep Seccomp: /proc/self/status").edit(|config| {
        config["linux"]["seccomp"] = json!({
            "defaultAction": "SCMP_ACT_ALLOW", "flags": flags,
            "architectures": list("/linux/seccomp/archs"), "syscalls": rules
        });
    });
    assert_eq!(Runtime::at_level("oci").run(&bundle).ok().stdout, "Seccomp:\t2\n");
}

/// Whatever is said not to be there is refused, and what is said to be there is not.
#[test]
fn what_is_not_there_is_said() {
    skip_unless!(is_root(), "needs root");
    let document = features();
    let bundle = Bundle::shell("true");
    bundle.write();
    let runtime = Runtime::sandrun().flags(&["--systemd-cgroup"]);
    let path = bundle.path().display().to_string();
    let refused = runtime.call(&["run", "--bundle", &path, &bundle.id]);
    let missing = refused.stderr.contains("not supported by this version");
    assert_eq!(missing, document["linux"]["cgroup"]["systemd"] == false, "{refused}");
}
