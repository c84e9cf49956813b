"""fleet_tools — what a client costs the generator: our fleet beside other tools, on one core

Why it is so:   a generator that needs a core for a thousand clients cannot load a server. So
                memory, and work for a second of the generator's processor, are measured of each
                tool against the same servers; the tools take turns
Words:          PSS: memory of a process with its part of what it shares with others, so that two
                hundred of one program are not charged for it two hundred times
Limits:         mosquitto's clients hold one connection each, so their connects include the start of
                a process: that is what a client of theirs costs
"""
import os
import pathlib
import re
import resource
import shutil
import statistics
import subprocess
import tempfile
import time

from . import machine, peers
from .machine import CannotRun, bind_child, end

SERVERS = ("fleetmux", "mosquitto")
IDLE, IDLE_MANY, CONNECTS, AT_ONCE = 200, 10000, 10000, 8
MESSAGES = {0: 1_000_000, 1: 400_000}
MOSQUITTO_CONNECTS, MOSQUITTO_MESSAGES = 200, {0: 200_000, 1: 50_000}
SIZE = 256
READY_SECONDS = 30
LIMIT_SECONDS = 60
MEASURES = (("pss_200", "KB of PSS a client, 200 idle ones"),
            ("pss_10000", "KB of PSS a client, 10,000 idle ones"),
            ("connects", "connects a second of processor"),
            ("qos0", "publishes a second of processor, QoS 0, one client"),
            ("qos1", "publishes a second of processor, QoS 1, one client"))


# --- processes --------------------------------------------------------------------------------

def start(words, options, **more):
    return subprocess.Popen([str(word) for word in words], stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE, preexec_fn=bind_child({options.load_cpu}),
                            **more)


def children_cpu():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def finish(processes):
    """All of them have done what they were asked for."""
    until = time.monotonic() + LIMIT_SECONDS
    try:
        for process in processes:
            error = process.communicate(timeout=max(0.1, until - time.monotonic()))[1]
            if process.returncode:
                raise CannotRun(f"{process.args[0]} ended with {process.returncode}: "
                                f"{error.decode(errors='replace').strip()[-300:]}")
    finally:
        for process in processes:
            end(process)


def per_cpu_second(count, words_of_each, options, at_once=1, **more):
    """`count` things done by these processes, a second of their processor time."""
    before, left = children_cpu(), list(words_of_each)
    while left:
        batch, left = left[:at_once], left[at_once:]
        finish([start(words, options, **more) for words in batch])
    return count / (children_cpu() - before)


def pss_kb(pid):
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"^Pss:\s+(\d+)", text, re.M).group(1))


def open_connections(port):
    """Established ones of servers at this port."""
    count = 0
    with open("/proc/net/tcp", encoding="ascii") as table:
        for row in table:
            fields = row.split()
            count += fields[1].endswith(f":{port:04X}") and fields[3] == "01"
    return count


def idle_memory(words_of_each, count, port, options):
    """When all are connected: the PSS of all of them, a client."""
    processes = [start(words, options) for words in words_of_each]
    until = time.monotonic() + READY_SECONDS
    try:
        while open_connections(port) < count:
            if time.monotonic() > until or any(one.poll() is not None for one in processes):
                raise CannotRun(f"{processes[0].args[0]}: only {open_connections(port)} of {count} "
                                "clients were connected")
            time.sleep(0.2)
        time.sleep(1)
        return sum(pss_kb(process.pid) for process in processes) / count
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            end(process)


# --- tools ------------------------------------------------------------------------------------

def fleet_words(verb, port, more, options):
    return [f"{options.build}/fleetmux", "fleet", verb, "-h", "127.0.0.1", "-p", port, "--shards",
            1, "--cpus", options.load_cpu, "-V", 4, "--quiet", *more]


def of_fleet(measure, port, _folder, options):
    if measure.startswith("pss"):
        count = int(measure[4:])
        words = fleet_words("conn", port, ["-c", count, "-R", 5000], options)
        return idle_memory([words], count, port, options)
    if measure == "connects":
        words = fleet_words("conn", port, ["-c", CONNECTS, "-R", 0, "--duration", 2,
                                           "--connects-inflight", 64, "--linger-zero"], options)
        return per_cpu_second(CONNECTS, [words], options)
    qos = int(measure[3])
    words = fleet_words("pub", port, ["-c", 1, "-t", "tools/%i", "-q", qos, "-s", SIZE,
                                      "--schedule", "closed", "-L", MESSAGES[qos]], options)
    return per_cpu_second(MESSAGES[qos], [words], options)


def of_mosquitto(measure, port, folder, options):
    if measure == "pss_10000":
        return None         # that many processes are not what anybody would do
    to = ["-h", "127.0.0.1", "-p", port]
    if measure == "pss_200":
        words = [["mosquitto_sub", *to, "-i", f"idle{i}", "-t", f"tools/{i}"] for i in range(IDLE)]
        return idle_memory(words, IDLE, port, options)
    if measure == "connects":
        words = [["mosquitto_pub", *to, "-i", f"c{i}", "-t", f"tools/{i}", "-n"]
                 for i in range(MOSQUITTO_CONNECTS)]
        return per_cpu_second(MOSQUITTO_CONNECTS, words, options, at_once=AT_ONCE)
    qos = int(measure[3])
    path = pathlib.Path(folder) / "lines"
    path.write_text(("x" * SIZE + "\n") * MOSQUITTO_MESSAGES[qos])
    with path.open("rb") as lines:
        return per_cpu_second(MOSQUITTO_MESSAGES[qos], [["mosquitto_pub", *to, "-t", "tools/1",
                                                         "-q", qos, "-l"]], options, stdin=lines)


def of_emqtt(measure, port, _folder, options):
    """Its virtual machine may use as many cores as it is bound to: one."""
    to = ["-h", "127.0.0.1", "-p", port, "-V", 4]
    if measure.startswith("pss"):
        count = int(measure[4:])
        words = ["emqtt_bench", "conn", *to, "-c", count, "-R", 1000]
        return idle_memory([words], count, port, options)
    if measure == "connects":
        return emqtt_connects(["emqtt_bench", "conn", *to, "-c", CONNECTS, "-R", 100000], port,
                              options)
    qos = int(measure[3])
    words = ["emqtt_bench", "pub", *to, "-c", 1, "-t", "tools/%i", "-q", qos, "-s", SIZE, "-I", 0,
             "-L", MOSQUITTO_MESSAGES[qos]]
    return per_cpu_second(MOSQUITTO_MESSAGES[qos], [words], options)


def emqtt_connects(words, port, options):
    """It does not end by itself: its processor time when all are connected."""
    process = start(words, options)
    until = time.monotonic() + READY_SECONDS
    try:
        while open_connections(port) < CONNECTS:
            if time.monotonic() > until or process.poll() is not None:
                raise CannotRun("emqtt_bench did not connect all")
            time.sleep(0.05)
        return CONNECTS / machine.server_times(process.pid)["cpu"]
    finally:
        end(process)


TOOLS = {"fleetmux fleet": (of_fleet, None), "mosquitto clients": (of_mosquitto, "mosquitto_pub"),
         "emqtt-bench": (of_emqtt, "emqtt_bench")}


# --- rounds -----------------------------------------------------------------------------------

def once(tool, measure, server_name, options):
    """A freshly started server for each; nothing where the tool is not made for that."""
    with peers.server(server_name, IDLE_MANY, options) as server, \
            tempfile.TemporaryDirectory(prefix="bench-") as folder:
        foreign = machine.Foreign(server.pid)
        value = TOOLS[tool][0](measure, server.port, folder, options)
        return value, foreign.share()


def quiet_once(tool, measure, server_name, options):
    """Memory does not mind others; else a disturbed round is done again."""
    for _ in range(options.retries + 1):
        value, foreign = once(tool, measure, server_name, options)
        if value is None or measure.startswith("pss") or foreign <= 0.05:
            break
    return value, foreign


def compare(measure, server_name, tools, options):
    values = {tool: [] for tool in tools}
    worst = 0.0
    for _ in range(options.rounds or 3):
        for tool in tools:
            value, foreign = quiet_once(tool, measure, server_name, options)
            if value is not None:
                values[tool].append(value)
                worst = max(worst, 0 if measure.startswith("pss") else foreign)
    return values, worst


def said(values):
    if not values:
        return "not measured"
    middle = statistics.median(values)
    digits = 2 if middle < 100 else 0
    return f"{middle:,.{digits}f} ({min(values):,.{digits}f}–{max(values):,.{digits}f})"


def ratio_words(row, theirs_by_ours):
    """So many times less memory, or more of the rest; below 1 the other tool is ahead."""
    middle = statistics.median(theirs_by_ours)
    return f"{middle if row['measure'].startswith('pss') else 1 / middle:,.1f}"


def line(row):
    ours = row["values"]["fleetmux fleet"]
    words = [f"  {row['told']:<52} {row['server']:<10} fleet {said(ours):<32}"]
    for tool, values in row["values"].items():
        if tool == "fleetmux fleet":
            continue
        ratios = [b / a for a, b in zip(ours, values)]
        ratio = f", fleet : {tool} {ratio_words(row, ratios)}" if ratios else ""
        words.append(f"{tool} {said(values)}{ratio}")
    if row["foreign"] > 0.05:
        words.append(f"disturbed: others used {100 * row['foreign']:.0f} % of the cores")
    return "  ".join(words)


def measure(options):
    tools = [name for name, (_, program) in TOOLS.items() if not program or shutil.which(program)]
    print("\nfleet-tools: what a client costs the generator on one core; median (least–most)")
    for name in TOOLS.keys() - set(tools):
        print(f"  {name}: not installed")
    rows = []
    for server_name in SERVERS:
        if not shutil.which("mosquitto") and server_name == "mosquitto":
            print("  mosquitto: not installed")
            continue
        for name, told in MEASURES:
            values, foreign = compare(name, server_name, tools, options)
            rows.append({"scenario": "fleet-tools", "measure": name, "told": told, "server":
                         server_name, "values": values, "foreign": foreign})
            print(line(rows[-1]), flush=True)
    return rows, 0
