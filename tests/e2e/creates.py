"""creates.py NAMESPACE RATE CA TOKEN: CreateRooms, RATE a second, each with a request_id, until standard input ends.

CA and TOKEN are files, as for load.py. Each is repeated on whichever replica as docs/deploy.md says, until it has a room or is told
that the outcome is unknown, or for as long as a caller persists. The emulator is told to answer late, so that there are POSTs
under way at any moment. It prints `ready` once a room was made, and at the end one JSON object, with how many POSTs the
emulator had for each id.
"""
import asyncio
import collections
import json
import sys
import time
import urllib.request
import uuid

import grpc
from channels import SERVICE_CONFIG, channel, shown
from inkpass.v1 import room_service_pb2, room_service_pb2_grpc

DEADLINE_S = 5
PAUSE_S = 1
# An owner that is lost is waited for, for 20 s, by whoever repeats its call.
PERSISTS_S = 40
LONGEST_S = 300
LATE = {"method": "POST", "path": "/v5/rooms", "kind": "delay", "delay_ms": 1000, "share": 1}
# What a call without a room must have been told.
NO_ROOM = ("UPSTREAM_OUTCOME_UNKNOWN", "STORE_UNAVAILABLE")


class Creates:
    def __init__(self, stub):
        self.stub = stub
        self.ends = {}  # by number: the room's uuid, or what the caller was told last
        self.repeated, self.replayed = set(), set()

    async def create(self, number):
        """The number is its room's limit, by which its POST is known."""
        request = room_service_pb2.CreateRoomRequest(request_id=str(uuid.uuid4()), limit=number)
        ends = time.monotonic() + PERSISTS_S
        while True:
            room, told = await self.attempt(request)
            self.ends[number] = room or told
            if room or told == "UPSTREAM_OUTCOME_UNKNOWN" or time.monotonic() > ends:
                break
            self.repeated.add(number)
            await asyncio.sleep(PAUSE_S)

    async def attempt(self, request):
        """The room's uuid, or what the caller is told."""
        try:
            answer = await self.stub.CreateRoom(request, timeout=DEADLINE_S)
        except grpc.aio.AioRpcError as error:
            details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
            return None, next((reason for reason in NO_ROOM if reason.encode() in details), error.code().name)
        if answer.replayed:
            self.replayed.add(request.limit)
        return answer.room.uuid, None

    def report(self, posts):
        told = collections.Counter(end for end in self.ends.values() if len(end) < 32)
        made = {number: end for number, end in self.ends.items() if end not in told}
        return {
            "ids": len(self.ends),
            "rooms": sum(posts.values()),
            "ids with two": [number for number, count in posts.items() if count > 1],
            "rooms of two ids": len(made) - len(set(made.values())),
            "rooms of nobody": [number for number in made if not posts[number]],
            "made": len(made),
            "repeated": len(self.repeated),
            "replayed": len(self.replayed),
            "told": told,
            "told otherwise": [end for end in told if end not in NO_ROOM],
        }


def emulator(namespace, method, what, body=None):
    url = f"http://inkpass-emulator.{namespace}.svc:8089/_emulator/{what}"
    data = body and json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, method=method), timeout=10) as answer:
        return answer.read()


async def main(namespace, rate, ca, token):
    target = f"dns:///inkpass-headless.{namespace}.svc.cluster.local:50051"
    creates = Creates(room_service_pb2_grpc.RoomServiceStub(channel(shown(ca, token), target, SERVICE_CONFIG)))
    emulator(namespace, "POST", "reset")
    emulator(namespace, "POST", "faults", LATE)
    await creates.create(1)
    assert len(creates.ends[1]) == 32, creates.ends
    print("ready", flush=True)

    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    over, running, due = asyncio.ensure_future(lines.read()), [], time.monotonic()
    while not over.done() and len(running) < LONGEST_S * rate:
        running.append(asyncio.create_task(creates.create(len(running) + 2)))
        due += 1 / rate
        await asyncio.wait([over], timeout=max(0, due - time.monotonic()))
    await asyncio.gather(*running)
    emulator(namespace, "DELETE", "faults")
    requests = json.loads(emulator(namespace, "GET", "requests"))
    bodies = [request["body"] for request in requests if request["method"] == "POST" and request["path"] == "/v5/rooms"]
    # Others create rooms meanwhile, without a limit.
    posts = collections.Counter(body["limit"] for body in bodies if body.get("limit"))
    print(json.dumps(creates.report(posts)))


asyncio.run(main(sys.argv[1], float(sys.argv[2]), *sys.argv[3:]))
