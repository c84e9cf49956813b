"""fleet — what an idle TLS client costs our fleet, and its session the gateway, held for a while

Why it is so:   the fleet is no server, so the load of the other rows says nothing about it. Here it
                is the load, and the gateway the other end. A client's cost is the difference between
                two fleets, a large one and a small one, so that what a process has anyway is not in
                it. The same is read again at the end of the hold: it must not grow.
Words:          kept: clients that keep a session to resume, since they would come back after a loss
"""
import json
import pathlib
import subprocess
import tempfile
import time

from . import machine, peers
from .machine import CannotRun, bind_child, end, status_kb

COUNT, SMALL = 19000, 1000          # RLIMIT_NOFILE is often 20,000
RATE = 2000
KEEPALIVE_S = 300
READY_SECONDS = 120
VARIANTS = (("tls-fleet", []), ("tls-fleet-kept", ["--reconnect", "1000-10000"]))


def words_for(server, count, seconds, more, options):
    return [f"{options.build}/fleetmux", "fleet", "conn", "-h", "127.0.0.1", "-p",
            str(server.port), "-c", str(count), "-R", str(RATE), "-k", str(KEEPALIVE_S),
            "--duration", str(seconds), "--shards", "1", "--cpus", str(options.load_cpu), "--quiet",
            "--cafile", server.cafile(), *more]


def wait_until_all_are_there(server, process, count):
    until = time.monotonic() + READY_SECONDS
    while server.stat("tls_now") != count:
        if process.poll() is not None or time.monotonic() > until:
            raise CannotRun(f"only {server.stat('tls_now')} of {count} clients were connected")
        time.sleep(0.2)
    time.sleep(1)


def hold(count, seconds, more, options):
    """Memory of both ends when all are connected, and at the end; and the fleet's result."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        result = pathlib.Path(folder) / "result"
        with peers.server("fleetmux-tls", count, options) as server:
            words = words_for(server, count, count // RATE + 3 + seconds, more, options)
            process = subprocess.Popen(words + ["--json", str(result)], stdout=subprocess.PIPE,
                                       stderr=subprocess.STDOUT, text=True,
                                       preexec_fn=bind_child({options.load_cpu}))
            try:
                wait_until_all_are_there(server, process, count)
                ends = (process.pid, server.pid)
                first = [status_kb(pid, "VmRSS") for pid in ends]
                time.sleep(seconds)
                last = [status_kb(pid, "VmRSS") for pid in ends]
                there = server.stat("tls_now")
                process.communicate(timeout=60)
            finally:
                end(process)
            return {"first": first, "last": last, "there": there, "exit": process.returncode,
                    "result": json.loads(result.read_text()) if result.exists() else {}}


def measure_one(name, more, options):
    count = options.count or COUNT
    small = hold(SMALL, 1, more, options)
    large = hold(count, options.hold or 5, more, options)
    row = {"scenario": name, "count": count, "hold": options.hold or 5,
           "dropped": count - large["there"], "exit": large["exit"], "runs": [small, large]}
    for part in ("first", "last"):
        for number, side in enumerate(("fleet", "gateway")):
            row[f"{side}_{part}"] = ((large[part][number] - small["first"][number])
                                     / (count - SMALL))
    return row


def measure(name, options):
    rows = [measure_one(*variant, options) for variant in VARIANTS]
    print(f"\n{name}: KB of user memory for each of {rows[0]['count']} idle TLS 1.3 clients; at first, "
          f"and after {rows[0]['hold']} s")
    for row in rows:
        print(f"  {row['scenario']:<18} fleet {row['fleet_first']:.2f} → {row['fleet_last']:.2f}   "
              f"gateway {row['gateway_first']:.2f} → {row['gateway_last']:.2f}   "
              f"dropped {row['dropped']}, exit {row['exit']}")
    return rows, max(1 if row["dropped"] or row["exit"] else 0 for row in rows)
