//! Each variable of OpenTelemetry's specification: what is made of it, and what is warned of.

use std::{ffi::OsString, fs, os::unix::ffi::OsStringExt, time::Duration};

use opentelemetry_sdk::{Resource, trace::Sampler};

use super::{
    resource::resource,
    settings::{ExportSettings, Exported},
    signal::OtlpProtocol,
    target::Target,
};
use crate::hex::Uuid4;

/// Where the settings name a collector, and the variables are these; beside it the variables that were warned of.
fn read(variables: &[(&str, &str)]) -> (ExportSettings, Vec<String>) {
    let endpoint = Some("http://setting:4317".parse().unwrap());
    let exported = Exported { endpoint, protocol: OtlpProtocol::Grpc, sampling_ratio: 0.25 };
    let variables: Vec<_> = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
    let settings = ExportSettings::read(&variables, &exported).unwrap();
    let warned = settings.warnings().iter().map(|warning| warning.variable.clone()).collect();
    (settings, warned)
}

/// The settings, where nothing is to be warned of.
fn good(variables: &[(&str, &str)]) -> ExportSettings {
    let (settings, warned) = read(variables);
    assert!(warned.is_empty(), "{variables:?}: {warned:?}");
    settings
}

/// The settings, where the last variable is to be warned of, once.
fn bad(variables: &[(&str, &str)]) -> ExportSettings {
    let (settings, warned) = read(variables);
    assert_eq!(warned, [variables.last().unwrap().0], "{variables:?}");
    settings
}

fn targets(settings: ExportSettings) -> (Target, Target) {
    (settings.traces.unwrap().target, settings.metrics.unwrap().target)
}

fn urls(variables: &[(&str, &str)]) -> (String, String) {
    let (traces, metrics) = targets(good(variables));
    (traces.url.into(), metrics.url.into())
}

#[test]
fn sdk_disabled_is_true_or_nothing() {
    for value in ["true", "TRUE"] {
        let settings = good(&[("OTEL_SDK_DISABLED", value)]);
        assert!(settings.traces.is_none() && settings.metrics.is_none());
    }
    for value in ["false", ""] {
        assert!(good(&[("OTEL_SDK_DISABLED", value)]).traces.is_some());
    }
    for value in ["1", "yes", "on"] {
        assert!(bad(&[("OTEL_SDK_DISABLED", value)]).traces.is_some());
    }
}

#[test]
fn each_signal_has_its_exporter() {
    for value in ["otlp", "OTLP", ""] {
        let settings = good(&[("OTEL_TRACES_EXPORTER", value), ("OTEL_METRICS_EXPORTER", value)]);
        assert!(settings.traces.is_some() && settings.metrics.is_some());
    }
    let settings = good(&[("OTEL_TRACES_EXPORTER", "none")]);
    assert!(settings.traces.is_none() && settings.metrics.is_some());
    let settings = good(&[("OTEL_METRICS_EXPORTER", "none")]);
    assert!(settings.traces.is_some() && settings.metrics.is_none());
    for variable in ["OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER"] {
        for value in ["console", "zipkin", "otlp,console", "Console , OTLP", "none,console,otlp"] {
            let settings = bad(&[(variable, value)]);
            assert!(settings.traces.is_some() && settings.metrics.is_some(), "{value}");
        }
        for value in [",", " , ", "otlp,otlp", " Otlp ,none"] {
            let settings = good(&[(variable, value)]);
            assert!(settings.traces.is_some() && settings.metrics.is_some(), "{value}");
        }
    }
    assert!(
        good(&[("OTEL_METRICS_EXPORTER", "prometheus")]).metrics.is_none(),
        "it is there without an export"
    );
    assert!(good(&[("OTEL_METRICS_EXPORTER", "prometheus,otlp")]).metrics.is_some());
    bad(&[("OTEL_TRACES_EXPORTER", "prometheus")]);
    for value in ["none,console", "None,zipkin,"] {
        let settings = bad(&[("OTEL_TRACES_EXPORTER", value)]);
        assert!(settings.traces.is_none() && settings.metrics.is_some(), "{value}");
    }
    good(&[("OTEL_LOGS_EXPORTER", "none")]);
    bad(&[("OTEL_LOGS_EXPORTER", "otlp")]);
    bad(&[("OTEL_LOGS_EXPORTER", "console")]);
}

#[test]
fn propagators_are_followed_left_out_or_warned_of() {
    for (value, follows) in [
        ("tracecontext,baggage", true),
        ("baggage, tracecontext", true),
        ("Baggage,TraceContext,tracecontext", true),
        ("None", false),
        ("baggage", false),
        ("none", false),
        ("", true),
    ] {
        assert_eq!(good(&[("OTEL_PROPAGATORS", value)]).propagates(), follows, "{value}");
    }
    for (value, follows) in [("b3", true), ("b3,tracecontext", true), ("xray,baggage", false)] {
        assert_eq!(bad(&[("OTEL_PROPAGATORS", value)]).propagates(), follows, "{value}");
    }
}

fn parent_based(root: Sampler) -> String {
    format!("{:?}", Sampler::ParentBased(Box::new(root)))
}

fn sampler(settings: ExportSettings) -> String {
    format!("{:?}", settings.traces.unwrap().sampler)
}

#[test]
fn samplers_are_those_of_the_specification() {
    const NAME: &str = "OTEL_TRACES_SAMPLER";
    const ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";
    let ratio = Sampler::TraceIdRatioBased;
    assert_eq!(sampler(good(&[])), parent_based(ratio(0.25)), "the setting's");
    for (name, argument, wanted) in [
        ("always_on", "", format!("{:?}", Sampler::AlwaysOn)),
        ("always_off", "", format!("{:?}", Sampler::AlwaysOff)),
        ("traceidratio", "0.5", format!("{:?}", ratio(0.5))),
        ("traceidratio", "", format!("{:?}", ratio(1.0))),
        ("parentbased_always_on", "", parent_based(Sampler::AlwaysOn)),
        ("parentbased_always_off", "", parent_based(Sampler::AlwaysOff)),
        ("parentbased_traceidratio", "0", parent_based(ratio(0.0))),
        ("Parentbased_TraceIdRatio", "1", parent_based(ratio(1.0))),
    ] {
        assert_eq!(sampler(good(&[(NAME, name), (ARGUMENT, argument)])), wanted, "{name}");
    }
    for name in ["xray", "jaeger_remote", "parentbased_jaeger_remote", "half"] {
        assert_eq!(sampler(bad(&[(NAME, name)])), parent_based(ratio(0.25)), "{name}");
    }
    for argument in ["1.5", "-1", "half", "NaN"] {
        let settings = bad(&[(NAME, "traceidratio"), (ARGUMENT, argument)]);
        assert_eq!(sampler(settings), format!("{:?}", ratio(1.0)), "{argument}");
    }
}

#[test]
fn the_endpoint_is_the_signal_s_as_it_is_or_the_shared_one_with_a_path() {
    const ALL: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    const TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
    const HTTP: (&str, &str) = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
    let both = |traces: &str, metrics: &str| (traces.to_owned(), metrics.to_owned());
    assert_eq!(urls(&[]), both("http://setting:4317/", "http://setting:4317/"));
    assert_eq!(urls(&[(ALL, "")]), both("http://setting:4317/", "http://setting:4317/"));
    assert_eq!(urls(&[(ALL, "http://a:1")]), both("http://a:1/", "http://a:1/"));
    assert_eq!(urls(&[(ALL, "http://a:1"), HTTP]), both("http://a:1/v1/traces", "http://a:1/v1/metrics"));
    assert_eq!(urls(&[(ALL, "http://a/b/"), HTTP]), both("http://a/b/v1/traces", "http://a/b/v1/metrics"));
    let own = [(ALL, "http://a:1"), (TRACES, "http://b:2/as/it/is"), HTTP];
    assert_eq!(urls(&own), both("http://b:2/as/it/is", "http://a:1/v1/metrics"));

    let wrong = |exported: &Exported, name: &str, value: &str| {
        let mistakes = ExportSettings::read(&[(name.into(), value.into())], exported).unwrap_err();
        let [mistake] = &*mistakes else { panic!("{mistakes:?}") };
        mistake.to_string()
    };
    for value in
        ["127.0.0.1:4317", "grpc://a:1", "collector", "http://", "http://me:secret@a:1", "http://me@a"]
    {
        for name in [ALL, TRACES] {
            let mistake = wrong(&Exported::LOCAL, name, value);
            assert!(mistake.starts_with(&format!("{name}: must be an http or https URL")), "{mistake}");
            assert!(!mistake.contains("secret"));
        }
    }
}

#[test]
fn only_a_signal_for_which_a_collector_is_named_is_exported() {
    let variables = [("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT".into(), "http://a:1".into())];
    let settings = ExportSettings::read(&variables, &Exported::LOCAL).unwrap();
    assert!(settings.traces.is_some() && settings.metrics.is_none());
    let settings = ExportSettings::read(&[], &Exported::LOCAL).unwrap();
    assert!(settings.traces.is_none() && settings.metrics.is_none());
}

#[test]
fn the_protocol_is_the_signal_s_or_the_shared_one_or_the_default() {
    const ALL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
    const METRICS: &str = "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL";
    let protocols = |settings| {
        let (traces, metrics) = targets(settings);
        (traces.protocol, metrics.protocol)
    };
    let (grpc, http) = (OtlpProtocol::Grpc, OtlpProtocol::Http);
    assert_eq!(protocols(good(&[(ALL, "HTTP/Protobuf")])), (http, http));
    assert_eq!(protocols(good(&[(ALL, "grpc"), (METRICS, "http/protobuf")])), (grpc, http));
    for value in ["http/json", "thrift", "http"] {
        assert_eq!(protocols(bad(&[(ALL, value)])), (grpc, grpc));
        assert_eq!(protocols(bad(&[(ALL, "http/protobuf"), (METRICS, value)])), (http, http));
    }
}

#[test]
fn headers_are_decoded_and_a_signal_s_own_take_the_place_of_the_shared() {
    const ALL: &str = "OTEL_EXPORTER_OTLP_HEADERS";
    const TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_HEADERS";
    let (traces, metrics) = targets(good(&[(ALL, "a=b%20c, Authorization=Basic abc=="), (TRACES, "d=e,")]));
    assert_eq!(
        (&metrics.headers["a"], &metrics.headers["authorization"]),
        (&"b c".parse().unwrap(), &"Basic abc==".parse().unwrap())
    );
    assert!(metrics.headers["authorization"].is_sensitive());
    assert_eq!((traces.headers.len(), &traces.headers["d"]), (1, &"e".parse().unwrap()));
    for value in [
        "a=b,bad header",
        "a=b,=c",
        "a=b,bad header=c",
        "a=b,c=%ff",
        "a=b,c=d%0Ae",
        "a=b,c=5%",
        "a=b,Content-Length=5",
    ] {
        let settings = bad(&[(ALL, value)]);
        assert!(settings.warnings().iter().all(|warning| !warning.what.contains("bad")), "{value}");
        let (traces, _) = targets(settings);
        assert_eq!((traces.headers.len(), &traces.headers["a"]), (1, &"b".parse().unwrap()), "{value}");
    }
}

#[test]
fn timeouts_are_milliseconds() {
    const ALL: &str = "OTEL_EXPORTER_OTLP_TIMEOUT";
    let timeouts = |settings| {
        let (traces, metrics) = targets(settings);
        (traces.timeout.as_millis(), metrics.timeout.as_millis())
    };
    assert_eq!(timeouts(good(&[])), (10_000, 10_000));
    assert_eq!(timeouts(good(&[(ALL, "500"), ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "200")])), (200, 500));
    assert_eq!(
        timeouts(good(&[("OTEL_BSP_EXPORT_TIMEOUT", "700"), ("OTEL_METRIC_EXPORT_TIMEOUT", "800")])),
        (700, 800)
    );
    let (none, longest) = ("0", 600_000);
    assert_eq!(timeouts(good(&[(ALL, none)])), (longest, longest));
    assert_eq!(timeouts(good(&[(ALL, "500"), ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", none)])), (500, longest));
    assert_eq!(
        timeouts(good(&[("OTEL_BSP_EXPORT_TIMEOUT", none), ("OTEL_METRIC_EXPORT_TIMEOUT", none)])),
        (10_000, 10_000)
    );
    for value in ["soon", "86400001", "-1", "10s", "1e3", "99999999999999999999"] {
        for name in [ALL, "OTEL_BSP_EXPORT_TIMEOUT", "OTEL_METRIC_EXPORT_TIMEOUT"] {
            assert_eq!(timeouts(bad(&[(name, value)])), (10_000, 10_000), "{name}={value}");
        }
    }
}

#[test]
fn compression_is_not_supported() {
    good(&[("OTEL_EXPORTER_OTLP_COMPRESSION", "None")]);
    bad(&[("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")]);
    bad(&[("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "zstd")]);
}

#[test]
fn batches_have_the_sizes_of_the_variables() {
    const QUEUE: &str = "OTEL_BSP_MAX_QUEUE_SIZE";
    const BATCH: &str = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE";
    const DELAY: &str = "OTEL_BSP_SCHEDULE_DELAY";
    let batches = |settings: ExportSettings| {
        let traces = settings.traces.unwrap();
        (traces.queue, traces.batch, traces.delay.as_millis())
    };
    assert_eq!(batches(good(&[])), (2048, 512, 5000));
    assert_eq!(batches(good(&[(QUEUE, "100"), (BATCH, "10"), (DELAY, "20")])), (100, 10, 20));
    assert_eq!(batches(good(&[(QUEUE, "100")])), (100, 100, 5000));
    assert_eq!(batches(bad(&[(QUEUE, "100"), (BATCH, "101")])), (100, 100, 5000));
    for name in [QUEUE, BATCH, DELAY] {
        for value in ["0", "many", "1000000000000"] {
            assert_eq!(batches(bad(&[(name, value)])), (2048, 512, 5000), "{name}={value}");
        }
    }
}

#[test]
fn spans_have_as_many_attributes_as_the_variables_say() {
    const SPANS: &str = "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT";
    const ALL: &str = "OTEL_ATTRIBUTE_COUNT_LIMIT";
    let limit = |settings: ExportSettings| settings.traces.unwrap().attributes;
    assert_eq!(limit(good(&[])), 128);
    for (value, wanted) in [("5", 5), ("0", 0), ("2147483647", 2_147_483_647)] {
        assert_eq!(limit(good(&[(ALL, "10"), (SPANS, value)])), wanted);
    }
    for value in ["few", "-1", "2147483648"] {
        assert_eq!(limit(bad(&[(ALL, "10"), (SPANS, value)])), 10, "{value}");
        assert_eq!(limit(bad(&[(SPANS, value)])), 128, "{value}");
    }
}

#[test]
fn values_are_as_long_as_the_variables_say() {
    const SPANS: &str = "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT";
    const ALL: &str = "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT";
    let limit = |settings: ExportSettings| settings.traces.unwrap().value_length;
    assert_eq!(limit(good(&[])), None);
    assert_eq!(limit(good(&[(ALL, "10")])), Some(10));
    assert_eq!(limit(good(&[(ALL, "10"), (SPANS, "0")])), Some(0));
    assert_eq!(limit(bad(&[(ALL, "10"), (SPANS, "short")])), Some(10));
    assert_eq!(limit(bad(&[(SPANS, "-1")])), None);
}

#[test]
fn metrics_are_cumulative_and_sent_every_minute_or_as_the_variable_says() {
    let interval = |settings: ExportSettings| settings.metrics.unwrap().interval;
    let (name, minute) = ("OTEL_METRIC_EXPORT_INTERVAL", Duration::from_mins(1));
    assert_eq!(interval(good(&[])), minute);
    assert_eq!(interval(good(&[(name, "250")])), Duration::from_millis(250));
    for value in ["0", "often"] {
        assert_eq!(interval(bad(&[(name, value)])), minute);
    }
    good(&[("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "cumulative")]);
    bad(&[("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta")]);
    bad(&[(
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
        "base2_exponential_bucket_histogram",
    )]);
}

fn resource_of(settings: &ExportSettings) -> impl Fn(&'static str) -> String + use<> {
    let resource: Resource = resource(&settings.resource, &Uuid4::random([7; 16]));
    move |name| resource.get(&name.into()).map(|value| value.to_string()).unwrap_or_default()
}

#[test]
fn the_resource_is_named_by_the_service_s_variable_then_by_the_attributes_then_by_itself() {
    const ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";
    const NAME: &str = "OTEL_SERVICE_NAME";
    let named = |variables: &[(&str, &str)]| resource_of(&good(variables))("service.name");
    assert_eq!(named(&[]), "inkpass");
    assert_eq!(named(&[(ATTRIBUTES, "service.name=other")]), "other");
    assert_eq!(named(&[(ATTRIBUTES, "service.name=other"), (NAME, "mine")]), "mine");
    assert_eq!(named(&[(ATTRIBUTES, "my.service.name=other"), (NAME, "")]), "inkpass");

    assert_eq!(named(&[(ATTRIBUTES, "service.name= ")]), "inkpass", "an empty one is none");
    assert_eq!(named(&[(ATTRIBUTES, "service.name=other,service.name=")]), "other");
    let of = resource_of(&good(&[(ATTRIBUTES, "service.version=,service.instance.id=,a=")]));
    assert_eq!(
        (of("service.version"), of("service.instance.id").len(), of("a")),
        (env!("CARGO_PKG_VERSION").into(), 36, String::new())
    );

    let of = resource_of(&good(&[(ATTRIBUTES, "a=b%2Cc%3Dd, service.version=9,service.instance.id=pod")]));
    assert_eq!(
        (of("a"), of("service.version"), of("service.instance.id")),
        ("b,c=d".into(), "9".into(), "pod".into())
    );
    let of = resource_of(&good(&[]));
    assert_eq!(
        (of("service.version"), of("service.instance.id").len()),
        (env!("CARGO_PKG_VERSION").into(), 36)
    );
    for value in ["a=b,c", "=b,a=b", "a=b,c=%ff", "a=b,c=%zz", "a=b,c=%4"] {
        assert_eq!(resource_of(&bad(&[(ATTRIBUTES, value)]))("a"), "", "{value}: left out as a whole");
    }
}

#[test]
fn files_of_certificates_that_cannot_be_used_are_left_out() {
    const HTTPS: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:4317");
    let directory = tempfile::tempdir().unwrap();
    let junk = directory.path().join("junk");
    fs::write(&junk, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    let empty = directory.path().join("empty");
    fs::write(&empty, "").unwrap();
    for file in [junk.to_str().unwrap(), empty.to_str().unwrap(), "/nowhere"] {
        bad(&[HTTPS, ("OTEL_EXPORTER_OTLP_CERTIFICATE", file)]);
        bad(&[HTTPS, ("OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE", file)]);
    }
    bad(&[HTTPS, ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/nowhere")]);
    let junk = junk.to_str().unwrap();
    for alone in ["OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY"] {
        bad(&[HTTPS, (alone, junk)]);
    }
    bad(&[
        HTTPS,
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", junk),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/nowhere"),
    ]);
    bad(&[HTTPS, ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", junk), ("OTEL_EXPORTER_OTLP_CLIENT_KEY", junk)]);
    // Plaintext has no certificates.
    good(&[("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere")]);
}

#[test]
fn what_has_no_effect_is_said() {
    for name in
        ["OTEL_EXPORTER_OTLP_INSECURE", "OTEL_LOG_LEVEL", "OTEL_CONFIG_FILE", "OTEL_METRICS_EXEMPLAR_FILTER"]
    {
        bad(&[(name, "1")]);
        good(&[(name, "")]);
    }
}

#[test]
fn what_is_no_utf_8_is_left_out() {
    let variables = [(OsString::from("OTEL_SERVICE_NAME"), OsString::from_vec(vec![0xff]))];
    let settings = ExportSettings::read(&variables, &Exported::LOCAL).unwrap();
    assert_eq!(settings.warnings()[0].variable, "OTEL_SERVICE_NAME");
    assert_eq!(resource_of(&settings)("service.name"), "inkpass");
}
