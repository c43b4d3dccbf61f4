"""A Kubernetes cluster, as the scenario sees it: commands inside its network, and conditions to wait for."""
import json
import subprocess
import sys
import threading
import time


def need(good, what):
    if not good:
        sys.exit(f"e2e: {what}")


def wait_for(what, condition, seconds):
    """Until the condition gives something true, which is returned."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        need(time.monotonic() < deadline, f"{what}: not within {seconds} s")
        time.sleep(0.2)
    return found


class Cluster:
    def __init__(self, program, namespace):
        """`program` starts and breaks nodes; without one, KUBECONFIG's cluster is reached from here."""
        self.program, self.namespace = program, namespace

    def run(self, *command, seconds=60, stdin="", check=True):
        """Inside the cluster's network; its standard output."""
        inside = [self.program, "exec", *command] if self.program else list(command)
        done = subprocess.run(inside, input=stdin, capture_output=True, text=True, timeout=seconds)
        need(not check or done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}{done.stderr}")
        return done.stdout if done.returncode == 0 else ""

    def kubectl(self, *arguments, **options):
        return self.run("kubectl", "--namespace", self.namespace, *arguments, **options)

    def get(self, *arguments):
        found = json.loads(self.kubectl("get", *arguments, "--output", "json"))
        return found["items"] if found["kind"] == "List" else found

    def helm(self, *arguments, **options):
        return self.run("helm", "--namespace", self.namespace, *arguments, seconds=180, **options)

    def start(self, *command):
        inside = [self.program, "exec", *command] if self.program else list(command)
        return Running(inside)

    def pods(self, component):
        """Those that are not on their way out, and those that are."""
        pods = self.get("pods", "--selector", f"app.kubernetes.io/component={component}")
        leaving = [pod for pod in pods if "deletionTimestamp" in pod["metadata"]]
        return [pod for pod in pods if pod not in leaving], leaving

    def settled(self, replicas):
        """The pods of the service, if they are that many, all ready, and no old one is left."""
        pods, leaving = self.pods("server")
        ready = [pod for pod in pods if condition(pod, "Ready")]
        return pods if not leaving and len(ready) == len(pods) == replicas else None

    def endpoints(self, service):
        """The names of the pods that get the Service's calls."""
        slices = self.get("endpointslices", "--selector", f"kubernetes.io/service-name={service}")
        endpoints = [endpoint for one in slices for endpoint in one.get("endpoints") or []]
        return {endpoint["targetRef"]["name"] for endpoint in endpoints if endpoint["conditions"].get("ready")}

    def node_ready(self, name):
        return condition(self.get("node", name), "Ready")

    def node(self, name, what):
        """`down` and `up`: power; `cut` and `heal`: network."""
        number = name.removeprefix("node")
        subprocess.run([self.program, "node", number, what], check=True, timeout=90, stdout=subprocess.DEVNULL)


def condition(thing, kind):
    conditions = thing["status"].get("conditions", [])
    return any(one["type"] == kind and one["status"] == "True" for one in conditions)


class Running:
    """A program that ends when its standard input does, and whose lines are kept."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.lines = []
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        self.lines.extend(line.strip() for line in iter(self.process.stdout.readline, ""))

    def first_line(self):
        return wait_for("a first line", lambda: self.lines or need(self.process.poll() is None, "it ended"), 30)[0]

    def say(self, line):
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def end(self):
        """Its lines."""
        self.process.stdin.close()
        self.process.wait(timeout=60)
        self.reader.join(timeout=10)
        need(self.process.returncode == 0, f"{self.process.args} failed")
        return self.lines
