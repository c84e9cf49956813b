"""load — bench_load, as one process or, where descriptors are few, as many that act as one"""
import json
import subprocess
import threading

from .machine import CannotRun, bind_child, end

CONNS_PER_LOAD = 19000      # one process; RLIMIT_NOFILE is often 20,000
SOURCES_PER_LOAD = 3        # addresses that 19,000 connections need
SUMS = ("connected", "refused", "dropped", "pings", "unanswered", "corrupt", "load_cpu",
        "tls_full", "tls_resumed", "not_resumed")


class Load:
    """One process. Says by lines on standard error how far it is."""

    def __init__(self, scenario, settings, server, options, policy=None):
        words = [f"{options.build}/bench/bench_load", scenario, "--json", "--port",
                 str(server.port), "--cpu", str(options.load_cpu), "--server-pid", str(server.pid)]
        for key, value in settings.items():
            if value is False:
                continue
            words += [f"--{key}"] if value is True else [f"--{key}", str(value)]
        self.settings, self.said, self.errors = settings, threading.Condition(), []
        try:
            self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                            text=True, preexec_fn=bind_child({options.load_cpu}, policy))
        except FileNotFoundError:
            raise CannotRun(f"{words[0]} is not there: build bench_load, or name the folder of "
                            "the build with --build") from None
        self.ended = False
        self.reader = threading.Thread(target=self.listen, daemon=True)
        self.reader.start()

    def listen(self):
        for line in self.process.stderr:
            with self.said:
                self.errors.append(line.strip())
                self.said.notify_all()
        with self.said:
            self.ended = True
            self.said.notify_all()

    def wait_for(self, word, seconds):
        """Whether it has said a line that begins with the word."""
        def has_come():
            return any(line.startswith(word) for line in self.errors)
        with self.said:
            self.said.wait_for(lambda: has_come() or self.ended, seconds)
            return has_come()

    def finish(self, seconds):
        timer = threading.Timer(seconds, self.process.kill)
        timer.start()
        try:
            output = self.process.stdout.read()
            self.process.wait()
        finally:
            timer.cancel()
            end(self.process)
        self.reader.join()
        if not output.strip():
            raise CannotRun(f"bench_load: {'; '.join(self.errors)}")
        result = json.loads(output.splitlines()[-1])
        result["exit"] = self.process.returncode
        return result


def time_limit(settings):
    """Seconds after which a load is taken as hung."""
    planned = settings["count"] / settings["rate"] if settings.get("rate") else 0
    return settings.get("seconds", 5) + settings.get("warmup", 1) + planned + 150


def split(settings):
    """The settings for each of as many processes as the sessions need."""
    count = settings["count"]
    parts = -(-count // CONNS_PER_LOAD)
    if parts == 1:
        yield settings
        return
    for part in range(parts):
        one = {"count": min(CONNS_PER_LOAD, count - part * CONNS_PER_LOAD), "first":
               part * CONNS_PER_LOAD, "source": SOURCES_PER_LOAD * part, "histogram": True}
        for key in ("rate", "inflight"):
            if settings.get(key):
                one[key] = max(1, settings[key] * one["count"] / count)
        if "inflight" in one:
            one["inflight"] = int(one["inflight"])
        yield settings | one


def percentile(histogram, share):
    """Of pairs (upper edge in ns, count), in microseconds."""
    wanted, passed = share * sum(count for _, count in histogram), 0
    for edge, count in sorted(histogram):
        passed += count
        if passed > wanted:
            return edge / 1e3
    return max(histogram)[0] / 1e3 if histogram else 0


def merge(results):
    """The results of processes that ran side by side, as one."""
    if len(results) == 1:
        return results[0]
    merged = dict(results[0])
    for key in SUMS:
        merged[key] = sum(r.get(key, 0) for r in results)
    begin = min(r["begin"] for r in results)
    last = max(r["begin"] + 1e9 * r["connected"] / r["rate"] for r in results if r["rate"] > 0)
    merged["wall"] = (last - begin) / 1e9
    merged["rate"] = merged["connected"] / merged["wall"]
    merged["load_busy"] = merged["load_cpu"] / merged["wall"]
    histogram = [pair for r in results for pair in r["histogram"]]
    for key, share in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999), ("max", 1)):
        merged[f"latency_{key}"] = percentile(histogram, share)
    merged["exit"] = max(r["exit"] for r in results)
    for key in ("lag_p50", "lag_p99", "lag_max"):
        if key in merged:
            merged[key] = max(r[key] for r in results)
    return merged
