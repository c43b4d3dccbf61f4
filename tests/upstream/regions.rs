//! Hosts of single regions, and default regions.

use std::{collections::BTreeMap, sync::Arc};

use inkpass::{
    keyring::{KeyState, Keyring, Project},
    proto::{CreateRoomRequest, ListPendingConversionsRequest, ListRoomsRequest, Region as ProtoRegion},
    region::Region,
    whiteboard::Settings,
};
use tonic::Code;

use super::{
    create,
    peer::{Answer, Peer},
    world,
};
use crate::helpers::{Setup, World, assert_refused, key};

const OK: Answer = Answer::Text(b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n[{\"uuid\":1}]");

async fn list(world: &World, region: ProtoRegion) -> Result<(), tonic::Status> {
    let request = ListRoomsRequest { region: region.into(), ..Default::default() };
    world.client.rooms().list_rooms(request).await.map(|_| ())
}

#[tokio::test]
async fn a_call_goes_to_its_region_s_host_and_to_no_other_also_when_that_is_gone() {
    let (usual, europe) = (Peer::start(OK).await, Peer::start(OK).await);
    let host = format!("http://{}", europe.address).parse().unwrap();
    // Nobody listens there.
    let gone = "http://127.0.0.1:1".parse().unwrap();
    let base_urls = BTreeMap::from([(Region::Eu, host), (Region::Sg, gone)]);
    let world = world(usual.address, move |settings| Settings { base_urls, ..settings }).await;
    for region in [ProtoRegion::UsSv, ProtoRegion::Eu, ProtoRegion::InMum, ProtoRegion::Eu, ProtoRegion::Eu] {
        list(&world, region).await.unwrap();
    }
    assert_eq!((usual.requests(), europe.requests()), (2, 3));
    for _ in 0..25 {
        let refused = list(&world, ProtoRegion::Sg).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable);
    }
    let refused = list(&world, ProtoRegion::Sg).await.unwrap_err();
    assert_refused(&refused, Code::Unavailable, "UPSTREAM_CIRCUIT_OPEN", &[]);
    assert_eq!((usual.requests(), europe.requests()), (2, 3), "nothing fails over");
    list(&world, ProtoRegion::UsSv).await.unwrap();
}

#[tokio::test]
async fn conversions_may_have_a_default_region_of_their_own() {
    fn keyring() -> Keyring {
        let project = |name: &str, region, conversions| {
            let keys = vec![(KeyState::Active, Arc::new(key(name)))];
            Project::new(name, region, keys).with_conversion_region(conversions)
        };
        let projects = vec![
            project("both", Some(Region::UsSv), Some(Region::Eu)),
            project("one", Some(Region::Sg), None),
            project("conversions", None, Some(Region::InMum)),
        ];
        Keyring::new(projects, Some("both".to_owned()))
    }
    let world = Setup { keyring, ..Setup::default() }.start().await;
    for (project, expected) in [("both", "eu"), ("one", "sg"), ("conversions", "in-mum")] {
        let request = ListPendingConversionsRequest { project: project.to_owned(), ..Default::default() };
        world.client.conversions().list_pending_conversions(request).await.unwrap();
        assert_eq!(world.upstream.last().await["region"], expected, "{project}");
    }
    create(&world).await.unwrap();
    assert_eq!(world.upstream.last().await["region"], "us-sv");
    let request = CreateRoomRequest { project: "conversions".to_owned(), ..Default::default() };
    let refused = world.client.rooms().create_room(request).await.unwrap_err();
    assert_refused(&refused, Code::InvalidArgument, "INVALID_REQUEST", &["region"]);
    let request = ListPendingConversionsRequest { region: ProtoRegion::Sg.into(), ..Default::default() };
    world.client.conversions().list_pending_conversions(request).await.unwrap();
    assert_eq!(world.upstream.last().await["region"], "sg", "what a request names goes first");
}
