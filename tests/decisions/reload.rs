//! A policy file that changes under load: row 36 of the fault cases.

use std::fs;

use inkpass::proto::Role;
use tonic::Code;

use super::{
    POLICY, issue,
    program::{Load, Program},
    room, until,
};
use crate::helpers::assert_refused;

/// The policy with a grant for the other caller too.
fn opened() -> String {
    POLICY.replace("[\"key:teacher\"]", "[\"key:teacher\", \"key:ungranted\"]")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_changes_under_load_without_a_failed_call_and_a_bad_one_changes_nothing() {
    let program = Program::start(POLICY, "").await;
    let mut load = Load::new();
    for _ in 0..2 {
        let teacher = program.client("key:teacher").await;
        load.add(move || {
            let teacher = teacher.clone();
            async move { drop(issue(&teacher, room("r", Role::Writer)).await.unwrap()) }
        });
    }
    let ungranted = program.client("key:ungranted").await;
    let may = async || issue(&ungranted, room("r", Role::Writer)).await.is_ok();
    load.go_on(20).await;
    let refused = issue(&ungranted, room("r", Role::Writer)).await.unwrap_err();
    assert_refused(&refused, Code::PermissionDenied, "PROJECT_UNKNOWN", &[]);

    program.write_policy(&opened());
    until("the new grant holds", may).await;
    program.until_metric("inkpass_reload_failing{what=\"policy\"} 0").await;
    let (whole, path) = (opened(), program.path("policy/policy.toml"));
    let bad: [(&str, &dyn Fn()); 4] = [
        ("half-written", &|| program.write_policy(&whole[..whole.len() / 2])),
        ("empty", &|| fs::write(&path, "").unwrap()),
        ("an unknown project", &|| program.write_policy(&whole.replace("\"default\"", "\"nobody\""))),
        ("removed", &|| fs::remove_file(&path).unwrap()),
    ];
    for (index, (what, make)) in bad.into_iter().enumerate() {
        make();
        until(what, async || program.logged("files cannot be used") > index).await;
        program.until_metric("inkpass_reload_failing{what=\"policy\"} 1").await;
        load.go_on(20).await;
        assert!(may().await, "{what}: the last known good policy stays in use");
        assert_eq!(program.logged("files cannot be used"), index + 1, "{what}: it is logged once");
    }

    program.write_policy(POLICY);
    until("the grant is gone", async || !may().await).await;
    program.until_metric("inkpass_reload_failing{what=\"policy\"} 0").await;
    load.go_on(20).await;
    load.end().await;
}
