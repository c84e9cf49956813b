"""fleet_rates — does the fleet hold the rate it was asked for, in each second?

Why it is so:   a rate that is right on average may come in heaps. So each whole second of the
                fleet's own rows is compared with what was asked for. A server that is too slow, or
                a core that others use, would make the fleet look worse than it is: both are shown
Words:          off: how far the worst second is from the rate, as a share of it; begun: sockets
                opened, answered: CONNACKs
"""
from . import peers
from .fleet_run import chosen, run

GOAL = 0.01
SECONDS = 5
CONNECT_RATES = (1000, 5000, 10000, 20000)
PUBLISH_RATES = (10000, 50000, 100000)
CLIENTS = 1000              # of a publishing fleet
SLACK_S = 0.005             # a row may end so much beside a whole second


def is_whole(second):
    return abs(second["end"] - second["begin"] - 1) <= SLACK_S


def off(second, counter, rate):
    """With its sign: the most of a list by abs() is the worst."""
    return second[counter] / (second["end"] - second["begin"]) / rate - 1


def worst(seconds, counter, rate):
    return max((off(second, counter, rate) for second in seconds), key=abs, default=None)


def connect_case(rate, options):
    """The ramp takes SECONDS; nobody leaves before it is over. The fleet has the server's core too:
    a connect over loopback costs the kernel of the one who connects nearly all there is to pay.
    """
    cpus = {options.server_cpu, options.load_cpu}
    seconds = options.seconds or SECONDS
    count = rate * seconds
    with peers.server("fleetmux", count, options) as server:
        done = run("conn", server, seconds + 1, ["-c", count, "-R", rate, "-k", 300], options,
                   cpus=cpus)
    ramp = [one for one in done.seconds("connects_begun", "connects_ok")
            if is_whole(one) and one["end"] <= seconds + SLACK_S]
    return done, {"name": f"{rate} connects/s", "rate": rate, "unit": "connects/s",
                  "seconds": len(ramp), "off": worst(ramp, "connects_begun", rate),
                  "off_answered": worst(ramp, "connects_ok", rate)}


def publish_case(rate, qos, size, options):
    """All clients are there before the first message; it has no answer at QoS 0."""
    seconds = options.seconds or SECONDS
    with peers.server("fleetmux", CLIENTS, options) as server:
        done = run("pub", server, seconds + 2, ["-c", CLIENTS, "-R", 0, "-w", "-t", "rates/%i",
                                                "--rate", rate, "-q", qos, "-s", size], options)
    ready = done.result["ready_ns"] / 1e9
    flow = [one for one in done.seconds("publishes_sent", "publishes_acked")
            if is_whole(one) and one["begin"] >= ready and one["end"] <= seconds + 2 + SLACK_S]
    return done, {"name": f"{rate} messages/s, QoS {qos}, {size} B", "rate": rate,
                  "unit": "messages/s", "qos": qos, "size": size, "seconds": len(flow),
                  "off": worst(flow, "publishes_sent", rate),
                  "off_answered": worst(flow, "publishes_acked", rate) if qos else None}


def outside(done):
    return {"lag_p99_ms": done.latency("lag", "p99_ns"), "drift_p99_ms":
            done.latency("drift", "p99_ns"), "fleet_busy": done.fleet_busy,
            "server_busy": done.server_busy, "foreign": done.foreign,
            "limit": done.result["limit"], "limit_words": done.result["limit_words"],
            "exit": done.result["exit_status"]}


def measured(case, options):
    """A round; one in which others used the cores is done again."""
    for tries in range(options.retries + 1):
        done, row = case()
        row |= outside(done) | {"scenario": "fleet-rates", "tries": tries + 1,
                                "disturbed": done.is_disturbed()}
        if not done.is_disturbed():
            break
    return row


def percent(share):
    return "" if share is None else f"{100 * share:+.2f} %"


def line(row):
    lag = row["lag_p99_ms"]
    words = [f"  {row['name']:<32} {percent(row['off']):>9} {percent(row['off_answered']):>9}"
             f"  {row['seconds']:>2} s  lag p99 {'' if lag is None else f'{lag:.2f} ms':>9}"
             f"  busy fleet {row['fleet_busy']:.2f}, server {row['server_busy']:.2f}"
             f"  {row['limit']}"]
    if row["disturbed"]:
        words.append(f"disturbed: others used {100 * row['foreign']:.0f} % of the cores")
    elif row["off"] is None or abs(row["off"]) > GOAL:
        words.append("OFF")
    return "  ".join(words)


def cases(options):
    for rate in CONNECT_RATES:
        yield lambda rate=rate: connect_case(rate, options)
    for qos in (0, 1):
        for size in (64, 256):
            for rate in PUBLISH_RATES:
                yield lambda rate=rate, qos=qos, size=size: publish_case(rate, qos, size, options)


def measure(options):
    """Exit status 1: a second was off by more than the goal, and nobody else was to blame."""
    print("\nfleet-rates: the worst whole second, how far it was from the rate asked for: begun or "
          "sent, and answered", flush=True)
    rows = []
    for _ in range(options.rounds or 1):
        for _, case in chosen(cases(options), options):
            rows.append(measured(case, options))
            print(line(rows[-1]), flush=True)
    quiet = [row for row in rows if not row["disturbed"] and row["off"] is not None]
    least = max((abs(row["off"]) for row in quiet), default=None)
    print(f"  the worst of {len(quiet)} undisturbed runs of {len(rows)}: {percent(least)}; "
          f"goal {percent(GOAL)}")
    return rows, 1 if least is None or least > GOAL else 0
