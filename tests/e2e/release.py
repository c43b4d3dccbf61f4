"""The release on trial: its namespace, keys and values, and how it is called."""
import json
import secrets
from pathlib import Path

from credentials import Credentials
from processes import need, say, wait_for
from store import Store

CHART = Path(__file__).parent.parent.parent / "helm/inkpass"
NAMESPACE = "inkpass-e2e"
REPLICAS = 3


GRANTS = [
    {
        "name": "callers",
        "principals": [f"k8s:{NAMESPACE}/caller"],
        "rpcs": [f"inkpass.v1.{service}Service/*" for service in ("Token", "Room", "Scene", "Conversion")],
        "projects": ["default"],
        "regions": ["us-sv", "eu"],
        "tokens": [{"kind": kind, "strongest_role": "admin", "max_ttl": "1h"} for kind in ("sdk", "room", "task")],
        "quota": {"tokens_per_second": 1000, "burst": 2000},
    }
]


class Release:
    def __init__(self, cluster, tag, inkpass):
        self.cluster, self.tag, self.inkpass = cluster, tag, inkpass
        self.host = f"inkpass.{NAMESPACE}.svc.cluster.local"
        self.server = f"{self.host}:50051"
        self.secret, self.salt = secrets.token_hex(20), secrets.token_hex(16)
        self.credentials = Credentials(cluster)
        self.store = Store(cluster, tag)
        self.token_file = ""

    def make_namespace(self):
        """With the strictest profile of Pod Security, the keys, a certificate, a salt, and two callers."""
        self.cluster.run("kubectl", "delete", "namespace", NAMESPACE, "--ignore-not-found", seconds=90)
        self.cluster.run("kubectl", "create", "namespace", NAMESPACE)
        self.cluster.run("kubectl", "label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
        self.make_secret("inkpass-keys", *self.keys(secrets.token_hex(8), self.secret))
        short = [f"{name}.{NAMESPACE}.svc" for name in ("inkpass", "inkpass-headless")]
        names = [*short, *(f"{name}.cluster.local" for name in short), self.store.host]
        self.make_secret("inkpass-tls", *self.credentials.sign(names))
        self.make_secret("inkpass-salt", f"--from-literal=salt={self.salt}")
        self.make_secret("inkpass-store", f"--from-literal=url={self.store.url}")
        self.make_secret("inkpass-store-server", f"--from-literal=redis.conf={self.store.settings()}")
        for account in "caller", "ungranted":
            self.cluster.kubectl("create", "serviceaccount", account)
        self.token_file = self.credentials.token("caller")

    def keys(self, access_key, secret_key):
        return f"--from-literal=access-key={access_key}", f"--from-literal=secret-key={secret_key}"

    def secrets(self):
        """What nothing may ever show."""
        return self.secret, self.store.password

    def make_secret(self, name, *sources):
        """Or another one instead."""
        made = self.cluster.kubectl("create", "secret", "generic", name, *sources, "--dry-run=client", "--output=yaml")
        self.cluster.kubectl("apply", "--filename=-", stdin=made)

    def install(self, collector):
        """`collector` is where traces go. What `helm test` and its pod said is returned."""
        values = {
            "image": {"pullPolicy": "Never", "tag": self.tag},
            "replicaCount": REPLICAS,
            "keys": {"existingSecret": "inkpass-keys"},
            "tls": {"existingSecret": "inkpass-tls"},
            "audit": {"saltSecret": "inkpass-salt"},
            # It is not there before a check needs it, and the pods are ready all the same.
            "store": {"urlSecret": "inkpass-store", "caSecret": "inkpass-tls"},
            "policy": {"grants": GRANTS},
            "whiteboard": {"region": "us-sv"},
            "emulator": {"enabled": True},
            "server": {"reflection": True},
            # At debug there is a line for each call, in which a token could be.
            "telemetry": {"logLevel": "debug", "otlpEndpoint": f"http://{collector}", "samplingRatio": 1},
        }
        file = Path(self.credentials.file("values.json"))
        file.write_text(json.dumps(values))
        notes = self.cluster.helm(
            "install", "inkpass", str(CHART), "--wait", "--timeout", "2m", "--values", str(file)
        )
        need(f"gRPC at inkpass.{NAMESPACE}.svc:50051" in notes, f"the notes do not say where it is: {notes}")
        pods = self.cluster.settled(REPLICAS)
        need(pods, f"after the install there are not {REPLICAS} pods that are ready")
        nodes = {pod["spec"]["nodeName"] for pod in pods}
        need(len(nodes) == min(REPLICAS, len(self.cluster.get("nodes"))), f"the pods are on {nodes} only")
        test = self.cluster.helm("test", "inkpass", "--logs", "--timeout", "1m")
        say(f"installed: {REPLICAS} pods on {len(nodes)} nodes, under the restricted profile; helm test passes")
        return test

    def upgrade(self, value):
        self.cluster.helm("upgrade", "inkpass", str(CHART), "--reuse-values", "--set", value)

    def uninstall(self):
        self.cluster.helm("uninstall", "inkpass", "--wait", "--timeout", "1m")
        mine = ("--selector", "app.kubernetes.io/instance=inkpass", "--output", "name")
        left = lambda: self.cluster.kubectl("get", "all,configmaps,poddisruptionbudgets", *mine).strip()
        wait_for("nothing is left of the release", lambda: not left(), 60)

    def client(self, *arguments):
        """What our own client printed, from inside the cluster's network."""
        return json.loads(self.cluster.run(self.inkpass, *arguments, *self.as_caller(self.token_file)))

    def as_caller(self, token_file):
        server = ("--server", f"https://{self.server}", "--tls-ca", self.credentials.ca, "--output", "json")
        return *server, "--token-file", token_file

    def grpcurl(self, rpc, request, *options, address=""):
        """`address`: of one pod, in place of the Service's."""
        token = Path(self.token_file).read_text()
        words = ("-cacert", self.credentials.ca, "-authority", self.host, "-H", f"authorization: Bearer {token}")
        call = ("-d", json.dumps(request), address or self.server, f"inkpass.v1.{rpc}")
        return json.loads(self.cluster.run("grpcurl", *words, "-max-time", "10", *options, *call))

    def servers(self):
        """The pods that serve."""
        return self.cluster.pods("server")[0]
