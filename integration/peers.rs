//! At `oci` the workload sees what it sees under runc and crun, wherever those two agree.

use serde_json::Value;

use crate::support::{Bundle, Runtime, is_root};

/// What must agree, as paths into the probe's report.
const COMPARED: &[&str] = &[
    "/status/Uid",
    "/status/Gid",
    "/status/Groups",
    "/status/Umask",
    "/status/NoNewPrivs",
    "/status/Seccomp",
    "/caps",
    "/cwd",
    "/env",
    "/fds",
    "/rlimits/RLIMIT_NOFILE",
    "/rlimits/RLIMIT_CORE",
    "/devices/null",
    "/devices/zero",
    "/devices/full",
    "/devices/random",
    "/devices/urandom",
    "/devices/tty",
    "/devices/ptmx",
    "/devices/fd",
    "/devices/stdin",
    "/devices/stdout",
    "/devices/stderr",
    "/devices/core",
    "/devices/shm",
    "/devices/pts",
    "/devices/mqueue",
    "/masked",
];

/// The part of the report that does not depend on the container's id, the time or descriptors' numbers.
fn compared(report: &Value) -> Vec<(&'static str, Value)> {
    COMPARED
        .iter()
        .map(|path| {
            let mut value = report.pointer(path).cloned().unwrap_or(Value::Null);
            if *path == "/fds" {
                value = value.as_object().map(|fds| fds.keys().cloned().collect()).unwrap_or(Value::Null);
            }
            if *path == "/masked" {
                forget_writes(&mut value);
            }
            (*path, value)
        })
        .chain([("mounts", mounts(report))])
        .collect()
}

/// The peers mask a file with `/dev/null`, which swallows what is written; ours refuses.
fn forget_writes(masked: &mut Value) {
    for path in masked.as_object_mut().into_iter().flat_map(|all| all.values_mut()) {
        path.as_object_mut().map(|state| state.remove("write"));
    }
}

/// Place, type and flags of the mounts that config.json asks for, sorted.
fn mounts(report: &Value) -> Value {
    const PLACES: &[&str] = &["/", "/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys"];
    let all = report["mounts"].as_array().cloned().unwrap_or_default();
    let wanted = all.iter().filter(|mount| PLACES.iter().any(|place| mount["destination"] == *place));
    let mut lines: Vec<String> = wanted
        .map(|mount| format!("{} {} {}", mount["destination"], mount["type"], mount["options"]))
        .collect();
    lines.sort();
    lines.into()
}

#[test]
fn the_workload_sees_the_same_as_under_runc_and_crun() {
    skip_unless!(is_root(), "needs root");
    let bundle = || Bundle::probe(&["report"]);
    let (Some(runc), Some(crun)) = (Runtime::peer("runc"), Runtime::peer("crun")) else {
        skip!("needs runc and crun to compare with");
    };
    let of_crun = crun.run(&bundle());
    skip_unless!(of_crun.code == 0, "crun does not work here: {}", of_crun.stderr.trim());
    let (of_runc, of_crun) = (compared(&runc.ask(&bundle())), compared(&of_crun.json()));
    let ours = compared(&Runtime::at_level("oci").ask(&bundle()));
    let agreed = of_runc.iter().zip(&of_crun).filter(|(one, other)| one == other);
    assert!(agreed.clone().count() > COMPARED.len() / 2, "the peers hardly agree: {of_runc:#?} {of_crun:#?}");
    let differences: Vec<String> = agreed
        .filter_map(|(theirs, _)| {
            let own = ours.iter().find(|own| own.0 == theirs.0)?;
            (own != theirs).then(|| format!("{}: {} instead of {}", own.0, own.1, theirs.1))
        })
        .collect();
    assert!(differences.is_empty(), "{differences:#?}");
}
