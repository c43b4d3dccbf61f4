//! Keys that rotate under load: rows 38 and 39 of the fault cases.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use inkpass::{
    clock::{Clock, SystemClock},
    proto::{CreateRoomRequest, Role, Token, TokenGrant},
    token::{Presented, Wanted, verify},
};
use tonic::Code;

use super::{
    FAST_WATCHES, POLICY, create, issue,
    program::{ACCEPTED, Files, Load, Program},
    room, until, watch_a_conversion, watching,
};
use crate::helpers::{assert_refused, key};

/// Which of the keys a token verifies with: exactly one, and the one that it names.
#[track_caller]
fn signer(token: &Token) -> usize {
    let presented = Presented::parse(&token.value).unwrap();
    let is_of =
        |name: &&str| verify(&presented, Some(&key(name)), SystemClock.now(), &Wanted::default()).is_ok();
    let signers: Vec<_> = ACCEPTED.iter().filter(|name| is_of(name)).collect();
    assert_eq!(signers, [&token.access_key], "it verifies with one key, which it names");
    ACCEPTED.iter().position(|name| *name == token.access_key).unwrap()
}

/// A room, and a token for it.
fn room_with_token() -> CreateRoomRequest {
    let token_grant = Some(TokenGrant { role: Role::Reader.into(), validity: None });
    CreateRoomRequest { token_grant, ..Default::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_swapped_under_load_fail_no_call_and_the_old_one_signs_nothing_after_the_new_one_did() {
    let program = Program::start(POLICY, "try_new_keys = true").await;
    // The newest key that any answer was signed with.
    let newest = Arc::new(AtomicUsize::new(0));
    let mut load = Load::new();
    for is_creating in [false, false, true] {
        let (teacher, newest) = (program.client("key:teacher").await, newest.clone());
        load.add(move || {
            let (teacher, newest) = (teacher.clone(), newest.clone());
            async move {
                let known = newest.load(Ordering::SeqCst);
                let token = if is_creating {
                    let created = create(&teacher, room_with_token()).await.unwrap();
                    let token = created.token.unwrap();
                    assert_eq!(created.room.unwrap().access_key, token.access_key);
                    token
                } else {
                    issue(&teacher, room("r", Role::Reader)).await.unwrap()
                };
                let signer = signer(&token);
                assert!(signer >= known, "{} after {}", token.access_key, ACCEPTED[known]);
                newest.fetch_max(signer, Ordering::SeqCst);
            }
        });
    }
    for (swaps, name) in ACCEPTED.iter().enumerate() {
        if swaps > 0 {
            program.mount(&format!("..swap{swaps}"), &[Files::of(name)]);
            until(name, async || newest.load(Ordering::SeqCst) == swaps).await;
        }
        load.go_on(50).await;
    }
    load.end().await;
    assert_eq!(program.logged("files cannot be used"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_without_a_good_key_replace_none() {
    let program = Program::start(POLICY, "").await;
    let teacher = program.client("key:teacher").await;
    let good = || Files::of(ACCEPTED[1]);
    for (index, (what, files)) in [
        ("truncated", Files { secret: Some(b"a-short-one".to_vec()), ..good() }),
        ("empty", Files { secret: Some(Vec::new()), ..good() }),
        ("no access key", Files { access: Some(b"\n".to_vec()), ..good() }),
        ("open to others", Files { mode: 0o666, ..good() }),
        ("not UTF-8", Files { secret: Some(vec![0xff; 32]), ..good() }),
        ("the same twice", Files { access: good().secret, ..good() }),
        ("gone", Files { secret: None, ..good() }),
        ("all gone", Files { access: None, secret: None, ..good() }),
    ]
    .into_iter()
    .enumerate()
    {
        program.mount(&format!("..bad{index}"), &[files]);
        program.until_metric("inkpass_reload_failing{what=\"keys\"} 1").await;
        let token = issue(&teacher, room("r", Role::Reader)).await.unwrap();
        assert_eq!(signer(&token), 0, "{what}: the last known good key stays");
        assert_eq!(program.logged("files cannot be used"), index + 1, "{what}: it is logged once");
        program.mount(&format!("..good{index}"), &[Files::of(ACCEPTED[0])]);
        program.until_metric("inkpass_reload_failing{what=\"keys\"} 0").await;
    }
    program.mount("..last", &[good()]);
    until("the next good key is used", async || {
        signer(&issue(&teacher, room("r", Role::Reader)).await.unwrap()) == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_the_upstream_does_not_accept_is_not_used_where_new_keys_are_tried() {
    let program = Program::start(POLICY, "try_new_keys = true").await;
    let teacher = program.client("key:teacher").await;
    let what = "projects.default.keys[0]: the whiteboard API does not accept this key";
    program.mount("..foreign", &[Files::of("a-key-of-nobody")]);
    until(what, async || program.logged(what) == 1).await;
    program.until_metric("inkpass_reload_failing{what=\"keys\"} 1").await;
    assert_eq!(signer(&issue(&teacher, room("r", Role::Reader)).await.unwrap()), 0);
    assert!(create(&teacher, room_with_token()).await.unwrap().token.is_some());

    // The right access key with another key's secret: one of two files was forgotten.
    let half = Files { secret: Files::of(ACCEPTED[0]).secret, ..Files::of(ACCEPTED[1]) };
    program.mount("..half", &[half]);
    until(what, async || program.logged(what) == 2).await;
    program.mount("..good", &[Files::of(ACCEPTED[1])]);
    program.until_metric("inkpass_reload_failing{what=\"keys\"} 0").await;
    assert_eq!(signer(&issue(&teacher, room("r", Role::Reader)).await.unwrap()), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_whose_key_was_replaced_ends_and_can_be_resumed() {
    let program = Program::start(&watching(), FAST_WATCHES).await;
    let teacher = program.client("key:teacher").await;
    let mut watch = watch_a_conversion(&teacher).await;
    program.mount("..second", &[Files::of(ACCEPTED[1])]);
    let ended = loop {
        match watch.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it ended as if all were done"),
            Err(status) => break status,
        }
    };
    assert_refused(&ended, Code::Unavailable, "WATCH_EXPIRED", &[]);
    watch_a_conversion(&teacher).await;
}
