use serde_json::{Value, json};

use super::rights::{Kind, all, names};
use super::*;
use crate::plan::tests::{good, plan, root, v2, with};

const CONFIG: &str = "annotations[\"dev.sandrun.landlock\"]";

fn annotated(name: &str, value: &str) -> Value {
    with(good(), "/annotations", json!({ name: value }))
}

/// The domains that were asked for, at a level where nothing is derived.
fn asked_for(config: &Value, abi: u32) -> Result<Vec<Landlock>, String> {
    let plan = plan(&config.to_string(), Level::Oci, &root(v2(), abi)).map_err(|error| error.to_string())?;
    Ok(plan.workload.landlock)
}

fn of_config(config: &Value, abi: u32) -> Result<Landlock, String> {
    asked_for(&annotated(ANNOTATION, &config.to_string()), abi).map(|mut domains| domains.remove(0))
}

fn of_block(block: Value, abi: u32) -> Result<Vec<Landlock>, String> {
    asked_for(&with(good(), "/process/landlock", block), abi)
}

fn ports(text: &str) -> Result<Vec<u16>, String> {
    let domains = asked_for(&annotated(TCP_BIND, text), 7)?;
    let domain = domains.into_iter().next().ok_or("not restricted")?;
    assert_eq!((domain.handled_access_net, domain.handled_access_fs, domain.scoped), (1, 0, 0));
    Ok(domain.net_port.iter().map(|rule| rule.port).collect())
}

#[test]
fn ports_are_numbers_and_ranges() {
    assert_eq!(ports("80, 443,8000-8002,80"), Ok(vec![80, 443, 8000, 8001, 8002]));
    assert_eq!(ports("0"), Ok(vec![0]));
    for none in ["", "none", " "] {
        assert_eq!(ports(none), Ok(Vec::new()), "{none:?}");
    }
    for any in ["any", "1-65535", "0-65535"] {
        assert_eq!(ports(any), Err("not restricted".to_owned()), "{any}");
    }
    assert_eq!(ports("1-4096").map(|ports| ports.len()), Ok(4096));
    for wrong in ["65536", "-1", "80-", "90-80", "http", "80,", "80;90", "1-4097", "1-4000,5000-6000"] {
        let why = ports(wrong).expect_err(wrong);
        assert!(why.contains("annotations[\"dev.sandrun.tcp-bind\"]"), "{why}");
    }
}

#[test]
fn ports_need_a_kernel_that_has_them_and_bring_a_filter() {
    let why = asked_for(&annotated(TCP_CONNECT, "none"), 3).expect_err("ABI 3 has no ports");
    assert!(why.contains("connect_tcp") && why.contains("Linux 6.7"), "{why}");
    let why = asked_for(&annotated(TCP_CONNECT, "none"), 0).expect_err("no Landlock at all");
    assert!(why.contains("lsm="), "{why}");
    for (level, filters) in [(Level::Oci, 1), (Level::Baseline, 2)] {
        let plan = plan(&annotated(TCP_BIND, "80").to_string(), level, &root(v2(), 4)).unwrap();
        assert_eq!(plan.workload.seccomp.len(), filters);
        assert_eq!(plan.workload.seccomp[0].name, "tcp-ports", "it lets the others be loaded");
        assert!(!plan.changes.iter().any(|change| change.at.contains("tcp-bind")), "{:?}", plan.changes);
    }
}

#[test]
fn a_port_has_to_be_in_the_annotation_and_in_the_flag() {
    let config = crate::oci::parse(&annotated(TCP_BIND, "80,443").to_string()).unwrap();
    let options = crate::plan::Options {
        tcp_bind: Some("443,8080".to_owned()),
        tcp_connect: Some("53".to_owned()),
        ..crate::plan::Options::default()
    };
    let host = root(v2(), 7);
    let input = Input {
        id: "web",
        config: &config.spec,
        options,
        pids_limit: None,
        landlock: None,
        unknown: &[],
        bundle: std::path::Path::new("/bundle"),
        level: Level::Oci,
        host: &host,
        loosening: crate::plan::annotations::Loosening::default(),
    };
    let domain = ports::resolve(&input, 7).unwrap().unwrap();
    let rules: Vec<_> = domain.net_port.iter().map(|rule| (rule.port, rule.allowed_access)).collect();
    assert_eq!(rules, [(53, 2), (443, 1)]);
    assert_eq!(domain.handled_access_net, 3);
}

#[test]
fn a_landlock_config_is_read_as_its_library_reads_it() {
    let config = json!({
        "abi": 5,
        "variable": [{ "name": "data", "literal": ["a", "b"] }],
        "ruleset": [{ "handledAccessFs": ["abi.all"], "scoped": ["signal"] }],
        "pathBeneath": [
            { "allowedAccess": ["abi.read_execute"], "parent": ["/usr", "/etc"] },
            { "allowedAccess": ["write_file", "LANDLOCK_ACCESS_FS_TRUNCATE"], "parent": ["/data/${data}/$$x"] }
        ],
        "netPort": [{ "allowedAccess": ["bind_tcp"], "port": [80, 443] }]
    });
    let domain = of_config(&config, 7).unwrap();
    assert_eq!(domain.origin, CONFIG);
    assert_eq!(domain.handled_access_fs, (1 << 16) - 1);
    assert_eq!((domain.handled_access_net, domain.scoped), (1, 2), "what a rule grants is handled");
    let paths: Vec<_> =
        domain.path_beneath.iter().map(|rule| (rule.path.as_str(), rule.allowed_access)).collect();
    let (read, write) = (0b10_0000_0000_1101, 0b100_0000_0000_0010);
    assert_eq!(paths, [("/data/a/$x", write), ("/data/b/$x", write), ("/etc", read), ("/usr", read)]);
    assert!(of_config(&config, 5).unwrap_err().contains("signal"), "ABI 6 has it first");
    assert!(of_config(&json!({ "abi": 3, "ruleset": [{ "handledAccessFs": ["abi.all"] }] }), 3).is_ok());
}

#[test]
fn whatever_is_wrong_in_a_landlock_config_is_named() {
    let path = |access: &str, parent: &str| json!({ "pathBeneath": [{ "allowedAccess": [access], "parent": [parent] }] });
    for (config, named) in [
        (json!({}), "nothing is restricted"),
        (json!([]), "expected struct"),
        (json!({ "ruleset": [{}] }), "nothing is restricted"),
        (json!({ "abi": 11, "ruleset": [{ "handledAccessFs": ["abi.all"] }] }), "abi"),
        (json!({ "ruleset": [{ "handledAccessFs": ["abi.all"] }] }), "without \"abi\""),
        (json!({ "abi": 1, "ruleset": [{ "handledAccessNet": ["abi.read_write"] }] }), "abi.read_write"),
        (json!({ "ruleset": [{ "handledAccessFS": ["execute"] }] }), "handledAccessFS"),
        (json!({ "ruleset": [{ "handledAccessFs": ["fly"] }] }), "fly"),
        (json!({ "ruleset": [{ "handledAccessFs": [1u64 << 60] }] }), "no right"),
        (json!({ "rulesets": [] }), "rulesets"),
        (path("execute", "usr"), "not an absolute path"),
        (path("execute", "/${where}"), "where"),
        (path("execute", "/${where"), "without its }"),
        (json!({ "netPort": [{ "allowedAccess": ["bind_tcp"], "port": [65536] }] }), "netPort[0].port[0]"),
        (json!({ "pathBeneath": [{ "allowedAccess": ["execute"] }] }), "parent"),
    ] {
        let why = of_config(&config, 7).expect_err(named);
        assert!(why.contains(CONFIG) && why.contains(named), "{named}: {why}");
    }
    let why = asked_for(&annotated(ANNOTATION, "{\"abi\": 1"), 7).expect_err("not JSON");
    assert!(why.contains(CONFIG), "{why}");
    assert!(asked_for(&annotated(ANNOTATION, &" ".repeat(LARGEST + 1)), 7).is_err());
}

/// Each variable doubles the paths: what is written in a few bytes must not become gigabytes.
#[test]
fn a_template_does_not_explode() {
    let variable = json!([{ "name": "v", "literal": ["/a", "/b"] }]);
    let config = json!({ "variable": variable,
        "pathBeneath": [{ "allowedAccess": ["execute"], "parent": [format!("/{}", "${v}".repeat(64))] }] });
    assert!(of_config(&config, 7).unwrap_err().contains("more than 4096 paths"));
}

fn block() -> Value {
    json!({
        "ruleset": { "handledAccessFS": ["execute", "write_file", 1 << 14], "handledAccessNet": ["bind_tcp"] },
        "rules": {
            "pathBeneath": [{ "allowedAccess": ["execute"], "paths": ["/usr", "/bin"] }],
            "netPort": [{ "allowedAccess": [1], "ports": [80] }]
        }
    })
}

#[test]
fn the_proposed_block_is_read_in_both_forms() {
    let domains = of_block(block(), 7).unwrap();
    let [domain] = domains.as_slice() else { panic!("{domains:?}") };
    assert_eq!((domain.handled_access_fs, domain.handled_access_net), (0b100_0000_0000_0011, 1));
    let paths: Vec<_> = domain.path_beneath.iter().map(|rule| (rule.path.as_str(), rule.optional)).collect();
    assert_eq!(paths, [("/bin", false), ("/usr", false)]);
    let config = json!({ "abi": 4, "ruleset": [{ "handledAccessNet": ["abi.all"] }] });
    assert_eq!(of_block(config, 4).unwrap()[0].handled_access_net, 3);
}

#[test]
fn the_block_holds_whole_unless_it_says_otherwise() {
    for words in [None, Some(true)] {
        let mut block = block();
        if let Some(word) = words {
            block["disableBestEffort"] = json!(word);
        }
        let why = of_block(block, 2).unwrap_err();
        assert!(why.contains("process.landlock") && why.contains("truncate, bind_tcp"), "{why}");
        assert!(why.contains("Linux 6.7"), "{why}");
    }
    let effort =
        with(with(good(), "/process/landlock", block()), "/process/landlock/disableBestEffort", json!(false));
    for (abi, left) in [(0, None), (2, Some(0b11))] {
        let plan = plan(&effort.to_string(), Level::Oci, &root(v2(), abi)).unwrap();
        assert_eq!(plan.workload.landlock.first().map(|domain| domain.handled_access_fs), left);
        let change = plan.changes.iter().find(|change| change.at == "process.landlock").expect("listed");
        assert!(change.what.contains("bind_tcp"), "{}", change.what);
        assert!(plan.absent.iter().any(|absent| absent.layer == "landlock"), "and in the receipt");
        let rules = plan.workload.landlock.iter().flat_map(|domain| &domain.path_beneath);
        assert!(rules.into_iter().all(|rule| rule.optional));
    }
}

#[test]
fn whatever_is_wrong_in_the_block_is_named() {
    for (pointer, value, named) in [
        ("/ruleset/handledAccessFS", json!(["fly"]), "fly"),
        ("/ruleset/handledAccessFS", json!(["abi.all"]), "abi.all"),
        ("/ruleset/handled", json!([]), "handled"),
        ("/ruleset", json!({}), "nothing is restricted"),
        ("/rules/pathBeneath/0/paths", json!(["usr"]), "not an absolute path"),
        ("/rules/pathBeneath/0/allowedAccess", json!(["read_file"]), "does not handle"),
        ("/rules/netPort/0/ports", json!([70000]), "ports[0]"),
        ("/disableBestEffort", json!("no"), "disableBestEffort"),
        ("/wish", json!(1), "wish"),
    ] {
        let why = of_block(with(block(), pointer, value), 7).expect_err(named);
        assert!(why.contains("process.landlock in config.json") && why.contains(named), "{named}: {why}");
    }
    assert!(of_block(json!(7), 7).is_err() && of_block(json!(null), 7).is_err());
}

/// The kernel denies it by default, in each domain, as soon as one is about files.
#[test]
fn a_domain_of_ports_does_not_keep_files_in_their_directories() {
    const REFER: u64 = 1 << 13;
    let handled = |level| {
        let plan = plan(&annotated(TCP_BIND, "80").to_string(), level, &root(v2(), 4)).unwrap();
        let domain = plan.workload.landlock.last().unwrap().clone();
        (domain.handled_access_fs, domain.path_beneath.iter().map(|rule| rule.allowed_access).sum::<u64>())
    };
    assert_eq!(handled(Level::Oci), (0, 0), "it is alone, and forbids no mount");
    assert_eq!(handled(Level::Baseline), (REFER, REFER));
}

/// At each ABI, all of its rights and none that it does not have, whatever the level.
#[test]
fn every_abi_gets_the_rights_that_it_has() {
    for abi in 0..=rights::NEWEST_ABI + 1 {
        for level in [Level::Baseline, Level::Strict] {
            let plan = plan(&good().to_string(), level, &root(v2(), abi)).unwrap();
            let lowest = if level == Level::Strict { 1 } else { 2 };
            let Some(domain) = plan.workload.landlock.first() else {
                assert!(abi < lowest && plan.absent.iter().any(|absent| absent.layer == "landlock"));
                continue;
            };
            assert_eq!(domain.abi, abi.min(rights::NEWEST_ABI));
            assert_eq!(domain.handled_access_fs, all(Kind::Fs, abi), "{:?}", names(Kind::Fs, u64::MAX));
            assert_eq!(domain.scoped & !all(Kind::Scope, abi), 0);
            assert_eq!(rights::unenforceable(domain), None);
        }
    }
}
