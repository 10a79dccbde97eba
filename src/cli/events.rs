use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use serde_json::{Map, Value};

use super::Global;
use crate::cgroup::stats::Stats;
use crate::container::events::{Event, stats, watch};
use crate::container::state::Lock;
use crate::container::status::find;
use crate::error::{Context, Result};

/// Show what a container uses, and when it runs out of memory, until it ends
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// How often to show what it uses, such as 500ms, 5s or 1m30s
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    interval: Duration,
    /// Show what it uses once, and end
    #[arg(long)]
    stats: bool,
    /// Name of the container
    id: String,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<ExitCode> {
    let found = find(&global.root(), &arguments.id, Lock::None)?;
    let tell = |event| print(&arguments.id, event);
    match arguments.stats {
        true => tell(Event::Stats(Box::new(stats(&found)?)))?,
        false => watch(&found, arguments.interval, tell)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// A line as runc prints it.
#[derive(Serialize)]
struct Line<'a> {
    r#type: &'a str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Data<'a>>,
}

#[derive(Serialize)]
struct Data<'a> {
    #[serde(flatten)]
    stats: &'a Stats,
    /// Members that runc always prints; a container without linux.intelRdt and without networks of the
    /// runtime's has nothing in them.
    intel_rdt: Map<String, Value>,
    network_interfaces: Option<()>,
}

fn print(id: &str, event: Event) -> Result<()> {
    let (r#type, stats) = match &event {
        Event::Oom => ("oom", None),
        Event::Stats(stats) => ("stats", Some(&**stats)),
    };
    let data = stats.map(|stats| Data { stats, intel_rdt: Map::new(), network_interfaces: None });
    let line = serde_json::to_string(&Line { r#type, id, data })
        .context(|| "cannot print what happened".to_owned())?;
    println!("{line}");
    Ok(())
}

/// A duration as Go writes it: numbers with a unit, without anything between them.
fn duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("{text:?} is no duration such as 500ms, 5s or 1m30s");
    let mut left = text;
    let mut nanoseconds = 0.0;
    while !left.is_empty() {
        let digits = left.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(bad)?;
        let (number, behind) = left.split_at(digits);
        let length = behind.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(behind.len());
        let (unit, rest) = behind.split_at(length);
        let factor = match unit {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return Err(bad()),
        };
        nanoseconds += number.parse::<f64>().map_err(|_| bad())? * factor;
        left = rest;
    }
    match nanoseconds {
        // As much as Go's hold, and more than zero: zero would never let anybody else in.
        1.0..9.2e18 => Ok(Duration::from_secs_f64(nanoseconds / 1e9)),
        _ => Err(bad()),
    }
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn durations_are_those_of_go() {
        for (text, milliseconds) in [
            ("5s", 5000),
            ("500ms", 500),
            ("1m30s", 90_000),
            ("1.5h", 5_400_000),
            ("2000us", 2),
            (".5s", 500),
        ] {
            assert_eq!(duration(text).map(|it| it.as_millis()), Ok(milliseconds), "{text}");
        }
        for text in ["", "5", "s", "0s", "-5s", "5 s", "5d", "1e3s", "1..5s", "9999999h", "5s5"] {
            assert!(duration(text).is_err(), "{text:?} became {:?}", duration(text));
        }
    }
}
