"""report — rows as a table for people, and as CSV"""
import csv
import statistics

from .judge import SATURATED, figure_kind

METRICS = ("rate", "per_server_second", "user_us", "system_us", "server_busy", "load_busy",
           "latency_p50", "latency_p99", "latency_p999", "latency_max", "lag_p50", "lag_p99",
           "lag_max", "rss_kb", "anon_kb", "rss_per_session", "anon_per_session",
           "kernel_per_session", "maximum", "foreign")
NEVER_INVALID = ("server_busy", "load_busy", "foreign", "lag_p50", "lag_p99", "lag_max")
UNITS = {"fanout": "deliveries/s", "connect": "connects/s", "idle": "connects/s"}
STATE = ("idle",)       # loads whose rows are about memory


def summarize(row, settings, name, rounds, verdict, calls):
    limit, invalid, notes = verdict
    result = {"scenario": row.name, "load": row.load, "kind": row.kind, "server": name,
              "settings": settings, "limit": limit, "invalid": invalid, "notes": notes,
              "rounds": rounds} | calls
    for key in METRICS:
        values = [r[key] for r in rounds if r.get(key) is not None]
        result[key] = values and {
            "median": statistics.median(values), "min": min(values), "max": max(values),
            "valid": key in NEVER_INVALID or figure_kind(key) not in invalid} or None
    return result


# --- cells ----------------------------------------------------------------------------------

def human(value):
    if value is None:
        return "-"
    if abs(value) >= 1e6:
        return f"{value / 1e6:.2f} M"
    if abs(value) >= 1e4:
        return f"{value / 1e3:.0f} k"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def with_range(entry):
    if not entry:
        return "-"
    if not entry["valid"]:
        return "invalid"
    return f"{human(entry['median'])} ({human(entry['min'])}–{human(entry['max'])})"


def median(row, key):
    return row[key]["median"] if row[key] else None


def cell(row, key):
    entry = row[key]
    if not entry:
        return "-"
    if not entry["valid"]:
        return "invalid"
    bound = "≤" if key.startswith("latency") and row["limit"] == "load" else ""
    return bound + human(entry["median"])


def cost(row):
    """Microseconds of the server's processor a message: user and kernel."""
    if not row["user_us"] or not row["user_us"]["valid"]:
        return "-"
    return f"{median(row, 'user_us'):.3g}+{median(row, 'system_us'):.3g}"


def memory(row):
    """KB a session: user, and kernel of both ends."""
    entry = row["rss_per_session"]
    if not entry or not entry["valid"]:
        return "-" if not entry else "invalid"
    shows = is_many(row) and row["kernel_per_session"]
    kernel = f"{median(row, 'kernel_per_session'):.1f}" if shows else "-"
    return f"{median(row, 'rss_per_session'):.2f}/{kernel}"


def is_many(row):
    """Enough sessions that the kernel's other memory does not show."""
    return max(r.get("sessions", r.get("connected", 0)) for r in row["rounds"]) >= 1000


def calls(row):
    if "calls" in row["invalid"]:
        return "invalid"
    if "calls_per_message" in row:
        return human(row["calls_per_message"])
    return human(row["enters_per_message"]) + "*" if "enters_per_message" in row else "-"


COLUMNS = (("server", 17, lambda row: row["server"]),
           ("rate, median (range)", 25, lambda row: with_range(row["rate"])),
           ("per s of server CPU", 25, lambda row: with_range(row["per_server_second"])),
           ("user+kernel µs", 14, cost),
           ("busy s/l", 9, lambda row: f"{median(row, 'server_busy'):.2f}/"
                                       f"{median(row, 'load_busy'):.2f}"),
           ("limit", 8, lambda row: row["limit"]),
           ("p50 µs", 8, lambda row: cell(row, "latency_p50")),
           ("p99", 8, lambda row: cell(row, "latency_p99")),
           ("p99.9", 8, lambda row: cell(row, "latency_p999")),
           ("lag p99", 8, lambda row: cell(row, "lag_p99")),
           ("KB/session", 12, memory),
           ("calls/msg", 9, calls))


def line(cells):
    return "  " + " ".join(f"{text:<{width}}" for text, (_, width, _) in zip(cells, COLUMNS))


# --- a group of rows ------------------------------------------------------------------------

def title(row):
    words = " ".join(f"{k} {v}" for k, v in row["settings"].items())
    unit = UNITS.get(row["load"], "messages/s")
    return f"\n{row['scenario']} [{unit}]: {words}"


def maximum_limit(row):
    own = statistics.median(r["maximum_server_busy"] for r in row["rounds"])
    return "" if own >= SATURATED else f" (its core was {own:.0%} full: the load was the limit)"


def remarks(row):
    by_reason = {}
    for figure, reason in row["invalid"].items():
        by_reason.setdefault(reason, []).append(figure.replace("_", " "))
    lines = [f"INVALID {', '.join(figures)}: {reason}" for reason, figures in by_reason.items()]
    if row["maximum"]:
        lines.append(f"{row['settings']['share']:.0%} of {human(median(row, 'maximum'))}/s, its "
                     f"maximum with one message under way each{maximum_limit(row)}")
    retried = sum(r["tries"] - 1 for r in row["rounds"])
    if retried:
        lines.append(f"disturbed, and done again: {retried}")
    return lines + row["notes"]


def ratio_of(first, row, key, words):
    ours, theirs = first[key], row[key]
    if not ours or not theirs or not theirs["median"]:
        return ""
    if not ours["valid"] or not theirs["valid"]:
        return f"{words} invalid"
    return f"{words} {ours['median'] / theirs['median']:.2f}"


def print_ratio(first, row):
    keys = [("rate", "rate"), ("per_server_second", "per s of server CPU")]
    if first["kind"] in ("paced", "share", "held"):
        keys = keys[1:] + [("latency_p50", "p50"), ("latency_p99", "p99")]
    if first["load"] in STATE:
        keys = [("rss_per_session", "RSS a session")] + keys
    ratios = [ratio_of(first, row, key, words) for key, words in keys]
    print(f"  {first['server']} : {row['server']} = {', '.join(r for r in ratios if r)}")


def print_rows(rows, absent):
    if not rows:
        for name, reason in absent.items():
            print(f"  {name}: {reason}")
        return
    print(title(rows[0]))
    print(line([name for name, _, _ in COLUMNS]))
    for row in rows:
        print(line([text(row) for _, _, text in COLUMNS]).rstrip())
        for remark in remarks(row):
            print(f"  {'':<17} {remark}")
    for name, reason in absent.items():
        print(f"  {name:<17} not measured: {reason}")
    for row in rows[1:]:
        print_ratio(rows[0], row)


# --- CSV ------------------------------------------------------------------------------------

def write_csv(path, rows):
    parts = ("median", "min", "max", "valid")
    with open(path, "w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["scenario", "settings", "server", "limit", "calls_per_message",
                      "enters_per_message", "remarks"] + [f"{m}_{p}" for m in METRICS
                                                          for p in parts])
        for row in rows:
            settings = " ".join(f"{k}={v}" for k, v in row["settings"].items())
            out.writerow([row["scenario"], settings, row["server"], row["limit"],
                          row.get("calls_per_message", ""), row.get("enters_per_message", ""),
                          "; ".join(remarks(row))] + [(row[m] or {}).get(p, "") for m in METRICS
                                                      for p in parts])
