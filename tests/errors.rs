//! What each error is explained as, and docs/errors.md, held against the reasons in the code:
//! `RENEW=1 cargo test errors` writes it again.

use std::{collections::BTreeSet, fmt::Write, fs, path::Path, time::Duration};

use inkpass::{
    caller::Unknown,
    error::{Actor, Error, FoundBy, Reason, ReasonRow, RepeatAdvice, Retry, Withheld},
    idempotency::IdempotencyError,
    methods::Resource,
    policy::{Denial, Limit, MissingRight, QuotaExceeded},
    shares::Refused,
    whiteboard::{self, Effect},
};

const HEAD: &str = "# Errors

A refused call ends in a `google.rpc.Status` with a `google.rpc.ErrorInfo` of domain `inkpass`. Branch on its
`reason`; messages may change. This page is made from `src/reason.rs`.

- `BadRequest` goes with INVALID_ARGUMENT: every violation at once, by field.
- `QuotaFailure` goes with RESOURCE_EXHAUSTED: the limit, and what it allows.
- `RetryInfo` says how long to wait. Without it, the column below says whether the call can be repeated at all.
- `grpc-retry-pushback-ms` is for the library that repeats calls. With UNAVAILABLE it is that wait. -1, with any code, means: do
  not repeat this call. Without `RetryInfo` the call may have acted, and a repeat could act twice. With `RetryInfo` inkpass has
  repeated it itself: the application may send it again after that wait. [deploy.md](deploy.md#repeat-calls) has the service config.
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
        RepeatAdvice::No => "no",
        RepeatAdvice::Anywhere => "yes, on any replica",
        RepeatAdvice::ByTheApplication => "yes, on any replica, but by the application alone",
        RepeatAdvice::UnlessItActed => "yes, on any replica, unless the pushback is -1",
        RepeatAdvice::Later => "later; another replica may refuse it too",
        RepeatAdvice::AfterALook => "after a look at what it did",
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
        let ReasonRow { name, meaning, advice, .. } = row;
        let _ = writeln!(page, "| `{name}` | {code} | {meaning} | {repeat} | {actor} | {advice} |");
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/errors.md");
    if std::env::var_os("RENEW").is_some() {
        fs::write(&path, &page).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), page, "RENEW=1 cargo test errors writes it again");
}

#[test]
fn the_protos_name_every_reason_and_no_other() {
    let known: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.name().to_owned()).collect();
    let mut named = BTreeSet::new();
    for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("proto/inkpass/v1")).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        for errors in text.split("// Errors").skip(1) {
            let comment =
                errors.lines().take_while(|line| !line.contains("rpc ") && !line.contains("service "));
            let words = comment.flat_map(|line| line.split(|c: char| !(c.is_ascii_uppercase() || c == '_')));
            named.extend(words.filter(|word| word.len() > 1 && *word != "TTL").map(str::to_owned));
        }
    }
    assert_eq!(named, known);
}

/// Whether docs/errors.md says of a reason what an answer says of a call.
const fn agrees(repeat: RepeatAdvice, retry: Retry) -> bool {
    use RepeatAdvice::{AfterALook, Anywhere, ByTheApplication, Later, No, UnlessItActed};
    match retry {
        Retry::Unsaid => !matches!(repeat, Anywhere | ByTheApplication),
        Retry::After(_) => matches!(repeat, Anywhere | Later | UnlessItActed),
        Retry::ByTheApplication(_) => matches!(repeat, ByTheApplication),
        Retry::Never => matches!(repeat, No | AfterALook | UnlessItActed),
    }
}

/// A reason and its retry advice are what clients act on: a second, another delay, or never.
#[test]
fn every_error_has_its_reason_and_its_retry_advice() {
    let second = Retry::After(Duration::from_secs(1));
    let exceeded = |what, retry_after| {
        Error::QuotaExceeded(QuotaExceeded { grant: "g".into(), what, allowed: 1, retry_after })
    };
    let safely = Error::repeated_safely;
    let upstream = |error| Error::Upstream(error, Resource::Room);
    let missing = |resource| Error::Upstream(whiteboard::Error::NotFound, resource);
    let detail = String::new;
    let unexpected = upstream(whiteboard::Error::UnexpectedAnswer { detail: String::new() });
    let limited = |retry_after| upstream(whiteboard::Error::RateLimited { retry_after });
    let three = Duration::from_secs(3);
    let itself = Retry::ByTheApplication(Duration::from_secs(1));
    let (own_share, all_taken) = (Refused::OwnShare { what: "x" }, Refused::AllTaken { what: "x" });
    let in_batch = |error| Error::InBatch(7, Box::new(error));
    for (error, reason, retry) in [
        (Error::Unauthenticated(Unknown), Reason::CallerUnknown, Retry::Unsaid),
        (Error::invalid("a", "b"), Reason::InvalidRequest, Retry::Unsaid),
        (Denial::ProjectUnknown.into(), Reason::ProjectUnknown, Retry::Unsaid),
        (Denial::PolicyDenied(MissingRight::Rpc).into(), Reason::PolicyDenied, Retry::Unsaid),
        (Denial::RegionForbidden.into(), Reason::RegionForbidden, Retry::Unsaid),
        (Denial::PermanentTokenForbidden.into(), Reason::PermanentTokenForbidden, Retry::Unsaid),
        (Denial::TtlAboveMaximum(three).into(), Reason::TtlAboveMaximum, Retry::Unsaid),
        (Error::AccessKeyUnknown, Reason::AccessKeyUnknown, Retry::Unsaid),
        (exceeded(Limit::TokensPerSecond, Some(three)), Reason::CallerQuotaExceeded, Retry::After(three)),
        (exceeded(Limit::Burst, None), Reason::CallerQuotaExceeded, Retry::Unsaid),
        (Error::ClockUnstable, Reason::ClockUnstable, second),
        (in_batch(Error::ClockUnstable), Reason::ClockUnstable, second),
        (Error::AuditUnavailable, Reason::AuditUnavailable, second),
        (Error::NoShare(all_taken), Reason::Overloaded, second),
        (Error::NoShare(own_share), Reason::CallerQuotaExceeded, second),
        (Error::Idempotency(IdempotencyError::OtherArguments), Reason::InvalidRequest, Retry::Unsaid),
        (Error::Idempotency(IdempotencyError::NoRoom(all_taken)), Reason::Overloaded, second),
        (Error::Idempotency(IdempotencyError::Unavailable), Reason::StoreUnavailable, second),
        (safely(Error::Idempotency(IdempotencyError::Lost)), Reason::UpstreamOutcomeUnknown, Retry::Unsaid),
        (safely(Error::Idempotency(IdempotencyError::Unavailable)), Reason::StoreUnavailable, second),
        (upstream(whiteboard::Error::NoShare(own_share)), Reason::CallerQuotaExceeded, second),
        (upstream(whiteboard::Error::TooLate), Reason::DeadlineExceeded, Retry::Unsaid),
        (Error::Idempotency(IdempotencyError::Lost), Reason::UpstreamOutcomeUnknown, Retry::Never),
        (upstream(whiteboard::Error::Unreachable { detail: detail() }), Reason::UpstreamUnreachable, itself),
        (
            upstream(whiteboard::Error::Paused { detail: detail(), retry_after: three }),
            Reason::UpstreamUnreachable,
            Retry::ByTheApplication(three),
        ),
        (
            upstream(whiteboard::Error::CircuitOpen { retry_after: three }),
            Reason::UpstreamCircuitOpen,
            Retry::ByTheApplication(three),
        ),
        (
            upstream(whiteboard::Error::OutcomeUnknown { detail: detail() }),
            Reason::UpstreamOutcomeUnknown,
            Retry::Never,
        ),
        (
            upstream(whiteboard::Error::CredentialsRejected { detail: detail() }),
            Reason::UpstreamCredentialsRejected,
            Retry::Unsaid,
        ),
        (upstream(whiteboard::Error::Refused { detail: detail() }), Reason::UpstreamRefused, Retry::Unsaid),
        (missing(Resource::Room), Reason::RoomNotFound, Retry::Unsaid),
        (missing(Resource::Scene), Reason::RoomNotFound, Retry::Unsaid),
        (missing(Resource::Conversion), Reason::ConversionNotFound, Retry::Unsaid),
        (missing(Resource::Project), Reason::UpstreamUnexpectedAnswer, Retry::Unsaid),
        (upstream(whiteboard::Error::SceneNotFound), Reason::SceneNotFound, Retry::Unsaid),
        (upstream(whiteboard::Error::RoomDisabled), Reason::RoomDisabled, Retry::Unsaid),
        (upstream(whiteboard::Error::NotWaiting), Reason::ConversionNotWaiting, Retry::Unsaid),
        (upstream(whiteboard::Error::FeatureDisabled), Reason::UpstreamFeatureDisabled, Retry::Unsaid),
        (upstream(whiteboard::Error::QueueFull), Reason::UpstreamQueueFull, second),
        (limited(None), Reason::UpstreamRateLimited, second),
        (limited(Some(three)), Reason::UpstreamRateLimited, Retry::After(three)),
        (upstream(whiteboard::Error::ClockUnstable), Reason::ClockUnstable, second),
        (unexpected, Reason::UpstreamUnexpectedAnswer, Retry::Unsaid),
        (Error::DeadlineExceeded(Effect::None), Reason::DeadlineExceeded, Retry::Unsaid),
        (Error::DeadlineExceeded(Effect::Possible), Reason::DeadlineExceeded, Retry::Never),
        (Error::WatchExpired, Reason::WatchExpired, second),
        (Error::ShuttingDown, Reason::ShuttingDown, second),
        (safely(Error::DeadlineExceeded(Effect::Possible)), Reason::DeadlineExceeded, Retry::Unsaid),
        (Error::Internal(""), Reason::Internal, Retry::Never),
        (safely(Error::Internal("")), Reason::Internal, Retry::Unsaid),
    ] {
        let explained = error.explain();
        assert_eq!((explained.reason, explained.retry), (reason, retry), "{error:?}");
        assert!(agrees(reason.row().repeat, retry), "{reason:?}: {retry:?}");
        if let Error::Denied(denial) = &error {
            assert_eq!(denial.reason(), reason.name());
        }
        let is_unknown = explained.metadata.contains(&("outcome", "unknown".to_owned()));
        let error = if let Error::RepeatedSafely(error) = &error { error } else { &error };
        let may_have_acted = matches!(error, Error::DeadlineExceeded(Effect::Possible));
        assert_eq!(is_unknown, may_have_acted);
    }
}

#[test]
fn a_create_without_its_token_is_repeated_only_where_every_replica_knows_of_it() {
    let second = Retry::After(Duration::from_secs(1));
    for (why, reason, known) in [
        (Withheld::AuditUnavailable, Reason::AuditUnavailable, second),
        (Withheld::ClockUnstable, Reason::ClockUnstable, second),
        (Withheld::KeyGone, Reason::AccessKeyUnknown, Retry::Unsaid),
    ] {
        for (found_by, retry) in [
            (FoundBy::RequestIdAnywhere, known),
            (FoundBy::RequestIdHere, Retry::Never),
            (FoundBy::Nothing, Retry::Never),
        ] {
            let explained = Error::TokenWithheld { why, found_by }.explain();
            assert_eq!((explained.reason, explained.retry), (reason, retry), "{why:?} {found_by:?}");
        }
    }
}

#[test]
fn a_denial_names_what_the_policy_does_not_allow() {
    for (missing, name) in
        [(MissingRight::Rpc, "rpc"), (MissingRight::Kind, "kind"), (MissingRight::Role, "role")]
    {
        let explained = Error::from(Denial::PolicyDenied(missing)).explain();
        assert_eq!(explained.metadata, [("missing", name.to_owned())]);
    }
    assert!(Error::from(Denial::RegionForbidden).explain().metadata.is_empty());
}

/// What is kept for its time does not end by its caller's doing.
#[test]
fn a_caller_with_its_share_is_told_how_to_have_less() {
    let own_share = Refused::OwnShare { what: "x" };
    let message = |error: Error| error.explain().message.into_owned();
    assert!(message(Error::NoShare(own_share)).ends_with("let some end first"));
    let kept = message(Error::Idempotency(IdempotencyError::NoRoom(own_share)));
    assert!(kept.ends_with("each is kept for ten minutes, so make fewer of them"), "{kept}");
}
