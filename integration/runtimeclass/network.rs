//! The sample network policies: nothing in, and out only to what they name.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::cluster::Cluster;

/// Services of clouds that hand out what the node may do, and places of the cluster and of the node itself.
const SHUT: [&str; 13] = [
    "169.254.169.254",
    "169.254.170.2",
    "100.100.100.200",
    "168.63.129.16",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fe80::a9fe:a9fe",
    "64:ff9b::a9fe:a9fe",
    "10.96.0.1",
    "172.17.0.1",
    "192.168.0.1",
    "127.0.0.1",
    "::1",
];

#[test]
fn the_metadata_address_is_shut_off_for_every_pod() {
    let cluster = cluster!();
    let policies = policies(&cluster);
    for labels in
        [json!({}), json!({"sandrun.dev/network": "internet"}), json!({"sandrun.dev/network": "none"})]
    {
        for address in SHUT {
            for port in [53, 80, 443] {
                assert!(!reaches(&policies, &labels, address, port), "{address}:{port} for {labels}");
            }
        }
    }
    // The policies are read as they are meant: what they are to let through passes.
    let internet = json!({"sandrun.dev/network": "internet"});
    assert!(
        reaches(&policies, &internet, "1.1.1.1", 443)
            && reaches(&policies, &internet, "2606:4700::1111", 443)
    );
    assert!(reaches(&policies, &json!({}), "169.254.20.10", 53));
    assert!(
        !reaches(&policies, &json!({}), "169.254.20.10", 80)
            && !reaches(&policies, &json!({}), "1.1.1.1", 443)
    );
    assert!(!reaches(&policies, &json!({"sandrun.dev/network": "none"}), "169.254.20.10", 53));
}

#[test]
fn nothing_is_open_unless_a_policy_opens_it() {
    let cluster = cluster!();
    let policies = policies(&cluster);
    let shut = |policy: &&Value| {
        let spec = &policy["spec"];
        spec["podSelector"] == json!({}) && spec["ingress"].is_null() && spec["egress"].is_null()
    };
    let all: Vec<&Value> = policies.iter().filter(shut).collect();
    assert_eq!(all.len(), 1, "{policies:?}");
    assert_eq!(all[0]["spec"]["policyTypes"], json!(["Ingress", "Egress"]));
    assert!(policies.iter().all(|policy| policy["spec"]["ingress"].is_null()), "{policies:?}");
}

fn policies(cluster: &Cluster) -> Vec<Value> {
    cluster.build("network")
}

/// Whether a pod with these labels gets through to an address, with all of these policies in its namespace.
fn reaches(policies: &[Value], labels: &Value, address: &str, port: u16) -> bool {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let address: IpAddr = address.parse().unwrap();
    let rules = policies.iter().filter(|policy| selects(&policy["spec"]["podSelector"], labels));
    rules.flat_map(|policy| list(&policy["spec"]["egress"])).any(|rule| {
        let ports = list(&rule["ports"]);
        let blocks: Vec<Value> = list(&rule["to"]).iter().map(|peer| peer["ipBlock"].clone()).collect();
        (ports.is_empty() || ports.iter().any(|known| known["port"] == port))
            && blocks.iter().filter(|block| block.is_object()).any(|block| {
                let except = list(&block["except"]);
                within(address, &block["cidr"]) && !except.iter().any(|cidr| within(address, cidr))
            })
    })
}

fn selects(selector: &Value, labels: &Value) -> bool {
    let none = Vec::new();
    let expressions = selector["matchExpressions"].as_array().unwrap_or(&none);
    let labelled = selector["matchLabels"].as_object().into_iter().flatten();
    labelled.into_iter().all(|(key, value)| &labels[key] == value)
        && expressions.iter().all(|rule| {
            let listed = rule["values"].as_array().unwrap().contains(&labels[rule["key"].as_str().unwrap()]);
            match rule["operator"].as_str().unwrap() {
                "In" => listed,
                "NotIn" => !listed,
                other => panic!("{other}"),
            }
        })
}

fn within(address: IpAddr, cidr: &Value) -> bool {
    let (base, length) = cidr.as_str().unwrap().split_once('/').unwrap();
    let (base, length): (IpAddr, u32) = (base.parse().unwrap(), length.parse().unwrap());
    let (width, address, base) = match (address, base) {
        (IpAddr::V4(address), IpAddr::V4(base)) => {
            (32, u128::from(address.to_bits()), u128::from(base.to_bits()))
        }
        (IpAddr::V6(address), IpAddr::V6(base)) => (128, address.to_bits(), base.to_bits()),
        _ => return false,
    };
    length == 0 || address >> (width - length) == base >> (width - length)
}
