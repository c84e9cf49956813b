"""fleet_verdicts — does the fleet name the right side as the limit?

Why it is so:   it can only be tried where the limit is known. So each case makes one, and no other:
                a server that does so much and no more (bench_bounded), a generator that has to
                share its core or is asked for more than a core can do, a way on which segments are
                lost. Cases well below every limit must be OK. What a case is made of is drawn from
                its seed
Words:          load: the most of what is asked for as a share of what the server would do, of
                the server's core and of the fleet's, both as measured; idle: such a case below
                LOAD_MOST
Limits:         loss is of segments towards the server: its sockets have a filter that leaves some
                out. Many kernels have no netem, so there is no emulated delay
"""
import contextlib
import pathlib
import random
import subprocess
import sys

from . import peers
from .fleet_run import bounded, chosen, run
from .machine import end

LOAD_MOST = 0.6
SECONDS = 8
OK, SERVER, GENERATOR, NETWORK = "OK", "SERVER-LIMITED", "GENERATOR-LIMITED", "NETWORK"
HOG = pathlib.Path(__file__).resolve().parent / "hog.py"


class Case:
    """What is done, in words, and what has to come of it."""

    def __init__(self, told, expected, kind, more, server="bounded", words=(), asked=0.0, hog=None,
                 seconds=SECONDS):
        self.told, self.expected, self.kind, self.more = told, expected, kind, more
        self.server, self.words, self.asked, self.hog = server, words, asked, hog
        self.seconds = seconds


# --- cases: each draws what it is made of -----------------------------------------------------

def publishing(draw, rate, clients=None, size=None, qos=1, window=32):
    """Words of a fleet that publishes."""
    clients = clients or draw.choice((20, 50, 100, 200))
    size = size or draw.choice((32, 64, 256))
    return ["-V", 4, "-c", clients, "-R", 0, "-t", "verdict/%i", "--rate", rate, "-q", qos, "-s",
            size, "-F", window]


def below_bound(draw):
    most = draw.randrange(4000, 12000)
    share = draw.uniform(0.2, 0.55)
    rate = round(most * share)
    return Case(f"asks for {rate} messages/s of {most}", OK, "pub", publishing(draw, rate),
                words=["--acks", most], asked=rate / most)


def below_connects(draw):
    most = draw.randrange(800, 3000)
    rate = round(most * draw.uniform(0.2, 0.55))
    return Case(f"{rate} connects/s of {most}", OK, "conn",
                ["-V", 4, "-c", rate * (SECONDS - 1), "-R", rate], words=["--connects", most],
                asked=rate / most)


def easy_gateway(draw):
    rate, qos = draw.randrange(5000, 20000), draw.choice((0, 1))
    return Case(f"{rate} messages/s at QoS {qos}, our gateway", OK, "pub",
                publishing(draw, rate, qos=qos), server="fleetmux")


def easy_connects(draw):
    rate = draw.randrange(500, 3000)
    return Case(f"{rate} connects/s, our gateway", OK, "conn",
                ["-V", 4, "-c", rate * (SECONDS - 1), "-R", rate], server="fleetmux")


def easy_mosquitto(draw):
    rate = draw.randrange(1000, 8000)
    return Case(f"{rate} messages/s at QoS 1, Mosquitto", OK, "pub", publishing(draw, rate),
                server="mosquitto")


def small_hog(draw):
    share, rate = draw.uniform(0.1, 0.3), draw.randrange(1000, 5000)
    return Case(f"{rate} messages/s, a program takes {100 * share:.0f} % of the fleet's core", OK,
                "pub", publishing(draw, rate), server="fleetmux",
                hog=(share, draw.choice((2, 5, 10)), "fair", 1))


def short_pauses(draw):
    pause, every, rate = draw.randrange(5, 20), draw.randrange(200, 500), draw.randrange(500, 3000)
    return Case(f"{rate} messages/s, the server stops for {pause} ms of {every}", OK, "pub",
                publishing(draw, rate), words=["--pause", pause, "--pause-every", every],
                asked=pause / every)


def above_bound(draw, window=32):
    most = draw.randrange(2000, 8000)
    rate = round(most * draw.uniform(1.25, 3))
    return Case(f"asks for {rate} messages/s of {most}, window {window}", SERVER, "pub",
                publishing(draw, rate, window=window), words=["--acks", most])


def above_bound_wide(draw):
    return above_bound(draw, window=32768)


def long_pauses(draw):
    pause, rate = draw.randrange(1500, 2500), draw.randrange(2000, 8000)
    return Case(f"{rate} messages/s, the server stops for {pause} ms of {pause + 1000}", SERVER,
                "pub", publishing(draw, rate),
                words=["--pause", pause, "--pause-every", pause + 1000], seconds=12)


def slow_reads(draw):
    most = draw.randrange(2_000_000, 5_000_000)
    rate = round(3 * most / 1100)
    return Case(f"{rate} messages/s of 1 KiB at QoS 0, the server reads {most / 1e6:.1f} MB/s",
                SERVER, "pub", publishing(draw, rate, clients=4, size=1024, qos=0),
                words=["--reads", most], seconds=12)


def refusals(draw):
    share, rate = draw.uniform(0.05, 0.5), draw.randrange(200, 1000)
    return Case(f"{rate} connects/s, {100 * share:.0f} % refused", SERVER, "conn",
                ["-V", 4, "-c", rate * (SECONDS - 1), "-R", rate], words=["--refuse", share])


def above_connects(draw):
    most = draw.randrange(300, 1500)
    rate = round(most * draw.uniform(1.5, 3))
    return Case(f"{rate} connects/s of {most}", SERVER, "conn",
                ["-V", 4, "-c", rate * (SECONDS - 2), "-R", rate], words=["--connects", most])


def hang_ups(draw):
    lost, rate = draw.randrange(20, 60), draw.randrange(1000, 4000)
    return Case(f"{rate} messages/s, the server closes {lost} connections/s", SERVER, "pub",
                publishing(draw, rate, clients=500) + ["--reconnect", "100-500"],
                words=["--close", lost])


def above_mosquitto(draw):
    rate = draw.randrange(150_000, 200_000)
    return Case(f"{rate} messages/s at QoS 1, Mosquitto", SERVER, "pub",
                publishing(draw, rate, clients=50, size=64), server="mosquitto")


def hog_first(draw):
    share, rate = draw.uniform(0.7, 0.9), draw.randrange(20_000, 60_000)
    period = draw.choice((100, 200, 300))
    return Case(f"{rate} messages/s, the fleet's core is taken for {100 * share:.0f} % of each "
                f"{period} ms", GENERATOR, "pub", publishing(draw, rate), server="fleetmux",
                hog=(share, period, "first", 1))


def hogs_fair(draw):
    count, rate = draw.randrange(8, 16), draw.randrange(80_000, 120_000)
    return Case(f"{rate} messages/s, {count} programs want the fleet's core", GENERATOR, "pub",
                publishing(draw, rate), server="fleetmux", hog=(0.99, 100, "fair", count))


def far_too_much(draw, qos=0):
    rate = draw.randrange(20, 60) * 1_000_000
    return Case(f"{rate // 1_000_000} million messages/s at QoS {qos}", GENERATOR, "pub",
                publishing(draw, rate, clients=200, size=32, qos=qos), server="fleetmux")


def small_messages_one_core(draw):
    """A window that the gateway could fill many times over; the fleet's core cannot."""
    return far_too_much(draw, qos=1)


def loss(draw):
    share, rate = draw.uniform(0.05, 0.15), draw.randrange(500, 4000)
    return Case(f"{rate} messages/s, {100 * share:.1f} % of segments lost", NETWORK, "pub",
                publishing(draw, rate), words=["--lose", share])


def loss_of_connects(draw):
    share, rate = draw.uniform(0.08, 0.2), draw.randrange(200, 800)
    return Case(f"{rate} connects/s, {100 * share:.1f} % of segments lost", NETWORK, "conn",
                ["-V", 4, "-c", rate * (SECONDS - 1), "-R", rate], words=["--lose", share])


CASES = (below_bound, below_bound, below_bound, below_connects, below_connects, easy_gateway,
         easy_gateway, easy_connects, easy_mosquitto, easy_mosquitto, small_hog, small_hog,
         short_pauses,
         above_bound, above_bound, above_bound_wide, long_pauses, slow_reads, refusals,
         above_connects, hang_ups, above_mosquitto,
         hog_first, hog_first, hogs_fair, far_too_much, small_messages_one_core,
         loss, loss, loss_of_connects)


# --- one case ---------------------------------------------------------------------------------

@contextlib.contextmanager
def hogs(case, options):
    """They end by themselves, a little after the run."""
    share, period, policy, count = case.hog
    words = [sys.executable, HOG, options.load_cpu, share, period, case.seconds + 5, policy]
    processes = [subprocess.Popen([str(word) for word in words]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            end(process)


def serving(case, options):
    if case.server == "bounded":
        return bounded(case.words, options)
    return peers.server(case.server, 0, options)


def once(case, options):
    with serving(case, options) as server:
        return run(case.kind, server, case.seconds, case.more, options,
                   (lambda: hogs(case, options)) if case.hog else None)


def load_of(case, done):
    taken = case.hog[0] * case.hog[3] if case.hog else 0
    return max(case.asked, done.server_busy, min(1, done.fleet_busy + taken))


def judge(seed, make, options):
    """A case; one in which others used the cores is done again."""
    for tries in range(options.retries + 1):
        draw = random.Random(seed)
        case = make(draw)
        done = once(case, options)
        if not done.is_disturbed():
            break
    load = load_of(case, done)
    return {"scenario": "fleet-verdicts", "seed": seed, "case": make.__name__, "told": case.told,
            "expected": case.expected, "verdict": done.result["limit"],
            "words": done.result["limit_words"], "is_right": done.result["limit"] == case.expected,
            "exit": done.result["exit_status"], "load": load, "tries": tries + 1,
            "is_idle": case.expected == OK and load < LOAD_MOST,
            "fleet_busy": done.fleet_busy, "server_busy": done.server_busy,
            "foreign": done.foreign, "disturbed": done.is_disturbed()}


def line(row):
    text = (f"  seed {row['seed']:>3}  {row['told']:<72} load {row['load']:.2f}  "
            f"{row['verdict']:<17} expected {row['expected']:<17} "
            f"{'right' if row['is_right'] else 'WRONG'}")
    if row["disturbed"]:
        text += f"  disturbed: others used {100 * row['foreign']:.0f} % of the cores"
    if not row["is_right"]:
        text += f"\n           {row['words']}; server busy {row['server_busy']:.2f}"
    return text


def measure(options):
    """Exit status 1: a verdict was wrong, or too few cases were below the load."""
    print("\nfleet-verdicts: what the fleet says was the limit, where the limit is known",
          flush=True)
    rows = []
    for number, make in chosen(CASES, options):
        rows.append(judge(options.seed + number - 1, make, options))
        print(line(rows[-1]), flush=True)
    right = sum(row["is_right"] for row in rows)
    idle = [row for row in rows if row["is_idle"]]
    false = sum(not row["is_right"] for row in idle)
    busy = [row for row in rows if row["expected"] == OK and not row["is_idle"]]
    print(f"  {right} of {len(rows)} right, {false} false of {len(idle)} below "
          f"{100 * LOAD_MOST:.0f} % load; {sum(row['disturbed'] for row in rows)} disturbed")
    for row in busy:
        print(f"  seed {row['seed']} was meant to be below, and was not: load {row['load']:.2f}")
    return rows, 1 if right < len(rows) else 0
