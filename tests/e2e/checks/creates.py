"""Rooms are created with request_ids, and repeated as callers are told to: an id has one at most, whatever happens meanwhile."""
import json
from pathlib import Path

from processes import need, say

CREATES = str(Path(__file__).parent.parent / "creates.py")
RATE = 8


def begin(trial):
    shown = (trial.release.credentials.ca, trial.release.token_file)
    creating = trial.cluster.start(trial.python, CREATES, trial.cluster.namespace, str(RATE), *shown)
    creating.first_line()
    return creating


def hold(creating):
    """Ends them, and looks at what became of each."""
    seen = json.loads(creating.end()[-1])
    told = ", ".join(f"{count} were told {reason}" for reason, count in seen["told"].items()) or "nobody was told otherwise"
    say(
        f"{RATE} CreateRooms a second meanwhile: {seen['ids']} ids, {seen['rooms']} rooms, of which callers know {seen['made']}; {told}; "
        f"{seen['repeated']} were repeated, {seen['replayed']} had an earlier call's outcome"
    )
    for wrong in "ids with two", "rooms of two ids", "rooms of nobody", "told otherwise":
        need(not seen[wrong], f"{wrong}: {seen}")
    need(seen["made"] > seen["ids"] / 2 and seen["repeated"], f"the loss was not met, or most failed: {seen}")
