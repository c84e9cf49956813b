"""judge — which of a row's figures are the server's, and why the others are not

Why it is so:   a run in which the load, or something else on the machine, was the limit says
                nothing about the server's rate. What it says about the server's own time per
                message still holds: that is read from its process clock.
"""
import statistics

from .measure import FOREIGN_LIMIT, LAG_LIMIT_US

SATURATED = 0.93
KEPT = 0.99         # of a plan's deliveries
FAULTS = ("lost", "duplicated", "reordered", "corrupt", "unacknowledged", "acks_out_of_order",
          "refused", "dropped", "unanswered", "stalled", "overrun", "not_resumed")
SPEED = ("rate", "per_server_second", "latency", "calls")
ALL = SPEED + ("memory",)


def median(rounds, key):
    values = [r[key] for r in rounds if r.get(key) is not None]
    return statistics.median(values) if values else None


def faults(rounds):
    wrong = {key: int(sum(r.get(key, 0) for r in rounds)) for key in FAULTS}
    return ", ".join(f"{count} {key}" for key, count in wrong.items() if count)


def is_paced(row):
    return row.kind in ("paced", "share") or (row.kind == "held" and row.settings["rate"] > 0)


def is_kept(result):
    """Whether a plan's deliveries came; two messages may be on their way at either end."""
    receivers = result["wanted"] / result["planned_rate"]
    missing = (result["wanted"] - result["rate"]) * result["wall"]
    return missing <= max(2 * receivers, (1 - KEPT) * result["wanted"] * result["wall"])


def judge_plan(row, rounds, invalid, notes):
    """A plan's limit is the plan, unless the load was late or the server fell behind."""
    lag, p99 = median(rounds, "lag_p99") or 0, median(rounds, "latency_p99") or 0
    if lag > LAG_LIMIT_US or lag > p99 / 2:
        invalid["latency"] = (f"the load sent late: p99 {lag:.0f} µs "
                              f"(allowed: {LAG_LIMIT_US} µs and half of the latency's p99)")
        return "load"
    if row.kind == "held":
        return "plan"
    kept = min(r["rate"] / r["wanted"] for r in rounds)
    if not all(is_kept(r) for r in rounds):
        notes.append(f"fell behind: {kept:.0%} of the plan")
        return "server"
    return "plan"


def judge_closed(rounds, invalid, notes):
    load, own = median(rounds, "load_busy"), median(rounds, "server_busy")
    if own >= SATURATED:
        return "server"
    if load >= SATURATED:
        invalid["rate"] = (f"the load's core was full at {median(rounds, 'rate'):,.0f}/s; "
                           "per s of server CPU is valid, latencies are upper bounds")
        return "load"
    notes.append("neither core full: round trips were the limit")
    return "neither"


def judge(row, rounds):
    """The limit, what is invalid and why (by kind of figure), and notes."""
    invalid, notes = {}, []
    limit = (judge_plan(row, rounds, invalid, notes) if is_paced(row)
             else judge_closed(rounds, invalid, notes))
    if rounds[0]["shares_core"]:
        limit = "shared"
        invalid |= dict.fromkeys(("rate", "latency"), "it shares the second core with the load; "
                                 "per s of server CPU is valid")
    foreign = max(r["foreign"] for r in rounds)
    if foreign > FOREIGN_LIMIT:
        limit = "others"
        invalid |= dict.fromkeys(SPEED, f"others used up to {foreign:.0%} of the cores")
    if any(r["exit"] for r in rounds):
        invalid |= dict.fromkeys(ALL, "wrong: " + (faults(rounds) or "see standard error"))
    return limit, invalid, notes


def figure_kind(metric):
    """The kind of figure that a metric is."""
    if metric.startswith(("latency", "lag")):
        return "latency"
    if metric.endswith(("_per_session", "_kb")):
        return "memory"
    return "rate" if metric == "rate" else "per_server_second"
