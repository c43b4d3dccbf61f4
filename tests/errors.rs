//! docs/errors.md, held against the reasons in the code: `RENEW=1 cargo test errors` writes it again.

use std::{fmt::Write, fs, path::Path};

use inkpass::error::{Actor, Reason, Repeat, Row};

const HEAD: &str = "# Errors

A refused call ends in a `google.rpc.Status` with a `google.rpc.ErrorInfo` of domain `inkpass`. Branch on its
`reason`; messages may change. This page is made from `src/error/reason.rs`.

- `BadRequest` goes with INVALID_ARGUMENT: every violation at once, by field.
- `QuotaFailure` goes with RESOURCE_EXHAUSTED: the limit, and what it allows.
- `RetryInfo` says how long to wait. Without it, the column below says whether the call can be repeated at all.
- `grpc-retry-pushback-ms` goes with UNAVAILABLE. -1 means: do not repeat this call, it would act twice.
- `x-request-id` names the call in the log and in the audit trail.

What is refused before a handler sees it has no details: HTTP 405 and 415, an unknown method, a message that
cannot be decoded, is compressed or is too large.

| reason | code | what it means | repeat the call? | who acts | what to do |
|---|---|---|---|---|---|
";

fn code(reason: Reason) -> String {
    // The canonical name, from the one in Rust: InvalidArgument is INVALID_ARGUMENT.
    format!("{:?}", reason.row().code).chars().fold(String::new(), |name, c| match c {
        'A'..='Z' if !name.is_empty() => name + "_" + &c.to_string(),
        c => name + &c.to_ascii_uppercase().to_string(),
    })
}

const fn repeat(reason: Reason) -> &'static str {
    match reason.row().repeat {
        Repeat::No => "no",
        Repeat::Anywhere => "yes, on any replica",
        Repeat::Later => "later; another replica does not help",
        Repeat::AfterALook => "after a look at what it did",
    }
}

const fn actor(reason: Reason) -> &'static str {
    match reason.row().actor {
        Actor::Caller => "the caller",
        Actor::Operator => "the operator",
        Actor::ProjectOwner => "the project's owner",
        Actor::Nobody => "nobody",
    }
}

#[test]
fn the_page_of_errors_says_what_the_code_says() {
    let mut page = HEAD.to_owned();
    for reason in Reason::ALL.iter().copied() {
        let (row, code, repeat, actor) = (reason.row(), code(reason), repeat(reason), actor(reason));
        let Row { name, meaning, advice, .. } = row;
        let _ = writeln!(page, "| `{name}` | {code} | {meaning} | {repeat} | {actor} | {advice} |");
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/errors.md");
    if std::env::var_os("RENEW").is_some() {
        fs::write(&path, &page).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), page, "RENEW=1 cargo test errors writes it again");
}

#[test]
fn the_protos_name_no_other_reason() {
    let known: Vec<_> = Reason::ALL.iter().map(|reason| reason.name()).collect();
    for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("proto/inkpass/v1")).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        for errors in text.split("// Errors: ").skip(1) {
            let comment = errors.lines().take_while(|line| !line.trim_start().starts_with("rpc "));
            let words = comment.flat_map(|line| line.split(|c: char| !(c.is_ascii_uppercase() || c == '_')));
            for name in words.filter(|word| word.contains('_')) {
                assert!(known.contains(&name), "{name}");
            }
        }
    }
}
