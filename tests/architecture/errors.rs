//! docs/errors.md quotes what sandrun says: the sources still say it.

use std::fs;
use std::path::Path;

const PATH: &str = "docs/errors.md";

/// The sources with every line that a backslash continues made one.
fn sources(dir: &Path, text: &mut String) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

/// What the first column of the table under a heading quotes, each in the parts between what differs.
fn quoted(page: &str, heading: &str) -> Vec<Vec<String>> {
    let (_, section) = page.split_once(heading).unwrap();
    let rows =
        section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let quotes = rows.skip(2).map(|row| row.split('`').nth(1).unwrap());
    quotes.map(|quote| quote.split('…').map(|part| part.trim().to_owned()).collect()).collect()
}

#[test]
fn errors_are_as_quoted() {
    let page = fs::read_to_string(PATH).unwrap();
    let mut text = String::new();
    sources(Path::new("src"), &mut text);
    let quotes = quoted(&page, "## The container does not start");
    assert!(quotes.len() > 15, "the table is not found");
    for quote in quotes {
        for part in quote.iter().filter(|part| part.len() > 3) {
            assert!(text.contains(part.as_str()), "{PATH} quotes {part:?}, which sandrun does not say");
        }
    }
}
