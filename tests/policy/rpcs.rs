//! The decision table, held against the descriptor set.

use inkpass::policy::{Mints, Reach, Rpc};
use prost_reflect::{DescriptorPool, MethodDescriptor};

fn methods() -> Vec<MethodDescriptor> {
    let pool = DescriptorPool::decode(inkpass::proto::DESCRIPTORS).unwrap();
    pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()).collect()
}

fn rpc(method: &MethodDescriptor) -> Rpc {
    let name = format!("{}/{}", method.parent_service().full_name(), method.name());
    name.parse().unwrap_or_else(|_| panic!("{name} has no row"))
}

#[test]
fn every_rpc_has_a_row() {
    let methods = methods();
    assert_eq!(methods.len(), Rpc::ALL.len());
    for method in methods {
        rpc(&method);
    }
}

#[test]
fn a_row_says_what_the_request_does() {
    for method in methods() {
        let (reach, mints) = rpc(&method).row();
        let has = |name| method.input().get_field_by_name(name).is_some();
        let name = method.full_name();
        assert_eq!(reach != Reach::Local, has("region"), "{name} goes upstream");
        assert_eq!(reach == Reach::Watch, method.is_server_streaming(), "{name} is held open");
        assert_eq!(matches!(mints, Mints::Beside(_)), has("token_grant"), "{name} mints beside");
        let answers = |field| method.output().get_field_by_name(field).is_some();
        let answers_tokens = answers("token") || answers("tokens");
        assert_eq!(mints != Mints::Never, answers_tokens, "{name} mints");
    }
}

#[test]
fn what_is_served_beside_them_is_in_no_policy() {
    let others = inkpass::rpc::METHODS.into_iter().filter(|name| name.parse::<Rpc>().is_err());
    assert!(others.into_iter().all(|name| name.starts_with("grpc.")));
}
