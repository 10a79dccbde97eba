//! TCP by port, and every way that is known to lead round it.

use serde_json::{Value, json};

use super::landlock_abi;
use crate::support::{Bundle, Runtime, is_root};

const LEVELS: [&str; 3] = ["oci", "baseline", "strict"];

/// What says of a way that it leads to no port of TCP, and is not meant to be shut.
const NOT_COVERED: [&str; 2] = ["listen unbound", "bind by UDP"];

fn asking(port: &str) -> Bundle {
    Bundle::probe(&["tcp", port])
}

fn limited(port: &str, bind: &str, connect: &str) -> Bundle {
    asking(port).edit(|config| {
        config["annotations"] = json!({ "dev.sandrun.tcp-bind": bind, "dev.sandrun.tcp-connect": connect });
    })
}

/// Ways that are open, of those that are there.
fn open(seen: &Value) -> Vec<&str> {
    let ways = seen.as_object().expect("an object").iter();
    ways.filter(|(_, errno)| errno.is_null()).map(|(way, _)| way.as_str()).collect()
}

#[test]
fn no_way_leads_to_a_port_that_is_not_listed() {
    skip_unless!(is_root(), "needs root");
    skip_unless!(landlock_abi() >= Some(4), "this kernel's Landlock does not know ports (6.7)");
    let seen = Runtime::at_level("oci").ask(&asking("7001"));
    for way in
        ["bind", "connect", "bind by IPv6", "connect by IPv6", "fast open by sendto", "fast open by sendmsg"]
    {
        assert!(seen[way].is_null(), "{way} does not work at all: {seen}");
    }
    for level in LEVELS {
        let seen = Runtime::at_level(level).ask(&limited("7001", "7000", "7000"));
        let open = open(&seen);
        assert!(open.iter().all(|way| NOT_COVERED.contains(way)), "{level}: {seen}");
        for way in ["bind", "connect", "bind by IPv6", "connect by IPv6"] {
            assert_eq!(seen[way], "EACCES", "{level}: {way}");
        }
        // The profile of strict has no such option, and programs connect without it.
        let no_option = if level == "strict" { "ENOPROTOOPT" } else { "EACCES" };
        assert_eq!(seen["fast open by connect"], no_option, "{level}");
        for way in ["bind by MPTCP", "connect by MPTCP", "connect by MPTCP and IPv6"] {
            assert_eq!(seen[way], "EPROTONOSUPPORT", "{level}: {way}: programs fall back to TCP then");
        }
        for way in ["fast open by sendto", "fast open by sendto and IPv6", "fast open by sendmsg"] {
            assert_eq!(seen[way], "EOPNOTSUPP", "{level}: {way}: programs connect then");
        }
    }
}

#[test]
fn a_port_that_is_listed_can_be_used() {
    skip_unless!(is_root(), "needs root");
    skip_unless!(landlock_abi() >= Some(4), "this kernel's Landlock does not know ports (6.7)");
    for level in LEVELS {
        let seen = Runtime::at_level(level).ask(&limited("7001", "80,7000-7002", "7001"));
        let open = open(&seen);
        for way in ["bind", "connect", "bind by IPv6", "connect by IPv6"] {
            assert!(open.contains(&way), "{level}: {way}: {seen}");
        }
        let seen = Runtime::at_level(level).ask(&limited("7001", "any", "none"));
        assert_eq!((&seen["bind"], &seen["connect"]), (&Value::Null, &json!("EACCES")), "{level}");
    }
}

/// The kernel chooses for whoever binds to 0, and that is a port of its own to the rules.
#[test]
fn port_0_has_to_be_listed_as_any_other() {
    skip_unless!(is_root(), "needs root");
    skip_unless!(landlock_abi() >= Some(4), "this kernel's Landlock does not know ports (6.7)");
    let bind = |list| Runtime::at_level("oci").ask(&limited("0", list, "any"))["bind"].clone();
    assert_eq!((bind("80"), bind("0")), (json!("EACCES"), Value::Null));
}

/// SECURITY.md says so; should a kernel begin to ask there, it will show here.
#[test]
fn what_ports_do_not_cover_is_as_it_is_told() {
    skip_unless!(is_root(), "needs root");
    skip_unless!(landlock_abi() >= Some(4), "this kernel's Landlock does not know ports (6.7)");
    let seen = Runtime::sandrun().ask(&limited("7001", "none", "none"));
    for way in NOT_COVERED {
        assert!(seen[way].is_null(), "{way} is covered by now: {seen}");
    }
}

#[test]
fn flags_ask_for_the_same_and_count_beside_the_annotation() {
    skip_unless!(is_root(), "needs root");
    skip_unless!(landlock_abi() >= Some(4), "this kernel's Landlock does not know ports (6.7)");
    let runtime = Runtime::at_level("oci");
    let seen = runtime.run_with(&asking("7001"), &["--tcp-bind", "none"]).ok().json();
    assert_eq!((&seen["bind"], &seen["connect"]), (&json!("EACCES"), &Value::Null));
    let seen = runtime.run_with(&limited("7001", "7001", "any"), &["--tcp-bind", "7000"]).ok().json();
    assert_eq!(seen["bind"], "EACCES", "a port has to be in both");
    let tried = |flags: &[&str]| {
        let script = "exec 3<>/dev/tcp/127.0.0.1/9";
        let words: Vec<&str> =
            ["try"].iter().chain(flags).chain(&["--", "bash", "-c", script]).copied().collect();
        Runtime::sandrun().call(&words).stderr
    };
    assert!(tried(&[]).contains("refused"), "{}", tried(&[]));
    assert!(
        tried(&["--tcp-connect", "80,443"]).contains("denied"),
        "{}",
        tried(&["--tcp-connect", "80,443"])
    );
}

#[test]
fn an_exec_has_its_containers_ports() {
    skip_unless!(is_root(), "needs root");
    skip_unless!(landlock_abi() >= Some(4), "this kernel's Landlock does not know ports (6.7)");
    for level in LEVELS {
        let bundle = limited("7001", "7000", "7000")
            .edit(|config| config["process"]["args"] = json!(["/probe", "sleep", "60"]));
        let runtime = Runtime::at_level(level);
        runtime.create(&bundle).ok();
        runtime.call(&["start", &bundle.id]).ok();
        let seen = runtime.call(&["exec", &bundle.id, "/probe", "tcp", "7001"]).ok().json();
        assert!(open(&seen).iter().all(|way| NOT_COVERED.contains(way)), "{level}: {seen}");
        let seen = runtime.call(&["exec", &bundle.id, "/probe", "tcp", "7000"]).ok().json();
        assert!(seen["bind"].is_null() && seen["connect"].is_null(), "{level}: {seen}");
    }
}

#[test]
fn the_receipt_says_on_what_ports_were_tried() {
    skip_unless!(is_root(), "needs root");
    skip_unless!(landlock_abi() >= Some(4), "this kernel's Landlock does not know ports (6.7)");
    for (level, domains) in [("oci", "1 domain, 2 rules"), ("baseline", "2 domains")] {
        let bundle = limited("7001", "80", "65535");
        let runtime = Runtime::at_level(level);
        runtime.create(&bundle).ok();
        let state = runtime.call(&["state", &bundle.id]).ok().json();
        let receipt = state["sandrun"]["receipt"].to_string();
        for words in [domains, "bind to TCP port 65535", "connect to TCP port 65534"] {
            assert!(receipt.contains(words), "{level}: {words}: {receipt}");
        }
    }
}

#[test]
fn a_list_that_cannot_be_read_is_refused_by_name() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let refused = runtime.run(&limited("7001", "http", "any"));
    assert!(refused.code == 125 && refused.stderr.contains("dev.sandrun.tcp-bind"), "{refused}");
    let refused = runtime.run_with(&asking("7001"), &["--tcp-connect", "70000"]);
    assert!(refused.code == 125 && refused.stderr.contains("--tcp-connect"), "{refused}");
}
