"""storm — what sessions that talk feel of a storm of TLS handshakes beside them

Why it is so:   1,000 sessions exchange messages by a plan, all the time, and every few seconds a
                storm of handshakes breaks out and ends: A B A B with the same sessions and the same
                server. Latencies are kept in slices of time; those that lie within a storm are
                compared with those that lie well outside.
                With two cores, and the server on one of them, both loads and the worker have to
                share the other. So the talking load goes before all others there: it is late for
                nobody. The storming one runs when nobody else wants to: it has what is left, and
                the handshakes per second that come of it are shown. Who else uses the machine
                shows first in the p99: stretches in which others used more than their share do
                not count, while there are others.
Words:          stretch: a storm, or a quiet time; one core: the worker shares the server's
Limits:         needs the right to choose real-time scheduling
"""
import statistics
import time

from . import machine, peers
from .judge import faults
from .load import Load, percentile
from .machine import CannotRun
from .measure import FOREIGN_LIMIT, LAG_LIMIT_US, with_access

PAIRS, RATE, SLICE_MS = 500, 2000, 50
QUIET_SECONDS, MARGIN_SECONDS = 2, 0.3
SECONDS = 24
STORM = {"count": 5000, "inflight": 200, "name": "storm", "source": 20}
FULL, RESUMED = {"tls": "1.3"}, {"tls": "1.3", "tls-resume": True}
SHARES = (("p50", 0.5), ("p99", 0.99), ("p999", 0.999))

# name: server, what the sessions speak, what storms
VARIANTS = {
    "tls-storm-worker": ("fleetmux-tls-workers-1", {"tls": "1.3"}, FULL),
    "tls-storm-plain-worker": ("fleetmux-tls-workers-1", {}, FULL),
    "tls-storm-resumed-worker": ("fleetmux-tls-workers-1", {"tls": "1.3"}, RESUMED),
    "tls-storm-one-core": ("fleetmux-tls-one-core", {"tls": "1.3"}, FULL),
    "tls-storm-inline": ("fleetmux-tls-workers-0", {"tls": "1.3"}, FULL),
    "tls-storm-plain-inline": ("fleetmux-tls-workers-0", {}, FULL),
    "tls-storm-mosquitto": ("mosquitto-tls", {"tls": "1.3"}, FULL),
}


# --- a run --------------------------------------------------------------------------------------

def one_storm(what, server, options):
    load = Load("storm", with_access(STORM | what | {"cafile": False}, server), server, options,
                policy="last")
    result = load.finish(120)
    return {"kind": "storm", "begin": result["begin"],
            "end": result["begin"] + result["wall"] * 1e9,
            "rate": result["rate"], "exit": result["exit"],
            "handshake_p99": result["latency_p99"], "connected": result["connected"],
            "refused": result["refused"], "not_resumed": result.get("not_resumed", 0)}


def one_quiet():
    """What is left of the storm before does not belong to it."""
    time.sleep(MARGIN_SECONDS)
    begin = time.monotonic_ns()
    time.sleep(QUIET_SECONDS)
    return {"kind": "quiet", "begin": begin, "end": time.monotonic_ns(), "exit": 0}


def stretches_until(until, load, what, server, options):
    """Quiet and storm in turns, as many as fit."""
    stretches, longest = [], 0
    while time.monotonic() + 1.2 * longest < until:
        began = time.monotonic()
        for one in (one_quiet, lambda: one_storm(what, server, options)):
            foreign = machine.Foreign(server.pid, load.process.pid)
            stretches.append(one() | {"foreign": foreign.share()})
        longest = max(longest, time.monotonic() - began)
    return stretches


def one_run(name, options):
    peer, talk, what = VARIANTS[name]
    seconds = options.seconds or SECONDS
    settings = {"count": PAIRS, "qos": 0, "payload": 256, "rate": RATE, "window": 1000,
                "warmup": 2, "seconds": seconds, "slice": SLICE_MS, "inflight": 32}
    with peers.server(peer, 2 * PAIRS + STORM["count"], options) as server:
        settings = with_access(settings | talk, server) if talk else settings
        load = Load("pairs", settings, server, options, policy="first")
        try:
            if not load.wait_for("measuring", 60):
                raise CannotRun("bench_load did not begin: " + "; ".join(load.errors))
            until = time.monotonic() + seconds - 1
            stretches = stretches_until(until, load, what, server, options)
            result = load.finish(seconds + 60)
        finally:
            machine.end(load.process)
        return result | {"stretches": stretches}


# --- slices -------------------------------------------------------------------------------------

def slices_of(run, stretch):
    """Those that lie in it as a whole."""
    return [one for one in run["slices"] if stretch["begin"] <= one["begin"]
            and one["begin"] + SLICE_MS * 1e6 <= stretch["end"]]


def figures(slices):
    latency, lag = ([pair for one in slices for pair in one[key]] for key in ("histogram", "lag"))
    result = {name: percentile(latency, share) for name, share in SHARES}
    return result | {"lag_p99": percentile(lag, 0.99), "messages": sum(n for _, n in latency)}


def undisturbed(pairs):
    """Of pairs of a run and a stretch; all of them if none of one kind would be left."""
    good = [(run, one) for run, one in pairs if one["foreign"] <= FOREIGN_LIMIT]
    return good if {one["kind"] for _, one in good} == {"quiet", "storm"} else pairs


def summarize(name, runs):
    all_ = [(run, one) for run in runs for one in run["stretches"]]
    used = undisturbed(all_)
    row = {"scenario": name, "server": VARIANTS[name][0], "runs": len(runs),
           "left_out": len(all_) - len(used), "stretches": [one for _, one in all_],
           "foreign": max(one["foreign"] for _, one in used)}
    for kind in ("quiet", "storm"):
        row[kind] = figures([s for run, one in used if one["kind"] == kind
                             for s in slices_of(run, one)])
    storms = [(run, one) for run, one in used if one["kind"] == "storm"]
    row["ratios_p99"] = [figures(slices_of(*storm))["p99"] / row["quiet"]["p99"]
                         for storm in storms]
    row["ratio_p99"] = row["storm"]["p99"] / row["quiet"]["p99"]
    for key in ("rate", "handshake_p99"):
        row[f"storm_{key}"] = statistics.median(one[key] for _, one in storms)
    return row


def reasons(row, runs):
    """Why the figures are not the server's."""
    found = []
    if row["foreign"] > FOREIGN_LIMIT:
        found.append(f"others used up to {row['foreign']:.0%} of the cores")
    for part in ("quiet", "storm"):
        lag, p99 = row[part]["lag_p99"], row[part]["p99"]
        if lag > LAG_LIMIT_US or lag > p99 / 2:
            found.append(f"{part}: the load sent late, p99 {lag:.0f} µs")
    wrong = [one for run in runs for one in [run, *run["stretches"]] if one["exit"]]
    if wrong:
        found.append("wrong: " + (faults(wrong) or "see standard error"))
    return found


# --- the table ----------------------------------------------------------------------------------

def show(row):
    cells = [f"{row[part][key]:>7.0f}" for part in ("quiet", "storm") for key, _ in SHARES]
    low, high = min(row["ratios_p99"]), max(row["ratios_p99"])
    print(f"  {row['scenario']:<26}{''.join(cells)}  {row['ratio_p99']:.2f} ({low:.2f}–{high:.2f})"
          f"  {row['storm_rate']:>6.0f}/s  {len(row['ratios_p99'])} storms; lag p99 "
          f"{row['quiet']['lag_p99']:.0f}, {row['storm']['lag_p99']:.0f}; a handshake's p99 "
          f"{row['storm_handshake_p99'] / 1e3:.0f} ms; left out: {row['left_out']} of "
          f"{len(row['stretches'])} stretches")
    for reason in row["invalid"]:
        print(f"  {'':<26}INVALID: {reason}")


def measure(name, options):
    names = list(VARIANTS) if name == "tls-storm" else [name]
    print(f"\n{name}: {2 * PAIRS} sessions, {RATE} messages/s by a plan, latency in µs; storms of "
          f"{STORM['count']} handshakes, {STORM['inflight']} under way")
    print(f"  {'':<26}{'quiet: p50, p99, p99.9':>21}{'in a storm':>18}   storm : quiet, p99")
    runs = {one: [] for one in names}
    for _ in range(options.rounds or 2):
        for one in names:
            if peers.why_not(VARIANTS[one][0], 0, options):
                continue
            runs[one].append(one_run(one, options))
    rows = []
    for one in names:
        if not runs[one] or not any(run["stretches"] for run in runs[one]):
            print(f"  {one:<26}not measured: {peers.why_not(VARIANTS[one][0], 0, options)}")
            continue
        row = summarize(one, runs[one])
        row["invalid"] = reasons(row, runs[one])
        show(row)
        rows.append(row)
    return rows, 1 if any("wrong" in text for row in rows for text in row["invalid"]) else 0
