//! Every metric, one row each: its name, what it is, its labels and what they can be. Registration, docs/metrics.md and
//! the tests of both are made from these rows.

use super::labels::{
    ClaimOutcome, Cut, Failure, Quota, Refusal, Signal, SpanLoss, StoreCall, StoreFault, UpstreamStatus,
};
use crate::{
    region::Region,
    token::{Kind as TokenKind, Role},
};

/// A metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// What it tells of, as a heading of docs/metrics.md.
    pub area: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What its value does.
    pub kind: Kind,
    /// Its labels.
    pub labels: &'static [Label],
    /// What it is, with its unit.
    pub help: &'static str,
}

/// What a metric's value does.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// It counts, from 0 at the start.
    Counter,
    /// It goes up and down.
    Gauge,
    /// How often it was at most each of these bounds.
    Histogram(&'static [f64]),
}

/// A label, whose values are a set that no caller can make longer.
#[derive(Clone, Copy, Debug)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// What it can be.
    pub values: Values,
}

/// What a label can be.
#[derive(Clone, Copy, Debug)]
pub enum Values {
    /// One of these.
    Only(&'static [&'static str]),
    /// A name that the settings or the API give, as these words say.
    Of(&'static str),
}

/// From 50 µs to the longest call.
const CALL_BOUNDS: &[f64] = &[
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 20.0,
];

/// A call has 14 s, with all its attempts.
const UPSTREAM_BOUNDS: &[f64] = &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0];

/// A call of the store has 0.2 s.
const STORE_BOUNDS: &[f64] = &[0.0002, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.25];

const fn only(name: &'static str, values: &'static [&'static str]) -> Label {
    Label { name, values: Values::Only(values) }
}

const fn of(name: &'static str, what: &'static str) -> Label {
    Label { name, values: Values::Of(what) }
}

const RPC_METHOD: Label = of("rpc_method", "`package.Service/Method`, or `_OTHER` for what is not served");
const REASON: Label = of("reason", "one of [errors.md](errors.md), or empty");
const PROJECT: Label = of("project", "a project of the settings");
const LISTENER: Label = only("listener", &["grpc", "admin"]);
const REGION: Label = only("region", Region::NAMES);
const UPSTREAM_CALL: Label = of("call", "the RPC that it is for, such as `GetRoom`");
const STORE_CALL: Label = only("call", StoreCall::NAMES);
const ISSUER: Label = of("issuer", "an issuer of the settings");
const WHAT: Label = only("what", &["api_keys", "keys", "policy", "settings", "tls"]);
const RESULT: Label = only("result", &["ok", "failed"]);

/// What calls take places of, and what else of bounded things is shared out.
const CALLS: &[&str] = &["calls", "batches", "upstream_calls", "watches", "reflection_streams"];
#[rustfmt::skip]
const SHARED: &[&str] = &[
    "calls", "batches", "upstream_calls", "watches", "reflection_streams", "request_bytes", "creating_calls", "upstream_reads",
    "upstream_writes", "request_ids",
];
/// Calls of health and reflection on one connection are bounded without shares.
#[rustfmt::skip]
const SHED_OF: &[&str] = &[
    "calls", "batches", "upstream_calls", "watches", "reflection_streams", "request_bytes", "creating_calls", "upstream_reads",
    "upstream_writes", "request_ids", "open_calls",
];

#[rustfmt::skip]
const UNKNOWN: &[&str] = &[
    "no_credential", "several_credentials", "malformed", "rate_limited", "issuer_unknown", "algorithm", "audience", "expired",
    "not_yet_valid", "subject", "keys_unavailable", "key_unknown", "signature", "api_key_unknown", "certificate",
    "certificate_name", "trust_domain",
];

macro_rules! metrics {
    ($($area:literal { $($id:ident = $kind:expr, $name:literal, [$($label:expr),*], $help:literal;)* })*) => {
        $($(
            #[doc = $help]
            pub(crate) const $id: Metric =
                Metric { area: $area, name: $name, kind: $kind, labels: &[$($label),*], help: $help };
        )*)*

        /// All metrics, in the order of docs/metrics.md.
        pub const ALL: &[Metric] = &[$($($id,)*)*];
    };
}

use Kind::{Counter, Gauge, Histogram};

metrics! {
    "Calls" {
        CALLS_ENDED = Counter, "inkpass_calls_total", [RPC_METHOD, of("rpc_status_code", "a gRPC code, such as `OK`"), REASON],
            "Calls that ended, cancelled ones too.";
        CALL_DURATION = Histogram(CALL_BOUNDS), "rpc_server_call_duration_seconds", [RPC_METHOD],
            "From a call's headers to the end of its answer, in seconds.";
        IN_FLIGHT = Gauge, "inkpass_calls_in_flight", [only("class", CALLS)],
            "Calls under way, by the places that they take. Calls of health, but for its watches, take none.";
        IN_USE = Gauge, "inkpass_in_use_ratio", [only("resource", SHARED)],
            "How much of what is bounded is in use: 1 is all of it. One caller has half at most.";
        SHED = Counter, "inkpass_calls_shed_total", [only("resource", SHED_OF), only("cause", &["total", "share"])],
            "Times that a call found no place. total: all of it was taken; share: the caller had its share.";
        CALLERS_UNKNOWN = Counter, "inkpass_callers_unknown_total", [only("cause", UNKNOWN)],
            "Calls whose caller could not be identified.";
        REFUSING = Gauge, "inkpass_refusing", [only("cause", &["audit", "clock", "certificate"])],
            "1 while this replica can only refuse.";
    }
    "Connections" {
        CONNECTIONS = Gauge, "inkpass_connections", [LISTENER],
            "Open connections.";
        CONNECTIONS_LIMIT = Gauge, "inkpass_connections_limit", [LISTENER],
            "How many connections there can be.";
        CONNECTIONS_ACCEPTED = Counter, "inkpass_connections_accepted_total", [LISTENER],
            "Connections that were accepted and got a place.";
        CONNECTIONS_REFUSED = Counter, "inkpass_connections_refused_total", [LISTENER, only("cause", Refusal::NAMES)],
            "Connections that were closed at once, for want of a place.";
        CONNECTIONS_CUT = Counter, "inkpass_connections_cut_total", [LISTENER, only("cause", Cut::NAMES)],
            "Connections that were cut.";
        CONNECTIONS_FAILED = Counter, "inkpass_connections_failed_total", [LISTENER, only("cause", Failure::NAMES)],
            "Connections that could not be accepted, whose TLS handshake failed, or that broke off.";
    }
    "Tokens, decisions, quotas" {
        TOKENS_ISSUED = Counter, "inkpass_tokens_issued_total",
            [PROJECT, only("kind", TokenKind::NAMES), only("role", Role::NAMES)],
            "Tokens that were minted and recorded, in batches and beside what was created too.";
        DECISIONS = Counter, "inkpass_decisions_total", [only("decision", &["allow", "deny"]), REASON],
            "Decisions on calls of callers who are known: what is allowed may still fail.";
        QUOTA_REFUSALS = Counter, "inkpass_quota_refusals_total",
            [only("quota", Quota::NAMES)],
            "Calls refused because a quota was used up. burst: it asked for more tokens at once than it allows.";
    }
    "Keys, certificates, files" {
        KEY_AGE = Gauge, "inkpass_key_age_seconds",
            [PROJECT, of("access_key", "the key's public half"), only("state", &["active", "retiring", "verify-only"])],
            "Since a key's secret file was last changed. Kubernetes writes it again at each start of a pod: then this is the shortest that the key's age can be.";
        CERTIFICATE_EXPIRY = Gauge, "inkpass_certificate_expiry_timestamp_seconds", [],
            "When the TLS certificate expires, in Unix time. Only with TLS.";
        RELOADS = Counter, "inkpass_reloads_total", [WHAT, RESULT],
            "Changed files that were read.";
        RELOAD_FAILING = Gauge, "inkpass_reload_failing", [WHAT],
            "1 while files cannot be used, and what was read before is.";
        RELOAD_SUCCESS = Gauge, "inkpass_reload_success_timestamp_seconds", [WHAT],
            "When files were last read that can be used, in Unix time.";
        JWKS_FETCHES = Counter, "inkpass_jwks_fetches_total", [ISSUER, RESULT],
            "Fetches of an issuer's keys.";
        JWKS_FETCHED = Gauge, "inkpass_jwks_fetched_timestamp_seconds", [ISSUER],
            "When an issuer's keys were last fetched, in Unix time; 0: never.";
        INSECURE_ALLOW_ALL = Gauge, "inkpass_insecure_allow_all", [],
            "1 where --insecure-allow-all was given.";
    }
    "Upstream" {
        UPSTREAM_DURATION = Histogram(UPSTREAM_BOUNDS), "inkpass_upstream_call_duration_seconds",
            [REGION, UPSTREAM_CALL, only("status", UpstreamStatus::NAMES)],
            "How long attempts at the whiteboard API took, in seconds: one HTTP exchange each.";
        UPSTREAM_ATTEMPTS = Counter, "inkpass_upstream_attempts_total",
            [REGION, UPSTREAM_CALL, only("kind", &["first", "retry"])],
            "Attempts at the whiteboard API that were begun.";
        UPSTREAM_RETRY_BUDGET = Gauge, "inkpass_upstream_retry_budget", [],
            "How many calls of the whiteboard API may be repeated now: ten at most, and one more for ten calls.";
        UPSTREAM_BREAKER = Gauge, "inkpass_upstream_breaker_state", [REGION, only("class", &["writes", "reads"])],
            "0: calls go out. 1: one call tries whether the whiteboard API answers again. 2: none goes out.";
        UPSTREAM_PAUSES = Counter, "inkpass_upstream_pauses_total", [REGION],
            "Pauses that the whiteboard API has asked for.";
        UPSTREAM_CLOCK_SKEW = Gauge, "inkpass_upstream_clock_skew_seconds", [],
            "How far the whiteboard API's clock is ahead of ours, by its last answer. From the first answer on.";
    }
    "Watches" {
        WATCHES = Gauge, "inkpass_watches", [],
            "Watches of conversions that are open.";
        CONVERSIONS_FOLLOWED = Gauge, "inkpass_conversions_followed", [],
            "Conversions that are read again and again: one reader each, however many watch.";
    }
    "Store" {
        STORE_DURATION = Histogram(STORE_BOUNDS), "inkpass_store_call_duration_seconds", [STORE_CALL],
            "How long calls of the store took that were answered, in seconds. All of these only with [store].";
        STORE_ERRORS = Counter, "inkpass_store_errors_total", [STORE_CALL, only("cause", StoreFault::NAMES)],
            "Calls of the store that failed.";
        STORE_CLAIMS = Counter, "inkpass_store_claims_total", [only("outcome", ClaimOutcome::NAMES)],
            "Calls with a `request_id`, by what became of it at the store.";
        STORE_CONNECTED = Gauge, "inkpass_store_connected", [],
            "1 while there is a connection to the store.";
        STORE_UNWRITTEN = Gauge, "inkpass_store_outcomes_unwritten", [],
            "Outcomes that wait for the store to be back.";
    }
    "Audit trail" {
        AUDIT_LINES = Counter, "inkpass_audit_lines_total", [],
            "Audit lines that were written.";
        AUDIT_WRITES = Counter, "inkpass_audit_writes_total", [],
            "Writes that they took: lines by writes is how many go out together.";
        AUDIT_LAST_WRITE = Gauge, "inkpass_audit_last_write_timestamp_seconds", [],
            "When lines were last written, in Unix time; 0: never.";
        AUDIT_FAILURES = Counter, "inkpass_audit_failures_total", [],
            "Audit lines that were not known to be written in time.";
        AUDIT_FAILING = Gauge, "inkpass_audit_failing", [],
            "1 from such a line until one is written.";
        AUDIT_DENIALS_SUMMED = Counter, "inkpass_audit_denials_summed_total", [],
            "Denials that have no line of their own, but their part in a summary.";
        AUDIT_FILES_LOST = Counter, "inkpass_audit_files_lost_total", [],
            "Times that the audit file was removed while it was written.";
        AUDIT_FILES_UNREACHABLE = Counter, "inkpass_audit_files_unreachable_total", [],
            "Times that it could not be opened, or looked for, at its path, and minutes for which that lasted; lines went on to the \
             file that was open.";
    }
    "Logs and exports" {
        LOG_LINES_DROPPED = Counter, "inkpass_log_lines_dropped_total", [],
            "Log lines that could not be written, or for which there was no room because nobody read them.";
        SPANS_EXPORTED = Counter, "inkpass_spans_exported_total", [],
            "Spans that a collector took.";
        SPANS_DROPPED = Counter, "inkpass_spans_dropped_total", [only("cause", SpanLoss::NAMES)],
            "Spans that were lost. queue: there was no room for more; export: a collector did not take them.";
        EXPORTS_FAILED = Counter, "inkpass_otlp_exports_failed_total", [only("signal", Signal::NAMES)],
            "Exports to a collector that failed.";
    }
    "Process and runtime" {
        BUILD_INFO = Gauge, "inkpass_build_info", [of("version", "this version")],
            "What runs: always 1.";
        PROCESS_CPU = Counter, "process_cpu_seconds_total", [],
            "Time on a processor, in seconds.";
        PROCESS_RESIDENT = Gauge, "process_resident_memory_bytes", [],
            "Memory in use.";
        PROCESS_VIRTUAL = Gauge, "process_virtual_memory_bytes", [],
            "Address space.";
        PROCESS_OPEN_FDS = Gauge, "process_open_fds", [],
            "Open descriptors.";
        PROCESS_MAX_FDS = Gauge, "process_max_fds", [],
            "How many descriptors there can be.";
        PROCESS_START = Gauge, "process_start_time_seconds", [],
            "When the process started, in Unix time.";
        PROCESS_THREADS = Gauge, "process_threads", [],
            "Threads.";
        TOKIO_WORKERS = Gauge, "tokio_workers", [],
            "Threads that run tasks.";
        TOKIO_TASKS = Gauge, "tokio_alive_tasks", [],
            "Tasks that have not ended.";
        TOKIO_QUEUE = Gauge, "tokio_global_queue_depth", [],
            "Tasks that wait for any thread.";
        TOKIO_BUSY = Counter, "tokio_worker_busy_seconds_total", [],
            "Time that threads have run tasks, in seconds, all together.";
    }
}
