#!/usr/bin/env python3
"""Installs the chart and tries it: calls, traces, rollouts under load, and the loss of a node. Run by `run`."""
import argparse
import json
import re
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cluster import Cluster, Running, need, wait_for

HERE = Path(__file__).parent
REPOSITORY = HERE.parent.parent
NAMESPACE = "inkpass-e2e"
REPLICAS = 3
RATE = 50
# A lost node's pods leave the endpoints when the control plane gives the node up: 8 s on the cluster that this is
# usually run on. What a call may fail for beyond that, endpoints on their way to proxies and DNS included.
ENDPOINTS_GONE_S, MARGIN_S = 8, 4

began = time.monotonic()


def say(text):
    print(f"e2e: {time.monotonic() - began:5.1f} s: {text}", flush=True)


class Scenario:
    def __init__(self, options):
        self.options = options
        self.cluster = Cluster(options.cluster, NAMESPACE)
        self.server = f"inkpass.{NAMESPACE}.svc.cluster.local:50051"
        self.secret = secrets.token_hex(20)
        self.collector = None

    def run(self):
        self.make_namespace()
        # A node that has only just come is ready before pods may be put on it.
        nodes = wait_for("nodes that take pods", self.free_nodes, 60)
        address = next(a["address"] for a in nodes[0]["status"]["addresses"] if a["type"] == "InternalIP")
        self.collector = self.cluster.start(self.options.python, str(HERE / "collector.py"), address)
        self.install()
        self.calls()
        self.trace()
        self.metrics()
        self.rollout("a rolling restart", lambda: self.cluster.kubectl("rollout", "restart", "deployment/inkpass"))
        self.rollout("a helm upgrade", lambda: self.helm_upgrade("whiteboard.region=eu"))
        if self.options.cluster:
            self.lose_a_node("cut", "heal")
            self.lose_a_node("down", "up", until_replaced=True)
        else:
            say("no node is lost: only a cluster of INKPASS_CLUSTER can do that")
        self.logs()
        self.uninstall()
        say("all is well")

    def free_nodes(self):
        nodes = self.cluster.get("nodes")
        return nodes if not any(node["spec"].get("taints") for node in nodes) else None

    def make_namespace(self):
        """With the strictest profile of Pod Security, and the keys."""
        self.cluster.run("kubectl", "delete", "namespace", NAMESPACE, "--ignore-not-found", seconds=90)
        self.cluster.run("kubectl", "create", "namespace", NAMESPACE)
        self.cluster.run("kubectl", "label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
        with tempfile.TemporaryDirectory() as directory:
            for name, key in ("access-key", secrets.token_hex(8)), ("secret-key", self.secret):
                Path(directory, name).write_text(key)
            self.cluster.kubectl("create", "secret", "generic", "inkpass-keys", f"--from-file={directory}")

    def install(self):
        values = [
            "image.pullPolicy=Never", f"image.tag={self.options.tag}", f"replicaCount={REPLICAS}",
            "keys.existingSecret=inkpass-keys", "whiteboard.region=us-sv", "emulator.enabled=true",
            "server.reflection=true",
            f"telemetry.otlpEndpoint=http://{self.collector.first_line()}", "telemetry.samplingRatio=1",
        ]
        sets = [word for value in values for word in ("--set", value)]
        self.cluster.helm("install", "inkpass", str(REPOSITORY / "helm/inkpass"), "--wait", "--timeout", "2m", *sets)
        pods = self.cluster.settled(REPLICAS)
        need(pods, f"after the install there are not {REPLICAS} pods that are ready")
        nodes = {pod["spec"]["nodeName"] for pod in pods}
        need(len(nodes) == min(REPLICAS, len(self.cluster.get("nodes"))), f"the pods are on {nodes} only")
        self.cluster.helm("test", "inkpass", "--timeout", "1m")
        say(f"installed: {REPLICAS} pods on {len(nodes)} nodes, under the restricted profile; helm test passes")

    def helm_upgrade(self, value):
        self.cluster.helm("upgrade", "inkpass", str(REPOSITORY / "helm/inkpass"), "--reuse-values", "--set", value)

    def client(self, *arguments):
        server = ("--server", f"http://{self.server}", "--output", "json")
        return json.loads(self.cluster.run(self.options.inkpass, *arguments, *server))

    def grpcurl(self, rpc, request, *options):
        words = ("-plaintext", "-max-time", "10", *options, "-d", json.dumps(request), self.server, f"inkpass.v1.{rpc}")
        return json.loads(self.cluster.run("grpcurl", *words))

    def calls(self):
        token = self.client("token", "issue", "--kind", "room", "--uuid", "r", "--role", "writer")["token"]["value"]
        need(token.startswith("NETLESSROOM_"), "token issue gave no Room token")
        room = self.client("room", "create", "--grant-role", "reader")
        need(room["room"]["uuid"] == room["token"]["uuid"], "room create gave a token for another room")
        task = self.client("conversion", "start", "https://example.com/a.pptx", "--format", "static")
        need(task["conversion"]["uuid"], "conversion start gave no conversion")
        need(self.client("token", "verify", token)["valid"], "token verify finds our own token invalid")

        token = self.grpcurl("TokenService/IssueToken", {"sdk": {}, "role": "ROLE_ADMIN", "ttl": "60s"})
        need(token["token"]["value"].startswith("NETLESSSDK_"), "IssueToken gave no SDK token")
        room = self.grpcurl("RoomService/CreateRoom", {"region": "REGION_EU", "token_grant": {"role": "ROLE_WRITER"}})
        need(room["room"]["region"] == "REGION_EU", "CreateRoom made a room elsewhere")
        task = {"resource": "https://example.com/a.pdf", "static_format": {}}
        need(self.grpcurl("ConversionService/StartConversion", task)["conversion"], "StartConversion started nothing")
        say("IssueToken, CreateRoom and StartConversion answer our own client and grpcurl")

    def trace(self):
        """From the caller's span over the server's to the one of the request to the whiteboard API."""
        trace, caller = secrets.token_hex(16), secrets.token_hex(8)
        self.grpcurl("RoomService/CreateRoom", {"token_grant": {"role": "ROLE_WRITER"}}, "-H", f"traceparent: 00-{trace}-{caller}-01")

        def whole():
            spans = {s["id"]: s for s in map(json.loads, self.collector.lines[1:]) if s["trace"] == trace}
            attempts = [s for s in spans.values() if s["attributes"].get("http.request.method") == "POST"]
            # grpcurl asks for reflection within the same trace.
            server = [s for s in spans.values() if s["parent"] == caller and s["name"].startswith("inkpass.")]
            if not attempts or not server:
                return None
            need(len(server) == len(attempts) == 1, f"one server span and one attempt expected: {list(spans.values())}")
            way = [attempts[0]]
            while way[-1]["parent"] in spans:
                way.append(spans[way[-1]["parent"]])
            need(way[-1] is server[0], f"the attempt's span does not descend from the caller's: {way}")
            return spans, way

        spans, way = wait_for("a whole trace at the collector", whole, 30)
        attempt, server = way[0], way[-1]
        need(server["name"] == server["attributes"].get("rpc.method") == "inkpass.v1.RoomService/CreateRoom", f"{server}")
        need((server["kind"], attempt["kind"]) == (2, 3), "the kinds are not SERVER and CLIENT")
        need(str(attempt["attributes"].get("http.response.status_code")) == "201", f"{attempt}")
        resource = server["resource"]
        pods = {pod["metadata"]["name"] for pod in self.cluster.pods("server")[0]}
        need(resource.get("service.name") == "inkpass" and resource.get("k8s.pod.name") in pods, f"resource: {resource}")
        need("NETLESS" not in json.dumps(list(spans.values())), "a token is in a span")
        say(f"a trace of CreateRoom arrives whole: {' < '.join(span['name'] for span in way)}; {len(spans)} spans")

    def metrics(self):
        fetch = "import sys, urllib.request as u\nfor url in sys.argv[1:]: print(u.urlopen(url, timeout=5).read().decode())"
        urls = [f"http://{pod['status']['podIP']}:9464/metrics" for pod in self.cluster.pods("server")[0]]
        text = self.cluster.run(sys.executable, "-c", fetch, *urls)
        for pattern in r"build_info\{", r"CreateRoom.*\bOK\b|\bOK\b.*CreateRoom", r"_bucket\{.*IssueToken":
            need(re.search(pattern, text), f"/metrics has nothing like {pattern}")
        say("metrics have build info, calls by RPC and code, and durations")

    def under_load(self, event, condition):
        """What the callers saw, with times from the event on."""
        load = self.cluster.start(self.options.python, str(HERE / "load.py"), NAMESPACE, str(RATE))
        load.first_line()
        load.say("event")
        event()
        condition()
        return json.loads(load.end()[-1])

    def rollout(self, what, event):
        before = {pod["metadata"]["name"] for pod in self.cluster.pods("server")[0]}

        def replaced():
            pods = self.cluster.settled(REPLICAS)
            return pods and before.isdisjoint(pod["metadata"]["name"] for pod in pods)

        seen = self.under_load(event, lambda: wait_for(what, replaced, 150))
        self.report(f"{what}, every pod replaced", seen)
        need(all(caller["failed"] == 0 for caller in seen.values()), "calls failed")

    def lose_a_node(self, lose, regain, until_replaced=False):
        emulator = self.cluster.pods("emulator")[0][0]["spec"]["nodeName"]
        # Node 1 is the way to service addresses.
        pods = {pod["spec"]["nodeName"]: pod["metadata"]["name"] for pod in self.cluster.pods("server")[0]}
        node = next(node for node in ("node3", "node2") if node in pods and node != emulator)
        times = {}

        def gone():
            begin = time.monotonic()
            wait_for("endpoints", lambda: pods[node] not in self.cluster.endpoints("inkpass"), 60)
            times["endpoint"] = time.monotonic() - begin
            need(self.client("room", "create")["room"]["uuid"], "room create fails without the node")
            if until_replaced:
                wait_for("pods elsewhere", lambda: len(self.cluster.endpoints("inkpass")) == REPLICAS, 90)
                times["again"] = time.monotonic() - begin

        try:
            seen = self.under_load(lambda: self.cluster.node(node, lose), gone)
        finally:
            self.cluster.node(node, regain)
        again = f", {REPLICAS} pods again after {times['again']:.1f} s" if until_replaced else ""
        self.report(f"{node} {lose}, its pod out of the endpoints after {times['endpoint']:.1f} s{again}", seen)
        late = [name for name, caller in seen.items() if (caller["failed_to_s"] or 0) > ENDPOINTS_GONE_S + MARGIN_S]
        need(not late, f"calls failed too long after the loss: {late}")
        need(seen["headless, one retry"]["failed"] == 0, "calls failed in spite of a retry")
        wait_for(f"{node} is ready", lambda: self.cluster.node_ready(node), 60)
        wait_for("all pods are ready", lambda: self.cluster.settled(REPLICAS), 90)
        say(f"{node} is back, and {REPLICAS} pods are ready")

    def report(self, what, seen):
        say(f"{what}, under {RATE} IssueTokens a second from all callers:")
        for name, caller in seen.items():
            codes = ", ".join(f"{count} {code}" for code, count in caller["codes"].items())
            when = f", begun {caller['failed_from_s']} to {caller['failed_to_s']} s after" if caller["failed"] else ""
            print(f"     {name:19} {caller['failed']} failed{when}; {codes}; slowest {caller['slowest_s']} s", flush=True)
        print(f"     {json.dumps(seen)}", flush=True)

    def logs(self):
        for pod in self.cluster.get("pods"):
            name = pod["metadata"]["name"]
            log = self.cluster.kubectl("logs", name, "--all-containers")
            need("NETLESS" not in log and self.secret not in log, f"a token or key is in the log of {name}")
        say("no token and no key in the logs")

    def uninstall(self):
        self.cluster.helm("uninstall", "inkpass", "--wait", "--timeout", "1m")
        mine = ("--selector", "app.kubernetes.io/instance=inkpass", "--output", "name")
        left = lambda: self.cluster.kubectl("get", "all,configmaps,poddisruptionbudgets", *mine).strip()
        wait_for("nothing is left of the release", lambda: not left(), 60)
        self.cluster.run("kubectl", "delete", "namespace", NAMESPACE, seconds=90)
        self.collector.end()
        say("uninstalled, and nothing is left")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in "tag", "inkpass", "python":
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--cluster", default="")
    Scenario(parser.parse_args()).run()
