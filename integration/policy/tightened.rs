//! Warnings, tightening, and what a policy lets loosen, as the workload sees it.

use std::fs;

use serde_json::{Value, json};

use super::Policy;
use crate::support::{Bundle, Runtime, Scratch, is_root};

fn bounding(report: &Value) -> u64 {
    let text = report["status"]["CapBnd"].as_str().expect("a mask");
    u64::from_str_radix(text, 16).expect("a mask")
}

const NET_RAW: u64 = 1 << 13;
const NET_BIND_SERVICE: u64 = 1 << 10;

#[test]
fn a_warning_is_in_the_log_and_in_the_state_and_nowhere_else() {
    skip_unless!(is_root(), "needs root");
    let log = Scratch::new("log");
    let file = log.path().join("log").display().to_string();
    let policy = Policy::new("mode = \"warn\"\nextends = \"restricted\"");
    let runtime = policy.runtime().flags(&["--log", &file, "--log-format", "json"]);
    let bundle = Bundle::probe(&["exit", "0"]);
    let output = runtime.create(&bundle).ok();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", ""));
    let text = fs::read_to_string(&file).expect("a log");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("a line")).collect();
    assert_eq!(lines.len(), 2, "{text}");
    for (line, words) in lines.iter().zip(["asked for", "the process would be root"]) {
        assert_eq!(line["level"], "warning");
        let text = line["msg"].as_str().expect("a text");
        assert!(text.contains("policy warning: ") && text.contains(words), "{text}");
    }
    let state = runtime.call(&["state", &bundle.id]).ok().json()["sandrun"].clone();
    assert_eq!(state["policy"]["name"], policy.path().display().to_string());
    assert_eq!(state["policy"]["digest"].as_str().map(str::len), Some(16));
    assert_eq!(state["policy"]["warnings"].as_array().map(Vec::len), Some(2), "{state}");
    let changes = state["changes"].to_string();
    assert!(changes.contains("policy warning: the process would be root"), "{changes}");
}

/// At `oci`, where nothing else tightens; first without the policy.
#[test]
fn what_is_clamped_is_clamped_for_the_workload_and_for_an_exec() {
    skip_unless!(is_root(), "needs root");
    let spoilt = |words: &[&str]| {
        Bundle::probe(words).edit(|config| {
            config["process"]["noNewPrivileges"] = json!(false);
            config["linux"]["maskedPaths"] = json!([]);
            config["linux"]["sysctl"] = json!({ "net.ipv4.ip_forward": "1" });
        })
    };
    let policy = Policy::new(
        "mode = \"clamp\"\nextends = \"restricted\"\n[level]\nminimum = \"oci\"\n[process]\nrun-as-root = \"always\"\n\
         seccomp-unconfined = true\n[ceilings]\npids = 77\nmemory = \"64M\"\n",
    );
    let loose = Runtime::at_level("oci");
    let seen = loose.ask(&spoilt(&["report"]));
    assert_ne!(bounding(&seen) & NET_RAW, 0);
    assert_eq!(seen["status"]["NoNewPrivs"], "0");
    let tight = policy.runtime().flags(&["--level", "oci"]);
    let seen = tight.ask(&spoilt(&["report"]));
    assert_eq!((bounding(&seen), &seen["status"]["NoNewPrivs"]), (NET_BIND_SERVICE, &json!("1")));

    let backlog = |runtime: &Runtime| {
        let bundle = Bundle::shell("cat /proc/sys/net/core/somaxconn")
            .edit(|config| config["linux"]["sysctl"] = json!({ "net.core.somaxconn": "1234" }));
        runtime.run(&bundle).ok().stdout.trim().to_owned()
    };
    assert_eq!(backlog(&loose), "1234");
    assert_ne!(backlog(&tight), "1234");

    let bundle = spoilt(&["sleep", "60"]);
    tight.create(&bundle).ok();
    tight.call(&["start", &bundle.id]).ok();
    let masked = tight.call(&["exec", &bundle.id, "/probe", "masked", "/proc/keys"]).ok().stdout;
    let unmasked = loose.ask(&spoilt(&["masked", "/proc/keys"])).to_string();
    assert_ne!(masked.trim(), unmasked.trim(), "/proc/keys is hidden again");
    // An engine repeats what was asked for: it gets what the container got.
    let file = bundle.path().join("process.json");
    let mut process = bundle.config["process"].clone();
    process["args"] = json!(["/probe", "status"]);
    fs::write(&file, process.to_string()).expect("cannot write the file");
    let seen = tight.call(&["exec", "--process", &file.display().to_string(), &bundle.id]).ok().json();
    assert_eq!((seen["CapBnd"].as_str(), seen["NoNewPrivs"].as_str()), (Some("0000000000000400"), Some("1")));
    let limits = tight.call(&["exec", &bundle.id, "/probe", "cgroup"]).ok().json()["limits"].clone();
    assert_eq!(
        (&limits["pids"], &limits["memory"]),
        (&json!("77"), &json!((64 << 20).to_string())),
        "{limits}"
    );
}

#[test]
fn a_level_below_the_least_is_raised_or_refused() {
    skip_unless!(is_root(), "needs root");
    let asking = |level: &str| {
        Bundle::probe(&["report"])
            .edit(|config| config["annotations"] = json!({ "dev.sandrun.level": level }))
    };
    assert_eq!(Runtime::sandrun().run(&asking("oci")).code, 78, "nothing lets it");
    let allow = "[annotations.allow]\n\"dev.sandrun.level\" = [\"oci\"]\n";
    let lets = Policy::new(allow);
    assert_eq!(lets.runtime().ask(&asking("oci"))["status"]["Seccomp"], "0", "the policy lets it");
    let raises = Policy::new(&format!("{allow}[level]\nmode = \"clamp\"\nminimum = \"baseline\""));
    assert_eq!(raises.runtime().ask(&asking("oci"))["status"]["Seccomp"], "2");
    let other = Policy::new("[level]\ndefault = \"strict\"");
    assert_eq!(bounding(&other.runtime().ask(&Bundle::probe(&["report"]))), 0, "strict gives none");
}

/// Every other layer stays: filter and Landlock without no_new_privs.
#[test]
fn privileges_may_be_gained_at_baseline_where_the_policy_lets_them() {
    skip_unless!(is_root(), "needs root");
    let gaining = |words: &[&str]| {
        Bundle::probe(words).edit(|config| {
            config["process"]["noNewPrivileges"] = json!(false);
            config["annotations"] = json!({ "dev.sandrun.no-new-privileges": "false" });
        })
    };
    assert_eq!(Runtime::sandrun().run(&gaining(&["report"])).code, 78);
    let policy = Policy::new("[annotations.allow]\n\"dev.sandrun.no-new-privileges\" = [\"false\"]");
    let runtime = policy.runtime();
    let seen = runtime.ask(&gaining(&["report"]));
    let status = ["NoNewPrivs", "Seccomp"].map(|field| seen["status"][field].as_str());
    assert_eq!(status, [Some("0"), Some("2")], "{seen}");
    let without = Runtime::sandrun().ask(&Bundle::probe(&["report"]));
    assert_eq!(bounding(&seen), bounding(&without), "and no capability more");
    let bundle = gaining(&["sleep", "60"]);
    runtime.create(&bundle).ok();
    runtime.call(&["start", &bundle.id]).ok();
    let state = runtime.call(&["state", &bundle.id]).ok().json();
    let layers = state["sandrun"]["receipt"]["layers"].as_array().expect("layers").clone();
    let landlock = layers.iter().find(|layer| layer["layer"] == "landlock").expect("a layer");
    assert_ne!(landlock["state"], "partial", "{landlock}");
    let seen = runtime.call(&["exec", &bundle.id, "/probe", "status"]).ok().json();
    assert_eq!((&seen["NoNewPrivs"], &seen["CapEff"]), (&json!("0"), &json!("00000000000005fb")), "{seen}");
}

#[test]
fn a_policy_can_leave_baseline_a_capability() {
    skip_unless!(is_root(), "needs root");
    let seen = |runtime: &Runtime| bounding(&runtime.ask(&Bundle::probe(&["report"])));
    let policy = Policy::new("[capabilities]\nkeep-at-baseline = [\"NET_RAW\"]");
    assert_eq!(seen(&Runtime::sandrun()) | NET_RAW, seen(&policy.runtime()));
    assert_eq!(seen(&Runtime::sandrun()) & NET_RAW, 0);
}

#[test]
fn an_update_stays_below_the_ceilings() {
    skip_unless!(is_root(), "needs root");
    let bundle = Bundle::probe(&["sleep", "60"]).edit(|config| {
        config["linux"]["resources"]["pids"] = json!({ "limit": 30 });
        config["linux"]["resources"]["memory"] = json!({ "limit": 32 << 20 });
    });
    let refuses = Policy::new("[ceilings]\npids = 50\nmemory = \"64M\"");
    let runtime = refuses.runtime();
    runtime.create(&bundle).ok();
    let update = |flags: &[&str]| runtime.call(&[&["update"], flags, &[&bundle.id]].concat());
    let limit = || {
        let state = runtime.call(&["exec", &bundle.id, "/probe", "cgroup"]).ok().json();
        state["limits"]["pids"].as_str().map(str::to_owned)
    };
    update(&["--pids-limit", "40"]).ok();
    for flags in [&["--pids-limit", "51"][..], &["--pids-limit", "-1"], &["--memory", "65M"]] {
        let output = update(flags);
        assert_eq!(output.code, 78, "{output}");
        assert!(output.stderr.contains("ceilings."), "{output}");
    }
    assert_eq!(limit().as_deref(), Some("40"));
    fs::write(refuses.path(), "mode = \"warn\"\n[ceilings]\npids = 3\nmemory = 1")
        .expect("cannot write the policy");
    assert_eq!(update(&["--pids-limit", "41"]).ok().stderr, "", "a warning is for the log");
    fs::write(refuses.path(), "[ceilings]\npids = 50\nmemory = 4096").expect("cannot write the policy");
    update(&["--pids-limit", "42"]).ok();
    fs::write(refuses.path(), "[ceilings]\nmode = \"clamp\"\npids = 50\n").expect("cannot write the policy");
    let said = update(&["--pids-limit", "51"]).ok().stderr;
    assert!(said.contains("set to 50 by the policy"), "{said}");
    assert_eq!(limit().as_deref(), Some("50"));
}

#[test]
fn what_is_required_is_there_or_nothing_runs() {
    skip_unless!(is_root(), "needs root");
    let policy = Policy::new("require = [\"seccomp\", \"no_new_privs\", \"cgroup\", \"devices\"]");
    policy.runtime().run(&Bundle::probe(&["exit", "0"])).ok();
    let oci = policy.runtime().flags(&["--level", "oci"]);
    let output = oci.run(&Bundle::probe(&["exit", "0"]));
    assert!(output.code == 78 && output.stderr.contains("layer seccomp is not part of the plan"), "{output}");
    let ids = Policy::new("require = [\"user-ids\"]");
    let output = ids.runtime().run(&Bundle::probe(&["exit", "0"]));
    assert!(output.code == 78 && output.stderr.contains("require of the policy"), "{output}");
    ids.runtime().run(&Bundle::probe(&["exit", "0"]).in_user_namespace()).ok();
    // An ordinary user who may make no cgroup has none, which only shows when it is tried.
    const USER: u32 = 51_241;
    let cgroup = Policy::new("[ceilings]\npids = 4096");
    let bundle = Bundle::probe(&["exit", "0"]).rootless(USER);
    let output = cgroup.runtime().of_user(USER).run(&bundle);
    assert!(output.code != 0 && output.stderr.contains("cgroup"), "{output}");
}
