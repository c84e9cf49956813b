"""fleet_run — one bounded run of the fleet, whose own result is read again, and who else was busy

Words:          second: a whole row of the result, with what its counters grew by
"""
import contextlib
import json
import pathlib
import subprocess
import tempfile
import time

from . import machine, peers
from .machine import CannotRun, bind_child, end

FOREIGN_LIMIT = 0.05        # of all cores
AFTER_SECONDS = 40          # over the run's planned length, before it is ended


def chosen(items, options):
    """Those of --cases, with their numbers from 1."""
    numbered = list(enumerate(items, 1))
    if not options.cases:
        return numbered
    first, _, last = options.cases.partition("-")
    return numbered[int(first) - 1:int(last or first)]


class Run:
    """What the fleet said of itself, and what was seen from outside."""

    def __init__(self, result, text, fleet_cpu, server_cpu, wall, foreign):
        self.result, self.text = result, text
        self.fleet_cpu, self.server_cpu, self.wall = fleet_cpu, server_cpu, wall
        self.fleet_busy, self.server_busy = fleet_cpu / wall, server_cpu / wall
        self.foreign = foreign

    def is_disturbed(self):
        return self.foreign > FOREIGN_LIMIT

    def rows(self):
        """As the result has them; a column that is not there is 0 all the time."""
        table = self.result["rows"]
        return [dict(zip(table["columns"], data)) for data in table["data"]]

    def seconds(self, *counters):
        """Begin and end in s, and how much each counter grew."""
        before, seconds = {}, []
        for row in self.rows():
            one = {name: row.get(name, 0) - before.get(name, 0) for name in counters}
            seconds.append(one | {"begin": row.get("begin_ns", 0) / 1e9,
                                  "end": row["end_ns"] / 1e9})
            before = row
        return seconds

    def latency(self, name, part):
        """In ms; nothing if nothing was measured."""
        one = self.result["latency"].get(name, {})
        return one[part] / 1e6 if one.get("count") else None


def fleet_words(kind, port, seconds, more, options, cpus):
    return [f"{options.build}/fleetmux", "fleet", kind, "-h", "127.0.0.1", "-p", str(port),
            "--shards", str(len(cpus)), "--cpus", ",".join(map(str, cpus)), "--duration",
            str(seconds), "--drain", "1", "--linger-zero", "--quiet", *map(str, more)]


def run(kind, server, seconds, more, options, beside=None, cpus=None):
    """The fleet against a server that runs, a shard on each of `cpus`, of itself the load's core;
    `beside` starts what else is to run there, and ends it.
    """
    cpus = sorted(cpus or {options.load_cpu})
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, \
            (beside() if beside else contextlib.nullcontext()):
        path = pathlib.Path(folder) / "result"
        words = fleet_words(kind, server.port, seconds, more, options, cpus)
        words += ["--json", str(path)]
        foreign = machine.Foreign(server.pid)
        server_begin, began = machine.server_times(server.pid)["cpu"], time.monotonic()
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   text=True, preexec_fn=bind_child(set(cpus)))
        try:
            text = process.communicate(timeout=seconds + AFTER_SECONDS)[0]
        except subprocess.TimeoutExpired:
            raise CannotRun(f"the fleet did not end: {' '.join(words)}") from None
        finally:
            end(process)
        wall = time.monotonic() - began
        server_cpu = machine.server_times(server.pid)["cpu"] - server_begin
        if not path.exists():
            raise CannotRun(f"no result from: {' '.join(words)}\n{text}")
        result = json.loads(path.read_text())
    fleet_cpu = sum(row.get("cpu_ns", 0) for row in
                    (dict(zip(result["rows"]["columns"], data)) for data in result["rows"]["data"]))
    return Run(result, text, fleet_cpu / 1e9, server_cpu, wall, foreign.share())


class Bounded:
    """A server that does as much as it is told."""

    def __init__(self, process, port):
        self.process, self.pid, self.port = process, process.pid, port


@contextlib.contextmanager
def bounded(words, options):
    program = pathlib.Path(options.build) / "bench" / "bench_bounded"
    if not program.exists():
        raise CannotRun(f"{program} is not there: build it, or name the folder with --build")
    port = peers.free_port()
    with subprocess.Popen([program, "--port", str(port), *map(str, words)], text=True,
                          stdout=subprocess.PIPE,
                          preexec_fn=bind_child({options.server_cpu})) as process:
        try:
            if not process.stdout.readline().startswith("listening"):
                raise CannotRun(f"{program} did not start")
            yield Bounded(process, port)
        finally:
            end(process)
