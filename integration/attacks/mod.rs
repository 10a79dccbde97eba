//! Every gate of the probe, at every level and under the peers with their defaults: which are open, why, and the table of
//! SECURITY.md.

mod arranged;
mod column;
mod confinement;
pub mod defaults;
mod host;
mod open;
mod table;

use std::collections::BTreeSet;
use std::sync::OnceLock;

use column::Column;
use open::Open;

use crate::support::is_root;

/// What the gates answer to a workload that is root and may do everything: what is shut here, this kernel lacks.
fn unconfined() -> &'static Column {
    static COLUMN: OnceLock<Column> = OnceLock::new();
    COLUMN.get_or_init(Column::unconfined)
}

fn at(level: &str) -> &'static Column {
    static COLUMNS: [OnceLock<Column>; 3] = [const { OnceLock::new() }; 3];
    let place = ["oci", "baseline", "strict"].iter().position(|known| *known == level);
    COLUMNS[place.expect("a level")].get_or_init(|| Column::at_level(level))
}

#[test]
fn without_confinement_all_that_the_kernel_has_is_open() {
    skip_unless!(is_root(), "needs root");
    let shut: Vec<String> = unconfined()
        .gates()
        .filter(|(_, answer)| answer["open"] != true && answer["absent"] != true)
        .map(|(name, answer)| format!("{name}: {answer}"))
        .collect();
    assert!(shut.is_empty(), "these prove nothing when they are refused: {shut:#?}");
}

#[test]
fn a_gate_is_refused_as_the_loaded_filter_says() {
    skip_unless!(is_root(), "needs root");
    for level in ["baseline", "strict"] {
        assert_eq!(at(level).misnamed(), Vec::<String>::new(), "{level}");
    }
}

/// Exactly those of the list: one that is shut by now must leave it.
fn assert_open(level: &str, expected: &[Open]) {
    let seen = unconfined().gates().map(|(gate, _)| gate);
    let seen: BTreeSet<&str> = seen.filter(|gate| at(level).fate(gate, unconfined()).is_open()).collect();
    assert_eq!(seen, expected.iter().map(|open| open.gate).collect(), "{level}");
}

#[test]
fn at_most_twelve_gates_are_open_at_baseline() {
    skip_unless!(is_root(), "needs root");
    assert!(open::AT_BASELINE.len() <= 12, "{}", open::AT_BASELINE.len());
    assert_open("baseline", open::AT_BASELINE);
}

#[test]
fn at_most_eight_gates_are_open_at_strict() {
    skip_unless!(is_root(), "needs root");
    assert!(open::AT_STRICT.len() <= 8, "{}", open::AT_STRICT.len());
    assert_open("strict", open::AT_STRICT);
}

#[test]
fn the_table_in_security_md_is_what_the_probe_sees() {
    skip_unless!(is_root(), "needs root");
    table::assert_current(unconfined(), ["oci", "baseline", "strict"].map(at));
}
