"""A pod's node, not the emulator's, is lost under load, and the service goes on. Of what is created meanwhile there is one."""
import time

from checks import creates
from checks.under_load import report, under_load
from processes import need, say, wait_for
from release import REPLICAS

# A lost node's pods leave the endpoints when the control plane gives the node up: 8 s on the cluster that this is
# usually run on. What a call may fail for beyond that, endpoints on their way to proxies and DNS included.
ENDPOINTS_GONE_S, MARGIN_S = 8, 4


def a_node_is_cut_off(trial):
    """The store's too."""
    lose(trial, "cut", "heal", with_store=True)


def a_node_loses_power(trial):
    lose(trial, "down", "up", until_replaced=True)


def lose(trial, how, regain, with_store=False, until_replaced=False):
    cluster = trial.cluster
    if not cluster.program:
        say(f"no node is lost ({how}): only a cluster of INKPASS_CLUSTER can do that")
        return
    emulator = node_of_emulator(trial)
    node, pod = victim(trial, emulator)
    trial.release.store.place(node if with_store else emulator)
    times = {}

    def gone():
        begin = time.monotonic()
        wait_for("endpoints", lambda: pod not in cluster.endpoints("inkpass"), 60)
        times["endpoint"] = time.monotonic() - begin
        need(trial.release.client("room", "create")["room"]["uuid"], "room create fails without the node")
        if until_replaced:
            wait_for("pods elsewhere", lambda: len(cluster.endpoints("inkpass")) == REPLICAS, 90)
            times["again"] = time.monotonic() - begin

    creating = creates.begin(trial)
    try:
        seen = under_load(trial, lambda: cluster.node(node, how), gone)
    finally:
        cluster.node(node, regain)
    again = f", {REPLICAS} pods again after {times['again']:.1f} s" if until_replaced else ""
    report(f"{node} {how}, its pod out of the endpoints after {times['endpoint']:.1f} s{again}", seen)
    late = [name for name, caller in seen.items() if (caller["failed_to_s"] or 0) > ENDPOINTS_GONE_S + MARGIN_S]
    need(not late, f"calls failed too long after the loss: {late}")
    need(seen["headless, one retry"]["failed"] == 0, "calls failed in spite of a retry")
    wait_for(f"{node} is ready", lambda: cluster.node_ready(node), 60)
    wait_for("all pods are ready", lambda: cluster.settled(REPLICAS), 90)
    say(f"{node} is back, and {REPLICAS} pods are ready")
    creates.hold(creating)


def node_of_emulator(trial):
    return trial.cluster.pods("emulator")[0][0]["spec"]["nodeName"]


def victim(trial, emulator):
    """A node and the pod on it. Node 1 is the way to service addresses."""
    pods = {pod["spec"]["nodeName"]: pod["metadata"]["name"] for pod in trial.release.servers()}
    node = next(node for node in ("node3", "node2") if node in pods and node != emulator)
    return node, pods[node]
