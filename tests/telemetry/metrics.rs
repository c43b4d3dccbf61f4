//! The metrics that a scrape gives, and docs/metrics.md, held against the rows in the code:
//! `RENEW=1 cargo test telemetry::metrics` writes it again.

use std::{
    collections::BTreeSet,
    fmt::Write,
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
};

use inkpass::{
    error::Reason,
    methods::{Rpc, all_methods},
    proto::{CreateRoomRequest, GetRoomRequest, IssueTokenRequest, Role},
    telemetry::names::{ALL, Kind, Label, Metric, Values},
};
use tokio::io::{AsyncBufReadExt, BufReader};
use tonic::{Code, Request};

use super::serve;
use crate::{
    decisions::{POLICY, TestService, room},
    helpers::{World, ca::Ca, place::Place, raw::Raw, scrape, skipped::not_installed},
};

const HEAD: &str = "# Metrics

Prometheus scrapes them at `/metrics` of the admin port, 9464 in the chart. This page is made from
`src/telemetry/metrics/names.rs`.

- Every counter begins at 0 with the process, so that the first event is an increase too. Only series of an RPC, a code, a
  reason or a call upstream begin with their first event.
- Every label has a closed set of values: those named here, or names that the settings or the API give. No caller makes one
  longer.
- Histograms have classic buckets.
- What belongs to a project, a key or an issuer ends with it.
";

fn page() -> String {
    let mut page = HEAD.to_owned();
    let mut area = "";
    for metric in ALL {
        if metric.area != area {
            area = metric.area;
            let _ = write!(page, "\n## {area}\n\n| name | kind | labels | what it is |\n|---|---|---|---|\n");
        }
        let kind = match metric.kind {
            Kind::Counter => "counter".to_owned(),
            Kind::Gauge => "gauge".to_owned(),
            Kind::Histogram(bounds) => {
                format!("histogram, {} to {}", bounds[0], bounds[bounds.len() - 1])
            }
        };
        let labels: Vec<_> = metric.labels.iter().map(describe).collect();
        let _ = writeln!(page, "| `{}` | {kind} | {} | {} |", metric.name, labels.join("; "), metric.help);
    }
    page
}

fn describe(label: &Label) -> String {
    let values = match label.values {
        Values::Only(values) => {
            values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ")
        }
        Values::Of(what) => what.to_owned(),
    };
    format!("`{}`: {values}", label.name)
}

#[test]
fn the_page_of_metrics_says_what_the_code_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    if std::env::var_os("RENEW").is_some() {
        fs::write(&path, page()).unwrap();
    }
    let page_as_it_is = fs::read_to_string(&path).unwrap();
    assert_eq!(page_as_it_is, page(), "RENEW=1 cargo test telemetry::metrics writes it again");
}

#[tokio::test]
async fn metrics_count_every_call_by_its_code_and_reason() {
    let world = World::start().await;
    for _ in 0..3 {
        let _ = world.client.tokens().issue_token(IssueTokenRequest::default()).await;
    }
    world.client.rooms().create_room(CreateRoomRequest::default()).await.unwrap();
    let line = |method: &str, code: &str, reason: &str, count: u32| {
        let labels =
            format!("reason=\"{reason}\",rpc_method=\"inkpass.v1.{method}\",rpc_status_code=\"{code}\"");
        format!("inkpass_calls_total{{{labels}}} {count}\n")
    };
    // A call has ended for its caller a moment before it is counted.
    let wanted = [
        line("TokenService/IssueToken", "INVALID_ARGUMENT", "INVALID_REQUEST", 3),
        line("RoomService/CreateRoom", "OK", "", 1),
    ];
    let mut text = world.metrics().await;
    while !wanted.iter().all(|line| text.contains(line)) {
        tokio::task::yield_now().await;
        text = world.metrics().await;
    }
    assert!(text.contains("inkpass_build_info{version=\""), "{text}");
    assert!(text.contains(
        "rpc_server_call_duration_seconds_count{rpc_method=\"inkpass.v1.TokenService/IssueToken\"} 3\n"
    ));
}

/// A line of a scrape.
struct Sample<'a> {
    name: &'a str,
    labels: Vec<(&'a str, &'a str)>,
}

impl Sample<'_> {
    /// The row that it is made from.
    #[track_caller]
    fn metric(&self) -> &'static Metric {
        self.row().unwrap_or_else(|| panic!("{} has no row", self.name))
    }

    fn row(&self) -> Option<&'static Metric> {
        ALL.iter().find(|metric| {
            let is_part = |part| self.name.strip_suffix(part) == Some(metric.name);
            let is_histogram = matches!(metric.kind, Kind::Histogram(_));
            self.name == metric.name || is_histogram && ["_bucket", "_sum", "_count"].into_iter().any(is_part)
        })
    }
}

fn samples(text: &str) -> impl Iterator<Item = Sample<'_>> {
    text.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let (series, _) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let labels = labels.strip_suffix('}').unwrap().split_terminator(',');
        // No value has a comma in it.
        let labels = labels.map(|label| label.strip_suffix('"').unwrap().split_once("=\"").unwrap());
        Sample { name, labels: labels.collect() }
    })
}

/// Every name that is exported, of its row.
fn exported(text: &str) -> BTreeSet<&'static str> {
    samples(text).map(|sample| sample.metric().name).collect()
}

/// Whether a label that the settings or the API give has one of their names.
fn is_given(label: &str, value: &str) -> bool {
    match label {
        "rpc_method" => value == "_OTHER" || all_methods().any(|method| method == value),
        "rpc_status_code" => {
            (0..17).any(|code| format!("{:?}", Code::from(code)).to_uppercase() == value.replace('_', ""))
        }
        "reason" => value.is_empty() || Reason::ALL.iter().any(|reason| reason.name() == value),
        "project" => ["default", "other"].contains(&value),
        "access_key" => value == "active-key",
        "issuer" => value == "cluster",
        "call" => Rpc::ALL.iter().any(|rpc| rpc.method() == value),
        "version" => value == env!("CARGO_PKG_VERSION"),
        other => panic!("{other} is a new label"),
    }
}

/// Checks that every sample has the labels of its row, with values of their sets.
#[track_caller]
fn assert_closed(text: &str) {
    for sample in samples(text) {
        let metric = sample.metric();
        let is_own = |label: &&(&str, &str)| !(label.0 == "le" && matches!(metric.kind, Kind::Histogram(_)));
        let labels: Vec<_> = sample.labels.iter().filter(is_own).collect();
        let names: BTreeSet<_> = labels.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, metric.labels.iter().map(|label| label.name).collect(), "{}", metric.name);
        for (name, value) in labels {
            let label = metric.labels.iter().find(|label| label.name == *name).unwrap();
            let is_known = match label.values {
                Values::Only(values) => values.contains(value),
                Values::Of(_) => is_given(name, value),
            };
            assert!(is_known, "{} has {name}={value:?}", metric.name);
        }
    }
}

/// A token's or a room's request with what nobody has.
fn odd(index: usize) -> (IssueTokenRequest, CreateRoomRequest) {
    let name = format!("odd-{index}");
    let token = IssueTokenRequest {
        project: name.clone(),
        role: 1000 + i32::try_from(index).unwrap(),
        ..room(&name, Role::Reader)
    };
    let region = 1000 + i32::try_from(index).unwrap();
    (token, CreateRoomRequest { project: name, region, ..Default::default() })
}

#[tokio::test]
async fn no_label_has_a_value_that_a_caller_or_the_upstream_has_made_up() {
    let service = TestService::audited(POLICY).await;
    let (world, teacher) = (&service.world, service.teacher().await);
    let mut raw = Raw::connect(world.grpc).await;
    for index in 0..20 {
        let name = format!("odd-{index}");
        let more = [
            ("x-api-key", &*name),
            ("user-agent", &*name),
            ("x-request-id", &*name),
            ("grpc-timeout", &*name),
            ("traceparent", &*name),
        ];
        for path in [&format!("/{name}/{name}"), "/inkpass.v1.TokenService/IssueToken"] {
            raw.whole_call(path, &more, &[0; 5]).await;
        }
        let (token, creation) = odd(index);
        teacher.tokens().issue_token(token.clone()).await.unwrap_err();
        teacher
            .tokens()
            .issue_token(IssueTokenRequest { project: String::new(), ..token })
            .await
            .unwrap_err();
        teacher.rooms().create_room(creation.clone()).await.unwrap_err();
        let here = CreateRoomRequest { project: String::new(), ..creation };
        teacher.rooms().create_room(here).await.unwrap_err();
        let mut unknown = Request::new(room(&name, Role::Reader));
        unknown.metadata_mut().insert("authorization", format!("Bearer {name}").parse().unwrap());
        world.client.tokens().issue_token(unknown).await.unwrap_err();
    }
    raw.until_ended(40).await;
    for status in [302, 400, 401, 403, 404, 405, 418, 422, 451, 500, 501, 502, 503, 520, 599] {
        world.upstream.fail_once("/v5/rooms", status).await;
        teacher.rooms().create_room(CreateRoomRequest::default()).await.unwrap_err();
    }
    for uuid in ["odd-1", "odd-2"] {
        let request = GetRoomRequest { uuid: uuid.to_owned(), ..Default::default() };
        teacher.rooms().get_room(request).await.unwrap_err();
    }
    let text = world.metrics().await;
    for seen in ["rpc_method=\"_OTHER\"", "cause=\"api_key_unknown\"} 4", "UPSTREAM_OUTCOME_UNKNOWN"] {
        assert!(text.contains(seen), "{seen}: {text}");
    }
    assert!(!text.contains("odd"), "{text}");
    assert_closed(&text);
}

/// What a process exports that has everything that there is to set, before anyone has called it.
async fn with_everything(world: &World) -> String {
    let (directory, ca) = (Place::new(), Ca::new("ca"));
    let (certificate, key) = ca.sign_server();
    let secret = |name: &str, content: &str| {
        fs::write(directory.join(name), content).unwrap();
        fs::set_permissions(directory.join(name), fs::Permissions::from_mode(0o600)).unwrap();
        directory.join(name).display().to_string()
    };
    let (url, salt) = (secret("store", "redis://127.0.0.1:1"), secret("salt", "a salt of enough bytes"));
    let settings = format!(
        "[server]\ntls_cert_file = '{}'\ntls_key_file = '{}'\n[store]\nurl_file = '{url}'\n[audit]\nsalt_file = '{salt}'\n[identity]\n\
         issuers = [{{ name = 'cluster', issuer = 'http://127.0.0.1:1', audience = 'inkpass', \
         jwks_url = 'http://127.0.0.1:1/jwks' }}]",
        certificate.display(),
        key.display()
    );
    let mut process = serve(world, directory.path(), &settings).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).await.unwrap();
    let admin = line.trim().split(' ').find_map(|part| part.strip_prefix("admin="));
    let Some(admin) = admin else { panic!("{:?}", process.wait_with_output().await) };
    scrape(admin.parse().unwrap()).await
}

#[tokio::test]
async fn every_row_is_exported_and_nothing_else_from_the_start() {
    let world = World::on_the_system_s_clock().await;
    let text = with_everything(&world).await;
    assert_closed(&text);
    world.room().await;
    let (from_the_start, later) = (exported(&text), world.metrics().await);
    let later = exported(&later);
    // What waits for its first event.
    let waits: Vec<_> = later.difference(&from_the_start).copied().collect();
    assert_eq!(
        waits,
        [
            "inkpass_calls_total",
            "inkpass_upstream_attempts_total",
            "inkpass_upstream_call_duration_seconds",
            "inkpass_upstream_clock_skew_seconds"
        ]
    );
    let all: BTreeSet<_> = from_the_start.union(&later).copied().collect();
    assert_eq!(all, ALL.iter().map(|metric| metric.name).collect(), "as the rows say");
    assert!(!later.iter().any(|name| name.starts_with("inkpass_store")), "there is no store");
}

#[tokio::test]
async fn promtool_finds_nothing_wrong() {
    let world = World::on_the_system_s_clock().await;
    let text = with_everything(&world).await;
    let tool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut tool) = tool else { return not_installed("promtool") };
    tool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = tool.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn no_page_rule_or_panel_names_a_metric_that_there_is_not() {
    let mut places = ["docs", "helm"].map(|name| Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).to_vec();
    let mut named = 0;
    while let Some(place) = places.pop() {
        if place.is_dir() {
            places.extend(fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let Ok(text) = fs::read_to_string(&place) else { continue };
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | ':')));
        for word in words.filter(|word| word.starts_with("inkpass_") && !word.contains(':')) {
            let sample = Sample { name: word, labels: Vec::new() };
            assert!(sample.row().is_some(), "{} names {word}", place.display());
            named += 1;
        }
    }
    assert!(named > ALL.len(), "{named}");
}
