"""programs — rows that other programs of bench/ measure; theirs are shown as they say them"""
import json
import pathlib
import subprocess
import sys

from . import fleet, fleet_rates, fleet_tools, fleet_verdicts, storm
from .machine import CannotRun
from .peers import names_of

HERE = pathlib.Path(__file__).resolve().parent.parent
NAMES = ("rrpc", "limiter", "uplink", "tls-pure", "tls-storm", "tls-fleet",
         "fleet-rates", "fleet-tools", "fleet-verdicts", "micro")
PARTS = tuple(storm.VARIANTS)       # of tls-storm
SECONDS_MAX = 1800


def run(words):
    if not pathlib.Path(words[0]).exists():
        raise CannotRun(f"{words[0]} is not there: build it, or name the folder of the build "
                        "with --build")
    done = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
    if done.stderr.strip():
        print(done.stderr.strip(), file=sys.stderr)
    if done.returncode not in (0, 1):
        raise CannotRun(f"{' '.join(words)} ended with {done.returncode}")
    return done


def platform(name, part, options):
    """bench_platform prints: name unit median least most seed."""
    words = [f"{options.build}/bench/bench_platform", part, "--rounds", str(options.rounds or 3),
             "--server-cpu", str(options.server_cpu), "--load-cpu", str(options.load_cpu)]
    done = run(words)
    print(f"\n{name}: bench_platform {' '.join(words[1:])}\n{done.stdout.rstrip()}")
    rows = []
    for line in done.stdout.splitlines():
        fields = line.split()
        if len(fields) == 6:
            rows.append({"scenario": name, "name": fields[0], "unit": fields[1],
                         "median": float(fields[2]), "min": float(fields[3]),
                         "max": float(fields[4]), "command": " ".join(words[1:])})
    return rows, done.returncode


def rrpc(options):
    """With 64 calls in flight, and with 2,000."""
    return platform("rrpc", "calls", options)


def limiter(options):
    return platform("limiter", "limiter", options)


def uplink_line(row):
    if not {"name", "unit", "value", "least", "most"} <= row.keys():
        return "  " + "  ".join(f"{k} {v}" for k, v in row.items())
    mark = "" if row.get("valid", True) else "  invalid"
    return (f"  {row['name']:<48} {row['unit']:<12} {row['value']:>12} "
            f"({row['least']} – {row['most']}){mark}")


def uplink(options):
    """bench_uplink prints an object a line."""
    words = [f"{options.build}/bench/bench_uplink", "--json", "--rounds",
             str(options.rounds or 3)]
    if options.seconds:
        words += ["--ms", str(1000 * options.seconds)]
    if "mosquitto" not in names_of(options):
        words += ["--against", "none"]
    done = run(words)
    print(f"\nuplink: bench_uplink {' '.join(words[1:])}")
    rows = []
    for text in done.stdout.splitlines():
        if text.startswith("{"):
            row = json.loads(text)
            rows.append({"scenario": "uplink", "row": row})
            print(uplink_line(row))
    return rows, done.returncode


def tls_pure(options):
    """bench_tls prints an object a line."""
    words = [f"{options.build}/bench/bench_tls", "--json", "--cpu", str(options.server_cpu)]
    done = run(words)
    print("\ntls-pure: bench_tls, BoringSSL alone, our streams, and ours : bare")
    rows = [json.loads(text) for text in done.stdout.splitlines()]
    for row in rows:
        print(f"  {row['name']:<28} {row['unit']:<12} {row['bare']:>9} {row['ours']:>9}  "
              f"{row['ratio']:.3f} ({row['ratio_q1']:.3f}, {row['ratio_q3']:.3f})")
    return [{"scenario": "tls-pure", "row": row} for row in rows], done.returncode


def micro(options):
    """The program has its own table, and its own comparison with what was."""
    print("\nmicro: bench/micro", flush=True)
    words = [sys.executable, str(HERE / "micro"), "--build", options.build]
    return [], subprocess.run(words, check=False).returncode


def measure(name, options):
    if name == "tls-storm" or name in storm.VARIANTS:
        return storm.measure(name, options)
    if name == "tls-fleet":
        return fleet.measure(name, options)
    return {"rrpc": rrpc, "limiter": limiter, "uplink": uplink, "tls-pure": tls_pure,
            "fleet-rates": fleet_rates.measure, "fleet-tools": fleet_tools.measure,
            "fleet-verdicts": fleet_verdicts.measure, "micro": micro}[name](options)
