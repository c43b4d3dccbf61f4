"""Starts servers and measures runs against them."""
import statistics
from dataclasses import dataclass

import h2load
import settings
from servers import Inkpass, Server, free_port

WARM_UP = 20_000


@dataclass
class Run:
    """One run against one server."""
    load: h2load.Load
    cpu_us: float
    switches: float
    peak_mib: float
    failed: int


class Bench:
    """The programs, a directory for their files, and what runs."""

    def __init__(self, target, work):
        self.target, self.work, self.running = target, work, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop_all()

    def stop_all(self):
        while self.running:
            self.running.pop().stop()

    def keep(self, server):
        self.running.append(server)
        return server

    def floor(self, tls=None):
        """tls: the directory of the certificates."""
        port = free_port()
        pair = [tls / "server.crt", tls / "server.key"] if tls else []
        command = [self.target / "floor", f"127.0.0.1:{port}", *pair]
        return self.keep(Server(command, port, self.work / "floor.log"))

    def collector(self):
        """Takes traces, in a process of its own; gives its address."""
        return f"http://127.0.0.1:{self.floor().port}"

    def inkpass(self, name="inkpass", without=None, audit=None, stdout=None, traced=True, **options):
        """In production settings. `without`: a part that the example `without` leaves out. Gives the server."""
        directory = self.work / name
        collector = self.collector() if traced else None
        config = settings.write(directory, audit=audit or directory / "log/audit.log", collector=collector, **options)
        (directory / "log").mkdir(exist_ok=True)
        port, admin = free_port(), free_port()
        program = [self.target / "without", without] if without else [self.target / "inkpass", "serve"]
        command = [*program, "--config", config, "--listen", f"127.0.0.1:{port}", "--admin-listen", f"127.0.0.1:{admin}"]
        server = Inkpass(command, port, admin, directory / "stderr.log", stdout=stdout)
        server.directory = directory
        return self.keep(server)

    def with_emulator(self):
        """inkpass, and the emulator that its calls go to."""
        port = free_port()
        inkpass = self.inkpass(upstream=f"http://127.0.0.1:{port}")
        command = [self.target / "inkpass", "emulator", "--config", inkpass.directory / "inkpass.toml",
                   "--emulator-listen", f"127.0.0.1:{port}"]
        return inkpass, self.keep(Server(command, port, self.work / "emulator.log"))

    def run(self, server, calls, path=h2load.ISSUE, body=h2load.ISSUE_BODY, headers=None, port=None, may_fail=False, **options):
        """Sends gRPC calls. Of inkpass each must have been OK, unless some may fail."""
        headers = [f"x-api-key: {settings.KEY}"] if headers is None else headers
        before = server.calls(path) if isinstance(server, Inkpass) else 0
        server.forget_peak()
        cpu, switches = server.usage()
        load = h2load.run(
            port or server.port, path, h2load.frame(body), self.work, calls=calls, headers=[*h2load.GRPC, *headers], **options)
        cpu_after, switches_after = server.usage()
        failed = calls - (server.calls(path) - before) if isinstance(server, Inkpass) else 0
        if failed and not may_fail:
            raise SystemExit(f"not every call was OK:\n{server.get('/metrics')}")
        cpu_us, switches = (cpu_after - cpu) * 1e6 / calls, (switches_after - switches) / calls
        return Run(load, cpu_us, switches, server.memory("VmHWM"), failed)

    def compare(self, first, second, rounds, calls=100_000, show=True, **options):
        """Runs against both in turn; gives the medians of each and of their ratios. Options that end in `_of` are a
        function of the server."""
        common = {name: value for name, value in options.items() if not name.endswith("_of")}
        special = {name[:-3]: value for name, value in options.items() if name.endswith("_of")}
        runs = {first: [], second: []}
        for server in (first, second):
            self.run(server, min(WARM_UP, calls), **common, **{name: of(server) for name, of in special.items()})
        for _ in range(rounds):
            for server in (first, second):
                of_server = {name: of(server) for name, of in special.items()}
                runs[server].append(self.run(server, calls, **common, **of_server))
        result = {
            "cpu_ratio": ratio(runs, first, second, lambda run: run.cpu_us),
            "cpu_ratios": [round(b.cpu_us / a.cpu_us, 3) for a, b in zip(runs[first], runs[second])],
            "rate_ratio": ratio(runs, first, second, lambda run: run.load.rate),
            "p50_ratio": ratio(runs, first, second, lambda run: run.load.p50),
            "p99_ratio": ratio(runs, first, second, lambda run: run.load.p99),
            "floor": summary(runs[first]),
            "inkpass": summary(runs[second]),
        }
        if show:
            table(result)
        return result


def ratio(runs, first, second, of):
    return round(statistics.median(of(b) / of(a) for a, b in zip(runs[first], runs[second])), 3)


def summary(runs):
    median = lambda of, digits=3: round(statistics.median(map(of, runs)), digits)
    return {
        "rate": median(lambda run: run.load.rate, 0), "cpu_us": median(lambda run: run.cpu_us, 2),
        "p50_ms": median(lambda run: run.load.p50), "p99_ms": median(lambda run: run.load.p99),
        "p999_ms": median(lambda run: run.load.p999), "switches": median(lambda run: run.switches, 4),
        "peak_mib": median(lambda run: run.peak_mib, 1),
    }


def table(result, names=("floor", "inkpass")):
    figures = list(result["inkpass"])
    print("| | " + " | ".join(figures) + " |\n|" + "---|" * (len(figures) + 1))
    for name in names:
        print(f"| {name} | " + " | ".join(f"{result[name][figure]:g}" for figure in figures) + " |")
    spread = f"{min(result['cpu_ratios'])} to {max(result['cpu_ratios'])}"
    print(f"ratios: CPU {result['cpu_ratio']} ({spread}), rate {result['rate_ratio']}, "
          f"p50 {result['p50_ratio']}, p99 {result['p99_ratio']}", flush=True)
