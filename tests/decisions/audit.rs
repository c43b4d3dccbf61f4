//! The audit lines of minting and changing calls, read as soon as the response is there.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use inkpass::{
    audit::OnFailure,
    methods::Rpc,
    proto::{
        BatchIssueTokensRequest, CreateRoomRequest, IssueTokenRequest, Region, Role, RoomScope, TokenGrant,
        issue_token_request::Scope,
    },
};
use serde_json::{Value, json};
use tonic::{Code, Request};
use tonic_types::StatusExt;

use super::{
    POLICY, TestService, batch, create,
    every_rpc::{Texts, call},
    issue,
    program::{ACCEPTED, Files, Program},
    room, sdk, ttl, until,
};
use crate::{audit::hostile, helpers::assert_refused};

/// The teacher may do everything.
const EVERYTHING: &str = r#"[[grants]]
name = "everything"
principals = ["key:teacher"]
rpcs = ["inkpass.v1.TokenService/*", "inkpass.v1.RoomService/*", "inkpass.v1.SceneService/*", "inkpass.v1.ConversionService/*"]
projects = ["default"]
regions = ["us-sv"]
tokens = [{ kind = "sdk", strongest_role = "reader" }, { kind = "room", strongest_role = "reader" }]
"#;

/// How many lines an allowed call has: reading has none, creating has two.
fn lines_of(rpc: Rpc) -> usize {
    let method = rpc.name().split('/').next_back().unwrap();
    match method {
        "CreateRoom" | "StartConversion" => 2,
        _ if ["Get", "List", "Watch", "Verify"].iter().any(|reads| method.starts_with(reads)) => 0,
        _ => 1,
    }
}

#[tokio::test]
async fn minting_and_changing_calls_have_lines_and_reading_calls_have_none() {
    // One for each RPC, because few denials of a caller have lines of their own.
    let ungranted = Rpc::ALL.map(|rpc| format!("key:ungranted-{}", rpc as usize));
    let callers: Vec<_> = ungranted.iter().map(String::as_str).chain(["key:teacher"]).collect();
    let output = Some((PathBuf::from("audit.log"), OnFailure::Deny));
    let service = TestService::with(EVERYTHING, &callers, output).await;
    let teacher = service.teacher().await;
    let texts = Texts { uuid: "a-room", ..Texts::default() };
    for rpc in Rpc::ALL {
        let before = service.lines().len();
        if let Err(status) = call(&teacher, rpc, texts).await {
            assert_eq!(status.code(), Code::NotFound, "{rpc:?}: only the upstream refuses: {status:?}");
        }
        let lines = service.lines().split_off(before);
        assert_eq!(lines.len(), lines_of(rpc), "{rpc:?}: {lines:?}");
        for line in &lines {
            let told = ["decision", "principal", "peer", "rpc", "project", "access_key", "grant"];
            let expected =
                ["allow", "key:teacher", "127.0.0.1", rpc.name(), "default", "active-key", "everything"];
            assert_eq!(told.map(|name| &line[name]), expected, "{line}");
            assert_eq!(line["region"].is_string(), rpc.goes_upstream(), "{line}");
            assert_eq!(line["fingerprint"].is_string(), rpc.can_mint(inkpass::token::Kind::Sdk), "{line}");
        }

        let before = service.lines().len();
        let name = &*ungranted[rpc as usize];
        let refused =
            call(&service.client(name).await, rpc, Texts { project: "default", ..texts }).await.unwrap_err();
        assert_refused(&refused, Code::PermissionDenied, "PROJECT_UNKNOWN", &[]);
        let lines = service.lines().split_off(before);
        assert_eq!(lines.len(), lines_of(rpc).min(1), "{rpc:?}: {lines:?}");
        for line in &lines {
            let told = ["decision", "reason", "principal", "peer", "rpc", "project"];
            let expected = ["deny", "PROJECT_UNKNOWN", name, "127.0.0.1", rpc.name(), "default"];
            assert_eq!(told.map(|name| &line[name]), expected, "{line}");
            assert!(line["fingerprint"].is_null() && line["grant"].is_null(), "{line}");
        }
    }
}

#[tokio::test]
async fn a_line_has_what_was_minted_for_whom_and_the_response_s_fingerprint() {
    let service = TestService::audited(POLICY).await;
    let teacher = service.teacher().await;
    let mut request =
        Request::new(IssueTokenRequest { validity: Some(ttl(60_000)), ..room("a room", Role::Writer) });
    request.metadata_mut().insert("x-request-id", "a-request".parse().unwrap());
    let answer = teacher.tokens().issue_token(request).await.unwrap();
    assert_eq!(answer.metadata().get("x-request-id").unwrap(), "a-request");
    let token = answer.into_inner().token.unwrap();
    let expected = json!({
        "time": "2026-09-21T14:13:20.000Z", "decision": "allow", "principal": "key:teacher",
        "peer": "127.0.0.1", "rpc": "inkpass.v1.TokenService/IssueToken", "project": "default",
        "access_key": "active-key", "kind": "room", "role": "writer", "uuid": "a room", "ttl_ms": 60_000,
        "expire_time": "2026-09-21T14:14:20.000Z", "grant": "classroom", "request_id": "a-request",
        "fingerprint": token.fingerprint,
    });
    assert_eq!(service.lines(), [expected]);
    let text = std::fs::read_to_string(service.directory.path().join("audit.log")).unwrap();
    assert!(!text.contains(&token.value) && !text.contains("NETLESS"), "never the token");

    let refused = issue(&teacher, room("a room", Role::Admin)).await.unwrap_err();
    let line = service.lines().pop().unwrap();
    let told = ["decision", "reason", "kind", "role", "uuid"].map(|name| &line[name]);
    assert_eq!(told, ["deny", "POLICY_DENIED", "room", "admin", "a room"]);
    assert_eq!(line["request_id"], refused.metadata().get("x-request-id").unwrap().to_str().unwrap());
}

#[tokio::test]
async fn a_batch_has_one_line_with_every_fingerprint() {
    let service = TestService::audited(POLICY).await;
    let teacher = service.teacher().await;
    let tokens = batch(&teacher, vec![room("a", Role::Writer), room("b", Role::Reader)]).await.unwrap();
    let lines = service.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    let fingerprints: Vec<_> = tokens.iter().map(|token| token.fingerprint.clone()).collect();
    assert_eq!(lines[0]["fingerprints"], json!(fingerprints));
    assert_eq!(lines[0]["rpc"], "inkpass.v1.TokenService/BatchIssueTokens");
    // What they have in common, and the strongest of what they differ in.
    let told = ["project", "access_key", "kind", "role", "uuid", "grant"].map(|name| &lines[0][name]);
    assert_eq!(
        told,
        [
            &json!("default"),
            &json!("active-key"),
            &json!("room"),
            &json!("writer"),
            &Value::Null,
            &json!("classroom")
        ]
    );
    let longer = IssueTokenRequest { validity: Some(ttl(7_200_000)), ..room("a", Role::Reader) };
    batch(&teacher, vec![room("a", Role::Reader), longer]).await.unwrap();
    let line = service.lines().pop().unwrap();
    let told = ["role", "uuid", "ttl_ms", "expire_time"].map(|name| &line[name]);
    assert_eq!(told, [&json!("reader"), &json!("a"), &json!(7_200_000), &Value::Null]);

    let most = BatchIssueTokensRequest { requests: vec![room("a", Role::Reader); 1000] };
    let tokens = teacher.tokens().batch_issue_tokens(most).await.unwrap().into_inner().tokens;
    let line = service.lines().pop().unwrap();
    let named: Vec<_> = line["fingerprints"].as_array().unwrap().iter().map(Value::as_str).collect();
    assert_eq!(named.len(), 1000);
    for (token, named) in tokens.iter().zip(named) {
        assert!(token.fingerprint.starts_with(named.unwrap()), "cut, to fit into a line, and no other's");
    }
}

#[tokio::test]
async fn a_denial_s_line_has_the_defaults_that_its_request_left_open() {
    let limited =
        POLICY.replacen("[[grants]]", "[[grants]]\nquota = { tokens_per_second = 1, burst = 2 }", 1);
    let service = TestService::audited(&limited).await;
    let teacher = service.teacher().await;
    let told = |names: &[&str]| {
        let line = service.lines().pop().unwrap();
        names.iter().map(|name| line[*name].clone()).collect::<Vec<_>>()
    };
    let long = IssueTokenRequest { validity: Some(ttl(9_000_000)), ..room("r", Role::Reader) };
    issue(&teacher, long).await.unwrap_err();
    assert_eq!(
        told(&["reason", "project", "ttl_ms"]),
        ["TTL_ABOVE_MAXIMUM".into(), json!("default"), json!(9_000_000)]
    );

    create(&teacher, CreateRoomRequest { region: Region::Sg.into(), ..Default::default() })
        .await
        .unwrap_err();
    assert_eq!(told(&["reason", "project", "region"]), ["REGION_FORBIDDEN", "default", "sg"]);

    batch(&teacher, vec![room("r", Role::Reader); 3]).await.unwrap_err();
    assert_eq!(told(&["reason", "batch", "uuid"]), [json!("CALLER_QUOTA_EXCEEDED"), json!(3), json!("r")]);
    let mut differing = vec![room("a", Role::Reader), room("b", Role::Writer), sdk()];
    differing[0].validity = Some(ttl(60_000));
    batch(&teacher, differing).await.unwrap_err();
    let (what, longest) = (["project", "kind", "role", "uuid", "ttl_ms", "grant"], json!(600_000));
    assert_eq!(
        told(&what),
        [json!("default"), Value::Null, json!("writer"), Value::Null, longest, json!("classroom")]
    );
    batch(&teacher, vec![room("r", Role::Reader); 2]).await.unwrap();
    assert_eq!(told(&["decision", "batch"]), [json!("allow"), json!(2)]);
    issue(&teacher, room("r", Role::Reader)).await.unwrap_err();
    let what = ["reason", "project", "access_key", "grant", "ttl_ms"];
    let expected = [
        json!("CALLER_QUOTA_EXCEEDED"),
        json!("default"),
        json!("active-key"),
        json!("classroom"),
        json!(600_000),
    ];
    assert_eq!(told(&what), expected);
}

#[tokio::test]
async fn a_line_has_its_caller_s_trace_id_even_if_no_trace_is_exported() {
    let service = TestService::audited(POLICY).await;
    let mut request = Request::new(room("r", Role::Reader));
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    request.metadata_mut().insert("traceparent", trace.parse().unwrap());
    service.teacher().await.tokens().issue_token(request).await.unwrap();
    assert_eq!(service.lines()[0]["trace_id"], "0af7651916cd43dd8448eb211c80319c");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replayed_creation_signs_with_the_key_that_created() {
    let keys = |active: usize, retiring: usize| [active, retiring].map(|key| Files::of(ACCEPTED[key]));
    let program = Program::with(POLICY, "", "allow", &keys(0, 1)).await;
    let teacher = program.client("key:teacher").await;
    let request_id = "6fd0b1d6-8a1c-4f6f-9d55-0f0a3f8a2c11";
    let request = CreateRoomRequest {
        request_id: request_id.to_ascii_uppercase(),
        token_grant: Some(TokenGrant { role: Role::Reader.into(), validity: None }),
        ..Default::default()
    };
    create(&teacher, request.clone()).await.unwrap();
    program.mount("..swapped", &keys(1, 0));
    until("the other key signs", async || {
        issue(&teacher, room("r", Role::Reader)).await.unwrap().access_key == ACCEPTED[1]
    })
    .await;
    let again = create(&teacher, request).await.unwrap();
    let (room, token) = (again.room.unwrap(), again.token.unwrap());
    assert_eq!([&room.access_key, &token.access_key], [ACCEPTED[0]; 2]);
    let line = crate::audit::read_so_far(&program.path("audit.log")).pop().unwrap();
    let told = ["phase", "access_key", "fingerprint", "uuid"].map(|name| line[name].as_str().unwrap());
    assert_eq!(told, ["outcome", ACCEPTED[0], &token.fingerprint, &room.uuid]);
    assert_eq!((&line["idempotency_key"], &line["replayed"]), (&json!(request_id), &json!(true)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_creation_has_both_lines_or_none_even_if_its_caller_leaves() {
    let service = TestService::audited(POLICY).await;
    let teacher = service.teacher().await;
    for number in 0..200_u32 {
        let teacher = teacher.clone();
        let creating = tokio::spawn(async move { create(&teacher, CreateRoomRequest::default()).await });
        // Finer than a timer.
        let leaves = Instant::now() + number * Duration::from_micros(25);
        while Instant::now() < leaves {
            tokio::task::yield_now().await;
        }
        creating.abort();
        let _ = creating.await;
    }
    let phase = |phase: &str| service.lines().iter().filter(|line| line["phase"] == phase).count();
    until("each has both", async || phase("decision") > 0 && phase("decision") == phase("outcome")).await;
    assert_eq!(service.sent().await, phase("decision"));
}

#[tokio::test]
async fn a_creation_s_outcome_is_written_even_if_its_caller_left() {
    let service = TestService::audited(POLICY).await;
    let teacher = service.teacher().await;
    service.delay_a_creation().await;
    let creating = tokio::spawn(async move { create(&teacher, CreateRoomRequest::default()).await });
    service.until_sent(1).await;
    creating.abort();
    assert!(creating.await.unwrap_err().is_cancelled());
    until("the outcome is written", async || service.lines().len() == 2).await;
    let line = service.lines().pop().unwrap();
    assert_eq!((&line["phase"], &line["decision"]), (&json!("outcome"), &json!("allow")));
    assert!(line["uuid"].as_str().is_some_and(|uuid| uuid.len() == 32), "{line}");
}

#[tokio::test]
async fn a_creation_has_a_line_before_its_post_and_one_with_its_outcome() {
    let service = TestService::audited(POLICY).await;
    let teacher = service.teacher().await;
    let request = CreateRoomRequest {
        region: Region::Eu.into(),
        token_grant: Some(TokenGrant { role: Role::Reader.into(), validity: None }),
        ..Default::default()
    };
    service.delay_a_creation().await;
    let creating = tokio::spawn({
        let (teacher, request) = (teacher.clone(), request.clone());
        async move { create(&teacher, request).await }
    });
    service.until_sent(1).await;
    let decision = service.lines();
    assert_eq!(decision.len(), 1, "the POST was received, so its line is there");
    let created = creating.await.unwrap().unwrap();
    let (room, token) = (created.room.unwrap(), created.token.unwrap());
    let lines = service.lines();
    assert_eq!((lines.len(), &lines[0]), (2, &decision[0]));
    let alike = ["decision", "rpc", "request_id", "principal", "region", "kind", "role", "ttl_ms", "grant"];
    assert_eq!(alike.map(|name| &lines[0][name]), alike.map(|name| &lines[1][name]));
    assert_eq!(
        alike[4..].iter().map(|name| &lines[0][*name]).collect::<Vec<_>>(),
        [&json!("eu"), &json!("room"), &json!("reader"), &json!(600_000), &json!("classroom")]
    );
    assert_eq!((&lines[0]["phase"], &lines[0]["uuid"]), (&json!("decision"), &Value::Null));
    assert!(lines[0]["fingerprint"].is_null());
    assert_eq!((&lines[1]["phase"], &lines[1]["uuid"]), (&json!("outcome"), &json!(room.uuid)));
    assert_eq!(lines[1]["fingerprint"], token.fingerprint);

    // One that fails has its reason in the second line.
    service.world.upstream.fail_once("/v5/rooms", 500).await;
    let failed = create(&teacher, request).await.unwrap_err();
    let reason = failed.get_error_details().error_info().unwrap().reason.clone();
    let line = service.lines().pop().unwrap();
    assert_eq!([&line["phase"], &line["reason"]], ["outcome", "UPSTREAM_OUTCOME_UNKNOWN"]);
    assert_eq!((service.lines().len(), &*reason), (4, "UPSTREAM_OUTCOME_UNKNOWN"));
}

/// Row 50 of the fault cases: any bytes in a request.
#[tokio::test]
async fn hostile_bytes_in_every_text_of_a_request_stay_one_line() {
    let teachers = ["key:teacher", "key:second", "key:third", "key:fourth"];
    let policy = EVERYTHING.replace(r#"["key:teacher"]"#, &format!("{teachers:?}"));
    let output = Some((PathBuf::from("audit.log"), OnFailure::Deny));
    let service = TestService::with(&policy, &teachers, output).await;
    let text = hostile();
    // What a uuid to mint for may hold: no control characters.
    let uuid = "\"}{\\\"\u{2028}\u{2029}\u{202e}\u{feff}é🎨</script>%0a${x}";
    let minted = |project: &str, access_key: &str| {
        let scope = Scope::Room(RoomScope { uuid: uuid.to_owned(), access_key: access_key.to_owned() });
        let project = project.to_owned();
        IssueTokenRequest { project, scope: Some(scope), role: Role::Reader.into(), ..Default::default() }
    };
    // Both together are as long as a request may be.
    let half = &text[..text.floor_char_boundary(text.len() / 2)];
    let asked = [("", "", "allow"), ("", &*text, "deny"), (&text, "", "deny"), (half, half, "deny")];
    // Each by another, because few denials of a caller have lines of their own.
    for ((project, access_key, decision), teacher) in asked.into_iter().zip(teachers) {
        let teacher = service.client(teacher).await;
        let before = service.lines().len();
        assert_eq!(issue(&teacher, minted(project, access_key)).await.is_ok(), decision == "allow");
        assert_eq!(batch(&teacher, vec![minted(project, access_key)]).await.is_ok(), decision == "allow");
        let lines = service.lines().split_off(before);
        assert_eq!(lines.len(), 2, "{lines:?}");
        for line in &lines {
            assert_eq!([&line["decision"], &line["uuid"]], [decision, uuid]);
            let whole = |asked: &str, name: &str| asked.starts_with(line[name].as_str().unwrap());
            assert!(project.is_empty() || whole(project, "project"), "its beginning, as it was: {line}");
            assert!(access_key.is_empty() || whole(access_key, "access_key"), "{line}");
        }
    }
    let teacher = service.teacher().await;
    for rpc in Rpc::ALL {
        let before = service.lines().len();
        for texts in [
            Texts { project: &text, access_key: &text, uuid: "r" },
            Texts { project: "", access_key: &text, uuid: "r" },
            Texts { project: "", access_key: "", uuid: &text },
        ] {
            // Whether or not it is refused is another test's.
            let _ = call(&teacher, rpc, texts).await;
        }
        assert!(service.lines().len() - before <= 6, "{rpc:?}: no text makes lines of its own");
    }
    let log = std::fs::read(service.directory.path().join("audit.log")).unwrap();
    for line in log.split_inclusive(|byte| *byte == b'\n') {
        assert!(
            line.len() <= 16 * 1024 && line[..line.len() - 1].iter().all(|byte| (b' '..0x7f).contains(byte))
        );
    }
}
