//! Files: what is one, what it says together with what it is derived from, and what is wrong with it.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::error::Kind;
use crate::policy::form::{Builtin, Policy};
use crate::policy::{Mode, builtin};

const EXAMPLE: &str = include_str!("../../../policy/example.toml");

fn load(text: &str) -> Result<Policy, Error> {
    Written::new(text).origin().load().map(|loaded| loaded.unwrap().policy)
}

#[test]
fn every_builtin_is_a_policy_and_each_is_stricter_than_the_one_before() {
    let [privileged, baseline, restricted] = [Builtin::Privileged, Builtin::Baseline, Builtin::Restricted]
        .map(|name| builtin(name).unwrap().policy);
    assert_eq!(privileged.capabilities.allow, None);
    assert_eq!(baseline.capabilities.allow.as_ref().map(Vec::len), Some(14));
    assert_eq!(restricted.capabilities.allow.as_ref().map(Vec::len), Some(1));
    assert_eq!(restricted.mounts, baseline.mounts);
    assert_eq!(restricted.level.minimum, Some(Level::Baseline));
}

/// It would be no help if it were wrong; and a key that is not in it would be found by nobody.
#[test]
fn the_example_says_everything_and_a_reason_is_beside_every_key() {
    let example = load(EXAMPLE).unwrap();
    let shown: toml::Table = toml::from_str(&toml::to_string(&example).unwrap()).unwrap();
    assert_eq!(shown["ceilings"]["memory"].as_integer(), Some(8 << 30));
    let mut commented = false;
    for line in EXAMPLE.lines() {
        let is_key = line.contains(" = ")
            && !line.starts_with(['#', ' '])
            && !line.starts_with("mode")
            && !line.starts_with('"');
        assert!(
            !is_key || commented || shown["ceilings"].get(line.split(' ').next().unwrap()).is_some(),
            "{line}"
        );
        commented = line.starts_with('#') || (commented && !line.is_empty());
    }
    // Whatever can be said is said: a policy with every key absent would differ in each.
    let keys = |table: &toml::Table| -> usize {
        table.values().map(|value| value.as_table().map_or(1, toml::Table::len)).sum()
    };
    let source = include_str!("../form.rs");
    let fields = source.lines().filter(|line| is_field(line));
    assert_eq!(keys(&shown), fields.count(), "a key of form.rs is not in the example");
}

/// A line of a table in form.rs, or one of the three keys beside them.
fn is_field(line: &str) -> bool {
    let line = line.trim();
    let Some((name, rest)) = line.trim_start_matches("pub ").split_once(": ") else { return false };
    let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let typed = rest.ends_with(',')
        && rest.starts_with(|c: char| c.is_ascii_uppercase() || matches!(c, 'b' | 'u' | 'f'));
    let table = rest.ends_with("Rules,") || rest == "Ceilings," || rest == "Defaults,";
    plain && typed && !table && !rest.contains('(') && !rest.contains("self")
}

#[test]
fn what_a_file_says_counts_and_the_rest_is_derived() {
    let policy =
        load("extends = \"baseline\"\n[capabilities]\nallow = []\n[mounts]\nmode = \"warn\"").unwrap();
    assert_eq!(policy.capabilities.allow.as_deref(), Some(&[][..]));
    assert_eq!(policy.mounts.mode, Some(Mode::Warn));
    assert_eq!(policy.mounts.engine_sockets, Some(false));
}

#[test]
fn what_is_wrong_is_said_with_its_line_and_refuses() {
    for (text, words) in [
        ("mode = \"enforce\"\nmodes = 1", "line 2: unknown field `modes`"),
        ("\n[mounts]\nallowed = []", "line 3: unknown field `allowed`"),
        ("extends = \"tight\"", "line 1: unknown variant `tight`"),
        ("[capabilities]\nallow = [\"CAP_X\"]", "line 2: CAP_X is no capability"),
        ("[mounts]\nallow = [\"volumes\"]", "line 2: \"volumes\" is not an absolute path"),
        ("[mounts]\nallow = [\"/a/../b\"]", "is not an absolute path"),
        ("[mounts]\nallow = [\"/a/{pod}\"]", "only {pod-uid} and {sandbox-id} stand for something"),
        ("[devices]\nallow = [\"/dev/fuse\"]", "is no device such as"),
        ("[sysctl]\nallow = [\"net.*.x\"]", "neither a name"),
        ("[ceilings]\nmemory = \"much\"", "is no size"),
        ("[ceilings]\nmemory = 0", "more than 0 bytes"),
        ("require = [\"luck\"]", "unknown variant `luck`"),
        ("mode = ", "line 1: "),
    ] {
        let error = load(text).unwrap_err();
        assert_eq!((error.kind, error.exit_code()), (Kind::Refused, 78), "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert!(error.fix.as_ref().unwrap().contains("nothing is created"), "{error}");
    }
}

#[test]
fn a_file_that_others_may_write_to_or_own_decides_nothing() {
    let file = Written::new("");
    let refusal = || file.origin().load().unwrap_err().to_string();
    for mode in [0o620, 0o602, 0o666] {
        std::fs::set_permissions(&file.0, std::fs::Permissions::from_mode(mode)).unwrap();
        assert!(refusal().contains("others than its owner may write to it"), "{}", refusal());
    }
    std::fs::set_permissions(&file.0, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(file.origin().load().is_ok());
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&file.0, Some(12345), None).unwrap();
        assert!(refusal().contains("it belongs to user 12345"), "{}", refusal());
    }
    let directory = Origin::File(std::env::temp_dir()).load().unwrap_err().to_string();
    assert!(directory.contains("it is not a regular file"), "{directory}");
    assert!(Origin::File("/no/such/policy".into()).load().unwrap_err().to_string().contains("No such file"));
}

#[test]
fn names_of_builtins() {
    assert_eq!(Origin::parse("builtin:restricted"), Ok(Origin::Builtin(Builtin::Restricted)));
    assert_eq!(Origin::parse("a.toml"), Ok(Origin::File("a.toml".into())));
    assert!(Origin::parse("builtin:tight").unwrap_err().contains("expected privileged"));
}
