"""collector.py NODE: receives OTLP traces and metrics over gRPC until standard input ends.

Prints the address at which pods reach it, which is the one that this machine has towards the address NODE, and then each
span as a line of JSON.
"""
import json
import socket
import sys
from concurrent import futures

import grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc


def attributes(pairs):
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value") for pair in pairs}


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    def Export(self, request, context):
        for group in request.resource_spans:
            resource = attributes(group.resource.attributes)
            for span in (span for scope in group.scope_spans for span in scope.spans):
                print(json.dumps({
                    "trace": span.trace_id.hex(),
                    "id": span.span_id.hex(),
                    "parent": span.parent_span_id.hex(),
                    "name": span.name,
                    "kind": span.kind,
                    "attributes": attributes(span.attributes),
                    "resource": resource,
                }, default=str), flush=True)
        return trace_service_pb2.ExportTraceServiceResponse()


class Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
    def Export(self, request, context):
        return metrics_service_pb2.ExportMetricsServiceResponse()


with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
    probe.connect((sys.argv[1], 9))
    address = probe.getsockname()[0]
# One export at a time, so that no line is printed within another.
server = grpc.server(futures.ThreadPoolExecutor(1))
trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Collector(), server)
metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(Metrics(), server)
port = server.add_insecure_port(f"{address}:0")
server.start()
print(f"{address}:{port}", flush=True)
sys.stdin.read()
server.stop(1).wait()
