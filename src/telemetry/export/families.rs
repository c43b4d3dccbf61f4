//! The families of the one registry, as OTLP writes them: sums and histograms since the process began, and gauges.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
    metrics::v1::{
        AggregationTemporality::Cumulative, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
        ResourceMetrics, ScopeMetrics, Sum, metric::Data, number_data_point,
    },
    resource::v1::Resource,
};
use prometheus::proto::{self, MetricFamily, MetricType};

/// When what is counted began, and when it was looked at, in nanoseconds of Unix time.
#[derive(Clone, Copy)]
pub(super) struct Span {
    began: u64,
    now: u64,
}

impl Span {
    pub(super) fn new(began: SystemTime, now: SystemTime) -> Self {
        let nanoseconds = |time: SystemTime| {
            let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
            u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
        };
        Self { began: nanoseconds(began), now: nanoseconds(now) }
    }
}

/// The request that exports them.
pub(super) fn request(
    families: &[MetricFamily],
    resource: &Resource,
    span: Span,
) -> ExportMetricsServiceRequest {
    let scope = InstrumentationScope { name: "inkpass".to_owned(), ..InstrumentationScope::default() };
    let metrics = families.iter().filter_map(|family| metric(family, span)).collect();
    let scope_metrics = vec![ScopeMetrics { scope: Some(scope), metrics, schema_url: String::new() }];
    let resource = Some(resource.clone());
    let resource_metrics = vec![ResourceMetrics { resource, scope_metrics, schema_url: String::new() }];
    ExportMetricsServiceRequest { resource_metrics }
}

/// `None`: of a type that the registry does not have.
fn metric(family: &MetricFamily, span: Span) -> Option<Metric> {
    let all = family.get_metric();
    let data = match family.get_field_type() {
        MetricType::COUNTER => Data::Sum(Sum {
            data_points: all
                .iter()
                .map(|metric| number(metric, metric.get_counter().get_value(), span))
                .collect(),
            aggregation_temporality: Cumulative.into(),
            is_monotonic: true,
        }),
        MetricType::GAUGE => Data::Gauge(Gauge {
            data_points: all
                .iter()
                .map(|metric| number(metric, metric.get_gauge().get_value(), span))
                .collect(),
        }),
        MetricType::HISTOGRAM => Data::Histogram(Histogram {
            data_points: all.iter().map(|metric| histogram(metric, span)).collect(),
            aggregation_temporality: Cumulative.into(),
        }),
        MetricType::SUMMARY | MetricType::UNTYPED => return None,
    };
    Some(Metric {
        name: family.name().to_owned(),
        description: family.help().to_owned(),
        data: Some(data),
        ..Metric::default()
    })
}

fn number(metric: &proto::Metric, value: f64, span: Span) -> NumberDataPoint {
    NumberDataPoint {
        attributes: attributes(metric),
        start_time_unix_nano: span.began,
        time_unix_nano: span.now,
        value: Some(number_data_point::Value::AsDouble(value)),
        ..NumberDataPoint::default()
    }
}

/// Prometheus counts what is up to each bound, OTLP what is between two.
fn histogram(metric: &proto::Metric, span: Span) -> HistogramDataPoint {
    let histogram = metric.get_histogram();
    let bounded = histogram.get_bucket().iter().filter(|bucket| bucket.upper_bound().is_finite());
    let (mut explicit_bounds, mut bucket_counts, mut below) = (Vec::new(), Vec::new(), 0);
    for bucket in bounded {
        explicit_bounds.push(bucket.upper_bound());
        bucket_counts.push(bucket.cumulative_count() - below);
        below = bucket.cumulative_count();
    }
    // Calls go on to be counted while this is read: the bounds and the sum must agree.
    let count = histogram.get_sample_count().max(below);
    bucket_counts.push(count - below);
    HistogramDataPoint {
        attributes: attributes(metric),
        start_time_unix_nano: span.began,
        time_unix_nano: span.now,
        count,
        sum: Some(histogram.get_sample_sum()),
        bucket_counts,
        explicit_bounds,
        ..HistogramDataPoint::default()
    }
}

fn attributes(metric: &proto::Metric) -> Vec<KeyValue> {
    let text = |value: &str| Some(AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) });
    let attribute = |label: &proto::LabelPair| KeyValue {
        key: label.name().to_owned(),
        value: text(label.value()),
        ..KeyValue::default()
    };
    metric.get_label().iter().map(attribute).collect()
}

#[cfg(test)]
mod tests {
    use prometheus::{HistogramOpts, IntCounterVec, IntGauge, Opts, Registry};

    use super::*;

    #[test]
    fn a_registry_is_written_as_sums_gauges_and_histograms() {
        let registry = Registry::new();
        let counter = IntCounterVec::new(Opts::new("calls_total", "Calls."), &["code"]).unwrap();
        counter.with_label_values(&["OK"]).inc_by(3);
        let gauge = IntGauge::new("open", "Open.").unwrap();
        gauge.set(-2);
        let histogram = HistogramOpts::new("seconds", "Seconds.").buckets(vec![0.1, 1.0]);
        let histogram = prometheus::Histogram::with_opts(histogram).unwrap();
        for seconds in [0.05, 0.5, 0.6, 7.0] {
            histogram.observe(seconds);
        }
        registry.register(Box::new(counter)).unwrap();
        registry.register(Box::new(gauge)).unwrap();
        registry.register(Box::new(histogram)).unwrap();

        let span = Span { began: 5, now: 9 };
        let request = request(&registry.gather(), &Resource::default(), span);
        let metrics = &request.resource_metrics[0].scope_metrics[0].metrics;
        let names: Vec<_> = metrics.iter().map(|metric| &*metric.name).collect();
        assert_eq!(names, ["calls_total", "open", "seconds"]);
        let Some(Data::Sum(sum)) = &metrics[0].data else { panic!("{metrics:?}") };
        let point = &sum.data_points[0];
        assert!(sum.is_monotonic && sum.aggregation_temporality == i32::from(Cumulative));
        assert_eq!(point.value, Some(number_data_point::Value::AsDouble(3.0)));
        assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (5, 9));
        assert_eq!((&*point.attributes[0].key, point.attributes.len()), ("code", 1));
        let Some(Data::Gauge(gauge)) = &metrics[1].data else { panic!("{metrics:?}") };
        assert_eq!(gauge.data_points[0].value, Some(number_data_point::Value::AsDouble(-2.0)));
        let Some(Data::Histogram(histogram)) = &metrics[2].data else { panic!("{metrics:?}") };
        let point = &histogram.data_points[0];
        assert_eq!((&*point.explicit_bounds, &*point.bucket_counts), (&[0.1, 1.0][..], &[1, 2, 1][..]));
        assert_eq!((point.count, point.sum), (4, Some(8.15)));
    }
}
