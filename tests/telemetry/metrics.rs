//! The metrics that a scrape gives, and docs/metrics.md, held against the rows in the code:
//! `RENEW=1 cargo test telemetry::metrics` writes it again.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
    path::Path,
};

use inkpass::telemetry::names::{ALL, Kind, Label, Metric, Values};

use crate::helpers::World;

const HEAD: &str = "# Metrics

Prometheus scrapes them at `/metrics` of the admin port, 9464 in the chart. This page is made from
`src/telemetry/metrics/names.rs`.

- Every counter begins at 0 with the process, so that the first event is an increase too. Only series of an RPC, a code, a reason or a
  call upstream begin with their first event.
- Every label has a closed set of values: those named here, or names that the settings or the API give. No caller makes one longer.
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
        let _ = world.client.tokens().issue_token(inkpass::proto::IssueTokenRequest::default()).await;
    }
    world.client.rooms().create_room(inkpass::proto::CreateRoomRequest::default()).await.unwrap();
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
