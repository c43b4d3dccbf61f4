//! The rows of `src/methods.rs`, held against the descriptor set.

use std::collections::BTreeSet;

use inkpass::methods::{Action, Reach, Repeat, Resource, Rpc, SERVICES, all_methods};
use prost_reflect::{DescriptorPool, MessageDescriptor, MethodDescriptor};

fn methods() -> Vec<MethodDescriptor> {
    let pool = DescriptorPool::decode(inkpass::proto::DESCRIPTORS).unwrap();
    pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()).collect()
}

fn name(method: &MethodDescriptor) -> String {
    format!("{}/{}", method.parent_service().full_name(), method.name())
}

fn has(message: &MessageDescriptor, field: &str) -> bool {
    message.get_field_by_name(field).is_some()
}

#[test]
fn rows_and_descriptors_name_the_same_rpcs() {
    let described: BTreeSet<_> = methods().iter().map(name).collect();
    let rows: BTreeSet<_> = Rpc::ALL.into_iter().map(|rpc| rpc.name().to_owned()).collect();
    assert_eq!(rows, described);
    let services: BTreeSet<_> =
        methods().iter().map(|method| method.parent_service().full_name().to_owned()).collect();
    assert_eq!(SERVICES.map(str::to_owned).into_iter().collect::<BTreeSet<_>>(), services);
    for rpc in Rpc::ALL {
        assert!(SERVICES.contains(&rpc.service()), "{}", rpc.name());
    }
}

#[test]
fn a_row_says_what_its_messages_say() {
    for method in methods() {
        let name = name(&method);
        let row = name.parse::<Rpc>().unwrap().row();
        let (input, output) = (method.input(), method.output());
        assert_eq!(row.reach == Reach::Upstream, has(&input, "region"), "{name}: reach");
        assert_eq!(row.action == Action::Watches, method.is_server_streaming(), "{name}: watches");
        assert_eq!(matches!(row.action, Action::Creates(_)), has(&input, "token_grant"), "{name}: creates");
        let mints = (has(&output, "token") || has(&output, "tokens")) && !has(&input, "token_grant");
        assert_eq!(row.action == Action::Mints, mints, "{name}: mints");
        assert_eq!(row.repeat == Repeat::WithRequestId, has(&input, "request_id"), "{name}: repeat");
        let expected = match (row.reach, method.parent_service().name()) {
            (Reach::Upstream, "SceneService") => Resource::Scene,
            (Reach::Upstream, "RoomService") if has(&input, "uuid") => Resource::Room,
            (Reach::Upstream, "ConversionService") if has(&input, "uuid") => Resource::Conversion,
            _ => Resource::Project,
        };
        assert_eq!(row.resource, expected, "{name}: resource");
    }
}

#[test]
fn what_acts_is_audited_and_what_reads_is_not() {
    for rpc in Rpc::ALL {
        let reads = matches!(rpc.row().action, Action::Reads | Action::Watches);
        assert_eq!(rpc.row().audited, !reads, "{}", rpc.name());
        assert!(!reads || rpc.row().repeat == Repeat::Safe, "{}", rpc.name());
    }
}

#[test]
fn a_call_costs_what_its_row_says() {
    for rpc in Rpc::ALL {
        let (row, cost) = (rpc.row(), rpc.cost(3));
        assert_eq!(cost.tokens, 3, "{}", rpc.name());
        assert_eq!(cost.upstream == 1, row.reach == Reach::Upstream, "{}", rpc.name());
        assert_eq!(cost.watch, row.action == Action::Watches, "{}", rpc.name());
    }
}

#[test]
fn what_is_served_beside_them_is_in_no_policy() {
    let others: Vec<_> = all_methods().filter(|name| name.parse::<Rpc>().is_err()).collect();
    assert_eq!(others.len(), all_methods().count() - Rpc::ALL.len());
    assert!(others.iter().all(|name| name.starts_with("grpc.")), "{others:?}");
}
