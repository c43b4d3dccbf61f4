//! Metrics by OTLP.

use inkpass::proto::IssueTokenRequest;
use opentelemetry_proto::tonic::metrics::v1::{Metric, NumberDataPoint, metric::Data, number_data_point};

use super::{Receiver, Serving, receiver::attribute};
use crate::helpers::{World, until};

/// The last of this name.
fn last(receiver: &Receiver, name: &str) -> Option<Data> {
    receiver.metrics().into_iter().rfind(|metric: &Metric| metric.name == name)?.data
}

fn refused(receiver: &Receiver) -> Option<NumberDataPoint> {
    let Some(Data::Sum(sum)) = last(receiver, "inkpass_calls_total") else { return None };
    assert!(sum.is_monotonic && sum.aggregation_temporality == 2, "cumulative: {sum:?}");
    sum.data_points.into_iter().find(|point| attribute(&point.attributes, "reason") == "INVALID_REQUEST")
}

#[tokio::test]
async fn the_collector_gets_what_a_scrape_shows_by_both_protocols() {
    let world = World::on_the_system_s_clock().await;
    for protocol in ["grpc", "http/protobuf"] {
        let receiver = Receiver::default();
        let endpoint = receiver.start().await;
        let settings = format!("otlp_protocol = '{protocol}'\notlp_endpoint = '{endpoint}'");
        let serving = Serving::start(&world, &[("OTEL_METRIC_EXPORT_INTERVAL", "50")], &settings).await;
        let client = serving.client().await;
        for _ in 0..3 {
            client.tokens().issue_token(IssueTokenRequest::default()).await.unwrap_err();
        }
        let three = Some(number_data_point::Value::AsDouble(3.0));
        until(async || refused(&receiver).is_some_and(|point| point.value == three)).await;
        let point = refused(&receiver).unwrap();
        assert_eq!(attribute(&point.attributes, "rpc_method"), "inkpass.v1.TokenService/IssueToken");
        assert!(0 < point.start_time_unix_nano && point.start_time_unix_nano < point.time_unix_nano);

        let Some(Data::Histogram(duration)) = last(&receiver, "rpc_server_call_duration_seconds") else {
            panic!("no histogram in {:?}", receiver.metrics());
        };
        let point = duration.data_points.iter().find(|point| point.count == 3).unwrap();
        assert_eq!(point.bucket_counts.iter().sum::<u64>(), 3);
        assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
        let Some(Data::Gauge(build)) = last(&receiver, "inkpass_build_info") else { panic!("no gauge") };
        assert_eq!(build.data_points.len(), 1);

        // Every name of a scrape.
        let scrape = serving.scrape().await;
        let names = scrape.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
        for name in names {
            assert!(last(&receiver, name).is_some(), "{name}");
        }
        drop(client);
        serving.stop().await;
    }
}

#[tokio::test]
async fn the_last_metrics_are_sent_at_the_end() {
    let (world, receiver) = (World::on_the_system_s_clock().await, Receiver::default());
    let settings = format!("otlp_endpoint = '{}'", receiver.start().await);
    let serving = Serving::start(&world, &[], &settings).await;
    let client = serving.client().await;
    client.tokens().issue_token(IssueTokenRequest::default()).await.unwrap_err();
    drop(client);
    assert!(receiver.metrics().is_empty(), "a minute is not over");
    serving.stop().await;
    assert!(refused(&receiver).is_some());
}
