//! LandlockConfig: rules as JSON, in the form of `schema/landlockconfig.json` of github.com/landlock-lsm/landlockconfig.
//!
//! A right that a rule grants is handled, as in its own library. Paths are the container's.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::origin::{Origin, bits};
use super::rights::{Kind, NEWEST_ABI, Word};
use super::{Landlock, NetPort, PathBeneath};
use crate::error::Error;

/// No rules that somebody wrote come near this many bytes.
pub const LARGEST: usize = 256 << 10;

/// Each rule is memory of the kernel's, and a call.
const MOST_RULES: usize = 4096;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Config {
    abi: Option<u32>,
    #[serde(default)]
    variable: Vec<Variable>,
    #[serde(default)]
    ruleset: Vec<Ruleset>,
    #[serde(default)]
    path_beneath: Vec<PathRule>,
    #[serde(default)]
    net_port: Vec<PortRule>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Variable {
    name: String,
    #[serde(default)]
    literal: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Ruleset {
    #[serde(default)]
    handled_access_fs: Vec<Word>,
    #[serde(default)]
    handled_access_net: Vec<Word>,
    #[serde(default)]
    scoped: Vec<Word>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct PathRule {
    allowed_access: Vec<Word>,
    parent: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct PortRule {
    allowed_access: Vec<Word>,
    port: Vec<u16>,
}

/// The domain of a text, for a kernel's ABI.
pub(super) fn read(text: &str, origin: &Origin, abi: u32) -> Result<Landlock, Error> {
    if text.len() > LARGEST {
        return Err(origin.invalid(format!("more than {LARGEST} bytes"), "write fewer rules"));
    }
    let value = serde_json::from_str(text)
        .map_err(|error| origin.invalid(error.to_string(), "write LandlockConfig JSON"))?;
    origin.enforceable(domain(typed(value, origin)?, origin, abi)?)
}

/// A value in its typed form; what is wrong in it is told with its place.
pub(super) fn typed<T: DeserializeOwned>(value: Value, origin: &Origin) -> Result<T, Error> {
    serde_path_to_error::deserialize(value)
        .map_err(|error| origin.invalid(error.to_string(), "see the schema of LandlockConfig"))
}

/// The domain as it is written, whether the kernel's ABI has all of it or not.
pub(super) fn domain(config: Config, origin: &Origin, abi: u32) -> Result<Landlock, Error> {
    let invalid = |at: &str, why: String| origin.invalid(format!("{at}: {why}"), "correct it");
    if config.abi.is_some_and(|asked| !(1..=NEWEST_ABI).contains(&asked)) {
        return Err(invalid("abi", format!("the known ones are 1 to {NEWEST_ABI}")));
    }
    let mut domain = Landlock { origin: origin.name(), abi, ..Landlock::default() };
    let of =
        |kind, words: &[Word], at: String| bits(kind, words, config.abi).map_err(|why| invalid(&at, why));
    for (i, ruleset) in config.ruleset.iter().enumerate() {
        let at = |field: &str| format!("ruleset[{i}].{field}");
        domain.handled_access_fs |= of(Kind::Fs, &ruleset.handled_access_fs, at("handledAccessFs"))?;
        domain.handled_access_net |= of(Kind::Net, &ruleset.handled_access_net, at("handledAccessNet"))?;
        domain.scoped |= of(Kind::Scope, &ruleset.scoped, at("scoped"))?;
    }
    let mut paths = BTreeMap::<String, u64>::new();
    for (i, rule) in config.path_beneath.iter().enumerate() {
        let access = of(Kind::Fs, &rule.allowed_access, format!("pathBeneath[{i}].allowedAccess"))?;
        domain.handled_access_fs |= access;
        for parent in &rule.parent {
            let at = format!("pathBeneath[{i}].parent");
            for path in expand(parent, &config.variable).map_err(|why| invalid(&at, why))? {
                *paths.entry(path).or_default() |= access;
                if paths.len() > MOST_RULES {
                    return Err(invalid(&at, format!("more than {MOST_RULES} paths")));
                }
            }
        }
    }
    let mut ports = BTreeMap::<u16, u64>::new();
    for (i, rule) in config.net_port.iter().enumerate() {
        let access = of(Kind::Net, &rule.allowed_access, format!("netPort[{i}].allowedAccess"))?;
        domain.handled_access_net |= access;
        rule.port.iter().for_each(|port| *ports.entry(*port).or_default() |= access);
        if ports.len() > MOST_RULES {
            return Err(invalid("netPort", format!("more than {MOST_RULES} ports")));
        }
    }
    if domain.handled_access_fs | domain.handled_access_net | domain.scoped == 0 {
        return Err(origin.invalid("nothing is restricted", "name a right in ruleset, or leave it out"));
    }
    domain.path_beneath = rules(paths);
    domain.net_port =
        ports.into_iter().map(|(port, allowed_access)| NetPort { port, allowed_access }).collect();
    Ok(domain)
}

/// Rules of paths, in their order.
pub(super) fn rules(paths: BTreeMap<String, u64>) -> Vec<PathBeneath> {
    let rule = |(path, allowed_access)| PathBeneath { path, allowed_access, optional: false };
    paths.into_iter().map(rule).collect()
}

/// Every path that a template stands for: `${name}` is each value of the variable in turn, `$$` a dollar sign.
fn expand(template: &str, variables: &[Variable]) -> Result<Vec<String>, String> {
    let mut paths = vec![String::new()];
    let mut rest = template;
    while let Some((text, after)) = rest.split_once('$') {
        paths.iter_mut().for_each(|path| path.push_str(text));
        rest = match after.strip_prefix('{') {
            Some(after) => {
                let (name, after) = after.split_once('}').ok_or("a variable without its }")?;
                paths = with_each(&paths, &values(name, variables)?)?;
                after
            }
            None => {
                paths.iter_mut().for_each(|path| path.push('$'));
                after.strip_prefix('$').unwrap_or(after)
            }
        };
    }
    paths.iter_mut().for_each(|path| path.push_str(rest));
    paths.into_iter().map(|path| absolute(&path)).collect()
}

fn values<'a>(name: &str, variables: &'a [Variable]) -> Result<BTreeSet<&'a str>, String> {
    let of_name = variables.iter().filter(|variable| variable.name == name);
    let mut values = of_name.map(|variable| &variable.literal).peekable();
    values.peek().ok_or_else(|| format!("there is no variable {name:?}"))?;
    Ok(values.flatten().map(String::as_str).collect())
}

fn with_each(paths: &[String], values: &BTreeSet<&str>) -> Result<Vec<String>, String> {
    if paths.len().saturating_mul(values.len()) > MOST_RULES {
        return Err(format!("more than {MOST_RULES} paths"));
    }
    Ok(paths.iter().flat_map(|path| values.iter().map(move |value| format!("{path}{value}"))).collect())
}

/// A path in the container; a relative one would start where nobody can say.
pub(super) fn absolute(path: &str) -> Result<String, String> {
    if !path.starts_with('/') || path.contains('\0') {
        return Err(format!("{path:?} is not an absolute path in the container"));
    }
    Ok(path.to_owned())
}
