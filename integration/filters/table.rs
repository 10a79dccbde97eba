//! The table in the README.md of the profiles. The peers' columns depend on what is installed: they are printed, and
//! written with the rest, but only ours are held against the file.

use std::path::Path;

use super::gates::{Gate, KERNELCTF, PAGE_CACHE, shut};
use super::program::{Filters, lets_through};
use super::{ABIS, through};

const START: &str = "<!-- filters: written by `UPDATE_GOLDEN=1 cargo test --test integration filters` -->\n";
const END: &str = "<!-- end of filters -->";
const COLUMNS: [&str; 4] = ["runc", "runc, containerd's profile", "baseline", "strict"];
/// How many of them are the peers'.
const PEERS: usize = 2;

/// Fails if our part of the table in the file differs from what the filters do, or writes it anew.
pub fn assert_current(peers: &[Option<Filters>; PEERS], ours: [&Filters; 2]) {
    let columns = [peers[0].as_ref(), peers[1].as_ref(), Some(ours[0]), Some(ours[1])];
    let table = table(&columns);
    println!("{table}");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("seccomp-profiles/README.md");
    let text = std::fs::read_to_string(&path).expect("cannot read the file with the table");
    let (before, rest) = text.split_once(START).expect("the start of the table");
    let (found, after) = rest.split_once(END).expect("the end of the table");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let text = format!("{before}{START}\n{table}\n{END}{after}");
        return std::fs::write(&path, text).expect("cannot write the table");
    }
    assert_eq!(own_part(found), own_part(&table), "UPDATE_GOLDEN=1 writes it anew");
}

/// Every line without the cells of the peers.
fn own_part(table: &str) -> Vec<Vec<&str>> {
    let lines = table.lines().filter(|line| line.starts_with('|'));
    let cells = lines.map(|line| line.split('|').map(str::trim).enumerate());
    cells
        .map(|cells| cells.filter(|(at, _)| !(2..2 + PEERS).contains(at)).map(|(_, cell)| cell).collect())
        .collect()
}

fn table(columns: &[Option<&Filters>; 4]) -> String {
    let mut text = format!("| | {} |\n|{}\n", COLUMNS.join(" | "), " --- |".repeat(COLUMNS.len() + 1));
    let mut line = |label: &str, cell: &dyn Fn(&Filters) -> String| {
        let cells = columns.map(|column| column.map_or_else(|| "–".to_owned(), cell));
        text += &format!("| {label} | {} |\n", cells.join(" | "));
    };
    line("instructions", &|filters| filters.len().to_string());
    for (name, abi) in ABIS {
        let count = |filters: &Filters| through(filters, abi).len();
        let all = |filters: &Filters| filters.0.is_empty();
        line(&format!("{name}: numbers let through"), &|filters| {
            if all(filters) { "all".to_owned() } else { count(filters).to_string() }
        });
        let refused = |answer| !lets_through(answer);
        line(&format!("{name}: of them, by their arguments"), &|filters| {
            let arch = abi.audit_arch();
            let numbers = through(filters, abi);
            numbers
                .iter()
                .filter(|number| filters.find(arch, **number, refused).is_some())
                .count()
                .to_string()
        });
    }
    line("**numbers of all ABIs let through**", &|filters| {
        let sum: usize = ABIS.iter().map(|(_, abi)| through(filters, *abi).len()).sum();
        if filters.0.is_empty() { "**all**".to_owned() } else { format!("**{sum}**") }
    });
    for (what, gates) in [("kernelCTF", KERNELCTF), ("page cache", PAGE_CACHE)] {
        for gate in gates {
            line(&format!("{what}: {}", described(gate)), &|filters| {
                if gate.is_shut(filters) { "shut" } else { "**open**" }.to_owned()
            });
        }
        let all: usize = gates.iter().map(|gate| gate.cves).sum();
        line(&format!("**{what}: shut, of {all}**"), &|filters| format!("**{}**", shut(gates, filters)));
    }
    text
}

fn described(gate: &Gate) -> String {
    if gate.cves == 1 { gate.name.to_owned() } else { format!("{} ({})", gate.name, gate.cves) }
}
