"""What every pod that ever ran has logged: a pod that is replaced takes its log with it.

Pods are attached to: a log's file may be gone before its pod is, as on nodes that share a disk, where each one's kubelet
deletes within a minute what it does not know. Only what a pod says before that is read from the file.
"""
import threading
import time
from collections import defaultdict
from pathlib import Path

from processes import need, say

DIRECTORY = Path(__file__).parent.parent.parent / "target/e2e"
POLL_S = 2
# Beside the secret key itself: what every token begins with, what the text in each begins with, and what a JWT begins
# with.
FORBIDDEN = "NETLESS", "YWs9", "eyJhbGciOi"


class Logs:
    def __init__(self, cluster):
        self.cluster = cluster
        self.lines = defaultdict(list)
        self.attached, self.threads, self.whole = [], {}, set()
        self.over = threading.Event()
        mine = "app.kubernetes.io/component in (server,emulator)"
        form = 'jsonpath={.metadata.name} {.status.phase}{"\\n"}'
        self.watch = self.start("get", "pods", "--watch", "--selector", mine, "--output", form, on_line=self.saw)

    def start(self, *arguments, on_line):
        return self.cluster.start("kubectl", "--namespace", self.cluster.namespace, *arguments, on_line=on_line)

    def saw(self, line):
        name, _, phase = line.partition(" ")
        if phase in ("Running", "Succeeded", "Failed") and name not in self.threads:
            self.threads[name] = threading.Thread(target=self.follow, args=(name,), daemon=True)
            self.threads[name].start()

    def follow(self, name):
        """A lost node breaks the stream: while the pod runs it is reopened, and lines may be kept twice."""
        while not self.over.is_set():
            attached = self.start("attach", name, "--quiet", on_line=self.lines[name].append)
            self.attached.append(attached)
            # What it said before.
            self.lines[name] += self.cluster.kubectl("logs", name, check=False).splitlines()
            attached.ended()
            if not self.runs(name):
                self.whole.add(name)
                break
            time.sleep(POLL_S)

    def runs(self, name):
        running = "jsonpath={.status.containerStatuses[*].state.running.startedAt}"
        return self.cluster.kubectl("get", "pod", name, "--ignore-not-found", "--output", running, check=False)

    def has(self, text):
        return any(text in line for lines in list(self.lines.values()) for line in list(lines))

    def check(self, secrets, answered):
        """After the last pod has gone: nothing secret is in any line. `answered` IssueTokens have a line each."""
        need(self.watch.process.poll() is None, "the watch of pods ended, so some may have lived unseen")
        for name, thread in self.threads.items():
            thread.join(timeout=20)
            need(name in self.whole, f"the log of {name} was not read to its end")
        for name, lines in self.lines.items():
            found = [line for line in lines if any(word in line for word in (*FORBIDDEN, *secrets))]
            need(not found, f"a token or key is in the log of {name}, in {len(found)} lines")
        lines = [line for lines in self.lines.values() for line in lines]
        told = sum("TokenService/IssueToken" in line for line in lines)
        # A node that lost power took its last lines along.
        need(told > 0.99 * answered, f"the logs tell of {told} IssueTokens, and {answered} were answered")
        say(f"no token and no key in {len(lines)} lines of {len(self.threads)} pods and helm's test")
        say(f"{told} of the lines tell of an IssueToken, and {answered} were answered")

    def end(self):
        """Leaves them all in a directory, for whoever wants to know more."""
        self.over.set()
        for running in (self.watch, *self.attached):
            running.kill()
        for name, lines in self.lines.items():
            (DIRECTORY / f"{name}.log").write_text("\n".join(lines))
