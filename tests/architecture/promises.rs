//! SPECIFICATION.md: every promise has its number and a test that exists.

use std::fs;
use std::path::Path;

const PATH: &str = "SPECIFICATION.md";

/// One promise: its number, and the tests that hold it, each as file and function.
struct Promise {
    number: String,
    tests: Vec<(String, String)>,
}

/// `1.2.` at the start of a line begins a promise; it ends where the next one, or a heading, begins.
fn promises(text: &str) -> Vec<Promise> {
    let mut all: Vec<(String, String)> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        match number(line) {
            Some(number) => {
                all.push((number.to_owned(), line.to_owned()));
                inside = true;
            }
            None if line.starts_with('#') => inside = false,
            None if inside => {
                let (_, text) = all.last_mut().unwrap();
                text.push(' ');
                text.push_str(line.trim());
            }
            None => {}
        }
    }
    all.into_iter().map(|(number, text)| Promise { tests: tests(&text), number }).collect()
}

fn number(line: &str) -> Option<&str> {
    let (number, _) = line.split_once(". ")?;
    let (section, promise) = number.split_once('.')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (digits(section) && digits(promise)).then_some(number)
}

/// After `Held by`, in backquotes: a file, and then the functions in it.
fn tests(promise: &str) -> Vec<(String, String)> {
    let Some((_, held)) = promise.split_once("Held by ") else { return Vec::new() };
    let mut file = String::new();
    let mut tests = Vec::new();
    for word in held.split('`').skip(1).step_by(2) {
        if word.ends_with(".rs") {
            file = word.to_owned();
        } else {
            tests.push((file.clone(), word.to_owned()));
        }
    }
    tests
}

/// Whether a file has a test of that name.
fn is_test(source: &str, name: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let declaration = format!("fn {name}()");
    let at = lines.iter().position(|line| line.starts_with(&declaration));
    at.is_some_and(|at| {
        let attributes = lines[..at].iter().rev().take_while(|line| line.starts_with('#'));
        attributes.into_iter().any(|line| *line == "#[test]")
    })
}

#[test]
fn every_promise_names_tests_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let promises = promises(&fs::read_to_string(root.join(PATH)).unwrap());
    assert!(promises.len() >= 20, "only {} promises were read", promises.len());
    for Promise { number, tests } in &promises {
        assert!(!tests.is_empty(), "promise {number} names no test");
        for (file, name) in tests {
            let source = fs::read_to_string(root.join(file))
                .unwrap_or_else(|error| panic!("promise {number}: {file:?}: {error}"));
            assert!(is_test(&source, name), "promise {number}: {file} has no test {name}");
        }
    }
}

#[test]
fn promises_are_numbered_without_gaps() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let promises = promises(&fs::read_to_string(root.join(PATH)).unwrap());
    let mut previous = (0, 0);
    for Promise { number, .. } in &promises {
        let (section, promise) = number.split_once('.').unwrap();
        let this: (u32, u32) = (section.parse().unwrap(), promise.parse().unwrap());
        let next = [(previous.0, previous.1 + 1), (previous.0 + 1, 1)];
        assert!(next.contains(&this), "promise {number} comes after {}.{}", previous.0, previous.1);
        previous = this;
    }
}

#[test]
fn a_promise_is_read_to_its_end() {
    let text = "## 1. Calls\n1.1. **Few.** At most 3\n  of them. Held by `a.rs`: `one`,\n  `two`; `b.rs`: `three`.\n## 2\nx `d`";
    let read = promises(text);
    let pair = |file: &str, name: &str| (file.to_owned(), name.to_owned());
    assert_eq!(read.len(), 1);
    assert_eq!(read[0].tests, [pair("a.rs", "one"), pair("a.rs", "two"), pair("b.rs", "three")]);
    assert!(is_test("#[test]\n#[cfg(x)]\nfn one() {", "one") && !is_test("fn one() {", "one"));
}
