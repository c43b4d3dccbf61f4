"""What replicas talk to beside the whiteboard API: a collector, an issuer of tokens, a store; and free addresses."""
import base64
import contextlib
import http.server
import json
import secrets
import socket
import threading
from concurrent import futures

import grpc


class Collector:
    """An OTLP collector that takes everything."""

    def __init__(self):
        self.server = grpc.server(futures.ThreadPoolExecutor(2))
        take = grpc.unary_unary_rpc_method_handler(lambda request, context: b"")
        for signal_name in "trace.v1.Trace", "metrics.v1.Metrics":
            service = f"opentelemetry.proto.collector.{signal_name}Service"
            self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": take}),))
        self.address = f"127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}"
        self.server.start()

    def stop(self):
        self.server.stop(None).wait()


class Issuer:
    """Gives the keys of an issuer of tokens."""

    def __init__(self):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps({"keys": [JWK]}).encode())

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def part(value):
    return base64.urlsafe_b64encode(value if isinstance(value, bytes) else json.dumps(value).encode()).rstrip(b"=").decode()


# P-256's base point: a public key as good as any.
JWK = {
    "kty": "EC", "crv": "P-256", "kid": "known", "alg": "ES256", "use": "sig",
    "x": "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY", "y": "T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU",
}


def token_of_an_unknown_key():
    claims = {"iss": "https://issuer", "aud": "inkpass", "sub": "s", "exp": 4_000_000_000, "nbf": 0}
    header = {"alg": "ES256", "kid": secrets.token_hex(8)}
    return f"{part(header)}.{part(claims)}.{part(b'0' * 64)}"


def free_address():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{listener.getsockname()[1]}"


def is_open(address):
    host, _, port = address.partition(":")
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 1):
        return True
    return False


def redis(address, *words):
    """One command of a store; the keys in its answer."""
    host, _, port = address.partition(":")
    with socket.create_connection((host, int(port)), 5) as connection:
        sent = "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
        connection.sendall(f"*{len(words)}\r\n{sent}*1\r\n$4\r\nQUIT\r\n".encode())
        lines = b"".join(iter(lambda: connection.recv(65536), b"")).decode().split("\r\n")
    return [line for line in lines if line.startswith("inkpass:")]
