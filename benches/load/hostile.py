"""inkpass among hostile callers, and with more calls than it needs."""
import os
import statistics
import time
from pathlib import Path

import attacks
import h2load
import settings


def attacked(bench, rounds):
    """A caller's 200 calls a second: alone, during each attack on another inkpass on the same cores, and during the attack
    on its own. The second shows what the attacker and the kernel take of the cores, the third what inkpass gives away."""
    result = {}
    with attacks.hung_upstream() as upstream:
        inkpass, neighbour = (bench.inkpass(name=name, upstream=upstream) for name in ("inkpass", "neighbour"))
        call = lambda: bench.run(inkpass, 1000, connections=1, streams=10, rps=200)
        p99 = lambda: statistics.median(call().load.p99 for _ in range(rounds))
        call()
        quiet = p99()
        for name, attack in attacks.ALL.items():
            with attack(bench, neighbour):
                beside = p99()
            cpu, _ = inkpass.usage()
            with attack(bench, inkpass):
                began = time.monotonic()
                attacked = p99()
                used = (inkpass.usage()[0] - cpu) / (time.monotonic() - began)
            if 'rpc_status_code="INTERNAL"' in inkpass.get("/metrics"):
                raise SystemExit(f"{name} is no attack: its calls cannot be read")
            result[name] = {"quiet_p99_ms": quiet, "beside_p99_ms": beside, "p99_ms": attacked,
                            "ratio": round(attacked / quiet, 2), "ratio_beside": round(attacked / beside, 2),
                            "cores": round(used, 2), "rss_mib": round(inkpass.memory("VmHWM"), 1)}
            print(name, result[name], flush=True)
    return result


def streams(bench, rounds):
    """The rate with 1,024 calls under way, against that with 256."""
    inkpass = bench.inkpass()
    rate = lambda streams: statistics.median(bench.run(inkpass, 60_000, streams=streams).load.rate for _ in range(rounds))
    few, many = rate(32), rate(128)
    result = {"rate_of_256": round(few), "rate_of_1024": round(many), "ratio": round(many / few, 2)}
    print(result)
    return result


def overload(bench, rounds):
    """CreateRoom at three times the rate that can be answered: how many are, against the most. The upstream answers at
    once, so that the processor is full, or after 200 ms, so that its 256 places are."""
    result = {}
    for name, delay_ms, streams in (("processor", 0, 8), ("places", 200, 16)):
        inkpass, emulator = bench.with_emulator()
        if delay_ms:
            fault = {"method": "POST", "path": "/v5/rooms", "kind": "delay", "delay_ms": delay_ms, "share": 1}
            emulator.post("/_emulator/faults", fault)
        headers = [*h2load.GRPC, f"x-api-key: {settings.KEY}"]

        def answered(calls, **options):
            before = inkpass.calls(h2load.CREATE)
            load = h2load.run(inkpass.port, h2load.CREATE, h2load.frame(h2load.CREATE_BODY), bench.work, calls=calls,
                              headers=headers, **options)
            return (inkpass.calls(h2load.CREATE) - before) / load.seconds

        peak = statistics.median(answered(5000, streams=streams) for _ in range(rounds))
        goodput = statistics.median(answered(int(9 * peak), streams=128, rps=int(3 * peak)) for _ in range(rounds))
        result[name] = {"peak": round(peak), "goodput": round(goodput), "ratio": round(goodput / peak, 2)}
        print(name, result[name], flush=True)
    return result


def soak(bench, _):
    """500 calls a second for INKPASS_SOAK_MINUTES, an hour unless it is set, and an attack in every fifth minute."""
    minutes = int(os.environ.get("INKPASS_SOAK_MINUTES", "60"))
    result = []
    with attacks.hung_upstream() as upstream:
        inkpass = bench.inkpass(upstream=upstream)
        # Where something else keeps the disk busy, an audit line may be late and its call refused.
        call = lambda: bench.run(inkpass, 30_000, connections=5, streams=20, rps=500, may_fail=True)
        ways = list(attacks.ALL.values())
        for minute in range(minutes):
            if minute % 5 == 4:
                with ways[minute // 5 % len(ways)](bench, inkpass):
                    run = call()
            else:
                run = call()
            time.sleep(1)
            descriptors = len(list(Path(f"/proc/{inkpass.process.pid}/fd").iterdir()))
            result.append({"minute": minute, "failed": run.failed, "p99_ms": run.load.p99, "rss_mib": round(inkpass.memory(), 1), "fds": descriptors})
            print(result[-1], flush=True)
        if "panicked" in inkpass.log.read_text():
            raise SystemExit("a panic")
    return result
