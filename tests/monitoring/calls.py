"""Calls of inkpass, with messages encoded by hand: no generated code is needed for these few fields."""
import os
import threading
import time
import uuid

os.environ.setdefault("GRPC_VERBOSITY", "NONE")
import grpc  # noqa: E402

TOKENS, ROOMS, CONVERSIONS = (f"/inkpass.v1.{name}Service/" for name in ("Token", "Room", "Conversion"))
REGIONS = {"us-sv": 1, "sg": 2, "in-mum": 3, "eu": 4, "gb-lon": 5}


def number(value):
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(encoded + bytes([value]))


def field(tag, value):
    if isinstance(value, int):
        return number(tag << 3) + number(value)
    value = value.encode() if isinstance(value, str) else value
    return number(tag << 3 | 2) + number(len(value)) + value


def fields(message):
    """The fields of a message, by number, of which each is there once: texts and messages as bytes, numbers as they are."""
    found, at = {}, 0

    def take():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            value, shift, at = value | (byte & 0x7F) << shift, shift + 7, at + 1
            if byte <= 0x7F:
                return value

    while at < len(message):
        key, value = take(), take()
        if key & 7 == 2:
            value, at = message[at:at + value], at + value
        found[key >> 3] = value
    return found


ISSUE = field(3, field(1, "a-room")) + field(5, 2)


def create(region="us-sv", request_id=""):
    return field(2, REGIONS[region]) + field(5, request_id or str(uuid.uuid4()))


def get(room, region="us-sv"):
    return field(3, REGIONS[region]) + field(4, room)


def start(region):
    return field(2, REGIONS[region]) + field(3, "https://example.com/a.pptx") + field(5, b"")


class Caller:
    """One connection, with a credential."""

    def __init__(self, address, ca, *credential):
        # Without this, channels of one process to one address are one connection.
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
        self.channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(ca), options)
        self.metadata = [credential] if credential else []

    def call(self, method, request):
        """The answer; None where it was refused."""
        try:
            return self.channel.unary_unary(method)(request, timeout=5, metadata=self.metadata)
        except grpc.RpcError:
            return None

    def room(self, region):
        """The uuid of a room that it creates."""
        answer = self.call(ROOMS + "CreateRoom", field(2, REGIONS[region]))
        return fields(fields(answer)[1])[1].decode()

    def reflect(self, streams):
        """Opens so many streams of reflection, which stay open; gives those that were not refused."""
        method = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
        opened = [self.channel.stream_stream(method)(forever(), metadata=self.metadata) for _ in range(streams)]
        return [stream for stream in opened if answers(stream)]


def forever():
    yield field(7, "")
    threading.Event().wait()


def answers(stream):
    try:
        next(stream)
        return True
    except grpc.RpcError:
        return False


class Load:
    """Calls that go on, so many a second, until the end or until they are stopped."""

    def __init__(self, rate, *acts):
        self.stopped = threading.Event()
        threading.Thread(target=self.run, args=(1 / rate, acts), daemon=True).start()

    def run(self, pause, acts):
        while not self.stopped.is_set():
            for act in acts:
                act()
                self.stopped.wait(pause)

    def stop(self):
        self.stopped.set()


def until(what, is_true, seconds=30):
    """Waits for a condition; gives what it came to."""
    end = time.monotonic() + seconds
    while not (found := is_true()):
        if time.monotonic() > end:
            raise TimeoutError(f"it never became true in {seconds} s: {what}")
        time.sleep(0.2)
    return found
