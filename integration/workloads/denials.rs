//! What confinement refuses to the workloads, seen by strace from the host, and what they do then.
//!
//! A call counts that fails at a level, and not at `oci`, with an error by which confinement refuses. `make
//! workload-denials` runs all of them and writes the tables of WORKLOADS.md. It fails for a refusal that nobody has
//! explained in `denials.txt`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::report::{Explanation, Report, write};
use super::{
    APT, GCC, GIT, GO, GO_SERVER, JAVA, MUSL, MUSL_PROGRAM, NGINX, NODE, NODE_SERVER, PATIENCE, POSTGRESQL,
    PYTHON, PYTHON_SERVER, REDIS, RUST, SHELL, Workload,
};
use crate::support::{Runtime, Scratch};

const ALL: [&Workload; 17] = [
    &NGINX,
    &REDIS,
    &POSTGRESQL,
    &PYTHON,
    &PYTHON_SERVER,
    &NODE,
    &NODE_SERVER,
    &SHELL,
    &MUSL,
    &MUSL_PROGRAM,
    &GIT,
    &GCC,
    &JAVA,
    &APT,
    &RUST,
    &GO,
    &GO_SERVER,
];

/// The errors with which filters, Landlock, capabilities and mounts refuse.
const REFUSALS: [&str; 10] = [
    "EPERM",
    "EACCES",
    "EROFS",
    "ENOSYS",
    "EINVAL",
    "EOPNOTSUPP",
    "ENOPROTOOPT",
    "ENOPKG",
    "EPROTONOSUPPORT",
    "EAFNOSUPPORT",
];

/// A line for each refusal: its beginning, a tab, what the program does then.
const EXPLAINED: &str = include_str!("denials.txt");

/// Runs a workload under strace, and returns the calls that failed.
fn observe(workload: &Workload, level: &str, user: &str) -> BTreeSet<String> {
    eprintln!("{} at {level} as {user}", workload.name);
    let image = workload.image().expect("needs a Debian root filesystem").script(workload.script, user);
    let traces = Scratch::new("traces");
    let runtime = Runtime::at_level(level).waiting(4 * PATIENCE);
    runtime.create(&image).ok();
    let pid = runtime.call(&["state", &image.id]).ok().json()["pid"].to_string();
    let mut strace = Command::new("strace");
    strace.args(["-ff", "-qq", "--signal=none", "--status=failed", "-s", "200", "-p", &pid, "-o"]);
    strace.arg(traces.path().join("of")).stderr(Stdio::null());
    let mut strace = strace.spawn().expect("cannot start strace");
    await_tracer(&pid);
    runtime.call(&["start", &image.id]).ok();
    runtime.await_status(&image, "stopped");
    strace.wait().expect("strace ends with what it traces");
    assert_eq!(runtime.said(&image), "works\n", "{}", runtime.complained(&image));
    fs::read_dir(traces.path()).expect("traces").flatten().flat_map(|file| failed(&file.path())).collect()
}

fn await_tracer(pid: &str) {
    let deadline = Instant::now() + PATIENCE;
    while fs::read_to_string(format!("/proc/{pid}/status")).expect("it waits").contains("TracerPid:\t0\n") {
        assert!(Instant::now() < deadline, "strace does not attach");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The calls in a trace that were refused, each as its name, what tells it from others of that name, and the error.
fn failed(trace: &Path) -> Vec<String> {
    let text = String::from_utf8_lossy(&fs::read(trace).expect("a trace")).into_owned();
    let call = |line: &str| {
        let (call, result) = line.rsplit_once(" = -1 ")?;
        let error = REFUSALS.iter().find(|error| result.split(' ').next() == Some(error))?;
        let (name, arguments) = call.trim_end().split_once('(')?;
        // So readlink(2) says that a file is no link, and rt_sigreturn(2) "returns" what an interrupted call had.
        let refused = !(["readlink", "readlinkat", "rt_sigreturn"].contains(&name) && *error == "EINVAL");
        refused.then_some(format!("{name}({}) {error}", telling(arguments.strip_suffix(')')?)))
    };
    text.lines().filter_map(call).collect()
}

/// Constants and absolute paths, without what differs from run to run.
fn telling(arguments: &str) -> String {
    let is_constant = |word: &str| {
        let plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || "_|".contains(c);
        word.starts_with(|c: char| c.is_ascii_uppercase()) && word.chars().all(plain) && word != "NULL"
    };
    let kept = arguments.split(", ").filter(|word| is_constant(word) || word.starts_with("\"/"));
    let plain = kept.map(|word| word.split(|c: char| c.is_ascii_digit()).filter(|part| !part.is_empty()));
    plain.map(|parts| parts.collect::<Vec<_>>().join("N")).collect::<Vec<_>>().join(", ")
}

/// All workloads at all levels that they are for, and as the same user at `oci`.
#[test]
#[ignore = "takes five minutes; `make workload-denials`"]
fn no_call_is_refused_that_a_program_needs() {
    let mut report = Report::default();
    for workload in chosen() {
        let levels: &[&str] = if workload.user.is_some() { &["baseline", "strict"] } else { &["baseline"] };
        for level in levels {
            let [freely, confined] = ["oci", level].map(|at| observe(workload, at, workload.user_at(level)));
            for call in confined.difference(&freely) {
                report.refused(call, workload, level);
            }
        }
        report.works(workload, levels);
    }
    let tables = report.tables(explanation);
    println!("{}{}", tables[0].1, tables[1].1);
    let unexplained: Vec<&String> =
        report.refused.keys().filter(|call| explanation(call).is_none()).collect();
    assert!(unexplained.is_empty(), "nobody has explained: {unexplained:#?}");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        write(&tables);
    }
}

/// The workloads that WORKLOADS names, else all.
fn chosen() -> Vec<&'static Workload> {
    let names = std::env::var("WORKLOADS").unwrap_or_default();
    let wanted =
        |workload: &&Workload| names.is_empty() || names.split(' ').any(|name| name == workload.name);
    ALL.into_iter().filter(wanted).collect()
}

/// What the program does instead, and of which calls that is said.
fn explanation(call: &str) -> Option<Explanation> {
    let mut lines = EXPLAINED.lines().filter_map(|line| line.split_once('\t'));
    lines.find(|(beginning, _)| call.starts_with(beginning))
}
