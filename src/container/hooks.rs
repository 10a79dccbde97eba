//! Hooks that run on the host's side (OCI config, "POSIX-platform Hooks").

use std::path::Path;

use super::record::Record;
use crate::enforce::hook::{Batch, Surroundings};
use crate::error::{Error, Result};
use crate::plan::hooks::{Point, State};

fn batch(record: &Record, point: Point, pid: Option<i32>) -> Result<Batch> {
    let state = State::at(point, &record.id, pid, &record.bundle, &record.annotations);
    Batch::new(record.hooks.at(point), &state)
}

fn in_bundle(record: &Record) -> Surroundings<'_> {
    Surroundings { dir: Some(Path::new(&record.bundle)), like: None }
}

/// Runs the hooks of a point in turn.
///
/// # Errors
/// The first that failed.
pub(super) fn run(record: &Record, point: Point, pid: i32) -> Result<()> {
    batch(record, point, Some(pid))?.run(&in_bundle(record))
}

/// Runs all hooks of a container that is gone. Those that fail stop nothing, and are returned.
pub(super) fn run_poststop(record: &Record) -> Vec<Error> {
    match batch(record, Point::Poststop, None) {
        Ok(batch) => batch.run_each(&in_bundle(record)),
        Err(error) => vec![error],
    }
}
