"""What the Python scripts here share: a gateway of one's own, cases, and MQTT packets by the byte.

A script makes a Gateway, calls check() for each case and ends with finish(). A watchdog ends a
script that hangs. Only our own child is ever signalled.
"""
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import traceback

V31, V311, V5 = 3, 4, 5
VERSIONS = {V31: "3.1", V311: "3.1.1", V5: "5.0"}

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = 1, 2, 3, 4, 5, 6, 7
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT, AUTH = range(8, 16)

# For things that take a moment; sanitizers and busy machines are slower.
PATIENCE_S = float(os.environ.get("INTEROP_PATIENCE_S", "30"))
WATCHDOG_S = int(os.environ.get("INTEROP_WATCHDOG_S", "110"))

_counts = {"ok": 0, "failed": 0}
_gateways = []


# --- cases -------------------------------------------------------------------------------------

def short(value):
    text = repr(value)
    return text if len(text) <= 300 else text[:300] + "…"


def check(what, got, expected):
    good = got == expected
    _counts["ok" if good else "failed"] += 1
    print(f"ok {what}" if good else
          f"FAILED {what}: got {short(got)} expected {short(expected)}", flush=True)
    return good


def run_case(function, *arguments):
    """An exception fails the case and lets the others go on."""
    try:
        function(*arguments)
    except Exception as error:  # pylint: disable=broad-except
        where = traceback.extract_tb(error.__traceback__)[-1]
        mine = [frame for frame in traceback.extract_tb(error.__traceback__)
                if frame.filename == sys.argv[0]]
        where = mine[-1] if mine else where
        check(f"{function.__name__}{arguments}",
              f"{type(error).__name__}: {error} (line {where.lineno})", "no exception")


def finish():
    for gateway in _gateways:
        gateway.stop()
    print(f"{os.path.basename(sys.argv[0])}: {_counts['ok']} ok, {_counts['failed']} failed")
    sys.exit(0 if _counts["failed"] == 0 else 1)


def _on_watchdog(_signal, _frame):
    print(f"FAILED the script: got no end after {WATCHDOG_S} s expected an end", flush=True)
    traceback.print_stack(_frame)
    for gateway in _gateways:
        gateway.kill()
    os._exit(1)


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


def command():
    if len(sys.argv) < 2:
        sys.exit(f"usage: {sys.argv[0]} COMMAND")
    signal.signal(signal.SIGALRM, _on_watchdog)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    signal.alarm(WATCHDOG_S)
    return sys.argv[1]


# --- the gateway -------------------------------------------------------------------------------

class Gateway:
    def __init__(self, *flags, listen=("127.0.0.1:0",)):
        words = [command(), "gateway", "--shards", "2", "--log-level", "warn"]
        for address in listen:
            words += ["--listen", address]
        self.log = tempfile.TemporaryFile("w+")
        self.child = subprocess.Popen(words + list(flags), stdout=subprocess.PIPE,
                                      stderr=self.log, text=True)
        _gateways.append(self)
        line = self.child.stdout.readline()
        if not line.startswith("listening "):
            self.child.wait(PATIENCE_S)
            words = self.read_log().strip()
            if "io_uring" in words:
                skip(words)
            sys.exit(f"FAILED the gateway does not start: {words}")
        self.ports = [int(port) for port in re.findall(r":(\d+)(?:,| shards)", line)]
        self.port = self.ports[0]

    def read_log(self):
        # seek() would also move the child, which writes at the offset that we share
        return os.pread(self.log.fileno(), 1 << 26, 0).decode(errors="replace")

    def kill(self):
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()

    def crash(self):
        """SIGKILL; it is not stopped again."""
        self.kill()
        _gateways.remove(self)

    def stop(self):
        """SIGTERM; exit status and log are a case."""
        if self not in _gateways:
            return
        _gateways.remove(self)
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(2 * PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.kill()
        log = self.read_log()
        bad = [line for line in log.splitlines()
               if re.search("Sanitizer|runtime error|assert", line)]
        check("the gateway drains on SIGTERM, without a complaint",
              (self.child.returncode, bad[:3]), (0, []))

    def connections(self):
        """Sockets of our ports that are connected in any way."""
        count = 0
        for table in ("/proc/net/tcp", "/proc/net/tcp6"):
            if not os.path.exists(table):  # without IPv6
                continue
            with open(table, encoding="ascii") as lines:
                for line in list(lines)[1:]:
                    fields = line.split()
                    port = int(fields[1].rsplit(":", 1)[1], 16)
                    if port in self.ports and fields[3] not in ("0A", "06", "0C"):
                        count += 1
        return count

    def check_no_connections(self):
        wait_until(lambda: self.connections() == 0)
        check("no connection is left", self.connections(), 0)


def wait_until(condition, seconds=PATIENCE_S):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


# --- packets, out ------------------------------------------------------------------------------

def varint(number):
    out = b""
    while True:
        number, low = number >> 7, number & 127
        out += bytes([low | (128 if number else 0)])
        if not number:
            return out


def text(value):
    value = value.encode() if isinstance(value, str) else value
    return struct.pack("!H", len(value)) + value


def packet(kind, body=b"", flags=0):
    return bytes([kind << 4 | flags]) + varint(len(body)) + body


def props_of(version, props):
    return varint(len(props)) + props if version == V5 else b""


def connect(version=V311, client_id="", clean=True, keepalive=60, props=b"", will=None,
            username=None, password=None, flags=0):
    name = "MQIsdp" if version == V31 else "MQTT"
    flags |= 2 if clean else 0
    payload = text(client_id)
    if will is not None:
        flags |= 4
        payload += props_of(version, b"") + text(will[0]) + text(will[1])
    if username is not None:
        flags |= 0x80
        payload += text(username)
    if password is not None:
        flags |= 0x40
        payload += text(password)
    return packet(CONNECT, text(name) + bytes([version, flags]) + struct.pack("!H", keepalive) +
                  props_of(version, props) + payload)


def publish(version, topic, payload=b"", qos=0, packet_id=1, retain=False, dup=False, props=b""):
    identifier = struct.pack("!H", packet_id) if qos else b""
    payload = payload.encode() if isinstance(payload, str) else payload
    return packet(PUBLISH, text(topic) + identifier + props_of(version, props) + payload,
                  (8 if dup else 0) | qos << 1 | (1 if retain else 0))


def puback(packet_id):
    return packet(PUBACK, struct.pack("!H", packet_id))


def subscribe(version, *filters, packet_id=1, props=b""):
    """Each filter: (filter, options)."""
    body = struct.pack("!H", packet_id) + props_of(version, props)
    return packet(SUBSCRIBE, body + b"".join(text(f) + bytes([o]) for f, o in filters), 2)


def unsubscribe(version, *filters, packet_id=1):
    body = struct.pack("!H", packet_id) + props_of(version, b"")
    return packet(UNSUBSCRIBE, body + b"".join(text(f) for f in filters), 2)


def disconnect(version, reason=None, props=b""):
    if version < V5 or reason is None:
        return packet(DISCONNECT)
    return packet(DISCONNECT, bytes([reason]) + props_of(version, props))


PINGREQ_PACKET = packet(PINGREQ)
DISCONNECT_PACKET = packet(DISCONNECT)


# --- packets, in -------------------------------------------------------------------------------

_PROPERTY_FORMS = {1: "B", 2: "I", 3: "s", 8: "s", 9: "s", 11: "v", 17: "I", 18: "s", 19: "H",
                   21: "s", 22: "s", 23: "B", 24: "I", 25: "B", 26: "s", 28: "s", 31: "s",
                   33: "H", 34: "H", 35: "H", 36: "B", 37: "B", 38: "p", 39: "I", 40: "B",
                   41: "B", 42: "B"}


class Reader:
    def __init__(self, data):
        self.data = data

    def take(self, count):
        if count > len(self.data):
            raise ValueError("a packet ends before its fields do")
        out, self.data = self.data[:count], self.data[count:]
        return out

    def number(self, form):
        return struct.unpack("!" + form, self.take(struct.calcsize("!" + form)))[0]

    def string(self):
        return self.take(self.number("H"))

    def varint(self):
        value = shift = 0
        while True:
            byte = self.number("B")
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def props(self):
        """{identifier: value}, user properties as a list of pairs."""
        inner, out = Reader(self.take(self.varint())), {}
        while inner.data:
            key = inner.varint()
            form = _PROPERTY_FORMS[key]
            if form == "p":
                out.setdefault(key, []).append((inner.string(), inner.string()))
                continue
            if key in out:
                raise ValueError(f"property {key} stands twice")
            out[key] = (inner.string() if form == "s" else
                        inner.varint() if form == "v" else inner.number(form))
        return out


class Packet:
    """One packet from the gateway, taken apart; whatever is left over is an error."""

    def __init__(self, version, head, body):
        self.kind, self.flags, self.props, self.reason = head >> 4, head & 15, {}, 0
        reader = Reader(body)
        has_props = version == V5
        if self.kind == CONNACK:
            self.session_present, self.reason = reader.number("B"), reader.number("B")
            self.props = reader.props() if has_props else {}
        elif self.kind == PUBLISH:
            self.qos, self.dup, self.retain = self.flags >> 1 & 3, self.flags >> 3, self.flags & 1
            self.topic = reader.string().decode()
            self.packet_id = reader.number("H") if self.qos else 0
            self.props = reader.props() if has_props else {}
            self.payload = reader.take(len(reader.data))
        elif self.kind in (PUBACK, PUBREC, PUBREL, PUBCOMP):
            self.packet_id = reader.number("H")
            if has_props and reader.data:
                self.reason = reader.number("B")
                self.props = reader.props() if reader.data else {}
        elif self.kind in (SUBACK, UNSUBACK):
            self.packet_id = reader.number("H")
            self.props = reader.props() if has_props else {}
            self.codes = list(reader.take(len(reader.data)))
        elif self.kind == DISCONNECT and has_props and reader.data:
            self.reason = reader.number("B")
            self.props = reader.props() if reader.data else {}
        if reader.data:
            raise ValueError(f"packet {self.kind} has {len(reader.data)} bytes too many")


CLOSED = "closed"    # in order: FIN
RESET = "reset"
NOTHING = "nothing"  # within the time


class Client:
    """A socket that speaks MQTT by the byte."""

    def __init__(self, port, version=V311, host="127.0.0.1"):
        self.version, self.buffer = version, b""
        self.socket = socket.create_connection((host, port), timeout=PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, *data):
        self.socket.sendall(b"".join(data))
        return self

    def close(self):
        self.socket.close()

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _cut(self):
        """The next whole packet in the buffer, or None."""
        value = shift = 0
        for at in range(1, min(len(self.buffer), 5)):
            value |= (self.buffer[at] & 127) << shift
            shift += 7
            if self.buffer[at] < 128:
                end = at + 1 + value
                if len(self.buffer) < end:
                    return None
                head, body = self.buffer[0], self.buffer[at + 1:end]
                self.buffer = self.buffer[end:]
                return Packet(self.version, head, body)
        return None

    def next(self, seconds=PATIENCE_S):
        """A Packet, or CLOSED, RESET, NOTHING."""
        end = time.monotonic() + seconds
        while True:
            cut = self._cut()
            if cut is not None:
                return cut
            # what has come is read, however late we look
            self.socket.settimeout(max(end - time.monotonic(), 0.001))
            try:
                data = self.socket.recv(1 << 16)
            except socket.timeout:
                return NOTHING
            except (ConnectionResetError, BrokenPipeError):
                return RESET
            if not data:
                return CLOSED
            self.buffer += data

    def expect(self, kind, seconds=PATIENCE_S):
        got = self.next(seconds)
        if not isinstance(got, Packet) or got.kind != kind:
            words = got if isinstance(got, str) else f"packet {got.kind} reason {got.reason:#x}"
            raise AssertionError(f"{words} instead of packet {kind}")
        return got

    def ending(self, seconds=PATIENCE_S):
        """How it ends: what came in full, and how it was closed: e.g. ["disconnect 0x82", "closed"]"""
        out = []
        while True:
            got = self.next(seconds)
            if isinstance(got, str):
                return out + [got]
            name = {CONNACK: "connack", DISCONNECT: "disconnect"}.get(got.kind, f"packet {got.kind}")
            out.append(f"{name} {got.reason:#x}")

    def open(self, client_id="", **options):
        self.send(connect(self.version, client_id, **options))
        got = self.expect(CONNACK)
        if got.reason != 0:
            raise AssertionError(f"CONNACK {got.reason:#x}")
        return got

    def subscribe(self, *filters, packet_id=1):
        self.send(subscribe(self.version, *filters, packet_id=packet_id))
        return self.expect(SUBACK).codes

    def ping(self):
        """Everything sent before has been looked at when this returns True."""
        self.send(PINGREQ_PACKET)
        return self.expect(PINGRESP).kind == PINGRESP

    def messages(self, count, seconds=PATIENCE_S, ack=True):
        out = []
        while len(out) < count:
            got = self.next(seconds)
            if not isinstance(got, Packet):
                break
            if got.kind == PUBLISH:
                out.append(got)
                if got.qos and ack:
                    self.send(puback(got.packet_id))
        return out


def opened(port, version=V311, client_id="", **options):
    client = Client(port, version)
    if version == V31 and client_id == "":  # 3.1 has no empty ones
        client_id = f"anon-{id(client)}"
    client.open(client_id, **options)
    return client
