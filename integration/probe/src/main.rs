//! The workload of sandrun's tests. It runs inside a container, tries what a prisoner would try, and answers
//! with one JSON object a question. Nothing it tries does harm where it succeeds: calls that could are given
//! arguments that the kernel rejects only after every check of permission.

mod caller;
mod cgroup;
mod errno;
mod gates;
mod hunt;
mod identity;
mod json;
mod load;
mod numbers;
mod precedence;
mod reach;
mod surroundings;
mod sys;
mod tcp;
mod terminal;
mod text;
mod written;

use std::process::ExitCode;

use json::Json;

const USAGE: &str = "\
usage: probe VERB [ARGUMENT...]

everything         report [--text]
identity           status, caps, namespaces, rlimits, precedence
surroundings       cwd, env, fds, mounts, devices, cgroup, masked PATH...
attempts           gates [NAME...], gates --calls, syscall NAME [INTEGER...]
                   calls | tries | in-threads | caught NAME[:INTEGER...]...
reach              read PATH, write PATH, fd-reach FD PATH, landlock-escape PATH,
                   connect-abstract NAME, listen-abstract NAME, signal PID, ioctl PATH, tcp PORT,
                   hunt SECONDS PATH, writable DIR
code               written, written-to FROM TO, written-in-memory
load               forkbomb N, eat MIB
behaviour          sleep SECONDS, exit CODE, kill-self SIGNAL, tty [--winch]
on the host        caller
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["exit", code] => return code.parse().map_or(ExitCode::from(2), |code: u8| code.into()),
        [gates::SUID_QUESTION] => return identity::gained_root(),
        ["caller"] => return caller::serve().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS),
        ["report", "--text"] => print!("{}", text::report()),
        ["tty", "--winch"] => terminal::answer_after_resize(),
        words => match answer(words) {
            Some(json) => println!("{json}"),
            None => {
                eprint!("{USAGE}");
                return ExitCode::from(2);
            }
        },
    }
    ExitCode::SUCCESS
}

/// The answer to a question; none if it is not one.
fn answer(words: &[&str]) -> Option<Json> {
    Some(match words {
        ["report"] => report(),
        ["status"] => identity::status(),
        ["caps"] => identity::capabilities(),
        ["namespaces"] => identity::namespaces(),
        ["rlimits"] => identity::rlimits(),
        ["precedence"] => precedence::precedence(),
        ["cwd"] => surroundings::cwd(),
        ["env"] => surroundings::env(),
        ["fds"] => surroundings::fds(),
        ["mounts"] => surroundings::mounts(),
        ["devices"] => surroundings::devices(),
        ["masked", paths @ ..] => surroundings::masked(paths),
        ["cgroup"] => cgroup::own(),
        ["gates", "--calls"] => gates::calls(),
        ["gates", names @ ..] => gates::tried(names),
        ["syscall", name, integers @ ..] => numbers::raw_call(name, integers)?,
        ["calls", words @ ..] => numbers::calls(words)?,
        ["tries", words @ ..] => numbers::tries(words)?,
        ["in-threads", words @ ..] => numbers::in_threads(words)?,
        ["caught", words @ ..] => numbers::caught(words)?,
        ["read", path] => reach::read(path),
        ["write", path] => reach::write(path),
        ["fd-reach", fd, path] => reach::through_descriptor(fd.parse().ok()?, path),
        ["landlock-escape", path] => reach::every_way_to(path),
        ["connect-abstract", name] => reach::connect_abstract(name),
        ["listen-abstract", name] => reach::listen_abstract(name),
        ["ioctl", path] => reach::ioctl(path),
        ["tcp", port] => tcp::every_way_to(port.parse().ok()?),
        ["signal", pid] => reach::signal(pid.parse().ok()?),
        ["hunt", seconds, path] => hunt::hunt(seconds.parse().ok()?, path),
        ["writable", dir] => hunt::writable_below(dir),
        ["written"] => written::everywhere(),
        ["written-to", from, to] => written::moved(from, to),
        ["written-in-memory"] => written::in_memory(),
        ["forkbomb", count] => load::fork_bomb(count.parse().ok()?),
        ["eat", mib] => load::eat(mib.parse().ok()?),
        ["sleep", seconds] => load::sleep(seconds.parse().ok()?),
        ["kill-self", signal] => load::kill_self(signal.parse().ok()?),
        ["tty"] => terminal::answer(),
        _ => return None,
    })
}

/// Everything at once.
fn report() -> Json {
    Json::object([
        ("status", identity::status()),
        ("caps", identity::capabilities()),
        ("namespaces", identity::namespaces()),
        ("rlimits", identity::rlimits()),
        ("cwd", surroundings::cwd()),
        ("env", surroundings::env()),
        ("fds", surroundings::fds()),
        ("mounts", surroundings::mounts()),
        ("devices", surroundings::devices()),
        ("masked", surroundings::masked(surroundings::USUALLY_MASKED)),
        ("cgroup", cgroup::own()),
        ("gates", gates::tried(&[])),
    ])
}
