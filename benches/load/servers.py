"""The servers under load, and what the kernel says of their processes."""
import contextlib
import json
import re
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

READY_S = 20


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


class Server:
    """A process that listens. Its output goes to `log`."""

    def __init__(self, command, port, log, stdout=None):
        self.port = port
        self.began = time.monotonic()
        with open(log, "ab") as err:
            self.process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL, stdout=stdout or err, stderr=err,
            )
        self.log = Path(log)
        self.wait_until(self.is_listening)

    def wait_until(self, condition):
        while not condition():
            if self.process.poll() is not None or time.monotonic() > self.began + READY_S:
                raise SystemExit(f"{self.process.args} is not ready:\n{self.log.read_text()[-2000:]}")
            time.sleep(0.001)

    def is_listening(self):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False

    def post(self, path, value):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", json.dumps(value).encode())
        request.add_header("content-type", "application/json")
        urllib.request.urlopen(request, timeout=5).close()

    def usage(self):
        """CPU time in seconds and context switches so far, of all threads."""
        cpu, switches = 0, 0
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                cpu += int((task / "schedstat").read_text().split()[0])
                switches += sum(map(int, re.findall(r"ctxt_switches:\s+(\d+)", (task / "status").read_text())))
        return cpu / 1e9, switches

    def memory(self, what="VmRSS"):
        """In MiB; `VmHWM`: the peak."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{what}:\s+(\d+)", status)[1]) / 1024

    def forget_peak(self):
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Inkpass(Server):
    """`inkpass serve`, or the example that leaves a part of it out."""

    def __init__(self, command, port, admin, log, **options):
        self.admin = admin
        super().__init__(command, port, log, **options)
        self.wait_until(self.is_ready)
        self.cold_start_s = time.monotonic() - self.began

    def is_ready(self):
        with contextlib.suppress(OSError):
            return self.get("/readyz") == "ok\n"
        return False

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}{path}", timeout=5) as answer:
            return answer.read().decode()

    def calls(self, rpc, code="OK"):
        """How many calls of an RPC ended so."""
        labels = f'rpc_method="{rpc}",rpc_status_code="{code}"'
        counts = re.findall(rf"inkpass_calls_total{{.*{re.escape(labels)}}} (\d+)", self.get("/metrics"))
        return sum(map(int, counts))
