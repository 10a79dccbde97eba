//! Input that overflowed somebody's message format: CVE-2021-43784. No weaker victim is here: runc has no such bug any more.

use serde_json::json;

use crate::support::{Bundle, Runtime, is_root, leaks};

#[test]
fn more_than_a_message_holds() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let env: Vec<String> = (0..20_000).map(|n| format!("VARIABLE_{n}=value")).collect();
    let many = Bundle::probe(&["exit", "0"]).edit(|config| config["process"]["env"] = json!(env));
    assert_eq!(runtime.run(&many).code, 0);
    let mappings: Vec<_> =
        (0..70_000).map(|n| json!({ "containerID": n, "hostID": 100_000 + n, "size": 1 })).collect();
    let mapped = Bundle::probe(&["exit", "0"]).edit(|config| {
        config["linux"]["namespaces"].as_array_mut().expect("a list").push(json!({ "type": "user" }));
        config["linux"]["uidMappings"] = json!(mappings);
        config["linux"]["gidMappings"] = json!(mappings);
    });
    assert_eq!(runtime.run(&mapped).code, 125, "the kernel takes 340 mappings");
    let long = Bundle::probe(&["exit", "0"]).edit(|config| config["hostname"] = json!("x".repeat(1 << 20)));
    assert_eq!(runtime.run(&long).code, 125);
    let argument = Bundle::probe(&["exit", "0"])
        .edit(|config| config["process"]["args"] = json!(["/probe", "x".repeat(1 << 20)]));
    assert_ne!(runtime.run(&argument).code, 0, "an argument has at most 128 KiB");
    for bundle in [&many, &mapped, &long, &argument] {
        leaks::assert_none(&runtime, bundle);
    }
}
