use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::Global;
use crate::container::create::{Wish, consider};
use crate::error::{Context, Error, Kind, Result};
use crate::host::{Caller, Host};
use crate::oci;
use crate::plan::{Change, Draft, PolicyInForce};
use crate::policy::{Builtin, Origin, builtin};

/// Show the node policy, or check a bundle against it
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say what the policy would refuse, tighten or warn of; exit code 78 if it refuses
    ///
    /// Needs no rights: what the caller itself could not run is not counted. --level and --policy count as for `create`.
    Check {
        /// Directory of a bundle, or a config.json
        #[arg(value_name = "BUNDLE|FILE")]
        bundle: PathBuf,
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the policy in force as TOML, with everything that it is derived from
    Show,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<ExitCode> {
    match &arguments.command {
        Command::Check { bundle, json } => check(global, bundle, *json),
        Command::Show => show(&global.policy()),
    }
}

fn show(origin: &Origin) -> Result<ExitCode> {
    let loaded = match origin.load()? {
        Some(loaded) => loaded,
        None => {
            println!("# There is no policy file on this node; this is what holds then.");
            builtin(Builtin::Privileged)?
        }
    };
    let text = toml::to_string(&loaded.policy)
        .map_err(|error| Error::new(Kind::Failed, "cannot print the policy", error.to_string()))?;
    print!("# {}, digest {}\n{text}", loaded.name, loaded.digest);
    Ok(ExitCode::SUCCESS)
}

/// What a check found.
#[derive(Debug, Serialize)]
struct Findings {
    /// Absent where the node has none.
    policy: Option<PolicyInForce>,
    /// What there is against it: of the policy, and of config.json itself.
    refusals: Vec<Error>,
    /// What would be other than config.json says.
    changes: Vec<Change>,
    /// What this host could not do, which another one may.
    host: Vec<Error>,
}

fn check(global: &Global, bundle: &std::path::Path, json: bool) -> Result<ExitCode> {
    let bundle =
        std::path::absolute(bundle).context(|| format!("cannot use the bundle {}", bundle.display()))?;
    let (bundle, config) = match bundle.is_dir() {
        true => (bundle.clone(), oci::load(&bundle)?),
        false => {
            let dir = bundle.parent().map_or_else(|| PathBuf::from("/"), PathBuf::from);
            (dir, oci::load_file(&bundle)?)
        }
    };
    let wish = Wish {
        id: "check".to_owned(),
        bundle,
        config: Some(config),
        level: global.level,
        default_level: global.named_level,
        policy: global.policy(),
        ..Wish::default()
    };
    let (draft, _) = consider(&wish, &as_root(Host::probe()?), None)?;
    let findings = findings(draft);
    match json {
        true => {
            let text = serde_json::to_string_pretty(&findings).context(|| "cannot print it".to_owned())?;
            println!("{text}");
        }
        false => print(&findings),
    }
    let refused = |kind: Kind| findings.refusals.iter().any(|refusal| refusal.kind == kind);
    Ok(match (refused(Kind::Refused), findings.refusals.is_empty()) {
        (true, _) => ExitCode::from(78),
        (false, true) => ExitCode::SUCCESS,
        (false, false) => ExitCode::from(125),
    })
}

/// Whoever checks need not be who runs.
fn as_root(host: Host) -> Host {
    Host {
        euid: 0,
        egid: 0,
        caller: Caller::Root,
        may_mount: true,
        capabilities: u64::MAX,
        delegated_cgroup: None,
        ..host
    }
}

fn findings(draft: Draft) -> Findings {
    let Draft { plan, refusals } = draft;
    let (host, refusals) = refusals.into_iter().partition(|refusal| refusal.kind == Kind::Unsupported);
    Findings { policy: plan.policy, refusals, changes: plan.changes, host }
}

fn print(findings: &Findings) {
    match &findings.policy {
        Some(policy) => println!("policy {}, digest {}", policy.name, policy.digest),
        None => println!(
            "there is no policy file on this node; a built-in one is checked by --policy builtin:NAME"
        ),
    }
    findings.refusals.iter().for_each(|refusal| println!("refused  {refusal}"));
    findings.host.iter().for_each(|lacks| println!("host     {lacks}"));
    findings.changes.iter().for_each(|change| println!("changed  {}: {}", change.at, change.what));
    if findings.refusals.is_empty() {
        println!("allowed");
    }
}
