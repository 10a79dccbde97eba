//! The two slices of steps: complete, in an order that holds, and as ARCHITECTURE.md shows them.

use std::fs;
use std::path::Path;

use sandrun::enforce::{INIT, Step, TAIL};

fn names<T>(steps: &[Step<T>]) -> Vec<&'static str> {
    steps.iter().map(|step| step.name).collect()
}

fn rows<T>(steps: &[Step<T>]) -> Vec<[&'static str; 4]> {
    steps.iter().map(|step| [step.name, step.man, step.oci, step.since]).collect()
}

#[test]
fn every_step_says_what_it_does_and_where_that_is_written() {
    for [name, man, oci, since] in rows(INIT).into_iter().chain(rows(TAIL)) {
        assert!(!name.is_empty() && name.starts_with(|c: char| c.is_ascii_lowercase()), "{name:?}");
        let section = man.strip_suffix(')').and_then(|man| man.rsplit_once('('));
        assert!(
            section.is_some_and(|(page, number)| !page.is_empty() && number.parse::<u8>().is_ok()),
            "{name}: {man:?}"
        );
        let in_specification =
            ["config#", "config-linux#", "runtime-linux#"].iter().any(|page| oci.starts_with(page));
        assert!(in_specification || oci == "none", "{name}: {oci:?}");
        let numbers: Vec<_> = since.split('.').map(str::parse::<u32>).collect();
        assert!(numbers.len() >= 2 && numbers.iter().all(Result::is_ok), "{name}: {since:?}");
    }
}

#[test]
fn no_step_is_there_twice() {
    let mut all = names(INIT);
    all.extend(names(TAIL));
    all.sort_unstable();
    assert!(all.windows(2).all(|pair| pair[0] != pair[1]), "{all:?}");
}

/// `(earlier, later)`, within one slice.
fn in_order(names: &[&str], facts: &[(&str, &str)]) {
    let at = |name: &str| {
        names
            .iter()
            .position(|other| *other == name)
            .unwrap_or_else(|| panic!("no step {name:?} in {names:?}"))
    };
    for (earlier, later) in facts {
        assert!(at(earlier) < at(later), "{earlier:?} must come before {later:?}");
    }
}

#[test]
fn the_container_is_built_from_the_outside_in() {
    let init = names(INIT);
    assert_eq!(init.first(), Some(&"join the cgroup"), "what is made counts against the container");
    let end = ["change the root", "read the mounts back", "confirm that nothing written is executed"];
    assert!(init.ends_with(&end), "the last step that can see the host, and those that only look");
    in_order(
        &init,
        &[
            ("join the cgroup", "make the cgroup namespace"),
            ("stop mount propagation", "attach the root filesystem"),
            ("attach the root filesystem", "mount filesystems"),
            ("mount filesystems", "make device nodes"),
            ("make device nodes", "open the console"),
            ("start a session", "open the console"),
            ("mount filesystems", "mask paths"),
            ("set kernel parameters", "make paths read-only"),
            ("make the working directory", "make the root read-only"),
            ("mask paths", "make the root read-only"),
            ("make paths read-only", "make the root read-only"),
        ],
    );
}

#[test]
fn privileges_are_lost_in_an_order_that_leaves_none() {
    let tail = names(TAIL);
    in_order(
        &tail,
        &[
            ("set security labels", "set groups and user"),
            ("make what Landlock is tried on", "set groups and user"),
            ("set resource limits", "set groups and user"),
            ("limit the bounding set", "set groups and user"),
            ("set groups and user", "set capabilities"),
            ("set no_new_privs", "restrict by Landlock"),
            ("set capabilities", "restrict by Landlock"),
            ("set capabilities", "find the program"),
            ("restrict by Landlock", "mark descriptors close-on-exec"),
            ("mark descriptors close-on-exec", "read back"),
        ],
    );
    assert_eq!(tail.last(), Some(&"read back"), "nothing is changed that was read back");
}

/// No mount is made once Landlock is in force: mounts are of `INIT`, Landlock is of `TAIL`, which runs after it;
/// the report and the wait for start come then, and the filters last.
#[test]
fn init_runs_the_slices_in_order_and_filters_last() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/enforce/init.rs");
    let text = fs::read_to_string(path).unwrap();
    let in_text = |parts: &[&str]| {
        let mut from = 0;
        for part in parts {
            from += text[from..].find(part).unwrap_or_else(|| panic!("no {part:?} after {:?}", &parts[0]))
                + part.len();
        }
    };
    in_text(&[
        "fn run(&mut self)",
        "hide()?",
        "self.receive()?",
        "self.enforce(",
        "self.report_ready()?",
        "self.await_start(",
        "self.become_workload(",
    ]);
    in_text(&["fn enforce(", "run(INIT,", "run(TAIL,"]);
    in_text(&["fn become_workload(", "self.prepare(", "seccomp::execute("]);
    in_text(&["fn prepare(", "program::prepare(", "reset_signals()"]);
    in_text(&["fn become_notified(", "self.prepare(", "seccomp::execute_notified("]);
    let has_landlock = |names: Vec<&str>| names.contains(&"restrict by Landlock");
    assert!(!has_landlock(names(INIT)) && has_landlock(names(TAIL)));
}

const START: &str = "<!-- steps: written by `UPDATE_GOLDEN=1 cargo test --test architecture` -->\n";
const END: &str = "<!-- end of steps -->";

fn table() -> String {
    let mut table =
        "\n| | step | interface | OCI runtime-spec | Linux |\n| --- | --- | --- | --- | --- |\n".to_owned();
    for (slice, rows) in [("`INIT`", rows(INIT)), ("`TAIL`", rows(TAIL))] {
        for (i, [name, man, oci, since]) in rows.into_iter().enumerate() {
            let slice = if i == 0 { slice } else { "" };
            let oci = if oci == "none" { String::new() } else { format!("`{oci}`") };
            table.push_str(&format!("| {slice} | {name} | {man} | {oci} | {since} |\n"));
        }
    }
    table.push('\n');
    table
}

#[test]
fn the_table_in_architecture_is_that_of_the_slices() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(START).expect("the start of the table");
    let (found, after) = rest.split_once(END).expect("the end of the table");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, format!("{before}{START}{}{END}{after}", table())).unwrap();
        return;
    }
    assert_eq!(found, table(), "UPDATE_GOLDEN=1 writes it anew");
}
