#!/usr/bin/env python3
"""Installs the chart in a real cluster and tries it there. Run by `run`.

A check is a function in checks/ that is handed the trial, says what it saw, and ends the run if that is not well. To add
one, name it in CHECKS.
"""
import argparse
import signal
import sys
from pathlib import Path

from checks import callers, calls, keys, metrics, node_loss, rollouts, traces
from cluster import Cluster
from logs import Logs
from processes import say, wait_for
from release import NAMESPACE, Release
from trial import Trial

COLLECTOR = str(Path(__file__).parent / "collector.py")
CHECKS = [
    calls.are_answered,
    callers.are_known,
    traces.one_arrives_whole,
    metrics.are_told,
    rollouts.a_rolling_restart,
    rollouts.a_helm_upgrade,
    node_loss.a_node_is_cut_off,
    node_loss.a_node_loses_power,
    keys.are_rotated,
]


def run(options, cluster):
    release = Release(cluster, options.tag, options.inkpass)
    release.make_namespace()
    nodes = wait_for("nodes that take pods", cluster.free_nodes, 60)
    address = next(a["address"] for a in nodes[0]["status"]["addresses"] if a["type"] == "InternalIP")
    collector = cluster.start(options.python, COLLECTOR, address)
    logs = Logs(cluster)
    try:
        test = release.install(collector.first_line())
        logs.lines["helm test"] = test.splitlines()
        trial = Trial(cluster, release, collector, logs, options.python)
        for check in CHECKS:
            check(trial)
        release.uninstall()
        logs.check(release.secrets(), trial.answered)
        traces.none_has_a_secret(trial)
    finally:
        logs.end()
    cluster.run("kubectl", "delete", "namespace", NAMESPACE, seconds=90)
    say("uninstalled, and nothing is left: all is well")


def main(options):
    # So that what a check broke is mended, and every process ended, when time is up.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("e2e: it was told to end, before it had"))
    cluster = Cluster(options.cluster, NAMESPACE)
    try:
        run(options, cluster)
    except BaseException:
        for what in ("pods", "--output=wide"), ("events", "--sort-by=.lastTimestamp"):
            print(cluster.kubectl("get", *what, check=False), file=sys.stderr)
        raise


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in "tag", "inkpass", "python":
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--cluster", default="")
    main(parser.parse_args())
