"""What is measured, by name. Each takes the bench and how many rounds, prints, and gives its figures."""
import contextlib
import os
import statistics
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import attacks
import h2load
import hostile
import settings
from measure import table
from servers import Server, free_port


def plaintext(bench, rounds):
    """IssueToken in production settings, against the floor: same request, same headers."""
    floor, inkpass = bench.floor(), bench.inkpass()
    return bench.compare(floor, inkpass, rounds)


def half_load(bench, rounds):
    """Latency at half of the rate that inkpass reaches, for both."""
    floor, inkpass = bench.floor(), bench.inkpass()
    full = statistics.median(bench.run(inkpass, 60_000).load.rate for _ in range(3))
    return bench.compare(floor, inkpass, rounds, calls=60_000, rps=int(full / 2))


def tls(bench, rounds):
    """The same over TLS."""
    inkpass = bench.inkpass(tls=True)
    return bench.compare(bench.floor(inkpass.directory), inkpass, rounds, scheme="https")


def mtls(bench, rounds):
    """With a client certificate in place of the key: h2load has none, so socat speaks TLS for it, to the floor too."""
    inkpass = bench.inkpass(tls=True)
    floor = bench.floor(inkpass.directory)
    through = {}
    for server in (floor, inkpass):
        files = inkpass.directory
        tunnel = f"OPENSSL:127.0.0.1:{server.port},cert={files}/client.pem,cafile={files}/ca.crt,commonname=localhost"
        port = free_port()
        command = ["socat", f"TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr,nodelay", tunnel + ",nodelay,verify=1"]
        through[server] = bench.keep(Server(command, port, bench.work / "socat.log")).port
    headers = lambda server: [f"x-api-key: {settings.KEY}"] if server is floor else []
    return bench.compare(floor, inkpass, rounds, headers_of=headers, port_of=through.get)


class Jwks(BaseHTTPRequestHandler):
    """Publishes an issuer's keys."""
    keys = b""

    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", str(len(self.keys)))
        self.end_headers()
        self.wfile.write(self.keys)

    def log_message(self, *_):
        pass


def jwt(bench, rounds):
    """With a token of an issuer (ES256) in place of the key."""
    token = settings.issuer(bench.work)
    Jwks.keys = (bench.work / "jwks.json").read_bytes()
    publisher = HTTPServer(("127.0.0.1", 0), Jwks)
    threading.Thread(target=publisher.serve_forever, daemon=True).start()
    floor = bench.floor()
    inkpass = bench.inkpass(jwks=f"http://127.0.0.1:{publisher.server_port}/")
    inkpass.wait_until(lambda: 'result="ok"} 1' in inkpass.get("/metrics"))
    result = bench.compare(floor, inkpass, rounds, headers=[f"authorization: Bearer {token}"])
    publisher.shutdown()
    return result


def pipe(bench, rounds):
    """With the audit trail on standard output, to a reader that keeps up."""
    reader = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    floor, inkpass = bench.floor(), bench.inkpass(audit="stdout", stdout=reader.stdin)
    result = bench.compare(floor, inkpass, rounds)
    bench.stop_all()
    reader.stdin.close()
    reader.wait()
    return result


def batches(bench, rounds):
    """BatchIssueTokens of 1,000."""
    inkpass = bench.inkpass()
    run = lambda: bench.run(inkpass, 400, path=h2load.BATCH, body=h2load.BATCH_BODY, connections=4, streams=2)
    run()
    runs = [run() for _ in range(rounds)]
    result = {"tokens_per_second": round(1000 * statistics.median(run.load.rate for run in runs)),
              "cpu_us_a_token": round(statistics.median(run.cpu_us for run in runs) / 1000, 3)}
    print(result)
    return result


def create_room(bench, rounds):
    """CreateRoom by one caller, less the same POST sent straight to the emulator on a kept connection."""
    inkpass, emulator = bench.with_emulator()
    ours, straight = [], []
    for _ in range(rounds):
        run = bench.run(inkpass, 2000, path=h2load.CREATE, body=h2load.CREATE_BODY, connections=1, streams=1)
        ours.append(run.load.p50)
        token = sdk_token(bench, inkpass.directory)
        load = h2load.run(
            emulator.port, "v5/rooms", b'{"isRecord":false}', bench.work, calls=2000, connections=1, streams=1,
            headers=[f"token: {token}", "region: us-sv", "content-type: application/json"], extra=["--h1"])
        straight.append(load.p50)
    own_us = round(1000 * statistics.median(a - b for a, b in zip(ours, straight)))
    result = {"p50_ms": statistics.median(ours), "straight_p50_ms": statistics.median(straight), "own_us": own_us}
    print(result)
    return result


def connections(bench, rounds):
    """From one connection to 64."""
    floor, inkpass = bench.floor(), bench.inkpass()
    result = {}
    for number in (1, 2, 8, 64):
        streams = max(4, 256 // number) if number > 2 else 100
        print(f"{number} connections of {streams} streams")
        result[number] = bench.compare(floor, inkpass, rounds, calls=60_000, connections=number, streams=streams)
    return result


def grants(bench, rounds):
    """From 10 grants in the policy to 10,000."""
    floor, result = bench.floor(), {}
    for number in (10, 1000, 10_000):
        inkpass = bench.inkpass(name=f"grants-{number}", grants=number)
        print(f"{number} grants")
        result[number] = bench.compare(floor, inkpass, rounds, calls=60_000)
        bench.running.remove(inkpass)
        inkpass.stop()
    return result


def dead_upstream(bench, rounds):
    """While CreateRoom is called without an end, and the upstream takes connections and never answers."""
    with attacks.hung_upstream() as upstream:
        return while_creating(bench, rounds, upstream)


def while_creating(bench, rounds, upstream):
    floor, inkpass = bench.floor(), bench.inkpass(upstream=upstream)
    with creating(bench, inkpass):
        return bench.compare(floor, inkpass, rounds, calls=60_000)


@contextlib.contextmanager
def creating(bench, inkpass):
    """200 calls of CreateRoom a second."""
    url = f"http://127.0.0.1:{inkpass.port}/{h2load.CREATE}"
    (bench.work / "create").write_bytes(h2load.frame(h2load.CREATE_BODY))
    headers = [word for header in [*h2load.GRPC, f"x-api-key: {settings.KEY}"] for word in ("-H", header)]
    callers = subprocess.Popen(["h2load", "-c", "2", "-m", "100", "-D", "600", "--rps=100", "-d", bench.work / "create",
                                *headers, url], stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        callers.kill()
        callers.wait()


def black_holed(bench, rounds):
    """2,000 IssueTokens a second of one whose upstream swallows connections, against one whose upstream answers; both create
    rooms meanwhile. p50 is to be within 1.1, p99 within 2."""
    with attacks.black_hole() as upstream:
        healthy, _ = bench.with_emulator()
        holed = bench.inkpass(name="holed", upstream=upstream)
        with creating(bench, healthy), creating(bench, holed):
            result = bench.compare(healthy, holed, rounds, calls=20_000, rps=2000, show=False)
    result["healthy"], result["holed"] = result.pop("floor"), result["inkpass"]
    table(result, names=("healthy", "holed"))
    return result


def parts(bench, rounds):
    """What sampling, the audit and authentication cost: each is left out in turn, over the assembly."""
    whole, result = bench.inkpass(), {}
    for part in ("sampling", "audit", "authentication"):
        without = bench.inkpass(name=f"without-{part}", without=part)
        compared = bench.compare(without, whole, rounds, show=False)
        result[part] = round(1 - 1 / compared["cpu_ratio"], 3)
        print(f"{part}: {100 * result[part]:.1f} % of a call's CPU", flush=True)
        bench.running.remove(without)
        without.stop()
    return result


def alone(bench, rounds):
    """One caller, one call at a time: with the audit trail on a file, and without one."""
    whole, without = bench.inkpass(), bench.inkpass(name="without", without="audit")
    result = bench.compare(without, whole, rounds, calls=10_000, connections=1, streams=1)
    print(f"latency with the trail: {result['p50_ratio']} of that without")
    return result


def memory(bench, rounds):
    """Idle, after a million calls, with 2,000 connections that call, and with as many that hold four calls open each."""
    inkpass = bench.inkpass()
    result = {"idle": inkpass.memory()}
    bench.run(inkpass, 1_000_000)
    result["after a million calls"] = inkpass.memory()
    crowded = bench.inkpass(name="crowded")
    run = bench.run(crowded, 200_000, connections=2000, streams=2)
    result["peak with 2,000 connections"] = run.peak_mib
    for name in ("plaintext", "TLS"):
        held = bench.inkpass(name=name, tls=name == "TLS")
        connections = attacks.half_calls(held, 2000, 4, held.directory / "ca.crt" if name == "TLS" else None)
        result[f"2,000 {name} connections with four open calls each"] = held.memory("VmHWM")
        connections.clear()
    result = {name: round(value, 1) for name, value in result.items()}
    print(result)
    return result


def cold_start(bench, rounds):
    """From the start of the process until /readyz says that it serves."""
    times = []
    for _ in range(max(5, rounds)):
        inkpass = bench.inkpass(traced=False)
        times.append(inkpass.cold_start_s * 1000)
        bench.stop_all()
    result = {"cold_start_ms": round(statistics.median(times), 1)}
    print(result)
    return result


def peer(bench, rounds):
    """The vendor's JavaScript signer behind @grpc/grpc-js."""
    place = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "inkpass/bench-peer"
    place.mkdir(parents=True, exist_ok=True)
    here = Path(__file__).parent
    (place / "package.json").write_text((here / "peer.json").read_text())
    (place / "peer.js").write_text((here / "peer.js").read_text())
    subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund"], cwd=place, check=True)
    port = free_port()
    node = bench.keep(Server(["node", place / "peer.js", here.parent.parent / "proto", str(port)], port, bench.work / "peer.log"))
    inkpass = bench.inkpass()
    result = bench.compare(node, inkpass, rounds, calls=60_000, show=False)
    result["memory_share"] = round(result["inkpass"]["peak_mib"] / result["floor"]["peak_mib"], 3)
    result["peer"] = result.pop("floor")
    table(result, names=("peer", "inkpass"))
    print(f"throughput {result['rate_ratio']} ×, memory {result['memory_share']}")
    return result


def sdk_token(bench, keys):
    """A token that the emulator takes for making rooms."""
    files = ["--access-key-file", keys / "access", "--secret-key-file", keys / "secret"]
    command = [bench.target / "inkpass", "token", "issue", "--offline", *files]
    command += ["--kind", "sdk", "--role", "admin", "--ttl", "1h"]
    return subprocess.run(map(str, command), check=True, capture_output=True, text=True).stdout.strip()


ALL = {scenario.__name__: scenario for scenario in (
    plaintext, half_load, tls, mtls, jwt, pipe, batches, create_room, connections, grants, dead_upstream, black_holed, hostile.attacked, hostile.streams, hostile.overload, parts, alone,
    memory, cold_start, peer)}
