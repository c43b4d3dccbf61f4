"""h2load: calls, and what it says of them."""
import re
import subprocess
from dataclasses import dataclass

ISSUE = "inkpass.v1.TokenService/IssueToken"
BATCH = "inkpass.v1.TokenService/BatchIssueTokens"
CREATE = "inkpass.v1.RoomService/CreateRoom"


def field(number, value):
    """A field of protobuf: an integer, or bytes."""
    if isinstance(value, int):
        return bytes([number << 3]) + varint(value)
    return bytes([number << 3 | 2]) + varint(len(value)) + value


def varint(value):
    low = [value & 0x7F]
    while value := value >> 7:
        low[-1] |= 0x80
        low.append(value & 0x7F)
    return bytes(low)


ISSUE_BODY = field(3, field(1, b"4807c9a44613b4060b1c29d25511b8a8")) + field(5, 2)
BATCH_BODY = field(1, ISSUE_BODY) * 1000
# In the default project and region, without a token.
CREATE_BODY = b""


def frame(message):
    return b"\0" + len(message).to_bytes(4, "big") + message


@dataclass
class Load:
    """What one run came to. Times in milliseconds."""
    calls: int
    seconds: float
    p50: float
    p99: float
    p999: float

    @property
    def rate(self):
        return self.calls / self.seconds


def run(port, path, body, work, *, calls, headers=(), connections=8, streams=32, scheme="http", rps=None, extra=()):
    """Sends `calls` calls; refuses to go on where one got no answer of status 2xx."""
    (work / "body").write_bytes(body)
    log = work / "h2load.log"
    log.unlink(missing_ok=True)
    command = ["h2load", "-t", 1, "-c", connections, "-m", streams, "-n", calls, "-d", work / "body", f"--log-file={log}"]
    if rps:
        command.append(f"--rps={max(1, rps // connections)}")
    for header in headers:
        command += ["-H", header]
    command += [*extra, f"{scheme}://127.0.0.1:{port}/{path}"]
    printed = subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout
    done = re.search(r"(\d+) succeeded, (\d+) failed", printed)
    if not done or int(done[1]) != calls:
        raise SystemExit(f"not every call got an answer:\n{printed}")
    begins, times = [], []
    for line in log.read_text().splitlines():
        begin, _, time = line.split("\t")[:3]
        begins.append(int(begin))
        times.append(int(time))
    seconds = (max(b + t for b, t in zip(begins, times)) - min(begins)) / 1e6
    times.sort()
    at = lambda share: times[min(len(times) - 1, int(len(times) * share))] / 1e3
    return Load(calls, seconds, at(0.5), at(0.99), at(0.999))


GRPC = ["content-type: application/grpc", "te: trailers"]
