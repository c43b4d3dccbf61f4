"""An event under load: what its callers saw."""
import json
from pathlib import Path

from processes import say

LOAD = str(Path(__file__).parent.parent / "load.py")
RATE = 50


def under_load(trial, event, condition):
    """By caller, with times from the event on. The load goes on until the condition returns."""
    shown = (trial.release.credentials.ca, trial.release.token_file)
    load = trial.cluster.start(trial.python, LOAD, trial.cluster.namespace, str(RATE), *shown)
    load.first_line()
    load.say("event")
    event()
    condition()
    seen = json.loads(load.end()[-1])
    trial.answered += sum(caller["codes"]["OK"] for caller in seen.values())
    return seen


def report(what, seen):
    calls, failed = (sum(caller[number] for caller in seen.values()) for number in ("calls", "failed"))
    say(f"{what}, under {RATE} IssueTokens a second from all callers: {failed} of {calls} failed")
    for name, caller in seen.items():
        codes = ", ".join(f"{count} {code}" for code, count in caller["codes"].items())
        when = f", begun {caller['failed_from_s']} to {caller['failed_to_s']} s after" if caller["failed"] else ""
        print(f"     {name:19} {caller['failed']} failed{when}; {codes}; slowest {caller['slowest_s']} s", flush=True)
    print(f"     {json.dumps(seen)}", flush=True)
