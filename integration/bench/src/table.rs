//! Results as Markdown.

use std::time::Duration;

use crate::measure::{Resident, Samples};
use crate::subject::Subject;

const OPERATIONS: &[&str] = &["run", "create", "start", "exec", "delete"];

/// A row for each runtime, a column for each operation, and below the ratios of sandrun to the others.
pub fn of_times(able: &[&Subject], samples: &Samples, unable: &[(&str, String)]) -> String {
    let mut text =
        format!("ms: wall least / median; CPU median\n\n| | {} | peak MB |\n", OPERATIONS.join(" | "));
    text += &format!("|---|{}\n", "---|".repeat(OPERATIONS.len() + 1));
    for subject in able {
        let cells = OPERATIONS.iter().map(|operation| {
            samples.summary(&subject.name, operation).map_or("-".to_owned(), |of| {
                format!("{:.1} / {:.1}; {:.1}", millis(of.least), millis(of.wall), millis(of.cpu))
            })
        });
        let cells: Vec<String> = cells.collect();
        text += &format!("| {} | {} | {:.1} |\n", subject.name, cells.join(" | "), peak(subject, samples));
    }
    for (name, reason) in unable {
        text += &format!("| {name} | n/a: {reason} |{}\n", " |".repeat(OPERATIONS.len()));
    }
    text + &ratios(able, samples)
}

fn peak(subject: &Subject, samples: &Samples) -> f64 {
    let of_all = OPERATIONS.iter().filter_map(|operation| samples.summary(&subject.name, operation));
    of_all.map(|summary| summary.peak_kib).max().unwrap_or(0) as f64 / 1024.0
}

fn ratios(able: &[&Subject], samples: &Samples) -> String {
    let (ours, theirs): (Vec<&Subject>, Vec<&Subject>) =
        able.iter().partition(|subject| subject.name.starts_with("sandrun"));
    let mut text = String::new();
    for (own, other) in ours.iter().flat_map(|own| theirs.iter().map(move |other| (own, other))) {
        let cells = OPERATIONS.iter().map(|operation| {
            let pair = samples.summary(&own.name, operation).zip(samples.summary(&other.name, operation));
            pair.map_or("-".to_owned(), |(own, other)| {
                format!("{:.2}; {:.2}", ratio(own.wall, other.wall), ratio(own.cpu, other.cpu))
            })
        });
        let cells: Vec<String> = cells.collect();
        text += &format!("| {} / {} | {} | |\n", own.name, other.name, cells.join(" | "));
    }
    if text.is_empty() { text } else { text + "\nRatios: wall median; CPU median.\n" }
}

fn ratio(own: Duration, other: Duration) -> f64 {
    own.as_secs_f64() / other.as_secs_f64()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// What a container in the foreground keeps resident.
pub fn of_memory(resident: &[Resident]) -> String {
    let mut text =
        "| beside a running container, KiB | proportional | private dirty |\n|---|---|---|\n".to_owned();
    for of in resident {
        text += &format!("| {} | {} | {} |\n", of.name, of.proportional, of.private_dirty);
    }
    text
}
