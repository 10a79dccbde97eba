//! Results as Markdown.

use std::time::Duration;

use crate::memory::Resident;
use crate::pod::{Crowd, Life};

/// A part of a life, and how long it took.
type Part = (&'static str, fn(&Life) -> Duration);

const PARTS: [Part; 7] = [
    ("pod", |life| life.pod),
    ("container", |life| life.container),
    ("both", |life| life.pod + life.container),
    ("exec", |life| life.exec),
    ("container's end", |life| life.end),
    ("pod's end", |life| life.pod_end),
    ("all", |life| life.pod + life.container + life.exec + life.end + life.pod_end),
];

/// A row for each handler, and below how often the first one's time goes into the others'.
pub fn lives(handlers: &[String], all: &[(String, Life)]) -> String {
    let rounds = all.len() / handlers.len().max(1);
    let mut text = format!("### A pod's life, ms: least / median of {rounds}\n\n| |");
    PARTS.iter().for_each(|(name, _)| text += &format!(" {name} |"));
    text += &format!("\n|---|{}\n", "---|".repeat(PARTS.len()));
    let cell = |handler: &String, part: fn(&Life) -> Duration| {
        summary(all.iter().filter(|(name, _)| name == handler).map(|(_, life)| part(life)))
    };
    for handler in handlers {
        let cells = PARTS.map(|(_, part)| {
            let (least, median) = cell(handler, part);
            format!("{:.1} / {:.1}", millis(least), millis(median))
        });
        text += &format!("| {handler} | {} |\n", cells.join(" | "));
    }
    for (own, other) in pairs(handlers) {
        let cells = PARTS.map(|(_, part)| format!("{:.2}", ratio(cell(own, part).1, cell(other, part).1)));
        text += &format!("| {own} / {other} | {} |\n", cells.join(" | "));
    }
    text + "\nRatios: medians.\n\n"
}

/// sandrun's own shim against everything else.
fn pairs(handlers: &[String]) -> Vec<(&String, &String)> {
    let (own, others): (Vec<&String>, Vec<&String>) =
        handlers.iter().partition(|name| name.starts_with("sandrun-shim"));
    own.iter().flat_map(|own| others.iter().map(move |other| (*own, *other))).collect()
}

pub fn resident(all: &[(String, usize, Resident)]) -> String {
    let mut text = "### Memory beside the workload, KiB for each pod with one container\n\n\
        | | pods | shim: proportional | private | anonymous | threads | pause: proportional | charged to the pod | at most |\n\
        |---|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for (handler, count, of) in all {
        text += &format!(
            "| {handler} | {count} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} |\n",
            of.proportional, of.private, of.anonymous, of.threads, of.pause, of.charged, of.charged_at_most
        );
    }
    text + "\n"
}

pub fn crowds(handlers: &[String], all: &[(String, Crowd)], count: usize) -> String {
    let mut text =
        format!("### {count} pods at once, s: least / median\n\n| | all run | all gone |\n|---|---|---|\n");
    let cell = |handler: &String, part: fn(&Crowd) -> Duration| {
        summary(all.iter().filter(|(name, _)| name == handler).map(|(_, crowd)| part(crowd)))
    };
    let parts: [fn(&Crowd) -> Duration; 2] = [|crowd| crowd.start, |crowd| crowd.end];
    for handler in handlers {
        let cells = parts.map(|part| {
            let (least, median) = cell(handler, part);
            format!("{:.2} / {:.2}", least.as_secs_f64(), median.as_secs_f64())
        });
        text += &format!("| {handler} | {} |\n", cells.join(" | "));
    }
    for (own, other) in pairs(handlers) {
        let cells = parts.map(|part| format!("{:.2}", ratio(cell(own, part).1, cell(other, part).1)));
        text += &format!("| {own} / {other} | {} |\n", cells.join(" | "));
    }
    text
}

/// The least and the median.
fn summary(values: impl Iterator<Item = Duration>) -> (Duration, Duration) {
    let mut values: Vec<Duration> = values.collect();
    values.sort();
    let at = |index: usize| values.get(index).copied().unwrap_or_default();
    (at(0), at(values.len() / 2))
}

fn ratio(own: Duration, other: Duration) -> f64 {
    own.as_secs_f64() / other.as_secs_f64()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
