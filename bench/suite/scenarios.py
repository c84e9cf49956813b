"""scenarios — every row there is: which load, with which settings, between whom

Why it is so:   a row is data. What it needs to be measured (measure.py), judged (judge.py) and
                shown (report.py) follows from its kind.
Words:          closed: closed loop, as fast as the window lets it. paced: by a plan of send times,
                from which latency is measured. held: connections, and then quiet.
"""
import dataclasses

EMQ_SCALE = 8       # the suite was run on 16 cores; the server here has one of two
PACED_WINDOW = 1000     # messages of one publisher under way: then the server cannot keep the pace
PING_SECONDS = 150      # half of the keep-alive


@dataclasses.dataclass
class Row:
    name: str
    load: str                   # scenario of bench_load
    kind: str                   # closed, paced, share, connect or held
    settings: dict
    peers: tuple = ()           # instead of those of --against
    seconds: int = 0            # at most, unless --seconds says otherwise
    rounds: int = 0             # at most, unless --rounds says otherwise


def closed(name, load, **settings):
    return Row(name, load, "closed", settings)


def goals():
    """The closed-loop rows that broker comparisons are made of."""
    rows = {}
    for name in ("fanin", "pairs", "fanout", "ingest"):
        rows[name] = [closed(name, name, qos=qos) for qos in (0, 1)]
    rows["connect"] = [Row("connect", "connect", "connect", {"count": count, "inflight": inflight})
                       for count, inflight in ((5000, 64), (10000, 256), (10000, 1024))]
    return rows


def payload_rows():
    """Windows shrink with 64 KiB, so that what is under way stays below 100 MB."""
    large = {"fanin": 4, "pairs": 1, "fanout": 1}
    rows = []
    for payload in (16, 4096, 65536):
        for name in ("fanin", "pairs", "fanout"):
            for qos in (0, 1):
                window = {"window": large[name]} if payload == 65536 else {}
                row = closed(name, name, qos=qos, payload=payload, **window)
                row.seconds = 2
                rows.append(row)
    return rows


def emq_flow(name, load, rate, **settings):
    common = {"qos": 1, "payload": 16} | settings
    return [Row(f"emq-{name}", load, "paced", common | {"rate": rate, "window": PACED_WINDOW}),
            Row(f"emq-{name}-max", load, "closed", common)]


def emq_connections(name, count, rate):
    """Latency from the planned time of each connect; saturating: 256 in flight."""
    paced = {"count": count, "rate": rate, "inflight": 65000, "ping": PING_SECONDS}
    return [Row(f"emq-{name}", "idle", "held", paced),
            Row(f"emq-{name}-max", "idle", "held", {"count": count, "rate": 0, "inflight": 256})]


def emq_rows():
    """The Open MQTT Benchmark Suite's basic and enterprise sets, each number divided by eight.

    Its fan-in uses a shared subscription, which MQTT 3.1.1 has not: here each consumer has a topic,
    and each publisher one of them. Its fan-out keeps its 1,000 subscribers, and its rate shrinks.
    """
    basic = [emq_connections("conn-tcp-1250-12", 1250, 12.5),
             emq_flow("p2p-125-125-125-125", "pairs", 125, count=125),
             emq_flow("fanout-1-125-1-125", "fanout", 1, count=125),
             emq_flow("sharedsub-125-1-125-125", "fanin", 125, count=125)]
    enterprise = [emq_connections("conn-tcp-125K-625", 125000, 625),
                  emq_flow("p2p-6250-6250-6250-6250", "pairs", 6250, count=6250),
                  emq_flow("fanout-5-1000-5-31K", "fanout", 31.25, count=1000, few=5),
                  emq_flow("sharedsub-6250-62-6250-6250", "fanin", 6250, count=6250, few=62)]
    return [row for pair in basic + enterprise for row in pair]


def latency_rows():
    """1,000 pairs: at a message a second each, and at 70 % of what the server can do."""
    rows = []
    for qos in (0, 1):
        common = {"count": 1000, "qos": qos, "window": PACED_WINDOW}
        rows.append(Row("latency-1-per-second", "pairs", "paced", common | {"rate": 1000}))
        rows.append(Row("latency-70-percent", "pairs", "share", common | {"share": 0.7}))
    return rows


def held(count, rounds=0):
    rate = 5000 if count <= 20000 else 10000
    return Row("idle", "idle", "held", {"count": count, "rate": rate, "ping": PING_SECONDS},
               rounds=rounds)


def platform_rows():
    """The same shape to both profiles: devices hear only the service, so nobody subscribes."""
    topic = "/bench/d######/user/update"
    pair = ("fleetmux-platform", "fleetmux")
    rows = [Row("platform-ingest", "ingest", "closed",
                {"count": count, "qos": qos, "topic": topic, "window": window}, pair)
            for count, window in ((50, 32), (1000, 4)) for qos in (0, 1)]
    rows.append(Row("platform-connect", "connect", "connect",
                    {"count": 10000, "inflight": 256, "topic": topic}, pair))
    return rows


def shard_rows():
    rows = []
    for name, qos in (("pairs", 0), ("pairs", 1), ("fanout", 0), ("ingest", 1)):
        row = closed(f"shards-{name}", name, qos=qos)
        row.peers = ("fleetmux-2", "fleetmux")
        rows.append(row)
    return rows


def tls_rows():
    """The same over TLS. Connections do not check the certificate: that is the load's time."""
    flow = ("fleetmux-tls", "fleetmux", "mosquitto-tls", "floor-tls")
    rows = {f"tls-{name}": [Row(f"tls-{name}", name, "closed", {"qos": qos, "tls": "1.3"}, flow)
                            for qos in (0, 1)] for name in ("fanin", "pairs")}
    rows["tls-connect"] = [tls_connect(*what) for what in (
        ("full", "1.3", 5000, {}), ("full", "1.2", 5000, {}),
        ("resumed", "1.3", 10000, {"tls-resume": True}),
        ("resumed", "1.2", 19000, {"tls-resume": True}),
        ("rsa-full", "1.2", 2000, {"tls-rsa": True}),
        ("rsa-resumed", "1.2", 19000, {"tls-rsa": True, "tls-resume": True}))]
    rows["tls-idle"] = [Row("tls-idle", "idle", "held",
                            {"count": count, "rate": 2000, "ping": PING_SECONDS, "tls": "1.3"},
                            peers, rounds=1)
                        for count, peers in ((19500, ("fleetmux-tls", "mosquitto-tls")),
                                             (20000, ("fleetmux-tls",)))]
    return rows


def tls_connect(name, version, count, more):
    key = "-rsa" if "tls-rsa" in more else ""
    peers = ("fleetmux-tls", f"floor-tls{key}", f"mosquitto-tls{key}")
    return Row(f"tls-connect-{name}", "connect", "connect",
               {"count": count, "inflight": 64, "tls": version, "cafile": False} | more, peers)


def catalogue():
    """Groups by name, in the order of `all`."""
    groups = goals()
    groups["idle"] = [held(10000)]
    groups["latency"] = latency_rows()
    groups["payloads"] = payload_rows()
    groups["emq"] = emq_rows()
    groups["platform"] = platform_rows()
    groups["shards"] = shard_rows()
    groups |= tls_rows()
    groups["idle-100k"] = [held(100000, rounds=1)]
    groups["idle-500k"] = [held(500000, rounds=1)]
    return groups


QUICK = ("fanin", "pairs", "fanout", "ingest", "connect", "idle", "latency")
FULL_ONLY = ("idle-500k", "micro")


def connections_of(row, settings):
    """How many sessions the row's server has to hold."""
    count = settings.get("count", {"fanin": 50, "ingest": 50, "pairs": 1000, "fanout": 1000,
                                   "connect": 5000, "idle": 10000}[row.load])
    few = settings.get("few", 1)
    return {"pairs": 2 * count, "fanin": count + few, "fanout": count + few}.get(row.load, count)
