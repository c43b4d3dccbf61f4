"""What ends the trial, what it waits for, and programs that run beside it."""
import os
import signal
import subprocess
import sys
import threading
import time

began = time.monotonic()


def say(text):
    print(f"e2e: {time.monotonic() - began:5.1f} s: {text}", flush=True)


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


class Running:
    """A program whose lines are kept."""

    def __init__(self, command, on_line=None):
        pipe = subprocess.PIPE
        errors = subprocess.STDOUT if on_line else None
        # A session of its own: `exec` of a cluster's program may have children, which `kill` must reach.
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=errors, text=True, start_new_session=True)
        self.lines = []
        self.on_line = on_line or self.lines.append
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in iter(self.process.stdout.readline, ""):
            self.on_line(line.rstrip("\n"))

    def first_line(self):
        return wait_for("a first line", lambda: self.lines or need(self.process.poll() is None, "it ended"), 30)[0]

    def say(self, line):
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def end(self):
        """Its lines, if it is one that ends when its standard input does."""
        self.process.stdin.close()
        self.process.wait(timeout=60)
        self.reader.join(timeout=10)
        need(self.process.returncode == 0, f"{self.process.args} failed")
        return self.lines

    def ended(self):
        """When it has ended by itself, and every line was read."""
        self.process.wait()
        self.reader.join(timeout=10)

    def kill(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
