"""main — what was asked for: options, the order of rows, results"""
import argparse
import concurrent.futures
import json
import pathlib
import re
import signal
import sys

from . import machine, measure, peers, programs, report, scenarios
from .judge import SPEED, judge
from .machine import CannotRun

BENCH = pathlib.Path(__file__).resolve().parent.parent
OVERRIDES = ("qos", "window", "count", "few", "inflight", "payload")


# --- what was asked for ---------------------------------------------------------------------

def names_of_all():
    groups = scenarios.catalogue()
    single = [row.name for rows in groups.values() for row in rows]
    return list(dict.fromkeys(["all", *groups, *programs.NAMES, *programs.PARTS, *single]))


def describe_scenarios():
    lines = ["scenarios, and groups of them:"]
    for group, rows in scenarios.catalogue().items():
        singles = list(dict.fromkeys(row.name for row in rows))
        lines.append(f"  {group:<10} " + ("" if singles == [group] else ", ".join(singles)))
    lines.append(f"  by other programs: {', '.join(programs.NAMES + programs.PARTS)}")
    return "\n".join(lines)


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="bench/run", description="measures the gateway beside its peers, A B A B",
        epilog=describe_scenarios(), formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("scenario", metavar="SCENARIO", help="all, or one of those below")
    add("--against", default="both",
        help="none, mosquitto, floor, both (these two), or names of peers with commas")
    add("--subject", default="fleetmux", help="the server compared with the others")
    add("--rounds", type=int, help="of each row (3; large ones 1)")
    add("--retries", type=int, default=2, help="times a disturbed round is done again (2)")
    add("--seconds", type=int, help="measured in each round (5; payloads 2)")
    add("--warmup", type=int, default=1)
    add("--hold", type=int, help="seconds that sessions are held (30; at most 10,000 of them: 5)")
    add("--together", action="store_true",
        help="rows of held sessions: all servers at once; only user memory says anything then")
    add("--scale", type=float, help="connections of emq-conn rows, times this (1; in all 0.1)")
    add("--quick", action="store_true", help="all: fewer rows, one round of 2 s")
    add("--full", action="store_true", help="all: every row, at full size")
    for name in OVERRIDES:
        add(f"--{name}", type=int, help="instead of the row's own" if name == "qos" else None)
    add("--seed", type=int, default=1, help="fleet-verdicts: of its first case (1)")
    add("--cases", help="fleet-rates, fleet-verdicts: only these, as in 3 or 5-12")
    add("--build", default=str(BENCH.parent / "build" / "release"))
    add("--server-cpu", type=int, default=0)
    add("--load-cpu", type=int, default=1)
    add("--no-calls", action="store_true", help="do not count system calls")
    add("--awake", action="store_true",
        help="hold the processor's idle states off, for latency")
    add("--json", metavar="FILE")
    add("--csv", metavar="FILE")
    options = parser.parse_args()
    if options.scenario not in names_of_all():
        parser.error(f"no scenario {options.scenario}; see --help")
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds: write 1 or more")
    if options.cases and not re.fullmatch(r"[1-9]\d*(-[1-9]\d*)?", options.cases):
        parser.error(f"--cases: '{options.cases}': write it as in 3 or 5-12")
    if options.quick and options.full:
        parser.error("--quick and --full: choose one")
    return options


def selected(options):
    """Names of groups and rows in the order in which they are measured."""
    if options.scenario != "all":
        return [options.scenario]
    if options.quick:
        return list(scenarios.QUICK)
    names = [*scenarios.catalogue(), *programs.NAMES]
    return [name for name in names if options.full or name not in scenarios.FULL_ONLY]


def rows_named(name):
    groups = scenarios.catalogue()
    if name in groups:
        return groups[name]
    return [row for rows in groups.values() for row in rows if row.name == name]


# --- settings of a row ------------------------------------------------------------------------

def seconds_of(row, options):
    if row.kind == "held":
        count = row.settings["count"]
        return options.hold or (30 if count > 10000 else options.seconds or 5)
    if options.seconds:
        return options.seconds
    return 2 if options.quick else row.seconds or 5


def rounds_of(row, options):
    return options.rounds or (1 if options.quick else row.rounds or 3)


def scale_of(options):
    return options.scale or (1 if options.full or options.scenario != "all" else 0.1)


def settings_of(row, options):
    settings = {"qos": 0, "payload": 256} if row.kind in ("closed", "paced", "share") else {}
    settings |= row.settings
    if row.kind != "connect":
        settings["seconds"] = seconds_of(row, options)
    if settings.get("qos") is not None:
        settings["warmup"] = options.warmup
    if row.name.startswith("emq-conn"):
        settings["count"] = max(1, round(settings["count"] * scale_of(options)))
    return settings | {key: getattr(options, key) for key in OVERRIDES
                       if getattr(options, key) is not None and (key in settings or
                                                                 key in ("window", "count", "few"))}


def settings_of_all(rows, options):
    """Pairs of row and settings; an option given makes equal ones one."""
    pairs = []
    for row in rows:
        pair = (row, settings_of(row, options))
        if not any(r.name == row.name and r.kind == row.kind and s == pair[1] for r, s in pairs):
            pairs.append(pair)
    return pairs


# --- the whole --------------------------------------------------------------------------------

def progress(text):
    if sys.stderr.isatty():
        print(f"\r{text:<70}\r", end="", file=sys.stderr, flush=True)


def present(row, settings, names, options):
    """Who can be measured, and why the others cannot."""
    connections = scenarios.connections_of(row, settings)
    absent = {name: peers.why_not(name, connections, options) for name in names}
    here = [name for name in names if not absent[name]]
    if names[0] not in here:
        raise CannotRun(f"{names[0]}: {absent[names[0]]}")
    return here, {name: reason for name, reason in absent.items() if reason}


def compare_together(row, settings, names, options):
    """The same round of all servers at once: nothing but user memory is theirs."""
    def one(name):
        result = measure.once(row, settings, name, options) | {"tries": 1}
        return {key: value for key, value in result.items() if not key.startswith("kernel")}

    with concurrent.futures.ThreadPoolExecutor(len(names)) as pool:
        results = list(pool.map(one, names))
    together = dict.fromkeys(SPEED, "all servers ran at once")
    rows = []
    for name, result in zip(names, results):
        limit, invalid, notes = judge(row, [result])
        notes.append(f"at the end of the hold: {result['end_rss_kb'] - result['rss_kb']:+} KB")
        rows.append(report.summarize(row, settings, name, [result],
                                     (limit, together | invalid, notes), {}))
    return rows


def compare(row, settings, names, options):
    if options.together and row.kind == "held":
        return compare_together(row, settings, names, options)
    rounds = {name: [] for name in names}
    count = rounds_of(row, options)
    for number in range(count):
        for name in names:
            progress(f"{row.name} round {number + 1}/{count} {name}")
            rounds[name].append(measure.one_round(row, settings, name, options))
    results = []
    for name in names:
        progress(f"{row.name} counting calls of {name}")
        calls = measure.count_calls(row, settings, name, options)
        results.append(report.summarize(row, settings, name, rounds[name],
                                        judge(row, rounds[name]), calls))
    progress("")
    return results


def print_head(options):
    print("\n".join(f"{k}: {v}" for k, v in machine.describe().items()))
    print(f"server on core {options.server_cpu}, load on core {options.load_cpu}; idle states "
          f"{'held off' if options.awake else 'as the system has them'}")


def run_all(options, rows):
    """Adds to `rows` as it goes, so that an end on the way loses none. Returns the status."""
    status = 0
    print_head(options)
    for name in selected(options):
        if name in programs.NAMES + programs.PARTS:
            more, code = measure_program(name, options)
            rows += more
            status = max(status, code)
            continue
        for row, settings in settings_of_all(rows_named(name), options):
            names = list(row.peers) or peers.names_of(options)
            here, absent = present(row, settings, names, options)
            group = compare(row, settings, here, options)
            report.print_rows(group, absent)
            sys.stdout.flush()
            rows += group
    return status


def measure_program(name, options):
    """In `all`, one that is not built is told, and the rest goes on."""
    try:
        return programs.measure(name, options)
    except CannotRun as reason:
        if options.scenario != "all":
            raise
        print(f"\n{name}: not measured: {reason}")
        return [], 0


def own_rows(rows):
    """Without those that other programs measured."""
    return [row for row in rows if "kind" in row]


def save(options, rows):
    names = list(dict.fromkeys(row["server"] for row in own_rows(rows)))
    if options.json:
        result = {"machine": machine.describe(), "options": vars(options), "rows": rows,
                  "versions": {name: peers.version_of(name, options) for name in names}}
        pathlib.Path(options.json).write_text(json.dumps(result, indent=1) + "\n")
    if options.csv:
        report.write_csv(options.csv, own_rows(rows))


def main():
    options = parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    rows = []
    try:
        with machine.idle_states(options.awake):
            status = run_all(options, rows)
    except (CannotRun, OSError) as reason:
        print(f"\nbench/run: {reason}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nended", file=sys.stderr)
        return 130
    finally:
        save(options, rows)
    wrong = any(r["exit"] for row in own_rows(rows) for r in row["rounds"])
    return max(status, 1 if wrong else 0)
