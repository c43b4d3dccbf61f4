//! How each signal is sent.

use crate::{names::names, telemetry::Signal};

impl Signal {
    /// Both names of a variable of the exporter; the signal's own takes precedence.
    pub(super) fn variables(self, option: &str) -> [String; 2] {
        [
            format!("OTEL_EXPORTER_OTLP_{}_{option}", self.in_variables()),
            format!("OTEL_EXPORTER_OTLP_{option}"),
        ]
    }

    /// As the variables write it.
    pub(super) const fn in_variables(self) -> &'static str {
        match self {
            Self::Traces => "TRACES",
            Self::Metrics => "METRICS",
        }
    }

    /// What is appended to the URL that signals share, for HTTP.
    pub(super) const fn http_path(self) -> &'static str {
        match self {
            Self::Traces => "v1/traces",
            Self::Metrics => "v1/metrics",
        }
    }

    /// The method of the collector.
    pub(super) const fn grpc_path(self) -> &'static str {
        match self {
            Self::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            Self::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        }
    }
}

/// How a collector is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtlpProtocol {
    /// gRPC: port 4317 of most collectors.
    Grpc,
    /// HTTP with protobuf: port 4318 of most collectors.
    Http,
}

names! { pub OtlpProtocol { Grpc = "grpc", Http = "http/protobuf" } }
