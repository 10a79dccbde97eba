//! The report for people.

use std::fmt::Write;

use crate::errno::Outcome;
use crate::gates::{self, Tried};

/// A table of what was tried and what came of it, and a count.
pub fn report() -> String {
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
