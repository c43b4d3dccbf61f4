//! `RoomService.ListRooms`.

use std::cell::RefCell;

use inkpass::proto::{DisableRoomRequest, ListRoomsRequest, ListRoomsResponse, Region};
use serde_json::json;
use tonic::{Code, Status};

use super::alike::{Call, assert_sent};
use crate::helpers::{World, assert_refused, log::Log, scripted::Scripted};

async fn list(world: &World, request: ListRoomsRequest) -> Result<ListRoomsResponse, Status> {
    world.client.rooms().list_rooms(request).await.map(tonic::Response::into_inner)
}

fn page(page_size: i32, page_token: &str) -> ListRoomsRequest {
    ListRoomsRequest { page_size, page_token: page_token.to_owned(), ..Default::default() }
}

/// The uuids of all pages; `between` happens after each.
async fn walk(world: &World, page_size: i32, between: impl AsyncFn()) -> Vec<String> {
    let (mut uuids, mut token) = (Vec::new(), String::new());
    loop {
        let answer = list(world, page(page_size, &token)).await.unwrap();
        assert!(answer.rooms.len() <= usize::try_from(page_size).unwrap());
        uuids.extend(answer.rooms.into_iter().map(|room| room.uuid));
        assert!(uuids.len() < 50, "the pages go round in circles");
        token = answer.next_page_token;
        if token.is_empty() {
            return uuids;
        }
        assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
        between().await;
    }
}

#[tokio::test]
async fn no_room_is_lost_or_doubled_whatever_the_size_of_a_page() {
    let world = World::start().await;
    let mut rooms = Vec::new();
    for _ in 0..7 {
        rooms.push(world.room().await);
    }
    for page_size in [1, 2, 3, 6, 7, 8, 100] {
        assert_eq!(walk(&world, page_size, async || {}).await, rooms, "{page_size}");
    }
    assert_sent(&world, "GET", "/v5/rooms", "us-sv", ("sdk", "writer")).await;
}

#[tokio::test]
async fn a_list_that_goes_round_in_circles_ends_and_times_of_any_writing_are_read() {
    let room = |uuid: &str| json!({ "uuid": uuid, "teamUUID": "t", "appUUID": "a", "createdAt": "2026-01-02T03:04:05.678+00:00" });
    let upstream = Scripted::new(200, json!([room("r0"), room("r1"), room("r2")]).to_string());
    let world = upstream.start().await;
    let first = list(&world, page(2, "")).await.unwrap();
    assert_eq!(first.rooms[0].create_time.as_ref().unwrap().seconds, 1_767_323_045);
    *upstream.body.lock().unwrap() = json!([room("r0"), room("r1")]).to_string().into();
    let refused = list(&world, page(2, &first.next_page_token)).await.unwrap_err();
    assert_refused(&refused, Code::Internal, "UPSTREAM_UNEXPECTED_ANSWER", &[]);
}

#[tokio::test]
async fn a_page_token_that_names_no_room_is_a_violation() {
    let world = World::start().await;
    for _ in 0..3 {
        world.room().await;
    }
    let token = list(&world, page(1, "")).await.unwrap().next_page_token;
    world.upstream.post("reset").await;
    let refused = list(&world, page(1, &token)).await.unwrap_err();
    assert_refused(&refused, Code::InvalidArgument, "INVALID_REQUEST", &["page_token"]);
}

#[tokio::test]
async fn no_room_is_lost_or_doubled_while_rooms_are_added() {
    for page_size in [1, 2, 3, 7, 8] {
        let world = World::start().await;
        let rooms = RefCell::new(Vec::new());
        for _ in 0..7 {
            let room = world.room().await;
            rooms.borrow_mut().push(room);
        }
        let walked = walk(&world, page_size, async || {
            if rooms.borrow().len() < 9 {
                let room = world.room().await;
                rooms.borrow_mut().push(room);
            }
        });
        assert_eq!(walked.await, *rooms.borrow(), "{page_size}");
    }
}

#[tokio::test]
async fn no_room_is_lost_where_the_upstream_s_list_begins_after_its_mark() {
    let rooms = |uuids: [&str; 2]| {
        let room = |uuid| json!({ "uuid": uuid, "teamUUID": "t", "appUUID": "a" });
        json!(uuids.map(room)).to_string()
    };
    let upstream = Scripted::new(200, rooms(["r0", "r1"]));
    let world = upstream.start().await;
    let token = list(&world, page(1, "")).await.unwrap().next_page_token;
    *upstream.body.lock().unwrap() = rooms(["r1", "r2"]).into();
    let second = list(&world, page(1, &token)).await.unwrap();
    assert_eq!(second.rooms[0].uuid, "r1");
    assert!(!second.next_page_token.is_empty());
}

#[tokio::test]
async fn a_room_that_cannot_be_read_does_not_end_the_list() {
    let room = |number| json!({ "uuid": format!("r{number}"), "teamUUID": "t", "appUUID": "a" });
    let upstream = Scripted::new(200, json!([room(0), null, room(2)]).to_string());
    let world = upstream.start().await;
    let first = list(&world, page(2, "")).await.unwrap();
    assert_eq!(first.rooms.iter().map(|room| &*room.uuid).collect::<Vec<_>>(), ["r0", "r2"]);
    *upstream.body.lock().unwrap() = json!([room(2), room(3)]).to_string().into();
    let second = list(&world, page(2, &first.next_page_token)).await.unwrap();
    assert_eq!((&*second.rooms[0].uuid, &*second.next_page_token), ("r3", ""));

    // Nothing to go on from: that is told, and is no end.
    let log = Log::start();
    *upstream.body.lock().unwrap() = json!([null, 1, {}]).to_string().into();
    let refused = list(&world, page(2, "")).await.unwrap_err();
    assert_refused(&refused, Code::Internal, "UPSTREAM_UNEXPECTED_ANSWER", &[]);
    let told =
        "reason=\"UPSTREAM_UNEXPECTED_ANSWER\" rpc=\"inkpass.v1.RoomService/ListRooms\" project=\"default\"";
    assert_eq!(log.count(told), 1, "{}", log.text());
}

#[tokio::test]
async fn no_room_is_lost_after_the_largest_page_the_upstream_gives() {
    let rooms = |numbers: std::ops::Range<usize>| {
        let room = |number| json!({ "uuid": format!("r{number}"), "teamUUID": "t", "appUUID": "a" });
        numbers.map(room).collect::<serde_json::Value>().to_string()
    };
    let upstream = Scripted::new(200, rooms(0..1000));
    let world = upstream.start().await;
    let first = list(&world, page(1000, "")).await.unwrap();
    assert_eq!(first.rooms.len(), 1000);
    assert!(!first.next_page_token.is_empty(), "there may be more");
    *upstream.body.lock().unwrap() = rooms(999..1002).into();
    let second = list(&world, page(1000, &first.next_page_token)).await.unwrap();
    let uuids: Vec<_> = second.rooms.iter().map(|room| &*room.uuid).collect();
    assert_eq!((uuids, &*second.next_page_token), (vec!["r1000", "r1001"], ""));
}

#[tokio::test]
async fn an_empty_region_has_one_empty_page() {
    let world = World::start().await;
    world.room().await;
    let request = ListRoomsRequest { region: Region::Eu.into(), ..Default::default() };
    assert_eq!(list(&world, request).await.unwrap(), ListRoomsResponse::default());
}

#[tokio::test]
async fn a_disabled_room_is_listed_as_one() {
    let world = World::start().await;
    let (disabled, other) = (world.room().await, world.room().await);
    let disable = DisableRoomRequest { uuid: disabled.clone(), ..Default::default() };
    world.client.rooms().disable_room(disable).await.unwrap();
    let rooms = list(&world, page(0, "")).await.unwrap().rooms;
    let seen: Vec<_> = rooms.iter().map(|room| (&*room.uuid, room.disabled)).collect();
    assert_eq!(seen, [(&*disabled, true), (&*other, false)]);
    assert!(rooms.iter().all(|room| room.region() == Region::UsSv && room.create_time.is_some()));
}

#[tokio::test]
async fn a_page_s_size_is_defaulted_limited_or_refused() {
    let world = World::start().await;
    for (size, asked) in [(0, "limit=101"), (7, "limit=8"), (1000, "limit=1000"), (5000, "limit=1000")] {
        list(&world, page(size, "")).await.unwrap();
        assert_eq!(world.upstream.last().await["query"], asked);
    }
    let before = world.upstream.requests().await.len();
    let status = list(&world, ListRoomsRequest { region: 99, ..page(-1, "") }).await.unwrap_err();
    assert_refused(&status, Code::InvalidArgument, "INVALID_REQUEST", &["region", "page_size"]);
    let status =
        list(&world, ListRoomsRequest { project: "nobody".into(), ..page(1, "") }).await.unwrap_err();
    assert_refused(&status, Code::PermissionDenied, "PROJECT_UNKNOWN", &[]);
    let status = list(&world, ListRoomsRequest { project: "other".into(), ..page(1, "") }).await.unwrap_err();
    assert_refused(&status, Code::InvalidArgument, "INVALID_REQUEST", &["region"]);
    assert_eq!(world.upstream.requests().await.len(), before);
}

#[tokio::test]
async fn a_page_token_of_another_list_is_refused() {
    let world = World::start().await;
    for _ in 0..3 {
        world.room().await;
    }
    let token = list(&world, page(1, "")).await.unwrap().next_page_token;
    list(&world, ListRoomsRequest { project: "default".into(), ..page(2, &token) }).await.unwrap();
    let before = world.upstream.requests().await.len();
    for bad in [
        ListRoomsRequest { region: Region::Eu.into(), ..page(1, &token) },
        ListRoomsRequest { project: "other".into(), region: Region::UsSv.into(), ..page(1, &token) },
        page(1, "rubbish"),
        page(1, &token[1..]),
        page(1, "MS9kZWZhdWx0L3VzLXN2Ly4uL2E"),
    ] {
        let status = list(&world, bad).await.unwrap_err();
        assert_refused(&status, Code::InvalidArgument, "INVALID_REQUEST", &["page_token"]);
    }
    assert_eq!(world.upstream.requests().await.len(), before);
}

#[tokio::test]
async fn a_failure_of_the_upstream_has_its_reason() {
    let world = World::start().await;
    let call = Call { world: &world, uuid: "", field: "", missing: "", is_post: false };
    call.refuses_failures(&async |_| list(&world, page(0, "")).await.map(drop)).await;
}
