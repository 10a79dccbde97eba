//! Measures OCI runtimes against each other: the same bundle, in random order within each round, so that what
//! disturbs the machine disturbs all alike. Prints Markdown.
//!
//! CPU time is that of the command and of the children it has waited for: all of it for `run`; for `create`,
//! and `start` without the container's own process, which outlives the command.
//!
//! A cgroup layout is a "view": the host's own, v1 without the v2 part of a hybrid host, or v2 alone. Each is
//! measured by a copy of this program in a mount namespace of its own.

mod bundle;
mod measure;
mod options;
mod subject;
mod table;
mod view;

use std::io::Result;
use std::process::ExitCode;
use std::time::Duration;

use bundle::Bundle;
use measure::{Samples, interrupted};
use options::Options;
use subject::Subject;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("bench: {problem}\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    measure::catch_interrupts();
    let result = match &options.inside {
        Some(view) => measure_view(view, &options).map_err(|error| error.to_string()),
        None => view::each(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("bench: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// Measures every combination in the view that this process is in, and prints a table for each.
fn measure_view(view: &str, options: &Options) -> Result<()> {
    for seccomp in &options.seccomp {
        let bundle = Bundle::make(*seccomp)?;
        let subjects: Vec<Subject> = options.subjects()?;
        let (able, unable) = split_by_trial(&subjects, &bundle)?;
        for gap in &options.gaps {
            let samples = rounds(&able, &bundle, options.rounds, Duration::from_millis(*gap))?;
            let filter = if *seccomp { "with" } else { "without" };
            println!("\n### {view}, {filter} the engines' seccomp profile, {gap} ms between commands\n");
            print!("{}", table::of_times(&able, &samples, &unable));
        }
        if !*seccomp {
            println!("\n### {view}: memory\n");
            print!("{}", table::of_memory(&measure::memory(&able, &bundle)?));
        }
        if interrupted() {
            break;
        }
    }
    Ok(())
}

/// The name of a runtime and why it is left out.
type Unable<'a> = (&'a str, String);

/// A runtime that cannot run the bundle here is left out, with its reason.
fn split_by_trial<'a>(
    subjects: &'a [Subject],
    bundle: &Bundle,
) -> Result<(Vec<&'a Subject>, Vec<Unable<'a>>)> {
    let (mut able, mut unable) = (Vec::new(), Vec::new());
    for subject in subjects {
        match subject.trial(bundle)? {
            None => able.push(subject),
            Some(reason) => unable.push((subject.name.as_str(), reason)),
        }
    }
    Ok((able, unable))
}

fn rounds(able: &[&Subject], bundle: &Bundle, count: usize, gap: Duration) -> Result<Samples> {
    let mut samples = Samples::default();
    let mut order: Vec<usize> = (0..able.len()).collect();
    let mut random = measure::Random::new();
    for _ in 0..count {
        random.shuffle(&mut order);
        for index in &order {
            if interrupted() {
                return Ok(samples);
            }
            if let Some(subject) = able.get(*index) {
                subject.whole_life(bundle, gap, &mut samples)?;
            }
        }
    }
    Ok(samples)
}
