//! The report for people.

use std::fmt::Write;

use crate::errno::Outcome;
use crate::gates::{self, Tried};

/// The five layers as they look from inside, a table of what was tried and what came of it, and a count.
pub fn report() -> String {
    let mut text = String::new();
    for (layer, seen) in layers() {
        let line = writeln!(text, "  {layer:13} {seen}");
        debug_assert!(line.is_ok(), "a String takes every line");
    }
    text + "\n" + &attempts()
}

/// What each layer shows of itself.
fn layers() -> [(&'static str, String); 5] {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.strip_prefix(':')).unwrap_or("?").trim().to_owned()
    };
    let seccomp = match field("Seccomp").as_str() {
        "2" => format!("{} filter(s) in force", field("Seccomp_filters")),
        _ => "no filter".to_owned(),
    };
    let escalation = match field("NoNewPrivs").as_str() {
        "1" => "execve adds no privileges",
        _ => "execve may add privileges",
    };
    let limit = |name: &str| crate::cgroup::limit(name).unwrap_or_else(|| "not to be seen".to_owned());
    [
        ("namespaces", format!("process id {}, {} processes to be seen", std::process::id(), processes())),
        ("seccomp", seccomp),
        ("capabilities", format!("{}; {escalation}", crate::identity::effective())),
        ("Landlock", leaked()),
        ("cgroup", format!("at most {} processes, memory {}", limit("pids"), limit("memory"))),
    ]
}

fn processes() -> usize {
    let numbered = |entry: &std::fs::DirEntry| entry.file_name().to_string_lossy().parse::<u32>().is_ok();
    std::fs::read_dir("/proc").map_or(0, |entries| entries.flatten().filter(numbered).count())
}

/// Whether a directory that somebody left open as descriptor 3 leads anywhere.
fn leaked() -> String {
    match crate::reach::list_through(3) {
        None => "not tried: nobody left a directory open as descriptor 3".to_owned(),
        Some(Ok(())) => "a leaked descriptor reaches the host's files".to_owned(),
        Some(Err(errno)) => format!("a leaked descriptor of the host's / is of no use ({errno})"),
    }
}

fn attempts() -> String {
    let tried = gates::try_all(&[]);
    let width = tried.iter().map(|tried| tried.gate.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for tried in &tried {
        let line = writeln!(text, "  {:width$}  {:24} {}", tried.gate.name, verdict(tried), tried.gate.gives);
        debug_assert!(line.is_ok(), "a String takes every line");
    }
    let refused = tried.iter().filter(|tried| !tried.open()).count();
    let allowed: Vec<&str> = tried.iter().filter(|tried| tried.open()).map(|tried| tried.gate.name).collect();
    text + &format!(
        "{} attempts: {refused} refused, {} allowed{}\n",
        tried.len(),
        allowed.len(),
        named(&allowed)
    )
}

fn verdict(tried: &Tried) -> String {
    match tried.outcome {
        _ if tried.open() => "allowed".to_owned(),
        Outcome::Done(_) => "allowed".to_owned(),
        Outcome::Refused(errno) => format!("refused ({errno})"),
        Outcome::Killed(signal) => format!("killed (signal {signal})"),
    }
}

fn named(allowed: &[&str]) -> String {
    if allowed.is_empty() { String::new() } else { format!(" ({})", allowed.join(", ")) }
}
