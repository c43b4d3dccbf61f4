//! The audit trail fails closed: row 41 of the fault cases.

use std::{
    fs::{File, OpenOptions},
    io::{PipeReader, Read},
    os::{fd::AsRawFd, unix::fs::OpenOptionsExt},
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use inkpass::{
    audit::OnFailure,
    client::Client,
    proto::{CreateRoomRequest, DisableRoomRequest, GetRoomRequest, Role, TokenGrant, VerifyTokenRequest},
};
use rustix::fs::OFlags;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::{CALLERS, POLICY, TestService, batch, create, issue, room, until};
use crate::helpers::{
    assert_refused,
    pipe::{fill, filler},
};

const ROOM: &str = "a-room";

fn with_token() -> CreateRoomRequest {
    let token_grant = Some(TokenGrant { role: Role::Reader.into(), validity: None });
    CreateRoomRequest { token_grant, ..Default::default() }
}

#[track_caller]
fn assert_unavailable(refused: &Status) {
    assert_refused(refused, Code::Unavailable, "AUDIT_UNAVAILABLE", &[]);
    assert!(refused.get_error_details().retry_info().is_some(), "another replica may take it");
}

/// Every audited call is refused in time, and nothing is sent upstream.
async fn assert_fails_closed(service: &TestService, teacher: &Client) {
    let before = service.sent().await;
    let began = Instant::now();
    assert_unavailable(&issue(teacher, room(ROOM, Role::Reader)).await.unwrap_err());
    assert_unavailable(&batch(teacher, vec![room(ROOM, Role::Reader)]).await.unwrap_err());
    assert_unavailable(&create(teacher, CreateRoomRequest::default()).await.unwrap_err());
    assert_unavailable(&create(teacher, with_token()).await.unwrap_err());
    let disable = DisableRoomRequest { uuid: ROOM.into(), ..Default::default() };
    assert_unavailable(&teacher.rooms().disable_room(disable).await.unwrap_err());
    assert!(began.elapsed() < Duration::from_secs(2), "100 ms each at most: {:?}", began.elapsed());
    assert_eq!(service.sent().await, before, "nothing is sent");

    // A denial without a line is UNAVAILABLE too. Calls that are not audited go on.
    assert_unavailable(&issue(teacher, room(ROOM, Role::Admin)).await.unwrap_err());
    let look = GetRoomRequest { uuid: ROOM.into(), ..Default::default() };
    let missing = teacher.rooms().get_room(look).await.unwrap_err();
    assert_refused(&missing, Code::NotFound, "ROOM_NOT_FOUND", &[]);
    let request = VerifyTokenRequest { token: "NETLESSSDK_x".into(), ..Default::default() };
    service.client("key:verifier").await.tokens().verify_token(request).await.unwrap();
}

#[tokio::test]
async fn with_a_full_disk_nothing_is_minted_or_sent() {
    let service = TestService::with(POLICY, &CALLERS, Some(("/dev/full".into(), OnFailure::Deny))).await;
    assert_fails_closed(&service, &service.teacher().await).await;
}

#[tokio::test]
async fn with_on_failure_allow_calls_go_on_without_lines() {
    let service = TestService::with(POLICY, &CALLERS, Some(("/dev/full".into(), OnFailure::Allow))).await;
    let teacher = service.teacher().await;
    issue(&teacher, room(ROOM, Role::Reader)).await.unwrap();
    batch(&teacher, vec![room(ROOM, Role::Reader)]).await.unwrap();
    assert!(create(&teacher, with_token()).await.unwrap().token.is_some());
    let failures = service.world.metrics().await;
    let counted = |line: &str| line.starts_with("inkpass_audit_failures_total") && line.ends_with(" 4");
    assert!(failures.lines().any(counted), "each line that is missing is counted: {failures}");
}

/// A pipe whose reader reads only when it is told to.
struct Pipe {
    reader: PipeReader,
    path: PathBuf,
    /// Writes without waiting; keeps the pipe open.
    filler: File,
}

impl Pipe {
    fn new() -> Self {
        let (reader, writer) = std::io::pipe().unwrap();
        let path: PathBuf = format!("/proc/self/fd/{}", reader.as_raw_fd()).into();
        let filler = filler(&writer);
        drop(writer);
        Self { reader, path, filler }
    }

    /// Until no byte more fits.
    fn fill(&mut self) {
        fill(&mut self.filler);
    }

    /// Reads from now on, in a thread that ends with the last writer; gives what it has read.
    fn drain(self) -> Arc<Mutex<Vec<u8>>> {
        let read = Arc::new(Mutex::new(Vec::new()));
        let (mut reader, kept) = (self.reader, Arc::clone(&read));
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(length @ 1..) = reader.read(&mut piece) {
                kept.lock().unwrap().extend_from_slice(&piece[..length]);
            }
        });
        read
    }

    /// The next line that is not empty.
    fn line(&self) -> Value {
        // One that is not there is a mistake, and not waited for.
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let mut reader = OpenOptions::new().read(true).custom_flags(flags).open(&self.path).unwrap();
        let mut line = Vec::new();
        let mut byte = [0];
        while byte != *b"\n" || line.is_empty() {
            reader.read_exact(&mut byte).unwrap();
            if byte != *b"\n" {
                line.push(byte[0]);
            }
        }
        serde_json::from_slice(&line).unwrap()
    }
}

#[tokio::test]
async fn a_pipe_that_nobody_reads_refuses_calls_in_time_until_it_is_read_again() {
    let mut pipe = Pipe::new();
    let service = TestService::with(POLICY, &CALLERS, Some((pipe.path.clone(), OnFailure::Deny))).await;
    let teacher = service.teacher().await;
    issue(&teacher, room(ROOM, Role::Reader)).await.unwrap();
    pipe.fill();
    assert_fails_closed(&service, &teacher).await;
    pipe.drain();
    until("lines are written again", async || issue(&teacher, room(ROOM, Role::Reader)).await.is_ok()).await;
}

#[tokio::test]
async fn a_token_whose_outcome_cannot_be_written_is_withheld_and_its_room_is_replayed() {
    let mut pipe = Pipe::new();
    let service = TestService::with(POLICY, &CALLERS, Some((pipe.path.clone(), OnFailure::Deny))).await;
    let teacher = service.teacher().await;
    // The pipe is full as soon as the POST is there, so that the second line does not fit.
    let mut create_and_fill = async |request: CreateRoomRequest| {
        service.delay_a_creation().await;
        let before = service.sent().await;
        let teacher = teacher.clone();
        let creating = tokio::spawn(async move { create(&teacher, request).await });
        service.until_sent(before + 1).await;
        let decision = pipe.line();
        assert_eq!([&decision["decision"], &decision["phase"]], ["allow", "decision"]);
        pipe.fill();
        creating.await.unwrap()
    };
    let request_id = "6fd0b1d6-8a1c-4f6f-9d55-0f0a3f8a2c11".to_owned();
    let request = CreateRoomRequest { request_id, ..with_token() };
    let withheld = create_and_fill(request.clone()).await.unwrap_err();
    assert_refused(&withheld, Code::Unavailable, "AUDIT_UNAVAILABLE", &[]);
    assert!(withheld.message().contains("the same request_id finds it"), "{}", withheld.message());
    assert!(withheld.get_error_details().retry_info().is_none(), "another replica would create a second one");
    assert_eq!(withheld.metadata().get("grpc-retry-pushback-ms").unwrap(), "-1");
    pipe.drain();
    until("lines are written again", async || issue(&teacher, room(ROOM, Role::Reader)).await.is_ok()).await;
    let found = create(&teacher, request).await.unwrap();
    assert_eq!((found.room.is_some(), found.token.is_some()), (true, true));
    assert_eq!(service.sent().await, 1, "the room was created once");
}

#[tokio::test]
async fn a_room_without_a_token_is_returned_even_if_its_outcome_cannot_be_written() {
    let mut pipe = Pipe::new();
    let service = TestService::with(POLICY, &CALLERS, Some((pipe.path.clone(), OnFailure::Deny))).await;
    let teacher = service.teacher().await;
    service.delay_a_creation().await;
    let creating = tokio::spawn(async move { create(&teacher, CreateRoomRequest::default()).await });
    service.until_sent(1).await;
    pipe.fill();
    assert!(creating.await.unwrap().unwrap().room.is_some(), "nothing need be withheld");
}

#[tokio::test]
async fn a_token_that_is_withheld_without_a_request_id_is_not_to_be_retried() {
    let mut pipe = Pipe::new();
    let service = TestService::with(POLICY, &CALLERS, Some((pipe.path.clone(), OnFailure::Deny))).await;
    let teacher = service.teacher().await;
    service.delay_a_creation().await;
    let creating = tokio::spawn(async move { create(&teacher, with_token()).await });
    service.until_sent(1).await;
    pipe.fill();
    let withheld = creating.await.unwrap().unwrap_err();
    assert_refused(&withheld, Code::Unavailable, "AUDIT_UNAVAILABLE", &[]);
    assert!(withheld.get_error_details().retry_info().is_none(), "it would create another room");
    assert_eq!(withheld.metadata().get("grpc-retry-pushback-ms").unwrap(), "-1");
    assert!(withheld.message().contains("look for it before you ask again"), "{}", withheld.message());

    let read = pipe.drain();
    until("what was created is told of", async || {
        let read = read.lock().unwrap();
        let mut lines =
            read.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok());
        lines.any(|line| line["reason"] == "AUDIT_UNAVAILABLE" && line["uuid"].is_string())
    })
    .await;
}

#[tokio::test]
async fn creations_in_flight_are_bounded_even_if_their_callers_leave() {
    let service = TestService::with(POLICY, &CALLERS, None).await;
    // They go on for as long as a creation may.
    let slow = json!({ "path": "/v5/rooms", "count": 1000, "kind": "delay", "delay_ms": 15_000 });
    service.world.upstream.fault(slow).await;
    let call = |teacher: Client| async move { create(&teacher, CreateRoomRequest::default()).await };
    for wave in 1..=2 {
        let teacher = service.teacher().await;
        let callers: JoinSet<_> = (0..60).map(|_| call(teacher.clone())).collect();
        service.until_sent(60 * wave).await;
        // All of them leave.
        drop(callers);
    }
    let teacher = service.teacher().await;
    let mut callers: JoinSet<_> = (0..60).map(|_| call(teacher.clone())).collect();
    // There is room for 128, and so for eight of these.
    while callers.len() > 8 {
        let refused = callers.join_next().await.unwrap().unwrap().unwrap_err();
        assert_refused(&refused, Code::ResourceExhausted, "CALLER_QUOTA_EXCEEDED", &[]);
        let delay = refused.get_error_details().retry_info().and_then(|retry| retry.retry_delay);
        assert_eq!(delay, Some(Duration::from_secs(1)), "some may have ended then");
    }
    service.until_sent(128).await;
}
