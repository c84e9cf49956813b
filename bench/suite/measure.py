"""measure — one round of one row against one server, and the run that counts system calls

Invariants:     (1) counting system calls never happens in a measured run
"""
import shutil
import signal
import subprocess
import time

from . import machine, peers
from .load import Load, merge, split, time_limit
from .machine import CannotRun
from .scenarios import connections_of

FOREIGN_LIMIT = 0.05        # share of all cores that others may use; above, a round is "noisy"
LAG_LIMIT_US = 1000         # p99 by which the load may send later than planned
SEARCH_SECONDS = 3          # of the saturating run before a run at a share of the maximum
READY_SECONDS = 300
SMALL = 15000               # connections
CALLS_SECONDS = 2


# --- what the load does -----------------------------------------------------------------------

def flow(row, settings, server):
    """Messages; memory is read in the middle of the measured time."""
    before = machine.memory(server.pid)
    load = Load(row.load, with_access(settings, server), server, server.options)
    try:
        if load.wait_for("measuring", READY_SECONDS):
            time.sleep(settings["seconds"] / 2)
        held = machine.memory(server.pid)
        result = load.finish(time_limit(settings))
    finally:
        machine.end(load.process)
    return result | held | machine.per_session(before, held, result.get("sessions", 0))


def with_access(settings, server):
    """What this server wants to see of a client: a login, TLS or no TLS."""
    path, cafile = server.credentials(), server.cafile()
    if not cafile:
        settings = {key: value for key, value in settings.items() if not key.startswith("tls")}
    elif "tls" in settings and settings.get("cafile", True):
        settings = settings | {"cafile": cafile}
    return settings | {"credentials": path} if path else settings


def share(row, settings, server):
    """At a share of what the server does when every publisher has one message under way."""
    search = {key: value for key, value in settings.items() if key not in ("share", "window")}
    search |= {"seconds": SEARCH_SECONDS, "warmup": 1, "window": 1}
    load = Load(row.load, with_access(search, server), server, server.options)
    most = load.finish(time_limit(search))
    if most["exit"]:
        return most
    time.sleep(0.5)
    paced = {key: value for key, value in settings.items() if key != "share"}
    paced["rate"] = round(most["rate"] * settings["share"], 1)
    result = flow(row, paced, server)
    for key in ("rss_per_session", "anon_per_session", "kernel_per_session"):
        result.pop(key)     # the first run has left its own
    return result | {"maximum": most["rate"], "maximum_server_busy": most["server_busy"],
                     "maximum_load_busy": most["load_busy"]}


def connect(row, settings, server):
    load = Load(row.load, with_access(settings, server), server, server.options)
    result = load.finish(time_limit(settings))
    return result | machine.memory(server.pid)


def hold(row, settings, server):
    """Sessions; memory is the growth from before the first to while all are held."""
    before, times = machine.memory(server.pid), machine.server_times(server.pid)
    settings = with_access(settings, server)
    loads = [Load(row.load, one, server, server.options) for one in split(settings)]
    try:
        for load in loads:
            if not load.wait_for("holding", time_limit(settings)):
                raise CannotRun("bench_load ended before it held its sessions: "
                                + "; ".join(load.errors))
        used = machine.server_times(server.pid)
        time.sleep(0.5)
        held = machine.memory(server.pid)
        result = merge([load.finish(time_limit(settings)) for load in loads])
    finally:
        for load in loads:
            machine.end(load.process)
    if len(loads) > 1:
        result |= server_use(times, used, result)
    result |= {"count": settings["count"], "end_rss_kb": machine.status_kb(server.pid, "VmRSS")}
    return result | held | machine.per_session(before, held, result["connected"])


def server_use(before, after, result):
    """As bench_load says it, for several of them."""
    cpu, user, system = (after[key] - before[key] for key in ("cpu", "user", "system"))
    each = cpu / max(0.01, user + system) / max(1, result["connected"]) * 1e6
    return {"server_cpu": cpu, "server_busy": cpu / result["wall"],
            "per_server_second": result["connected"] / cpu if cpu > 0 else 0,
            "user_us": user * each, "system_us": system * each}


KINDS = {"closed": flow, "paced": flow, "share": share, "connect": connect, "held": hold}


# --- rounds -----------------------------------------------------------------------------------

def once(row, settings, name, options):
    with peers.server(name, connections_of(row, settings), options) as server:
        server.options = options
        foreign = machine.Foreign(server.pid)
        result = KINDS[row.kind](row, settings, server)
        result["foreign"] = foreign.share()
        result["shares_core"] = server.peer.get("cpus") == "both"
        return result


def is_spoiled(row, settings, result):
    """Whether something beside the server made this round what it is, and might not the next.

    Memory does not mind others, and a hundred thousand connects take their time.
    """
    if row.kind == "held" and settings["count"] > SMALL:
        return False
    return result["foreign"] > FOREIGN_LIMIT or result.get("lag_p99", 0) > LAG_LIMIT_US


def one_round(row, settings, name, options):
    """A round; one that was disturbed is done again, as often as --retries says."""
    for tries in range(options.retries + 1):
        result = once(row, settings, name, options)
        result["tries"] = tries + 1
        if not is_spoiled(row, settings, result):
            break
    return result


# --- system calls -----------------------------------------------------------------------------

PERF = ["perf", "stat", "-x,", "-e", "raw_syscalls:sys_enter"]


def has_perf():
    return (shutil.which("perf") is not None and
            subprocess.run(PERF + ["true"], capture_output=True, check=False).returncode == 0)


def counted(text):
    counts = [line.split(",")[0] for line in text.splitlines() if "sys_enter" in line]
    return int(counts[0]) if counts and counts[0].isdigit() else None


def calls_in(pid, seconds):
    """System calls of a process in that time from now on; None where perf cannot count."""
    if not has_perf():
        time.sleep(seconds)
        return None
    words = PERF + ["-p", str(pid), "sleep", str(seconds)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    return counted(done.stderr)


class CallsUntilClosed:
    """The same from open to close."""

    def __init__(self, pid):
        self.process = None
        if has_perf():
            self.process = subprocess.Popen(PERF + ["-p", str(pid)], stderr=subprocess.PIPE,
                                            text=True)
            time.sleep(0.3)

    def close(self):
        if not self.process:
            return None
        self.process.send_signal(signal.SIGINT)
        return counted(self.process.communicate(timeout=30)[1])


def count_flow(row, settings, server):
    """Calls per message in a part of a run; the server's own count stands beside perf's."""
    settings = settings | {"seconds": CALLS_SECONDS + 2, "warmup": 1}
    load = Load(row.load, with_access(settings, server), server, server.options)
    try:
        load.wait_for("measuring", READY_SECONDS)
        enters, began = server.enters(), time.monotonic()
        calls = calls_in(server.pid, CALLS_SECONDS)
        enters_after, took = server.enters(), time.monotonic() - began
        result = load.finish(time_limit(settings))
    finally:
        machine.end(load.process)
    if not result["rate"]:
        return {}
    return rates(calls, CALLS_SECONDS, enters, enters_after, took, result["rate"])


def rates(calls, seconds, enters, enters_after, took, rate):
    result = {}
    if calls is not None:
        result["calls_per_message"] = calls / seconds / rate
    if enters is not None and enters_after is not None:
        result["enters_per_message"] = (enters_after - enters) / took / rate
    return result


def count_connects(row, settings, server):
    """Calls per connect over the whole run."""
    enters, perf = server.enters(), CallsUntilClosed(server.pid)
    load = Load(row.load, with_access(settings, server), server, server.options)
    result = load.finish(time_limit(settings))
    calls, enters_after = perf.close(), server.enters()
    return rates(calls, 1, enters, enters_after, 1, max(1, result["connected"]))


def count_calls(row, settings, name, options):
    if options.no_calls or row.kind in ("held", "share"):
        return {}
    with peers.server(name, connections_of(row, settings), options) as server:
        server.options = options
        counter = count_connects if row.kind == "connect" else count_flow
        return counter(row, settings, server)
