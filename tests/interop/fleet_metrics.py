#!/usr/bin/python3
"""fleet_metrics.py COMMAND: a run that is scraped and steered, over HTTP and over its Unix socket.

Why it is so:   what Prometheus refuses it refuses in silence, for the whole scrape. So the text is
                read here by a parser that is as strict as its format says, of runs with names that
                need escaping; and whoever sends nonsense must not disturb the run.
"""
import http.client
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from interop import (  # noqa: E402
    PATIENCE_S, Gateway, check, command, finish, run_case, wait_until)

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"')
UNITS = ("_seconds", "_bytes", "_ratio", "_info", "_total")
SCENARIO = """
name: "a \\"quoted\\" one\\\\"
groups:
  - name: 'me"ters'
    clients: 20
    target: 127.0.0.1:%d
    reconnect: 1s
    publish: {topic: "m/%%i", qos: 1, every: 100ms}
  - name: 'back\\slash'
    clients: 5
    target: 127.0.0.1:%d
    client_id: "other_%%i"
    subscribe: "m/+"
stages:
  - ramp: 100/s
  - hold: {for: 10m}
"""


# --- the format, strictly -----------------------------------------------------------------------

def unescape(value):
    return re.sub(r"\\(.)", lambda match: {"n": "\n"}.get(match[1], match[1]), value)


def parse_sample(line):
    name = NAME.match(line)
    assert name, line
    rest, labels = line[name.end():], {}
    if rest.startswith("{"):
        at = 1
        while True:
            label = LABEL.match(rest, at)
            assert label and label[1] not in labels, line
            labels[label[1]] = unescape(label[2])
            at = label.end()
            if rest[at] == "}":
                break
            assert rest[at] == ",", line
            at += 1
        rest = rest[at + 1:]
    assert re.fullmatch(r" (NaN|[+-]?Inf|-?[0-9.]+(e[+-]?[0-9]+)?)", rest), line
    return name[0], labels, float(rest)


def parse(text):
    """{family: (type, {(name, labels): value})}; an AssertionError names the line."""
    families, family = {}, None
    assert text.endswith("\n"), "no line end at the end"
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            name, words = line[7:].split(" ", 1)
            assert name not in families and NAME.fullmatch(name) and len(words) > 10, line
            family, families[name] = name, [None, {}]
        elif line.startswith("# TYPE "):
            name, kind = line[7:].split(" ")
            assert name == family and families[name] == [None, {}], line
            assert kind in ("counter", "gauge", "histogram", "summary"), line
            families[name][0] = kind
        else:
            name, labels, value = parse_sample(line)
            kind, samples = families[family]
            ends = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("", "_sum", "_count")}
            assert name in [family + end for end in ends.get(kind, ("",))], line
            assert ("le" in labels) == name.endswith("_bucket"), line
            assert "quantile" not in labels or kind == "summary", line
            key = (name, tuple(sorted(labels.items())))
            assert key not in samples, line
            samples[key] = value
    return families


def check_names(families):
    for name, (kind, samples) in families.items():
        assert kind, name + " has no type"
        assert name.startswith("fleetmux_"), name
        assert name.endswith("_total") == (kind == "counter"), name
        assert not re.search(r"_(ns|ms|us|milli|micro|kib|mib|percent)(_|$)", name), name
        if kind in ("histogram", "summary"):
            assert name.endswith("_seconds"), name
        if kind == "histogram":
            counts = [value for (key, _), value in samples.items() if key.endswith("_bucket")]
            assert counts == sorted(counts), name + ": buckets fall"
            assert counts[-1] == samples[(name + "_count", ())], name


def falls(before, after):
    """What must grow and does not."""
    bad = []
    for name, (kind, samples) in before.items():
        if kind == "counter" or kind == "histogram":
            bad += [key for key, value in samples.items()
                    if after[name][1].get(key, -1) < value]
    return bad


# --- a run ---------------------------------------------------------------------------------------

class Run:
    def __init__(self, folder, *words, port=0):
        self.control = os.path.join(folder, "control")
        self.log = open(os.path.join(folder, "err"), "w+", encoding="utf-8")
        self.child = subprocess.Popen(
            [command(), "fleet", *words, "--metrics", str(port), "--control", self.control],
            stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.child.stdout.readline()  # "ready …"
        self.port = int(re.search(r"http://127\.0\.0\.1:(\d+)/metrics", self.said())[1])

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def ask(self, method, path, body=None, headers=None):
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        link.request(method, path, body, headers or {})
        answer = link.getresponse()
        text = answer.read().decode()
        link.close()
        return answer, text

    def status(self, *words, **more):
        return self.ask(*words, **more)[0].status

    def scrape(self):
        return parse(self.ask("GET", "/metrics")[1])

    def value(self, name, **labels):
        samples = self.scrape()[name][1]
        return sum(value for (_, had), value in samples.items()
                   if set(labels.items()) <= set(had))

    def lines(self, *lines):
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(PATIENCE_S)
            link.connect(self.control)
            link.sendall(b"".join(line + b"\n" for line in lines))
            link.shutdown(socket.SHUT_WR)
            got = b""
            while data := link.recv(65536):
                got += data
        return [json.loads(line) for line in got.splitlines()]

    def ctl(self, *words):
        done = subprocess.run([command(), "fleet", "ctl", "--control", self.control, *words],
                              capture_output=True, text=True, timeout=40, check=False)
        return done.returncode, (done.stdout + done.stderr).strip()

    def end(self):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGINT)
        self.child.wait(30)
        bad = re.findall("Sanitizer.*|runtime error.*|assert.*", self.said())
        check("the run ends without a complaint", bad[:3], [])
        return self.child.returncode


def the_text_is_well_formed(run):
    answer, text = run.ask("GET", "/metrics")
    check("its type", answer.getheader("Content-Type"),
          "text/plain; version=0.0.4; charset=utf-8")
    before = parse(text)
    check_names(before)
    groups = {dict(labels)["group"] for (_, labels) in before["fleetmux_fleet_clients"][1]}
    check("names are escaped", groups, {'me"ters', "back\\slash"})
    check("so is the scenario's", [dict(labels)["scenario"] for (_, labels) in
                                   before["fleetmux_fleet_info"][1]], ['a "quoted" one\\'])
    check("25 clients in one state or another", run.value("fleetmux_fleet_clients"), 25)
    sent = run.value("fleetmux_fleet_publishes_sent_total", group='me"ters')
    check("messages go on", wait_until(lambda: run.value(
        "fleetmux_fleet_publishes_sent_total", group='me"ters') > sent), True)
    after = run.scrape()
    check("the same families", sorted(after), sorted(before))
    check("nothing that grows falls", falls(before, after), [])
    check("HEAD has no body", run.ask("HEAD", "/metrics")[1], "")


def many_scrape_at_once(run):
    bad = []

    def scrape():
        try:
            before = run.scrape()
            for _ in range(5):
                after = run.scrape()
                bad.extend(falls(before, after))
                before = after
        except Exception as error:  # pylint: disable=broad-except
            bad.append(repr(error))

    threads = [threading.Thread(target=scrape) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check("eight scrape at once", bad, [])


def requests_that_are_wrong(run):
    rows = [("GET", "/nothing", None, 404), ("GET", "/rate", None, 405),
            ("PUT", "/metrics", "x", 405), ("DELETE", "/", None, 405),
            ("POST", "/metrics", "", 405), ("POST", "/rate", "", 400),
            ("POST", "/rate", "x", 400), ("POST", "/rate", "-1", 400),
            ("POST", "/rate", "1e9", 400), ("POST", "/rate", "2\0", 400),
            ("POST", "/rate?value=2", "3", 400), ("POST", "/storm", "0", 400),
            ("POST", "/storm", "101%", 400), ("POST", "/pause", "now", 400),
            ("POST", "/rate", "1" * 2000, 413)]
    for method, path, body, wanted in rows:
        answer, text = run.ask(method, path, body)
        check(f"{method} {path} {(body or '')[:8]!r}", answer.status, wanted)
        check("and it is said in words", len(text) > 10 or method == "HEAD", True)
    check("a web page does not steer",
          run.status("POST", "/pause", headers={"Origin": "http://example.com"}), 403)
    for raw in (b"\0\1\2\3", b"GET /metrics\r\n", b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 9000,
                b"POST /rate HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"1000\r\n" + b"1" * 4096 + b"\r\n0\r\n\r\n", b"GET /"):
        with socket.create_connection(("127.0.0.1", run.port), 10) as link:
            try:
                link.sendall(raw)
                link.shutdown(socket.SHUT_WR)
                link.settimeout(1)  # it may wait for more, but we do not
                link.recv(100)
            except OSError:
                pass
    check("it answers as before", run.status("GET", "/"), 200)
    check("and nobody has steered", run.value("fleetmux_fleet_rate_ratio"), 1)


def steering_takes_effect(run):
    check("rate", run.status("POST", "/rate", body="2"), 202)
    check("is in force", wait_until(lambda: run.value("fleetmux_fleet_rate_ratio") == 2), True)
    check("in the query", run.status("POST", "/rate?value=50%25"), 202)
    check("is in force", wait_until(lambda: run.value("fleetmux_fleet_rate_ratio") == 0.5), True)
    check("in a form", run.status("POST", "/rate", body="value=100%25"), 202)
    check("is in force", wait_until(lambda: run.value("fleetmux_fleet_rate_ratio") == 1), True)
    check("pause", run.status("POST", "/pause"), 202)
    check("is in force",
          wait_until(lambda: run.value("fleetmux_fleet_state", state="paused") == 1), True)
    check("resume", run.status("POST", "/resume"), 202)
    check("is in force",
          wait_until(lambda: run.value("fleetmux_fleet_state", state="running") == 1), True)
    check("storm", run.status("POST", "/storm", body="100%"), 202)
    check("somebody leaves",
          wait_until(lambda: run.value("fleetmux_fleet_leaves_total") > 0), True)
    state = json.loads(run.ask("GET", "/status")[1])
    check("status", (state["fleet"], state["state"], state["rate"]), ("run", "running", 1))


def the_socket_has_the_same(run):
    check("its mode", stat.S_IMODE(os.stat(run.control).st_mode), 0o600)
    answers = run.lines(
        b'{"id":1,"do":"status"}', b'{"id":"a","do":"rate","value":3}', b"", b"{", b"[]",
        b'{"do":"rate"}', b'{"do":"rate","value":"x"}', b'{"do":"rate","value":[]}',
        b'{"do":"storm","value":1.5}', b'{"do":"strom"}', b'{"do":"status","value":1}',
        b'{"do":"' + b"x" * 63 + "\u00fc".encode() + b'"}', # is quoted, and cut within a letter
        b'{"do":"pause","now":1}', b'{"do":"pause","value":2}', b'{"do":"resume"}',
        b'{"id":"' + b"x" * 300 + b'","do":"status"}')
    check("each line has its answer", [answer["ok"] for answer in answers],
          [True, True] + [False] * 11 + [True, False])
    check("with its id", [answer["id"] for answer in answers[:3]], [1, "a", None])
    check("errors name the field", [re.match("(line|field [a-z]+): ", answer["error"]) is not None
                                    for answer in answers if not answer["ok"]], [True] * 12)
    check("what the status has", {"state", "clients", "messages", "recent", "verdict"}
          <= set(answers[0]), True)
    check("rate is in force", wait_until(lambda: run.value("fleetmux_fleet_rate_ratio") == 3), True)
    check("a line that is too long", run.lines(b"x" * 5000)[0]["error"],
          "line: is longer than 4,096 bytes")
    check("ctl rate", run.ctl("rate", "1"), (0, ""))
    check("is in force", wait_until(lambda: run.value("fleetmux_fleet_rate_ratio") == 1), True)
    check("ctl status", [re.search("^state +running", run.ctl("status")[1], re.M) is not None,
                         json.loads(run.ctl("status", "--json")[1])["ok"]], [True, True])
    check("ctl storm 2", run.ctl("storm", "2")[0], 1)
    check("ctl strom", "did you mean 'storm'?" in run.ctl("strom", "2")[1], True)
    links = [socket.socket(socket.AF_UNIX) for _ in range(20)]
    for link in links:
        link.connect(run.control)
    check("a 17th connection is told to go", b"close one" in links[-1].recv(200), True)
    for link in links:
        link.close()
    check("and then there is room", wait_until(lambda: run.ctl("status")[0] == 0), True)


def the_end_with_somebody_there(run):
    idle = [socket.create_connection(("127.0.0.1", run.port), 10) for _ in range(3)]
    idle[0].sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    idle[1].sendall(b"POST /rate HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1")
    waiting = socket.socket(socket.AF_UNIX)
    waiting.connect(run.control)
    check("ctl stop", run.ctl("stop"), (0, ""))
    run.child.wait(30)
    check("the run ends like one that was interrupted", run.end(), 4)
    check("the socket's name is gone", os.path.exists(run.control), False)
    for link in idle + [waiting]:
        link.close()


def what_cannot_be_served(gateway, folder):
    def start(*words):
        return subprocess.run([command(), "fleet", "conn", "-h", "127.0.0.1", "-p",
                               str(gateway.port), "-c", "1", "--duration", "1", *words],
                              capture_output=True, text=True, timeout=30, check=False)

    for bad in ("x", "1.2.3.4", "127.0.0.1:70000", "1:2:3:4", "[::1:80", "example.com:80", ":", ""):
        check(f"--metrics '{bad}'", start("--metrics", bad).returncode, 1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = start("--metrics", str(taken.getsockname()[1]))
    check("a port that is taken", (done.returncode, "Address already in use" in done.stderr),
          (5, True))
    check("a name that is too long", start("--control", "/tmp/" + "x" * 200).returncode, 1)
    file = os.path.join(folder, "file")
    open(file, "w", encoding="utf-8").close()
    done = start("--control", file)
    check("a file that is no socket", (done.returncode, "is no socket" in done.stderr), (5, True))
    check("no fleet there", subprocess.run(
        [command(), "fleet", "ctl", "--control", os.path.join(folder, "none"), "status"],
        capture_output=True, check=False).returncode, 7)


def main():
    gateway = Gateway()
    with tempfile.TemporaryDirectory() as folder:
        scenario = os.path.join(folder, "scenario.yaml")
        with open(scenario, "w", encoding="utf-8") as file:
            file.write(SCENARIO % (gateway.port, gateway.port))
        run = Run(folder, "run", scenario)
        for case in (the_text_is_well_formed, many_scrape_at_once, requests_that_are_wrong,
                     steering_takes_effect, the_socket_has_the_same, the_end_with_somebody_there):
            run_case(case, run)
        if run.child.poll() is None:
            run.end()
        run_case(what_cannot_be_served, gateway, folder)
    finish()


main()
