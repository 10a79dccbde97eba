//! The sources as text, without what is no code: comments, texts, tests.

use std::fs;
use std::path::{Path, PathBuf};

/// One file, as the compiler of the program sees it.
pub struct Source {
    /// From the root of the repository: `src/plan/mod.rs`.
    pub path: String,
    /// Comments, texts and `#[cfg(test)]` items blanked out, lines kept.
    pub code: String,
}

/// Every file below `dir` that is part of the program.
pub fn below(dir: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    collect(&root.join(dir), &mut paths);
    paths.sort();
    assert!(!paths.is_empty(), "nothing in {dir}");
    let relative = |path: &Path| path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        Source { path: relative(&path), code: without_tests(&without_texts(&text)) }
    };
    paths.into_iter().map(read).collect()
}

fn collect(dir: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display())) {
        let path = entry.unwrap().path();
        if path.file_stem().is_some_and(|name| name == "tests") {
            continue;
        }
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

/// Blanks out comments, strings and characters.
pub fn without_texts(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = text_length(rest, code.chars().next_back());
        let (taken, left) = rest.split_at(length.unwrap_or(first.len_utf8()));
        match length {
            Some(_) => code.extend(taken.chars().map(|c| if c == '\n' { '\n' } else { ' ' })),
            None => code.push_str(taken),
        }
        rest = left;
    }
    code
}

/// How long the comment, string or character is that starts here, if one does.
fn text_length(rest: &str, before: Option<char>) -> Option<usize> {
    let up_to =
        |end: &str, from: usize| rest[from..].find(end).map_or(rest.len(), |at| from + at + end.len());
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(up_to("*/", 2));
    }
    if rest.starts_with('r') && !in_word {
        let hashes = rest[1..].chars().take_while(|&c| c == '#').count();
        if rest[1 + hashes..].starts_with('"') {
            return Some(up_to(&format!("\"{}", "#".repeat(hashes)), hashes + 2));
        }
    }
    if rest.starts_with('"') {
        return Some(quoted(rest, '"'));
    }
    // A lifetime has no second quote two characters on.
    let character =
        rest.starts_with('\'') && (rest[1..].starts_with('\\') || rest.chars().nth(2) == Some('\''));
    character.then(|| quoted(rest, '\''))
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// Blanks out the items behind `#[cfg(test)]`.
pub fn without_tests(code: &str) -> String {
    let mut kept = String::new();
    let mut rest = code;
    while let Some(at) = rest.find("#[cfg(test)]") {
        let (before, item) = rest.split_at(at);
        let length = item_length(item);
        kept.push_str(before);
        kept.extend(item[..length].chars().filter(|&c| c == '\n'));
        rest = &item[length..];
    }
    kept + rest
}

/// To the semicolon, or to the brace that closes the first one.
fn item_length(item: &str) -> usize {
    let mut depth = 0;
    for (at, c) in item.char_indices() {
        match c {
            ';' if depth == 0 => return at + 1,
            '{' => depth += 1,
            '}' if depth == 1 => return at + 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    item.len()
}

/// The lines (from 1) on which `code` has `word` as a whole word.
pub fn lines_with(code: &str, word: &str) -> Vec<usize> {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    let found = |line: &str| {
        line.match_indices(word).any(|(at, _)| {
            let before = word.starts_with(part_of_word) && line[..at].ends_with(part_of_word);
            let after = word.ends_with(part_of_word) && line[at + word.len()..].starts_with(part_of_word);
            !before && !after
        })
    };
    code.lines().enumerate().filter(|(_, line)| found(line)).map(|(number, _)| number + 1).collect()
}

#[test]
fn what_is_no_code_is_not_seen() {
    let text = "use a; // crate::sys\n/* crate::sys */ let s = \"crate::sys \\\" x\"; let c = '\"'; f::<'a>(r#\"crate::sys \"# );\n";
    let code = without_texts(text);
    assert!(lines_with(&code, "crate::sys").is_empty(), "{code}");
    assert!(code.contains("use a;") && code.contains("f::<'a>("), "{code}");
    assert_eq!(code.lines().count(), text.lines().count());
}

#[test]
fn what_is_code_is_seen() {
    let code = without_tests(&without_texts(
        "use crate::sys::x;\n#[cfg(test)]\nmod tests { fn f() { a.unwrap() } }\nb.unwrap();\n",
    ));
    assert_eq!(lines_with(&code, "crate::sys"), [1]);
    assert_eq!(lines_with(&code, ".unwrap("), [4]);
    assert!(lines_with("use crate::system;", "crate::sys").is_empty());
    assert_eq!(lines_with("let a = unsafe { b };", "unsafe"), [1]);
    assert!(lines_with("#![deny(unsafe_code)]", "unsafe").is_empty());
}
