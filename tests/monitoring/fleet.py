"""What the test of the alerts runs: three replicas, the emulator, a store, a collector, an issuer, and Prometheus."""
import json
import os
import re
import subprocess
import threading
import urllib.parse
import urllib.request
from pathlib import Path

import yaml

from artefacts import RULES
from calls import Caller, until
from surroundings import Collector, Issuer, free_address, is_open

# An hour of the rules is a minute here.
FASTER = 60
SHORTEST = 4

# Where a distribution has put libfaketime.
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)

CALLERS = ["app", "limited", *(f"greedy{number}" for number in range(10))]

SETTINGS = """
[server]
reflection = true
tls_cert_file = "{place}/tls/tls.crt"
tls_key_file = "{place}/tls/tls.key"
[whiteboard]
base_url = "http://{emulator}"
[projects.default]
default = true
region = "us-sv"
keys = [{{ access_key_file = "{place}/keys/access", secret_key_file = "{place}/keys/{secret}", state = "active" }}]
[store]
url_file = "{place}/keys/store"
[telemetry]
sampling_ratio = 1.0
otlp_endpoint = "http://{collector}"
[audit]
output = "{audit}"
salt_file = "{place}/keys/salt"
"""
IDENTITY = """
[identity]
api_keys_file = "{place}/callers.toml"
issuers = [{{ name = "issuer", issuer = "https://issuer", audience = "inkpass", jwks_url = "http://{issuer}/keys" }}]
[policy]
file = "{place}/policy/policy.toml"
"""
POLICY = """
[[grants]]
name = "app"
principals = ["key:app"]
rpcs = ["inkpass.v1.TokenService/*", "inkpass.v1.RoomService/*", "inkpass.v1.ConversionService/*"]
projects = ["default"]
regions = ["us-sv", "sg", "in-mum", "eu", "gb-lon"]
tokens = [{ kind = "room", strongest_role = "writer" }]
[[grants]]
name = "others"
principals = [OTHERS]
rpcs = ["inkpass.v1.TokenService/IssueToken"]
projects = ["default"]
tokens = [{ kind = "room", strongest_role = "writer" }]
quota = { tokens_per_second = 1, burst = 1 }
"""


class Reader:
    """Reads a pipe to its end, and can stop, or leave."""

    def __init__(self, pipe):
        self.goes_on, self.leaves = threading.Event(), False
        self.goes_on.set()
        threading.Thread(target=self.run, args=(pipe,), daemon=True).start()

    def run(self, pipe):
        while self.goes_on.wait() and os.read(pipe.fileno(), 4096) and not self.leaves:
            pass
        pipe.close()


class Replica:
    def __init__(self, fleet, name, **differs):
        self.fleet, self.name, self.differs = fleet, name, differs
        self.grpc, self.admin = free_address(), free_address()
        self.start()

    def start(self, secret="secret", is_open=False):
        fleet, place = self.fleet, self.fleet.place
        text = SETTINGS + ("" if is_open else IDENTITY)
        audit = self.differs.get("audit", f"{place}/{self.name}.audit")
        text = text.format(place=place, secret=secret, audit=audit, **fleet.addresses)
        settings = place / f"{self.name}.toml"
        settings.write_text(text)
        command = [fleet.inkpass, "serve", "--config", settings, "--listen", self.grpc, "--admin-listen", self.admin]
        command += ["--insecure-allow-all"] if is_open else []
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **self.differs.get("environment", {})}
        )
        fleet.stack.callback(self.end)
        first = self.process.stdout.readline()
        if not first:
            raise SystemExit(f"{self.name} does not start:\n{self.process.stderr.read().decode()}")
        self.stdout, self.stderr = Reader(self.process.stdout), Reader(self.process.stderr)

    def end(self):
        self.process.kill()
        self.process.wait()

    def caller(self, name="app"):
        return Caller(self.grpc, self.fleet.ca, "x-api-key", self.fleet.api_keys[name])

    def stranger(self, *credential):
        return Caller(self.grpc, self.fleet.ca, *credential)


class Fleet:
    def __init__(self, inkpass, place, stack):
        self.inkpass, self.place, self.stack = inkpass, place, stack
        for name in "tls", "keys", "policy", "data":
            (place / name).mkdir()
        self.certify(days=365)
        self.ca = (place / "tls/ca.crt").read_bytes()
        self.write_keys()
        self.collector, self.issuer = Collector(), Issuer()
        self.store_address = free_address()
        self.write("keys/store", f"redis://{self.store_address}")
        self.store = self.start_store()
        self.addresses = {"collector": self.collector.address, "issuer": self.issuer.address, "emulator": free_address()}
        self.start_emulator()
        self.offset = place / "offset"
        self.offset.write_text("+0")
        clock = {"LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(self.offset)}
        clock |= {"FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        self.replicas = [
            Replica(self, "a", audit="stdout"),
            Replica(self, "b", environment=clock),
            Replica(self, "c"),
        ]
        self.start_prometheus()

    def run(self, *command, **options):
        process = subprocess.Popen([str(word) for word in command], **options)
        self.stack.callback(process.kill)
        return process

    def certify(self, days):
        """A certificate for so many days, of the CA of the first one."""
        path = self.place / "tls"

        def make(*arguments):
            new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
            subprocess.run([*new, "-days", str(days), *arguments], check=True, capture_output=True)

        if not (path / "ca.crt").exists():
            make("-subj", "/CN=a CA", "-keyout", path / "ca.key", "-out", path / "ca.crt")
        ca = ["-CA", path / "ca.crt", "-CAkey", path / "ca.key", "-addext", "basicConstraints=CA:FALSE"]
        names = ["-subj", "/CN=inkpass", "-addext", "subjectAltName=IP:127.0.0.1"]
        make(*ca, *names, "-keyout", path / "new.key", "-out", path / "new.crt")
        (path / "new.key").chmod(0o440)
        (path / "new.key").rename(path / "tls.key")
        (path / "new.crt").rename(path / "tls.crt")

    def write_keys(self):
        secret = "a-secret-key-of-some-length"
        texts = {"access": "an-access-key", "secret": secret, "old-secret": secret, "salt": "a-salt-of-some-length"}
        for name, text in texts.items():
            self.write(f"keys/{name}", text)
        os.utime(self.place / "keys/old-secret", (1_700_000_000, 1_700_000_000))
        self.api_keys = {}
        lines = []
        for name in CALLERS:
            new = [self.inkpass, "api-key", "new", "--principal", f"key:{name}"]
            done = subprocess.run(new, check=True, capture_output=True, text=True)
            printed = done.stdout + done.stderr
            self.api_keys[name] = re.search(r"(?m)^ik_\S+", printed)[0]
            lines.append(re.search(r"(?ms)^\[\[api_keys\]\].*?^sha256 = \S+", printed)[0])
        self.write("callers.toml", "\n".join(lines))
        self.write_policy(POLICY.replace("OTHERS", ", ".join(f'"key:{name}"' for name in CALLERS[1:])))

    def write(self, name, text):
        (self.place / name).write_text(text)
        (self.place / name).chmod(0o440)

    def write_policy(self, text):
        (self.place / "policy/new").write_text(text)
        (self.place / "policy/new").rename(self.place / "policy/policy.toml")

    def start_store(self):
        port = self.store_address.partition(":")[2]
        store = self.run("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", stdout=subprocess.DEVNULL)
        until("the store answers", lambda: is_open(self.store_address))
        return store

    def start_emulator(self):
        settings = self.place / "emulator.toml"
        keys = f'access_key_file = "{self.place}/keys/access", secret_key_file = "{self.place}/keys/secret"'
        settings.write_text(f'[projects.default]\nkeys = [{{ {keys}, state = "active" }}]\n')
        address = self.addresses["emulator"]
        flags = ["--emulator-listen", address, "--converting", "600s", "--queue-limit", "2"]
        self.run(self.inkpass, "emulator", "--config", settings, *flags, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until("the emulator answers", lambda: is_open(address))

    def control(self, verb, name, **body):
        """A control of the emulator."""
        request = urllib.request.Request(f"http://{self.addresses['emulator']}/_emulator/{name}", method=verb)
        request.add_header("content-type", "application/json")
        request.data = json.dumps(body).encode() if body else None
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=5).read()

    def start_prometheus(self):
        self.prometheus = free_address()
        rules = [faster(yaml.safe_load(path.read_text())) for path in RULES]
        for number, document in enumerate(rules):
            (self.place / f"{number}.rules.yaml").write_text(yaml.safe_dump(document))
        scrape = {"job_name": "inkpass", "static_configs": [{"targets": [replica.admin for replica in self.replicas]}]}
        settings = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "scrape_configs": [scrape],
            "rule_files": [f"{self.place}/*.rules.yaml"],
        }
        path = self.place / "prometheus.yaml"
        path.write_text(yaml.safe_dump(settings))
        flags = [f"--config.file={path}", f"--storage.tsdb.path={self.place}/data", f"--web.listen-address={self.prometheus}"]
        log = (self.place / "prometheus.log").open("w")
        self.run("prometheus", *flags, stdout=log, stderr=log)
        until("Prometheus is ready", lambda: is_open(self.prometheus))

    def ask(self, path, **arguments):
        url = f"http://{self.prometheus}/api/v1/{path}?{urllib.parse.urlencode(arguments)}"
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=20) as answer:
            return json.load(answer)["data"]

    def firing(self):
        """The alerts that fire, each with its annotations."""
        firing = [alert for alert in self.ask("alerts")["alerts"] if alert["state"] == "firing"]
        return {alert["labels"]["alertname"]: alert["annotations"] for alert in firing}


def faster(document):
    """Rules whose windows and delays are a sixtieth. What they read and compare is as it was."""
    def shorter(match):
        seconds = int(match[2]) * {"m": 60, "h": 3600, "d": 86400}[match[3]] / FASTER
        return f"{match[1]}{max(round(seconds), SHORTEST)}s"

    for group in document["groups"]:
        group["interval"] = "1s"
        for rule in group["rules"]:
            rule["expr"] = re.sub(r"(\[|offset )(\d+)([mhd])", shorter, rule["expr"]).replace("* 30 >=", "* 1 >=")
            if "for" in rule:
                rule["for"] = re.sub(r"()(\d+)([mhd])", shorter, rule["for"])
    return document
