//! `SCMP_ACT_NOTIFY`: an agent outside decides, from the first call of the program on.

use serde_json::{Value, json};

use crate::support::agent::{Asked, deaf, eventually};
use crate::support::{Agent, Bundle, Reply, Runtime, is_root, leaks};

const LEVELS: [&str; 2] = ["oci", "baseline"];

/// A profile that allows all but the calls that are notified.
fn notifying(bundle: Bundle, agent: &Agent, names: &[&str]) -> Bundle {
    let rule = json!([{ "names": names, "action": "SCMP_ACT_NOTIFY" }]);
    with_profile(bundle, agent, json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": rule }))
}

/// A profile that notifies of every call.
fn notifying_of_all(bundle: Bundle, agent: &Agent) -> Bundle {
    with_profile(bundle, agent, json!({ "defaultAction": "SCMP_ACT_NOTIFY" }))
}

fn with_profile(bundle: Bundle, agent: &Agent, mut profile: Value) -> Bundle {
    profile["listenerPath"] = json!(agent.path());
    profile["listenerMetadata"] = json!("a word to the agent");
    bundle.edit(|config| config["linux"]["seccomp"] = profile)
}

fn numbers(agent: &Agent) -> Vec<libc::c_long> {
    agent.asked().iter().map(|asked| asked.number).collect()
}

fn with_parent_4711(asked: Asked) -> Reply {
    if asked.number == libc::SYS_getppid { Reply::Value(4711) } else { Reply::Continue }
}

#[test]
fn an_agent_answers_with_a_value_an_errno_or_permission() {
    skip_unless!(is_root(), "needs root");
    for level in LEVELS {
        let agent = Agent::start(|asked| match asked.number {
            libc::SYS_getppid => Reply::Value(4711),
            libc::SYS_getegid => Reply::Errno(libc::ENOTTY),
            _ => Reply::Continue,
        });
        let words = ["calls", "getppid", "getegid", "geteuid"];
        let bundle = notifying(Bundle::probe(&words), &agent, &words[1..]);
        let seen = Runtime::at_level(level).ask(&bundle);
        assert_eq!(seen["getppid"]["value"], 4711, "{level}: {seen}");
        assert_eq!(seen["getegid"]["errno"], "ENOTTY", "{level}: {seen}");
        assert_eq!(seen["geteuid"]["value"], 0, "{level}: {seen}");
        assert_eq!(numbers(&agent), [libc::SYS_getppid, libc::SYS_getegid, libc::SYS_geteuid], "{level}");
    }
}

#[test]
fn every_call_can_be_the_agents_from_execve_on() {
    skip_unless!(is_root(), "needs root");
    for level in LEVELS {
        // Without no_new_privs a capability is only needed to load the filter.
        for no_new_privs in [true, false] {
            let agent = Agent::start(with_parent_4711);
            let bundle = notifying_of_all(Bundle::probe(&["calls", "getppid"]), &agent)
                .edit(|config| config["process"]["noNewPrivileges"] = json!(no_new_privs));
            let runtime = Runtime::at_level(level);
            let seen = runtime.ask(&bundle);
            assert_eq!(seen["getppid"]["value"], 4711, "{level}: {seen}");
            let numbers = numbers(&agent);
            assert_eq!(numbers[0], libc::SYS_execve, "{level}: sandrun makes no call under the filter");
            let executions = numbers.iter().filter(|number| **number == libc::SYS_execve).count();
            assert_eq!(executions, 1, "{level}");
            assert!(numbers.contains(&libc::SYS_write) && numbers.contains(&libc::SYS_exit_group), "{level}");
            leaks::assert_none(&runtime, &bundle);
        }
    }
}

#[test]
fn the_agent_is_told_which_container_it_is() {
    skip_unless!(is_root(), "needs root");
    for level in LEVELS {
        let agent = Agent::start(with_parent_4711);
        let runtime = Runtime::at_level(level);
        let bundle = notifying_of_all(Bundle::probe(&["sleep", "60"]), &agent)
            .edit(|config| config["annotations"] = json!({ "com.example/a": "b" }));
        runtime.create(&bundle).ok();
        eventually("it is told", || !agent.states().is_empty());
        assert!(agent.asked().is_empty(), "nothing runs yet");
        runtime.call(&["start", &bundle.id]).ok();
        let state = runtime.call(&["state", &bundle.id]).ok().json();
        let told = agent.states().pop().expect("a listener was sent");
        assert_eq!(told["ociVersion"], "1.3.0");
        assert_eq!(told["fds"], json!(["seccompFd"]));
        assert_eq!(told["metadata"], "a word to the agent");
        assert_eq!(told["pid"], state["pid"]);
        for field in ["ociVersion", "id", "pid", "bundle"] {
            assert_eq!(told["state"][field], state[field], "{field}");
        }
        assert_eq!(told["state"]["annotations"], json!({ "com.example/a": "b" }));
        assert_eq!(told["state"]["status"], "creating");
        assert!(agent.asked().iter().all(|asked| state["pid"] == asked.pid));
        let layers = state["sandrun"]["receipt"]["layers"].as_array().cloned().unwrap_or_default();
        let seccomp = layers.iter().find(|layer| layer["layer"] == "seccomp").cloned().unwrap_or_default();
        let own = if level == "oci" { "config.json" } else { "config.json joined with baseline" };
        let detail = format!("1 filter: {own} with a listener for {}", agent.path().display());
        assert_eq!((&seccomp["state"], &seccomp["detail"]), (&json!("enforced"), &json!(detail)));
    }
}

#[test]
fn a_created_container_waits_under_its_filter() {
    skip_unless!(is_root(), "needs root");
    let agent = Agent::start(with_parent_4711);
    let runtime = Runtime::sandrun();
    let bundle = notifying_of_all(Bundle::probe(&["calls", "getppid"]), &agent);
    runtime.create(&bundle).ok();
    assert_eq!(runtime.status(&bundle), "created");
    eventually("it is told", || !agent.states().is_empty());
    let pid = agent.states()[0]["pid"].to_string();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it waits");
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    assert_eq!((field("Seccomp:"), field("State:").map(|state| &state[..1])), (Some("2"), Some("S")));
    runtime.call(&["start", &bundle.id]).ok();
    runtime.await_status(&bundle, "stopped");
    assert!(runtime.said(&bundle).contains("4711"));
    let second = notifying_of_all(Bundle::probe(&["calls", "getppid"]), &agent);
    runtime.create(&second).ok();
    runtime.call(&["delete", "--force", &second.id]).ok();
    leaks::assert_none(&runtime, &second);
}

#[test]
fn an_exec_has_a_listener_of_its_own() {
    skip_unless!(is_root(), "needs root");
    let agent = Agent::start(with_parent_4711);
    let runtime = Runtime::sandrun();
    let bundle = notifying_of_all(Bundle::probe(&["sleep", "60"]), &agent);
    runtime.create(&bundle).ok();
    runtime.call(&["start", &bundle.id]).ok();
    let seen = runtime.call(&["exec", &bundle.id, "/probe", "calls", "getppid"]).ok().json();
    assert_eq!(seen["getppid"]["value"], 4711, "{seen}");
    let told = agent.states();
    assert_eq!(told.len(), 2);
    assert_ne!(told[1]["pid"], told[0]["pid"]);
    assert_eq!(told[1]["state"]["pid"], told[0]["pid"], "the container's own process");
    assert_eq!(told[1]["state"]["status"], "running");
    assert!(agent.asked().iter().any(|asked| told[1]["pid"] == asked.pid));
}

/// The second thread that sends the listener is gone, and so is every descriptor.
#[test]
fn nothing_of_the_sending_is_left_in_the_container() {
    skip_unless!(is_root(), "needs root");
    let agent = Agent::start(with_parent_4711);
    let bundle = || notifying(Bundle::probe(&["report"]), &agent, &["getppid"]);
    let plain = || Bundle::probe(&["report"]);
    for level in LEVELS {
        let runtime = Runtime::at_level(level);
        let (seen, expected) = (runtime.ask(&bundle()), runtime.ask(&plain()));
        let fds = |report: &Value| report["fds"].as_object().map(|fds| fds.len());
        assert_eq!(fds(&seen), fds(&expected), "{level}: {}", seen["fds"]);
        for field in ["Threads", "SigIgn", "SigBlk", "CapPrm", "CapEff", "NoNewPrivs"] {
            assert_eq!(seen["status"][field], expected["status"][field], "{level}: {field}");
        }
        assert_eq!(seen["status"]["Seccomp_filters"], "1", "{level}: both profiles are one filter");
    }
    let script = "for dir in /proc/[0-9]*; do echo ${dir#/proc/}; done; ls /proc/1/task";
    let bundle = notifying(Bundle::shell(script), &agent, &["acct"]);
    let output = Runtime::sandrun().run(&bundle).ok();
    let pids: Vec<&str> = output.stdout.lines().collect();
    assert_eq!(pids, ["1", "1"], "the shell, and its only thread");
}

#[test]
fn an_agent_cannot_allow_what_baseline_refuses() {
    skip_unless!(is_root(), "needs root");
    let agent = Agent::start(|_| Reply::Continue);
    let names = ["unshare", "getppid"];
    let asked_about = |level: &str| {
        let bundle = notifying(Bundle::probe(&["tries", "unshare:0x20000", "getppid"]), &agent, &names);
        (Runtime::at_level(level).ask(&bundle), numbers(&agent))
    };
    let (seen, asked) = asked_about("baseline");
    assert_eq!(seen["unshare:0x20000"]["errno"], "EPERM", "{seen}");
    assert_eq!(asked, [libc::SYS_getppid], "it is not even asked");
    let (_, asked) = asked_about("oci");
    assert_eq!(asked, [libc::SYS_getppid, libc::SYS_unshare, libc::SYS_getppid]);
}

#[test]
fn without_an_agent_nothing_runs() {
    skip_unless!(is_root(), "needs root");
    let gone = Agent::start(with_parent_4711);
    let nobody = deaf(gone.path().parent().expect("a directory"));
    let bundle = || {
        notifying_of_all(Bundle::probe(&["calls", "getppid"]), &gone)
            .edit(|config| config["linux"]["seccomp"]["listenerPath"] = json!(nobody))
    };
    for level in LEVELS {
        let runtime = Runtime::at_level(level);
        let first = bundle();
        let output = runtime.run(&first);
        assert_eq!((output.code, output.stdout.as_str()), (125, ""), "{output}");
        assert!(output.stderr.contains("linux.seccomp.listenerPath"), "{output}");
        assert!(output.stderr.contains("start the seccomp agent"), "{output}");
        leaks::assert_none(&runtime, &first);
        let second = bundle();
        let output = runtime.create(&second);
        assert!(output.code == 125 && output.stderr.contains("linux.seccomp.listenerPath"), "{output}");
        leaks::assert_none(&runtime, &second);
    }
    assert!(gone.asked().is_empty());
}

#[test]
fn an_exec_without_an_agent_does_not_run_either() {
    skip_unless!(is_root(), "needs root");
    let agent = Agent::start(with_parent_4711);
    let runtime = Runtime::sandrun();
    let bundle = notifying(Bundle::probe(&["sleep", "60"]), &agent, &["getppid"]);
    runtime.create(&bundle).ok();
    runtime.call(&["start", &bundle.id]).ok();
    drop(agent);
    let output = runtime.call(&["exec", &bundle.id, "/probe", "calls", "getppid"]);
    assert!(output.code == 125 && output.stderr.contains("linux.seccomp.listenerPath"), "{output}");
    assert_eq!(runtime.status(&bundle), "running", "the container itself goes on");
    assert_eq!(
        runtime.call(&["ps", "--format", "json", &bundle.id]).ok().json().as_array().map(Vec::len),
        Some(1)
    );
}

#[test]
fn an_execve_that_the_agent_refuses_is_reported() {
    skip_unless!(is_root(), "needs root");
    for (reply, code, words) in [
        (Reply::Errno(libc::EACCES), 126, "permission denied"),
        (Reply::Errno(libc::ENOENT), 127, "interpreter"),
        // A lie: it returns, and nothing was executed.
        (Reply::Value(0), 126, "cannot run"),
    ] {
        // Nothing else is answered: what tells of the failure cannot be held up.
        let agent = Agent::start(move |asked| match asked.number {
            libc::SYS_execve => reply,
            _ => Reply::Errno(libc::ENOSYS),
        });
        let runtime = Runtime::sandrun();
        let bundle = notifying_of_all(Bundle::probe(&["calls", "getppid"]), &agent);
        let output = runtime.run(&bundle);
        assert_eq!(output.code, code, "{reply:?}: {output}");
        assert!(output.stderr.contains(words), "{reply:?}: {output}");
        assert_eq!(numbers(&agent), [libc::SYS_execve], "{reply:?}");
        leaks::assert_none(&runtime, &bundle);
    }
}

#[test]
fn a_process_that_waits_for_the_agent_can_be_killed() {
    skip_unless!(is_root(), "needs root");
    for flags in
        [json!([]), json!(["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]), json!(["SECCOMP_FILTER_FLAG_TSYNC"])]
    {
        let agent = Agent::start(|asked| {
            if asked.number == libc::SYS_getppid {
                std::thread::sleep(std::time::Duration::from_millis(500));
            }
            Reply::Continue
        });
        let runtime = Runtime::sandrun();
        let bundle = notifying(Bundle::probe(&["calls", "getppid"]), &agent, &["getppid"])
            .edit(|config| config["linux"]["seccomp"]["flags"] = flags.clone());
        runtime.create(&bundle).ok();
        runtime.call(&["start", &bundle.id]).ok();
        eventually("the call is notified", || !agent.asked().is_empty());
        runtime.call(&["kill", &bundle.id, "KILL"]).ok();
        runtime.await_status(&bundle, "stopped");
    }
}

#[test]
fn no_room_for_a_second_thread_is_an_error_that_says_so() {
    skip_unless!(is_root(), "needs root");
    let agent = Agent::start(with_parent_4711);
    let run = |limit: i64| {
        let runtime = Runtime::sandrun();
        let bundle = notifying(Bundle::probe(&["calls", "getppid"]), &agent, &["getppid"])
            .edit(|config| config["linux"]["resources"]["pids"] = json!({ "limit": limit }));
        runtime.run(&bundle)
    };
    let output = run(1);
    assert_eq!(output.code, 125, "{output}");
    assert!(output.stderr.contains("linux.resources.pids.limit"), "{output}");
    assert_eq!(run(2).ok().json()["getppid"]["value"], 4711);
}

#[test]
fn an_ordinary_users_container_has_an_agent_too() {
    skip_unless!(is_root(), "needs root, to become an ordinary user");
    const USER: u32 = 51_234;
    let agent = Agent::start(with_parent_4711).open_to(USER);
    let runtime = Runtime::sandrun().of_user(USER);
    let bundle = notifying_of_all(Bundle::probe(&["calls", "getppid"]), &agent).rootless(USER);
    assert_eq!(runtime.ask(&bundle)["getppid"]["value"], 4711);
    assert_eq!(numbers(&agent)[0], libc::SYS_execve);
}

#[test]
fn a_terminal_and_an_agent_go_together() {
    skip_unless!(is_root(), "needs root");
    let agent = Agent::start(with_parent_4711);
    let bundle = notifying_of_all(Bundle::probe(&["calls", "getppid"]), &agent)
        .edit(|config| config["process"]["terminal"] = json!(true));
    let output = Runtime::sandrun().run(&bundle).ok();
    assert!(output.stdout.contains("4711"), "{output}");
}

#[test]
fn in_real_time_on_one_processor_the_listener_is_sent_too() {
    skip_unless!(is_root(), "needs root");
    let agent = Agent::start(with_parent_4711);
    let bundle = notifying_of_all(Bundle::probe(&["calls", "getppid"]), &agent).edit(|config| {
        // Where the kernel schedules groups in real time, they need a share of it.
        config["linux"]["resources"]["cpu"] =
            json!({ "realtimeRuntime": 100_000, "realtimePeriod": 1_000_000 });
    });
    let runtime = Runtime::sandrun().wrapped(&["chrt", "--fifo", "10", "taskset", "--cpu-list", "0"]);
    let output = runtime.run(&bundle);
    skip_unless!(!output.stderr.contains("chrt:"), "may not run in real time: {}", output.stderr.trim());
    assert_eq!(output.ok().json()["getppid"]["value"], 4711);
}
