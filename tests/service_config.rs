//! The gRPC service config of docs/deploy.md, held against the descriptors and the rows of `src/methods.rs`.

use std::{collections::BTreeSet, fs, path::Path};

use inkpass::methods::{Action, Reach, Repeat, Rpc};
use prost_reflect::DescriptorPool;
use serde_json::{Value, json};

/// The only block of JSON on the page.
fn service_config() -> Value {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/deploy.md")).unwrap();
    let blocks: Vec<_> = page.split("```json\n").skip(1).collect();
    assert_eq!(blocks.len(), 1, "tests/e2e/load.py reads the first");
    serde_json::from_str(blocks[0].split("```").next().unwrap()).unwrap()
}

/// Each method that has a retry policy, as `service/method`.
fn repeated(config: &Value) -> Vec<String> {
    let methods = config["methodConfig"].as_array().unwrap().iter();
    let with_policy = methods.filter(|method| method.get("retryPolicy").is_some());
    let name = |name: &Value| {
        let part = |part: &str| name[part].as_str().expect("a name without a wildcard").to_owned();
        format!("{}/{}", part("service"), part("method"))
    };
    with_policy.flat_map(|method| method["name"].as_array().unwrap()).map(name).collect()
}

#[test]
fn a_library_repeats_what_mints_verifies_or_reads_and_nothing_else() {
    let repeated = repeated(&service_config());
    let pool = DescriptorPool::decode(inkpass::proto::DESCRIPTORS).unwrap();
    for name in &repeated {
        let (service, method) = name.split_once('/').unwrap();
        let service = pool.get_service_by_name(service).expect(name);
        assert!(service.methods().any(|known| known.name() == method), "{name}");
        assert_eq!(name.parse::<Rpc>().unwrap().row().repeat, Repeat::Safe, "{name}");
    }
    let is_meant = |rpc: &Rpc| {
        let row = rpc.row();
        row.reach == Reach::Local || matches!(row.action, Action::Reads | Action::Watches)
    };
    let meant: BTreeSet<_> = Rpc::ALL.into_iter().filter(is_meant).map(|rpc| rpc.name().to_owned()).collect();
    assert_eq!(repeated.iter().cloned().collect::<BTreeSet<_>>(), meant);
    assert_eq!(repeated.len(), meant.len(), "each once");
}

/// gRFC A6: with less a library refuses the whole config.
#[test]
fn its_policy_is_complete_and_repeats_only_unavailable() {
    for method in service_config()["methodConfig"].as_array().unwrap() {
        let policy = &method["retryPolicy"];
        assert_eq!(policy["retryableStatusCodes"], json!(["UNAVAILABLE"]));
        assert!((2..=5).contains(&policy["maxAttempts"].as_u64().unwrap()));
        for backoff in ["initialBackoff", "maxBackoff"] {
            let seconds = policy[backoff].as_str().unwrap().strip_suffix('s').unwrap();
            assert!(seconds.parse::<f64>().unwrap() > 0.0, "{backoff}");
        }
        assert!(policy["backoffMultiplier"].as_f64().unwrap() > 0.0);
    }
}
