"""What a hostile caller does while another one calls: each is started, and ends when it is stopped."""
import asyncio
import contextlib
import socket
import ssl
import struct
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import h2load
import settings

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
GET_ROOM = "inkpass.v1.RoomService/GetRoom"


def frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name, value):
    """A header that is not indexed: RFC 7541, section 6.2.2. Both are shorter than 127 bytes."""
    return b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


def headers(stream, path, more=()):
    pairs = [(":method", "POST"), (":scheme", "http"), (":path", "/" + path), (":authority", "bench"),
             ("content-type", "application/grpc"), ("te", "trailers"), *more]
    return frame(1, 4, stream, b"".join(literal(name, value) for name, value in pairs))


def half_calls(server, number, streams, tls=None):
    """So many connections, each with an answered call and so many that never end. `tls`: the CA's file."""
    context = ssl.create_default_context(cafile=tls) if tls else None
    if context:
        context.set_alpn_protocols(["h2"])
    key = [("x-api-key", settings.KEY)]
    whole = headers(1, h2load.ISSUE, key) + frame(0, 1, 1, h2load.frame(h2load.ISSUE_BODY))
    halves = b"".join(headers(stream, h2load.ISSUE, key) + frame(0, 0, stream, b"\0\0\0\x04\0" + b"x" * 512)
                      for stream in range(3, 3 + 2 * streams, 2))
    connections = []
    for _ in range(number):
        connection = socket.create_connection(("127.0.0.1", server.port))
        if context:
            connection = context.wrap_socket(connection, server_hostname="localhost")
        connection.sendall(PREFACE + frame(4, 0, 0, b"") + whole)
        read = connection.makefile("rb")
        # Until the trailers of the first call.
        while (head := read.read(9))[3:5] != b"\1\5":
            read.read(int.from_bytes(head[:3]))
        connection.sendall(halves)
        connections.append((connection, read))
    return connections


@contextlib.contextmanager
def calls(bench, server, path, header, body, rate, connections=4, streams=50):
    """Calls of a caller that is refused, at a rate."""
    (bench.work / "attack").write_bytes(h2load.frame(body))
    command = ["h2load", "-t", 1, "-c", connections, "-m", streams, "-D", 600, f"--rps={rate // connections}",
               "-d", bench.work / "attack"]
    for one in [*h2load.GRPC, *header]:
        command += ["-H", one]
    command.append(f"http://127.0.0.1:{server.port}/{path}")
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def denials(bench, server):
    """4,000 calls a second of a caller without a grant."""
    return calls(bench, server, h2load.ISSUE, [f"x-api-key: {settings.UNGRANTED}"], h2load.ISSUE_BODY, 4000)


def junk(bench, server):
    """4,000 calls a second with an API key that nobody has."""
    return calls(bench, server, h2load.ISSUE, ["x-api-key: ik_" + "j" * 43], h2load.ISSUE_BODY, 4000)


def hung_reads(bench, server):
    """1,000 reads a second of one caller from an upstream that never answers."""
    room = h2load.field(4, b"a-room")
    return calls(bench, server, GET_ROOM, [f"x-api-key: {settings.OTHER}"], room, 1000)


@contextlib.contextmanager
def crowd(server, number, greet):
    """So many connections, of which each is greeted with these bytes; a second after one is closed a new one comes.

    One thread has all of them, because the attacker's own work is not what is measured."""
    async def one():
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                try:
                    writer.write(greet)
                    while await reader.read(65536):
                        pass
                finally:
                    writer.close()
            await asyncio.sleep(1)

    async def everyone():
        connections = [asyncio.ensure_future(one()) for _ in range(number)]
        await asyncio.to_thread(ended.wait)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    ended = threading.Event()
    thread = threading.Thread(target=asyncio.run, args=(everyone(),), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def silent(_, server):
    """1,500 connections that say nothing, and come again."""
    return crowd(server, 1500, b"")


def half_messages(_, server):
    """100 connections of 100 half-sent messages, without a credential."""
    half = b"".join(headers(stream, "grpc.health.v1.Health/Check") + frame(0, 0, stream, b"\0\0\0\x10\0" + b"x" * 100)
                    for stream in range(1, 200, 2))
    return crowd(server, 100, PREFACE + frame(4, 0, 0, b"") + half)


@contextlib.contextmanager
def hung_upstream():
    """Takes connections, and never answers; gives its URL."""
    class Silent(BaseHTTPRequestHandler):
        def handle(self):
            done.wait()

    done = threading.Event()
    silent = ThreadingHTTPServer(("127.0.0.1", 0), Silent)
    threading.Thread(target=silent.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{silent.server_port}"
    finally:
        done.set()
        silent.shutdown()


@contextlib.contextmanager
def black_hole():
    """Answers no SYN, because its backlog is full; gives its URL."""
    with contextlib.ExitStack() as sockets:
        listener = sockets.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        with contextlib.suppress(TimeoutError):
            while True:
                sockets.enter_context(socket.create_connection(listener.getsockname(), timeout=0.5))
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


ALL = {attack.__name__: attack for attack in (denials, junk, hung_reads, silent, half_messages)}
