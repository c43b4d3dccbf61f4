//! A caller of another language begins a trace, and the collector gets all of it.

use opentelemetry_proto::tonic::trace::v1::Span;

use super::{Receiver, Serving, hex};
use crate::{
    helpers::{World, skipped::not_installed},
    identity::other_stack::{has_grpcio, python},
};

/// Makes a span's context, creates a room within it, and prints the trace and the span.
const CALLER: &str = r#"
import os, sys, grpc
trace, span = os.urandom(16).hex(), os.urandom(8).hex()
with grpc.insecure_channel(sys.argv[1]) as channel:
    call = channel.unary_unary("/inkpass.v1.RoomService/CreateRoom", lambda m: m, lambda m: m)
    call(b"", metadata=[("traceparent", f"00-{trace}-{span}-01"), ("tracestate", "vendor=1")], timeout=20)
print(trace, span)
"#;

#[tokio::test]
async fn a_python_client_s_trace_goes_through_to_the_upstream_attempt() {
    if !has_grpcio() {
        not_installed("Python with grpcio, as INKPASS_PYTHON or python3");
        return;
    }
    let world = World::on_the_system_s_clock().await;
    for protocol in ["grpc", "http/protobuf"] {
        let receiver = Receiver::default();
        let endpoint = receiver.start().await;
        let settings =
            format!("sampling_ratio = 0.0\notlp_protocol = '{protocol}'\notlp_endpoint = '{endpoint}'");
        let serving = Serving::start(&world, &[], &settings).await;
        let mut command = tokio::process::Command::new(python());
        let output = command.args(["-c", CALLER, &serving.grpc]).output().await.unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let (trace, caller) = printed
            .trim()
            .split_once(' ')
            .unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        serving.stop().await;

        let only = |name: &str| -> Span {
            let spans = receiver.spans_named(name);
            assert_eq!(spans.len(), 1, "{name}: {:#?}", receiver.spans());
            spans[0].clone()
        };
        let (call, attempt) = (only("inkpass.v1.RoomService/CreateRoom"), only("POST /v5/rooms"));
        assert_eq!((hex(&call.trace_id), hex(&call.parent_span_id)), (trace.to_owned(), caller.to_owned()));
        assert_eq!((&attempt.trace_id, &attempt.parent_span_id), (&call.trace_id, &call.span_id));
        assert_eq!(call.trace_state, "vendor=1");
        assert!(receiver.spans().iter().all(|span| hex(&span.trace_id) == trace));
        let within = |outer: &Span, inner: &Span| {
            outer.start_time_unix_nano <= inner.start_time_unix_nano
                && inner.end_time_unix_nano <= outer.end_time_unix_nano
        };
        assert!(within(&call, &attempt), "{call:?} {attempt:?}");
    }
}
