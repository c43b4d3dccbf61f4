"""load.py NAMESPACE RATE CA TOKEN: IssueToken, RATE times a second by four callers in all, until standard input ends.

CA and TOKEN are files: whom the server's certificate must be from, and what callers show. Two callers balance over the
pods by themselves, two take the Service's address, over as many connections as that many processes would have; one of
each repeats calls by the service config of docs/deploy.md. A line on standard input is the moment of the event: all times are from
there. It prints `ready` once every caller had an answer, and at the end one JSON object.
"""
import asyncio
import collections
import itertools
import json
import sys
import time

import grpc
from channels import SERVICE_CONFIG, channel, shown
from inkpass.v1 import common_pb2, token_service_pb2, token_service_pb2_grpc

DEADLINE_S = 5
LINGER_S = 5  # how long calls go on after standard input ended
LONGEST_S = 300
SERVICE_CONNECTIONS = 6  # each goes to one pod only, whichever


class Caller:
    def __init__(self, credentials, target, policy, retry, connections=1):
        config = SERVICE_CONFIG | {"loadBalancingConfig": [{policy: {}}]}
        if not retry:
            config.pop("methodConfig")
        channels = [channel(credentials, target, config) for _ in range(connections)]
        self.stubs = [token_service_pb2_grpc.TokenServiceStub(one) for one in channels]
        self.calls = []  # begin, end, code
        self.first_failure = None

    async def connect(self):
        for stub in self.stubs:
            await self.call(stub, wait_for_ready=True)
        assert all(code == "OK" for _, _, code in self.calls), self.first_failure
        self.calls.clear()

    async def call(self, stub, wait_for_ready=False):
        request = token_service_pb2.IssueTokenRequest(
            room=token_service_pb2.RoomScope(uuid="load"), role=common_pb2.ROLE_WRITER
        )
        begin = time.monotonic()
        try:
            await stub.IssueToken(request, timeout=DEADLINE_S, wait_for_ready=wait_for_ready)
            code = "OK"
        except grpc.aio.AioRpcError as error:
            code = error.code().name
            self.first_failure = self.first_failure or error.details()
        self.calls.append((begin, time.monotonic(), code))

    async def call_at(self, rate, stop):
        """Calls begin on time, however long the others take."""
        under_way, due = set(), time.monotonic()
        for stub in itertools.cycle(self.stubs):
            if stop.is_set():
                break
            task = asyncio.create_task(self.call(stub))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            due += 1 / rate
            await asyncio.sleep(max(0, due - time.monotonic()))
        await asyncio.gather(*under_way)

    def report(self, event):
        failed = [begin - event for begin, _, code in self.calls if code != "OK"]
        answers = sorted(end for _, end, code in self.calls if code == "OK")
        return {
            "calls": len(self.calls),
            "codes": collections.Counter(code for _, _, code in self.calls),
            "failed": len(failed),
            "failed_from_s": round(min(failed), 2) if failed else None,
            "failed_to_s": round(max(failed), 2) if failed else None,
            "first_failure": self.first_failure,
            "longest_gap_s": round(max(b - a for a, b in zip(answers, answers[1:])), 2),
            "slowest_s": round(max(end - begin for begin, end, _ in self.calls), 2),
        }


async def main(namespace, rate, ca, token):
    credentials = shown(ca, token)
    domain = f"{namespace}.svc.cluster.local:50051"
    callers = {
        "headless": Caller(credentials, f"dns:///inkpass-headless.{domain}", "round_robin", False),
        "headless, one retry": Caller(credentials, f"dns:///inkpass-headless.{domain}", "round_robin", True),
        "service": Caller(credentials, f"dns:///inkpass.{domain}", "pick_first", False, SERVICE_CONNECTIONS),
        "service, one retry": Caller(credentials, f"dns:///inkpass.{domain}", "pick_first", True, SERVICE_CONNECTIONS),
    }
    for caller in callers.values():
        await caller.connect()

    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    stop = asyncio.Event()
    running = [asyncio.create_task(caller.call_at(rate / len(callers), stop)) for caller in callers.values()]
    print("ready", flush=True)
    event = time.monotonic()
    try:
        async with asyncio.timeout(LONGEST_S):
            while await lines.readline():
                event = time.monotonic()
        await asyncio.sleep(LINGER_S)
    finally:
        stop.set()
    await asyncio.gather(*running)
    print(json.dumps({name: caller.report(event) for name, caller in callers.items()}))


asyncio.run(main(sys.argv[1], float(sys.argv[2]), *sys.argv[3:]))
