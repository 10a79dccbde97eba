//! Edits of a configuration that is not ours. Each is one insertion that can be told apart later, so that taking it out
//! again gives the file back byte for byte, whatever else was changed in between, and no copy has to be kept.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::handlers::quoted;
use crate::error::{Error, Kind, Result};

const BEGIN: &str = "# sandrun: begin. Written by `sandrun install`, removed by `sandrun uninstall`.\n";
/// The same where a line end had to be added before it.
const BEGIN_AFTER_OPEN_LINE: &str = "\n# sandrun: begin, after a line without an end. Written by `sandrun install`, removed by `sandrun uninstall`.\n";
const END: &str = "# sandrun: end.\n";
/// Behind a line that was added whole.
const OURS: &str = " # by `sandrun install`\n";

/// The file with a block of tables at its end.
pub fn with_block(text: &str, tables: &str) -> String {
    let begin = if text.is_empty() || text.ends_with('\n') { BEGIN } else { BEGIN_AFTER_OPEN_LINE };
    format!("{text}{begin}{tables}{END}")
}

/// The file with one more import: at the end of the list, or in a line of its own at the top.
///
/// # Errors
/// `Invalid` when the file is no TOML, or its `imports` no list.
pub fn with_import(text: &str, path: &str) -> Result<String> {
    let path = quoted(path);
    let insert = |at: usize, what: String| {
        let (before, after) = text.split_at_checked(at).unwrap_or((text, ""));
        format!("{before}{what}{after}")
    };
    Ok(match imports(text)? {
        None => insert(0, format!("imports = [{path}]{OURS}")),
        Some((list, elements)) => match elements.last() {
            Some((_, last)) => insert(last.end, format!(", {path}")),
            None => insert(list.start + 1, path),
        },
    })
}

/// The file as it was before [`with_block`] and [`with_import`].
///
/// # Errors
/// As for [`with_import`], and when the end of the block is missing.
pub fn without(text: &str, import: &str) -> Result<String> {
    without_import(&without_block(text)?, import)
}

/// The file as it was before [`with_block`].
///
/// # Errors
/// `Invalid` when the end of the block is missing.
pub fn without_block(text: &str) -> Result<String> {
    let begin = [BEGIN_AFTER_OPEN_LINE, BEGIN].into_iter().find_map(|begin| text.split_once(begin));
    let Some((before, rest)) = begin else { return Ok(text.to_owned()) };
    match rest.split_once(END) {
        Some((_, after)) => Ok(format!("{before}{after}")),
        None => {
            Err(unreadable(&format!("the line {:?} is missing after {:?}", END.trim_end(), BEGIN.trim_end()))
                .fix("take the block of sandrun out by hand"))
        }
    }
}

fn without_import(text: &str, path: &str) -> Result<String> {
    let value = quoted(path);
    if let Some((before, after)) = text.split_once(&format!("imports = [{value}]{OURS}")) {
        return Ok(format!("{before}{after}"));
    }
    let Some((_, elements)) = imports(text)? else { return Ok(text.to_owned()) };
    let Some(at) = elements.iter().position(|(element, _)| element == path) else {
        return Ok(text.to_owned());
    };
    let Some((_, span)) = elements.get(at) else { return Ok(text.to_owned()) };
    // Up to the element before it, for the comma is ours too; without one, up to the next.
    let before = at.checked_sub(1).and_then(|before| elements.get(before)).map(|(_, span)| span.end);
    let after = elements.get(at + 1).map(|(_, span)| span.start);
    let gone = match (before, after) {
        (Some(before), _) => before..span.end,
        (None, Some(after)) => span.start..after,
        (None, None) => span.clone(),
    };
    let mut text = text.to_owned();
    text.replace_range(gone, "");
    Ok(text)
}

type Element = (String, Range<usize>);

/// Where the list of imports is, and what is in it.
fn imports(text: &str) -> Result<Option<(Range<usize>, Vec<Element>)>> {
    let table = DeTable::parse(text).map_err(|error| unreadable(error.message()))?;
    let Some(value) = table.get_ref().get("imports") else { return Ok(None) };
    let DeValue::Array(array) = value.get_ref() else { return Err(unreadable("imports is not a list")) };
    let elements = array.iter().map(|element| match element.get_ref() {
        DeValue::String(path) => Ok((path.to_string(), element.span())),
        _ => Err(unreadable("imports is not a list of paths")),
    });
    Ok(Some((value.span(), elements.collect::<Result<_>>()?)))
}

/// The paths and patterns that a configuration imports.
///
/// # Errors
/// `Invalid` when the file is no TOML, or its `imports` no list of strings.
pub fn imported(text: &str) -> Result<Vec<String>> {
    Ok(imports(text)?
        .map_or_else(Vec::new, |(_, elements)| elements.into_iter().map(|(path, _)| path).collect()))
}

fn unreadable(why: &str) -> Error {
    Error::new(Kind::Invalid, "cannot read containerd's configuration", why)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUR: &str = "/etc/containerd/conf.d/sandrun.toml";

    /// Everything that a file may look like where an import goes.
    const FILES: &[&str] = &[
        "",
        "version = 2\n",
        "# top\nversion = 2 # two\n\n[plugins]\n  a = 1",
        "imports = []\nversion = 2\n",
        "imports = [ ] # none yet\n",
        "imports = [\n  # nothing\n]\n",
        "imports = ['/a/*.toml']\n",
        "version = 2\nimports = [\"/a\", '/b' ]\n[plugins]\n",
        "imports = [\n  \"/a\", # first\n  \"/b\", # last\n]\n",
        "\"imports\" = [\"/a\",]\n",
        "version = 3\r\nimports = [\"/a\"]\r\n",
    ];

    #[test]
    fn an_edit_is_taken_out_byte_for_byte() {
        for file in FILES {
            let edited = with_import(file, OUR).unwrap();
            let mut expected = imported(file).unwrap();
            expected.push(OUR.to_owned());
            assert_eq!(imported(&edited).unwrap(), expected, "{edited}");
            assert_eq!(&without(&edited, OUR).unwrap(), file, "{edited}");
            let edited = with_block(&edited, "[a.b]\nc = 1\n");
            assert!(edited.parse::<toml::Table>().unwrap().contains_key("a"), "{edited}");
            assert_eq!(&without(&edited, OUR).unwrap(), file, "{edited}");
            assert_eq!(&without(file, OUR).unwrap(), file);
        }
    }

    #[test]
    fn what_others_changed_since_stays() {
        let ours = with_block(&with_import("imports = [\"/a\"]\n", OUR).unwrap(), "[a]\n");
        let theirs = ours.replace("\"/a\"", "\"/b\", \"/c\"") + "[mine]\nx = 1\n";
        assert_eq!(without(&theirs, OUR).unwrap(), "imports = [\"/b\", \"/c\"]\n[mine]\nx = 1\n");
        // Reformatted: our entry is still found.
        let sorted = format!("imports = [\n  '{OUR}',\n  '/b',\n]\n");
        assert_eq!(without(&sorted, OUR).unwrap(), "imports = [\n  '/b',\n]\n");
    }

    #[test]
    fn what_cannot_be_edited_is_refused() {
        assert!(with_import("imports = 1\n", OUR).is_err());
        assert!(with_import("imports = [1]\n", OUR).is_err());
        assert!(with_import("not toml", OUR).is_err());
        assert!(without_block(&with_block("", "[a]\n").replace(END, "")).is_err());
    }
}
