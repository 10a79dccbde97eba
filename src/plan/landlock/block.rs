//! `process.landlock`, of which no version of the specification knows yet, in the two forms there are: that of
//! github.com/opencontainers/runtime-spec pull requests 1111 and 1241, and LandlockConfig.
//!
//! Where rules cannot be enforced whole there is no container, unless the block says `"disableBestEffort": false` in
//! so many words: then what is left out is listed.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::config::{absolute, domain, rules, typed};
use super::origin::{Origin, bits};
use super::rights::{Kind, Word, only_enforceable, unenforceable};
use super::{Landlock, NetPort};
use crate::error::Error;

/// Where the block is.
pub const FIELD: &str = "process.landlock";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Block {
    #[serde(default)]
    ruleset: Ruleset,
    #[serde(default)]
    rules: Rules,
    disable_best_effort: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ruleset {
    #[serde(default, rename = "handledAccessFS")]
    fs: Vec<Word>,
    #[serde(default, rename = "handledAccessNet", alias = "handledAccessNetwork")]
    net: Vec<Word>,
    #[serde(default, rename = "scoped")]
    scoped: Vec<Word>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Rules {
    #[serde(default)]
    path_beneath: Vec<PathRule>,
    #[serde(default)]
    net_port: Vec<PortRule>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct PathRule {
    allowed_access: Vec<Word>,
    paths: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct PortRule {
    allowed_access: Vec<Word>,
    ports: Vec<u16>,
}

/// The domain, none where best effort leaves nothing of it; and what was left out.
pub(super) fn read(value: &Value, abi: u32) -> Result<(Option<Landlock>, Vec<String>), Error> {
    let origin = Origin::Field(FIELD.to_owned());
    let is_config = value.get("ruleset").is_some_and(Value::is_array)
        || ["abi", "variable", "pathBeneath", "netPort"].iter().any(|field| value.get(field).is_some());
    if is_config {
        let domain = domain(typed(value.clone(), &origin)?, &origin, abi)?;
        return Ok((Some(origin.enforceable(domain)?), Vec::new()));
    }
    let block: Block = typed(value.clone(), &origin)?;
    let domain = of_block(&block, &origin, abi)?;
    match block.disable_best_effort {
        Some(false) => Ok(as_far_as_possible(domain)),
        _ => Ok((Some(origin.enforceable(domain)?), Vec::new())),
    }
}

fn of_block(block: &Block, origin: &Origin, abi: u32) -> Result<Landlock, Error> {
    let invalid = |at: &str, why: String| origin.invalid(format!("{at}: {why}"), "correct it");
    let of = |kind, words: &[Word], at: &str| bits(kind, words, None).map_err(|why| invalid(at, why));
    let handled_access_fs = of(Kind::Fs, &block.ruleset.fs, "ruleset.handledAccessFS")?;
    let handled_access_net = of(Kind::Net, &block.ruleset.net, "ruleset.handledAccessNet")?;
    let scoped = of(Kind::Scope, &block.ruleset.scoped, "ruleset.scoped")?;
    if handled_access_fs | handled_access_net | scoped == 0 {
        return Err(origin.invalid("nothing is restricted", "name a right in ruleset, or leave it out"));
    }
    let mut paths = BTreeMap::<String, u64>::new();
    for (i, rule) in block.rules.path_beneath.iter().enumerate() {
        let at = format!("rules.pathBeneath[{i}]");
        let access = of(Kind::Fs, &rule.allowed_access, &at)?;
        if access & !handled_access_fs != 0 {
            return Err(invalid(&at, "it grants what the ruleset does not handle".to_owned()));
        }
        for path in &rule.paths {
            *paths.entry(absolute(path).map_err(|why| invalid(&at, why))?).or_default() |= access;
        }
    }
    let mut ports = BTreeMap::<u16, u64>::new();
    for (i, rule) in block.rules.net_port.iter().enumerate() {
        let at = format!("rules.netPort[{i}]");
        let access = of(Kind::Net, &rule.allowed_access, &at)?;
        if access & !handled_access_net != 0 {
            return Err(invalid(&at, "it grants what the ruleset does not handle".to_owned()));
        }
        rule.ports.iter().for_each(|port| *ports.entry(*port).or_default() |= access);
    }
    Ok(Landlock {
        origin: origin.name(),
        abi,
        handled_access_fs,
        handled_access_net,
        scoped,
        path_beneath: rules(paths),
        net_port: ports.into_iter().map(|(port, allowed_access)| NetPort { port, allowed_access }).collect(),
        ..Landlock::default()
    })
}

/// A path that is not there grants nothing, and a right that the kernel does not have is not restricted.
fn as_far_as_possible(mut domain: Landlock) -> (Option<Landlock>, Vec<String>) {
    let lacking = unenforceable(&domain);
    let dropped = lacking.map(|lacking| match lacking.abi {
        0 => format!("{} not restricted: Landlock is not enabled on this host", lacking.names),
        abi => format!("{} not restricted: this kernel has Landlock ABI {abi}", lacking.names),
    });
    only_enforceable(&mut domain);
    domain.path_beneath.iter_mut().for_each(|rule| rule.optional = true);
    let nothing = domain.handled_access_fs | domain.handled_access_net | domain.scoped == 0;
    ((!nothing).then_some(domain), dropped.into_iter().collect())
}
