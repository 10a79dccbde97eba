//! The tables of SECURITY.md. What depends on the kernel and the peers, `oci` among it, is compared where they are those of
//! the tables; `baseline` and `strict` everywhere.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::arranged::ATTACKS;
use super::column::{Column, Fate};
use super::defaults;
use super::open::{AT_BASELINE, AT_STRICT, Open};
use crate::support::Runtime;

const START: &str = "<!-- attacks: written by `UPDATE_GOLDEN=1 cargo test --test integration attacks` -->\n";
const END: &str = "<!-- end of attacks -->";

/// The columns of both tables, and what comes after them in that of the gates.
const RUNTIMES: [&str; 5] = ["oci", "baseline", "strict", "runc", "crun"];
const UNDER_CONTAINERD: [&str; 2] = ["runc, engine", "crun, engine"];

/// How one gate or attack fares, by column; none where there is nothing to see it with.
type Seen = Vec<Option<Fate>>;

/// Fails if the tables in the file differ from what is seen, or writes them anew.
pub fn assert_current(unconfined: &Column, ours: [&Column; 3]) {
    let file = File::read();
    let peers = if file.is_comparable() { peers() } else { [const { None }; 4].into() };
    let [oci, baseline, strict] = ours;
    let ours = [file.is_comparable().then_some(oci), Some(baseline), Some(strict)];
    let columns: Vec<Option<&Column>> = ours.into_iter().chain(peers.iter().map(Option::as_ref)).collect();
    let tables = [file.caption(), gates(&file, unconfined, &columns), reasons(), arranged(&file)].join("\n");
    if file.update {
        return std::fs::write(&file.path, format!("{}{START}{tables}{END}{}", file.before, file.after))
            .expect("cannot write SECURITY.md");
    }
    let missing = |one: &str, other: &str| {
        let known: Vec<&str> = other.lines().collect();
        one.lines().filter(|line| !known.contains(line)).map(str::to_owned).collect::<Vec<_>>()
    };
    let (found, seen) = (missing(&file.found, &tables), missing(&tables, &file.found));
    assert_eq!(found, seen, "the recorded lines and the seen ones; UPDATE_GOLDEN=1 writes them anew");
}

/// SECURITY.md as it is.
struct File {
    path: PathBuf,
    before: String,
    found: String,
    after: String,
    /// Whether it is written anew.
    update: bool,
}

impl File {
    fn read() -> File {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("SECURITY.md");
        let text = std::fs::read_to_string(&path).expect("cannot read SECURITY.md");
        let (before, rest) = text.split_once(START).expect("the start of the tables");
        let (found, after) = rest.split_once(END).expect("the end of the tables");
        let [before, found, after] = [before, found, after].map(str::to_owned);
        File { path, before, found, after, update: std::env::var_os("UPDATE_GOLDEN").is_some() }
    }

    /// Whether kernel and peers are those of the tables.
    fn is_comparable(&self) -> bool {
        self.update || self.found.lines().next() == Some(&versions())
    }

    fn caption(&self) -> String {
        let recorded = self.found.lines().next().unwrap_or_default();
        if self.is_comparable() { versions() + "\n" } else { recorded.to_owned() + "\n" }
    }

    /// What the tables say, by name.
    fn recorded(&self) -> BTreeMap<&str, Vec<Fate>> {
        let mut recorded = BTreeMap::new();
        for line in self.found.lines().filter(|line| line.starts_with('|')) {
            let fates: Vec<Fate> = line.split('|').filter_map(|cell| Fate::read(cell.trim())).collect();
            recorded.extend(line.split('`').skip(1).step_by(2).map(|name| (name, fates.clone())));
        }
        recorded
    }

    /// As seen; as recorded where nothing is to be seen, or the same on another kernel.
    fn settled(&self, name: &str, seen: &Seen) -> Vec<Fate> {
        let recorded = self.recorded().remove(name).unwrap_or_default();
        let settle = |(place, seen): (usize, &Option<Fate>)| match (*seen, recorded.get(place)) {
            (None | Some(Fate::Lacking), Some(recorded)) => *recorded,
            (Some(seen), Some(recorded)) if !self.update && seen.is_open() == recorded.is_open() => *recorded,
            (seen, _) => seen.unwrap_or(Fate::Lacking),
        };
        seen.iter().enumerate().map(settle).collect()
    }
}

/// What the columns of peers, and what the kernel lacks, depend on.
fn versions() -> String {
    let number = |program: &str, flag: &str| {
        let output = Command::new(program).arg(flag).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut words = text.split([' ', '\n', '-', '+', '~']);
        words.find(|word| word.starts_with(|first: char| first.is_ascii_digit())).map(str::to_owned)
    };
    let programs = [("Linux", "uname", "-r"), ("runc", "runc", "-v"), ("crun", "crun", "-v")];
    let programs = programs.into_iter().chain([("containerd", "containerd", "-v")]);
    let named = programs.map(|(name, program, flag)| {
        format!("{name} {}", number(program, flag).unwrap_or_else(|| "absent".to_owned()))
    });
    format!("Seen with {}.", named.collect::<Vec<_>>().join(", "))
}

/// The peers with the configuration that they write, and with the one that containerd writes.
fn peers() -> Vec<Option<Column>> {
    let own = |name| Column::of_peer(name, &defaults::spec(name)?);
    let engine = defaults::containerd();
    let of_engine = |name| Column::of_peer(name, engine.as_ref()?);
    vec![own("runc"), own("crun"), of_engine("runc"), of_engine("crun")]
}

/// One line for the gates of a topic that fare alike, and the sums.
fn gates(file: &File, unconfined: &Column, columns: &[Option<&Column>]) -> String {
    let seen = |gate| columns.iter().map(|column| Some(column.as_ref()?.fate(gate, unconfined))).collect();
    let all = unconfined.gates().map(|(gate, answer)| {
        let topic = answer["topic"].as_str().expect("every gate has a topic");
        (topic, gate, file.settled(gate, &seen(gate)))
    });
    let all: Vec<(&str, &str, Vec<Fate>)> = all.collect();
    let mut table = head(&["a workload…", "tried by"], &[&RUNTIMES[..], &UNDER_CONTAINERD].concat());
    for topic in all.chunk_by(|one, other| one.0 == other.0) {
        let mut alike: BTreeMap<&[Fate], Vec<String>> = BTreeMap::new();
        for (_, gate, fates) in topic {
            alike.entry(fates).or_default().push(format!("`{gate}`"));
        }
        for (place, (fates, names)) in alike.iter().enumerate() {
            let promise = if place == 0 { topic[0].0 } else { "" };
            table += &line(&[promise, &names.join(", ")], fates);
        }
    }
    let open = |place: usize| all.iter().filter(|(.., fates)| fates[place].is_open()).count();
    let sums = (0..columns.len()).map(|place| format!("**{}**", open(place)));
    table + &line(&["", &format!("open, of {}", all.len())], &sums.collect::<Vec<_>>())
}

/// One line for each attack that takes arrangement.
fn arranged(file: &File) -> String {
    let runtime = |name: &&str| match *name {
        "oci" if !file.is_comparable() => None,
        "runc" | "crun" => Runtime::peer(name).filter(|_| file.is_comparable()),
        level => Some(Runtime::at_level(level)),
    };
    let lines = ATTACKS.iter().map(|attack| {
        let fate = |succeeds| if succeeds { Fate::Open } else { Fate::Shut };
        let seen: Seen = RUNTIMES.iter().map(|name| (attack.succeeds)(&runtime(name)?).map(fate)).collect();
        line(&[attack.what, &format!("`{}`", attack.name)], &file.settled(attack.name, &seen))
    });
    head(&["what the image or the caller sets up", "attack"], &RUNTIMES) + &lines.collect::<String>()
}

fn head(first: &[&str], columns: &[&str]) -> String {
    let titles = [first, columns].concat();
    format!("| {} |\n|{}\n", titles.join(" | "), " --- |".repeat(titles.len()))
}

fn line(first: &[&str], cells: &[impl ToString]) -> String {
    let cells: Vec<String> =
        first.iter().map(ToString::to_string).chain(cells.iter().map(ToString::to_string)).collect();
    format!("| {} |\n", cells.join(" | "))
}

/// The gates that stay open, with the reasons.
fn reasons() -> String {
    let listed = |level: &str, open: &[Open]| {
        let lines = open.iter().map(|open| format!("- `{}`: {}.\n", open.gate, open.because));
        format!("Open at `{level}`:\n\n{}", lines.collect::<String>())
    };
    listed("baseline", AT_BASELINE) + "\n" + &listed("strict", AT_STRICT)
}
