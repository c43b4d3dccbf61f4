"""Every pod is replaced under load, and no call fails."""
from checks.under_load import report, under_load
from processes import need, wait_for
from release import REPLICAS


def a_rolling_restart(trial):
    rollout(trial, "a rolling restart", lambda: trial.cluster.kubectl("rollout", "restart", "deployment/inkpass"))


def a_helm_upgrade(trial):
    rollout(trial, "a helm upgrade", lambda: trial.release.upgrade("whiteboard.region=eu"))


def rollout(trial, what, event):
    before = {pod["metadata"]["name"] for pod in trial.release.servers()}

    def replaced():
        pods = trial.cluster.settled(REPLICAS)
        return pods and before.isdisjoint(pod["metadata"]["name"] for pod in pods)

    seen = under_load(trial, event, lambda: wait_for(what, replaced, 150))
    report(f"{what}, every pod replaced", seen)
    need(all(caller["failed"] == 0 for caller in seen.values()), "calls failed")
