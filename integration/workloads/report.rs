//! The tables of WORKLOADS.md.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::Workload;
use super::image::version;

/// What was found out about all workloads.
#[derive(Default)]
pub struct Report {
    results: String,
    /// The calls that were refused, and to whom.
    pub refused: BTreeMap<String, BTreeSet<String>>,
}

impl Report {
    /// A workload that works at these levels, beside `oci`.
    pub fn works(&mut self, workload: &Workload, levels: &[&str]) {
        let at = |level| if levels.contains(&level) { "works" } else { "not for it" };
        let (name, version) = (workload.name, version(workload.package));
        let purpose = purpose(workload.script);
        self.results.push_str(&format!(
            "| {name} | {version} | works | {} | {} | {purpose} |\n",
            at("baseline"),
            at("strict")
        ));
    }

    /// A call that was refused to a workload.
    pub fn refused(&mut self, call: &str, workload: &Workload, level: &str) {
        let whom = self.refused.entry(call.to_owned()).or_default();
        // What `baseline` refuses, `strict` refuses too.
        if level == "baseline" || !whom.contains(workload.name) {
            whom.insert(if level == "baseline" {
                workload.name.to_owned()
            } else {
                format!("{} at `{level}`", workload.name)
            });
        }
    }

    /// Both tables, with what the programs did then. Calls that have one explanation are one line.
    pub fn tables(&self, explanation: impl Fn(&str) -> Option<Explanation>) -> [(&'static str, String); 2] {
        let head = "\n| workload | version | `oci` | `baseline` | `strict` | what it does |\n| --- | --- | --- | --- | --- | --- |\n";
        let results = format!("{head}{}\n", self.results);
        let mut lines: BTreeMap<(String, &str), BTreeSet<&str>> = BTreeMap::new();
        for (call, whom) in &self.refused {
            let (beginning, then) = explanation(call).unwrap_or((call.as_str(), "nobody knows"));
            let errno = call.rsplit_once(' ').map_or("", |(_, errno)| errno);
            let name = beginning.trim_end_matches(&['(', ' '][..]).trim_end_matches(errno).trim_end();
            let line = lines.entry((format!("{name}` {errno}"), then)).or_default();
            line.extend(whom.iter().map(String::as_str));
        }
        let mut denials = "\n| refused | to | what the program did then |\n| --- | --- | --- |\n".to_owned();
        for ((call, then), whom) in &lines {
            let whom: Vec<&str> = whom.iter().copied().collect();
            denials.push_str(&format!("| `{} | {} | {then} |\n", call.replace('|', "\\|"), whom.join(", ")));
        }
        denials.push('\n');
        [("results", results), ("denials", denials)]
    }
}

/// How a call begins, and what programs do when it is refused.
pub type Explanation = (&'static str, &'static str);

/// Writes the tables where WORKLOADS.md has the marks of their names.
pub fn write(tables: &[(&str, String)]) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/WORKLOADS.md");
    let mut text = fs::read_to_string(&page).expect("cannot read WORKLOADS.md");
    for (name, table) in tables {
        let (start, end) = (
            format!("<!-- {name}: written by `make workload-denials` -->\n"),
            format!("<!-- end of {name} -->"),
        );
        let (before, rest) = text.split_once(&start).expect("a mark where the table begins");
        let (_, after) = rest.split_once(&end).expect("a mark where the table ends");
        text = format!("{before}{start}{table}{end}{after}");
    }
    fs::write(&page, text).expect("cannot write WORKLOADS.md");
}

/// The comment at the head of a script.
fn purpose(script: &str) -> String {
    let comment = script.lines().take_while(|line| line.starts_with('#'));
    comment.map(|line| line.trim_start_matches(['#', ' '])).collect::<Vec<_>>().join(" ")
}
