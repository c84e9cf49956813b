"""peers — servers, each freshly started from its file in bench/peers

What the files say is in peers/README.md.
"""
import contextlib
import json
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

from .machine import CannotRun, bind_child, end, files_limit

HERE = pathlib.Path(__file__).resolve().parent.parent / "peers"
READY_SECONDS = 20
KEYS = {"command", "config", "ready", "version", "setup", "credentials", "enters", "cpus", "note",
        "tls"}


class Server:
    """One that runs: its process, its port, and the words of its file."""

    def __init__(self, name, peer, process, words):
        self.name, self.peer, self.process, self.words = name, peer, process, words
        self.pid, self.port = process.pid, words["port"]

    def credentials(self):
        text = self.peer.get("credentials")
        return text.format(**self.words) if text else None

    def cafile(self):
        """The authority behind its certificate; nothing: it speaks no TLS."""
        text = self.peer.get("tls")
        return text.format(**self.words) if text else None

    def enters(self):
        """Its own count of system calls, if it has one."""
        return self.stat("enters")

    def stat(self, key):
        """What it counts by itself, if it does."""
        if "enters" not in self.peer:
            return None
        done = subprocess.run(fill(self.peer["enters"], self.words), capture_output=True,
                              text=True, timeout=10, check=False)
        found = re.search(rf'"{key}":\s*(\d+)', done.stdout)
        return int(found.group(1)) if found else None


def names_of(options):
    against = {"none": [], "both": ["mosquitto", "floor"]}.get(options.against)
    if against is None:
        against = options.against.split(",")
    return list(dict.fromkeys([options.subject] + against))


def load(name):
    path = HERE / f"{name}.json"
    if not path.exists():
        raise CannotRun(f"no peer {name}: see {HERE}/README.md")
    peer = json.loads(path.read_text())
    for key in peer.keys() - KEYS:
        raise CannotRun(f"{path}: unknown key {key}; known are {', '.join(sorted(KEYS))}")
    for key in {"command", "ready"} - peer.keys():
        raise CannotRun(f"{path}: key {key} is missing")
    return peer


def fill(command, words):
    return [word.format(**words) for word in command]


def why_not(name, connections, options):
    """Why a peer cannot be measured with so many connections, or nothing."""
    peer = load(name)
    program = peer["command"][0].format(**words_of(None, 0, connections, options))
    if not shutil.which(program):
        return f"{program} is not there"
    if connections > files_limit() and not takes_many(peer):
        return f"holds at most RLIMIT_NOFILE connections, {files_limit()} here"
    return ""


def takes_many(peer):
    return any("{sessions}" in word for word in peer["command"])


def words_of(folder, port, connections, options):
    many = connections > files_limit()
    return {"folder": folder, "port": port, "build": options.build, "peers": HERE,
            "python": sys.executable, "cpu": options.server_cpu, "connections": connections,
            "cpus": f"{options.server_cpu},{options.load_cpu}", "config": f"{folder}/config",
            "sessions": connections + 64 if many else 0}


def version_of(name, options):
    words = load(name).get("version")
    if not words:
        return ""
    words = fill(words, words_of(None, 0, 0, options))
    if not shutil.which(words[0]):
        return ""
    done = subprocess.run(words, capture_output=True, text=True, timeout=10, check=False)
    return (done.stdout or done.stderr).split("\n")[0]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port):
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def is_ready(peer, port, log):
    if peer["ready"] == "listening":
        return any(line.startswith("listening") for line in log.read_text().splitlines())
    return answers(port)


def wait_ready(name, peer, process, port, log):
    until = time.monotonic() + READY_SECONDS
    while not is_ready(peer, port, log):
        if process.poll() is not None or time.monotonic() > until:
            raise CannotRun(f"{name} did not start:\n{log.read_text()[-500:]}")
        time.sleep(0.02)
    time.sleep(0.2)


def set_up(name, peer, words):
    if "config" in peer:
        text = (HERE / peer["config"]).read_text().replace("@PORT@", str(words["port"]))
        text = text.replace("@FOLDER@", str(words["folder"]))
        pathlib.Path(words["config"]).write_text(text)
    if "setup" in peer:
        done = subprocess.run(fill(peer["setup"], words), capture_output=True, text=True,
                              timeout=300, check=False)
        if done.returncode != 0:
            raise CannotRun(f"{name}, setup: {(done.stderr or done.stdout).strip()[-500:]}")


@contextlib.contextmanager
def server(name, connections, options):
    """A freshly started server for so many connections."""
    peer = load(name)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        words = words_of(folder, free_port(), connections, options)
        set_up(name, peer, words)
        log = pathlib.Path(folder) / "log"
        cpus = {options.server_cpu}
        if peer.get("cpus") == "both":
            cpus.add(options.load_cpu)
        with log.open("wb") as output:
            process = subprocess.Popen(fill(peer["command"], words), stdout=output, stderr=output,
                                       preexec_fn=bind_child(cpus))
        try:
            wait_ready(name, peer, process, words["port"], log)
            yield Server(name, peer, process, words)
        finally:
            end(process)
