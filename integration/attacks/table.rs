//! The table of SECURITY.md. What depends on the kernel and the peers, `oci` among it, is compared where they are those of
//! the table; `baseline` and `strict` everywhere.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use super::column::{Column, Fate};
use super::defaults;
use super::open::{AT_BASELINE, AT_STRICT, Open, UNTIL_STRICT_IS_WHOLE};

const START: &str = "<!-- attacks: written by `UPDATE_GOLDEN=1 cargo test --test integration attacks` -->\n";
const END: &str = "<!-- end of attacks -->";

const COLUMNS: [&str; 7] = ["oci", "baseline", "strict", "runc", "crun", "runc, engine", "crun, engine"];
/// How many of them are ours.
const OURS: usize = 3;

/// How one gate fares in each column.
type Fates = [Fate; COLUMNS.len()];

/// Fails if the table in the file differs from what is seen, or writes it anew.
pub fn assert_current(unconfined: &Column, ours: [&Column; OURS]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("SECURITY.md");
    let text = std::fs::read_to_string(&path).expect("cannot read SECURITY.md");
    let (before, rest) = text.split_once(START).expect("the start of the table");
    let (found, after) = rest.split_once(END).expect("the end of the table");
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let (caption, _) = found.split_once('\n').unwrap_or_default();
    let comparable = update || caption == versions();
    let (caption, peers) = if comparable { (versions(), peers()) } else { (caption.to_owned(), NO_PEERS) };
    let [oci, baseline, strict] = ours;
    let ours = [comparable.then_some(oci), Some(baseline), Some(strict)];
    let columns = Vec::from_iter(ours.into_iter().chain(peers.iter().map(Option::as_ref)));
    let recorded = recorded(found);
    let fates = unconfined.gates().map(|(gate, answer)| {
        let topic = answer["topic"].as_str().expect("every gate has a topic");
        let recorded = if update { None } else { recorded.get(gate) };
        (topic, gate, fates(gate, unconfined, &columns, recorded))
    });
    let table = format!("{caption}\n\n{}\n{}", table(&fates.collect::<Vec<_>>()), reasons());
    if update {
        let text = format!("{before}{START}{table}{END}{after}");
        return std::fs::write(&path, text).expect("cannot write SECURITY.md");
    }
    assert_eq!(lines_of_one(found, &table), lines_of_one(&table, found), "UPDATE_GOLDEN=1 writes it anew");
}

/// The lines that the other text lacks.
fn lines_of_one<'a>(one: &'a str, other: &str) -> Vec<&'a str> {
    one.lines().filter(|line| !other.lines().any(|known| known == *line)).collect()
}

/// What the peers' columns, and what the kernel lacks, depend on.
fn versions() -> String {
    let first_number = |program: &str, flag: &str| {
        let output = Command::new(program).arg(flag).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let number = text
            .split([' ', '\n', '-', '+', '~'])
            .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
        Some(number.to_owned())
    };
    let named = [
        ("Linux", "uname", "-r"),
        ("runc", "runc", "-v"),
        ("crun", "crun", "-v"),
        ("containerd", "containerd", "-v"),
    ]
    .map(|(name, program, flag)| {
        format!("{name} {}", first_number(program, flag).unwrap_or_else(|| "absent".to_owned()))
    });
    format!("Seen with {}.", named.join(", "))
}

type Peers = [Option<Column>; COLUMNS.len() - OURS];
const NO_PEERS: Peers = [const { None }; COLUMNS.len() - OURS];

/// The peers with the configuration that they write, and with the one that containerd writes.
fn peers() -> Peers {
    let own = |name| Column::of_peer(name, &defaults::spec(name)?);
    let engine = defaults::containerd();
    let of_engine = |name| Column::of_peer(name, engine.as_ref()?);
    [own("runc"), own("crun"), of_engine("runc"), of_engine("crun")]
}

/// As seen; as recorded where nothing is to be seen, or the same on another kernel.
fn fates(gate: &str, unconfined: &Column, columns: &[Option<&Column>], recorded: Option<&Fates>) -> Fates {
    std::array::from_fn(|place| {
        let seen = columns[place].map(|column| column.fate(gate, unconfined));
        match (seen, recorded.map(|fates| fates[place])) {
            (Some(Fate::Lacking) | None, Some(recorded)) => recorded,
            (Some(seen), Some(recorded)) if seen.is_open() == recorded.is_open() => recorded,
            (seen, _) => seen.unwrap_or(Fate::Lacking),
        }
    })
}

/// What the table in the file says of each gate.
fn recorded(table: &str) -> BTreeMap<&str, Fates> {
    let mut recorded = BTreeMap::new();
    for line in table.lines().filter(|line| line.contains('`') && line.starts_with('|')) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let fates: Vec<Fate> = cells.iter().filter_map(|cell| Fate::read(cell)).collect();
        let Ok(fates) = Fates::try_from(fates) else { continue };
        recorded.extend(cells[2].split('`').skip(1).step_by(2).map(|gate| (gate, fates)));
    }
    recorded
}

/// One line for the gates of a topic that fare alike, and the sums.
fn table(gates: &[(&str, &str, Fates)]) -> String {
    let mut text = format!(
        "| a workload… | tried by | {} |\n|{}\n",
        COLUMNS.join(" | "),
        " --- |".repeat(COLUMNS.len() + 2)
    );
    for topic in gates.chunk_by(|one, other| one.0 == other.0) {
        let mut alike: BTreeMap<Fates, Vec<String>> = BTreeMap::new();
        for (_, gate, fates) in topic {
            alike.entry(*fates).or_default().push(format!("`{gate}`"));
        }
        for (place, (fates, names)) in alike.iter().enumerate() {
            let promise = if place == 0 { topic[0].0 } else { "" };
            text += &line(promise, &names.join(", "), &fates.map(|fate| fate.to_string()));
        }
    }
    let open = |place: usize| gates.iter().filter(|(.., fates)| fates[place].is_open()).count();
    let sums: [String; COLUMNS.len()] = std::array::from_fn(|place| format!("**{}**", open(place)));
    text + &line("", &format!("open, of {}", gates.len()), &sums)
}

fn line(promise: &str, names: &str, cells: &[String]) -> String {
    format!("| {promise} | {names} | {} |\n", cells.join(" | "))
}

/// The gates that stay open, with the reasons.
fn reasons() -> String {
    let listed = |level: &str, open: &[Open]| {
        let lines = open.iter().map(|open| format!("- `{}`: {}.\n", open.gate, open.because));
        format!("Open at `{level}`:\n\n{}\n", lines.collect::<String>())
    };
    let strict = [AT_STRICT, UNTIL_STRICT_IS_WHOLE].concat();
    listed("baseline", AT_BASELINE) + &listed("strict", &strict)
}
