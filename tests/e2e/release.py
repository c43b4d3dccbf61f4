"""The release on trial: its namespace, keys and values, and how it is called."""
import json
import secrets
import tempfile
from pathlib import Path

from processes import need, say, wait_for

CHART = Path(__file__).parent.parent.parent / "helm/inkpass"
NAMESPACE = "inkpass-e2e"
REPLICAS = 3


class Release:
    def __init__(self, cluster, tag, inkpass):
        self.cluster, self.tag, self.inkpass = cluster, tag, inkpass
        self.server = f"inkpass.{NAMESPACE}.svc.cluster.local:50051"
        self.secret = secrets.token_hex(20)

    def make_namespace(self):
        """With the strictest profile of Pod Security, and the keys."""
        self.cluster.run("kubectl", "delete", "namespace", NAMESPACE, "--ignore-not-found", seconds=90)
        self.cluster.run("kubectl", "create", "namespace", NAMESPACE)
        self.cluster.run("kubectl", "label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
        with tempfile.TemporaryDirectory() as directory:
            for name, key in ("access-key", secrets.token_hex(8)), ("secret-key", self.secret):
                Path(directory, name).write_text(key)
            self.cluster.kubectl("create", "secret", "generic", "inkpass-keys", f"--from-file={directory}")

    def install(self, collector):
        """`collector` is where traces go. What `helm test` and its pod said is returned."""
        values = [
            "image.pullPolicy=Never", f"image.tag={self.tag}", f"replicaCount={REPLICAS}",
            "keys.existingSecret=inkpass-keys", "whiteboard.region=us-sv", "emulator.enabled=true",
            "server.reflection=true",
            # At debug there is a line for each call, in which a token could be.
            "telemetry.logLevel=debug", f"telemetry.otlpEndpoint=http://{collector}", "telemetry.samplingRatio=1",
        ]
        sets = [word for value in values for word in ("--set", value)]
        notes = self.cluster.helm("install", "inkpass", str(CHART), "--wait", "--timeout", "2m", *sets)
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
        server = ("--server", f"http://{self.server}", "--output", "json")
        return json.loads(self.cluster.run(self.inkpass, *arguments, *server))

    def grpcurl(self, rpc, request, *options):
        words = ("-plaintext", "-max-time", "10", *options, "-d", json.dumps(request), self.server, f"inkpass.v1.{rpc}")
        return json.loads(self.cluster.run("grpcurl", *words))

    def servers(self):
        """The pods that serve."""
        return self.cluster.pods("server")[0]
