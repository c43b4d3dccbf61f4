"""A Kubernetes cluster, as the checks see it: commands inside its network, and conditions to wait for."""
import json
import subprocess

from processes import Running, need


class Cluster:
    def __init__(self, program, namespace):
        """`program` starts and breaks nodes; without one, KUBECONFIG's cluster is reached from here."""
        self.program, self.namespace = program, namespace

    def inside(self, *command):
        return [self.program, "exec", *command] if self.program else list(command)

    def run(self, *command, seconds=60, stdin="", check=True):
        """Inside the cluster's network; its standard output."""
        done = subprocess.run(self.inside(*command), input=stdin, capture_output=True, text=True, timeout=seconds)
        need(not check or done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}{done.stderr}")
        return done.stdout if done.returncode == 0 else ""

    def complaint(self, *command):
        """What a command that must fail says."""
        done = subprocess.run(self.inside(*command), capture_output=True, text=True, timeout=60)
        need(done.returncode == 1, f"{' '.join(command)} was to fail:\n{done.stdout}{done.stderr}")
        return done.stderr

    def start(self, *command, on_line=None):
        return Running(self.inside(*command), on_line)

    def kubectl(self, *arguments, **options):
        return self.run("kubectl", "--namespace", self.namespace, *arguments, **options)

    def helm(self, *arguments, **options):
        return self.run("helm", "--namespace", self.namespace, *arguments, seconds=180, **options)

    def get(self, *arguments):
        found = json.loads(self.kubectl("get", *arguments, "--output", "json"))
        return found["items"] if found["kind"] == "List" else found

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

    def free_nodes(self):
        """The nodes, if pods may be put on each: one that has only just come is ready before that."""
        nodes = self.get("nodes")
        return nodes if not any(node["spec"].get("taints") for node in nodes) else None

    def node_ready(self, name):
        return condition(self.get("node", name), "Ready")

    def node(self, name, what):
        """`down` and `up`: power; `cut` and `heal`: network."""
        number = name.removeprefix("node")
        subprocess.run([self.program, "node", number, what], check=True, timeout=90, stdout=subprocess.DEVNULL)


def condition(thing, kind):
    conditions = thing["status"].get("conditions", [])
    return any(one["type"] == kind and one["status"] == "True" for one in conditions)
