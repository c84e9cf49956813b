"""What the platform_….py scripts stand on: a gateway of profile platform with its registry, control
socket and events, and devices that sign by themselves (Python's hmac, none of our C code).
"""
import hmac
import itertools
import json
import subprocess
import time

import interop
from interop import *  # pylint: disable=wildcard-import,unused-wildcard-import

# Cases that fail because the gateway differs from the document: what → why. They are printed and
# not counted. A case that passes again is to be taken off.
KNOWN = {}

PK = "pk"          # with the limits of the profile
FREE = "free"      # without rates, for what is not about them
RATE = "rate"      # whose limits are changed while the gateway runs
PRODUCT_SECRET = "prodsecret"
TIMESTAMP = "2524608000000"
DEVICES = {PK: 900, FREE: 300, RATE: 100}

_numbers = {product: itertools.count() for product in DEVICES}
_children = []


def check(what, got, expected):
    if what in KNOWN and got != expected:
        print(f"known {what}: got {interop.short(got)} expected {interop.short(expected)}: "
              f"{KNOWN[what]}", flush=True)
        return False
    if what in KNOWN:
        print(f"note: {what} passes: take it off KNOWN")
    return interop.check(what, got, expected)


def fresh(product=PK):
    """A device that nobody has used."""
    number = next(_numbers[product])
    assert number < DEVICES[product], f"product {product} has no device {number}"
    return f"d{number:03}"


def secret_of(name):
    return f"secret-of-{name}"


# --- signing -------------------------------------------------------------------------------------

def hmac_hex(secret, content, method="hmacsha256"):
    """Upper case, as C SDKs send it."""
    return hmac.new(secret.encode(), content.encode(), method[4:]).hexdigest().upper()


def signature(pk, name, secret, logical, timestamp=None, method="hmacsha256"):
    content = f"clientId{logical}deviceName{name}productKey{pk}"
    return hmac_hex(secret, content + (f"timestamp{timestamp}" if timestamp else ""), method)


# --- a gateway -----------------------------------------------------------------------------------

class Platform(Gateway):
    def __init__(self, folder, name, *flags):
        self.folder, self.name = folder, name
        self.control, self.events_file = f"{folder}/{name}.sock", f"{folder}/{name}.events"
        self._events, self._read, self._half = [], 0, b""
        super().__init__("--profile", "platform", "--registry", f"{folder}/registry",
                         "--control", self.control, "--events", self.events_file, *flags)

    # the command line

    def later(self, *words, payload=b""):
        """A ctl that runs beside us; done() reads what it says."""
        child = subprocess.Popen([command(), "ctl", "--control", self.control, "--json", *words],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE)
        _children.append(child)
        child.stdin.write(payload)
        child.stdin.close()
        child.stdin = None
        return child

    def ctl(self, *words, payload=b""):
        return done(self.later(*words, payload=payload))

    def publish(self, device, topic, payload=b"", qos=0, *words):
        """How it was delivered."""
        status, answer = self.ctl("publish", f"{device.pk}/{device.name}", "--topic", topic,
                                  "-q", str(qos), *words, payload=payload)
        return answer.get("delivery", f"status {status} {answer}")

    def limits(self, *words):
        status, answer = self.ctl("limits", *words)
        if status != 0:
            raise AssertionError(f"ctl limits {words}: {answer}")
        self.ctl("devices")  # asks every shard: after this they all have it
        return answer["limits"]

    def stats(self):
        return self.ctl("stats")[1]["stats"]

    # what its service hears

    def events(self):
        with open(self.events_file, "rb") as lines:  # may end anywhere, also within a character
            lines.seek(self._read)
            whole = self._half + lines.read()
            self._read = lines.tell()
        *full, self._half = whole.split(b"\n")
        self._events += [json.loads(line) for line in full]
        return self._events

    def wait_event(self, seconds=PATIENCE_S, **fields):
        """The first event with these fields, or None."""
        found = []

        def look():
            found[:] = [event for event in self.events()
                        if all(event.get(key) == value for key, value in fields.items())]
            return found
        wait_until(look, seconds)
        return found[0] if found else None

    def heard(self, device):
        """Messages of this device that the service has heard, without the marker of this call."""
        marker = f"marker {time.monotonic_ns()}"
        device.send(publish(device.version, device.topic("update"), marker))
        if self.wait_event(type="message", deviceName=device.name, payload=marker) is None:
            raise AssertionError("the marker was not heard")
        return [event for event in self.events() if event["type"] == "message" and
                event["deviceName"] == device.name and event["productKey"] == device.pk and
                not event.get("payload", "").startswith("marker ")]


def done(child):
    """(exit status, answer) of a ctl."""
    out, errors = child.communicate(timeout=3 * PATIENCE_S)
    _children.remove(child)
    return child.returncode, json.loads(out.split(b"\n")[0]) if out.strip() else {"stderr": errors.decode()}


def end_children():
    for child in _children:
        child.kill()
        child.wait()


class Tally:
    """What counters have grown by since."""

    def __init__(self, gateway):
        self.gateway, self.before = gateway, gateway.stats()

    def renew(self):
        self.before = self.gateway.stats()

    def grown(self, **wanted):
        """As much as is wanted, or what there is after a while."""
        got = {}

        now = self.before

        def is_there():
            nonlocal now
            now = self.gateway.stats()
            got.update({name: now[name] - self.before[name] for name in wanted})
            # others, which just left, are counted there too
            if got.get("closed_peer", 0) > wanted.get("closed_peer", 0):
                got["closed_peer"] = wanted["closed_peer"]
            return got == wanted
        wait_until(is_there)
        self.before = now
        return got


# --- a device ------------------------------------------------------------------------------------

class Device(Client):
    """One that can sign. What it receives keeps its bytes, in .raw; aliases are resolved."""

    def __init__(self, gateway, version=V311, name=None, pk=PK):
        super().__init__(gateway.port, version)
        self.gateway, self.pk = gateway, pk
        self.name = fresh(pk) if name is None else name
        self.aliases = {}

    def topic(self, rest):
        return f"/{self.pk}/{self.name}/user/{rest}"

    def sys(self, rest):
        return f"/sys/{self.pk}/{self.name}/{rest}"

    def own(self, form):
        return form.replace("PK", self.pk).replace("DN", self.name)

    def credentials(self, logical=None, options="securemode=3", method="hmacsha256",
                    timestamp=TIMESTAMP, secret=None):
        """(client id, user name, password)"""
        logical = f"{self.pk}.{self.name}" if logical is None else logical
        words = [f"signmethod={method}"] if method is not None else []
        words += [f"timestamp={timestamp}"] if timestamp is not None else []
        words += [options] if options else []
        secret = secret_of(self.name) if secret is None else secret
        password = signature(self.pk, self.name, secret, logical, timestamp, method or "hmacmd5")
        return f"{logical}|{','.join(words)}|", f"{self.name}&{self.pk}", password

    def connect_as(self, client_id, username, password, **terms):
        self.send(connect(self.version, client_id, username=username, password=password, **terms))
        return self

    # silent ones are there for as long as a hundred calls of ctl take
    def login(self, options="securemode=3", clean=True, keepalive=1200, props=b"", will=None,
              flags=0, **signing):
        """Signs on and returns CONNACK; anything but 0 is an exception."""
        self.connect_as(*self.credentials(options=options, **signing), clean=clean,
                        keepalive=keepalive, props=props, will=will, flags=flags)
        got = self.expect(CONNACK)
        if got.reason != 0:
            raise AssertionError(f"CONNACK {got.reason:#x} {got.props.get(31, b'').decode()}")
        return got

    def _cut(self):
        before = self.buffer
        got = super()._cut()
        if got is not None:
            got.raw = before[:len(before) - len(self.buffer)]
            if got.kind == PUBLISH and 35 in got.props:
                got.was_aliased = got.topic == ""
                self.aliases[got.props[35]] = got.topic or self.aliases[got.props[35]]
                got.topic = self.aliases[got.props[35]]
        return got

    def say(self, topic, payload=b"", qos=1, packet_id=1, props=b"", **more):
        """Publishes, and returns the reason of its PUBACK at QoS 1."""
        self.send(publish(self.version, topic, payload, qos, packet_id, props=props, **more))
        return self.expect(PUBACK).reason if qos else None

    def answer(self):
        """How a CONNECT went: as ending(), or ["connack 0x0"] if it went well."""
        got = self.next()
        if isinstance(got, Packet) and got.kind == CONNACK and got.reason == 0:
            return ["connack 0x0"]
        if isinstance(got, str):
            return [got]
        self.refusal = got
        return [f"connack {got.reason:#x}"] + self.ending()

    def leave(self):
        """DISCONNECT, and the gateway has seen it."""
        self.send(DISCONNECT_PACKET)
        self.ending()
        self.close()


def device(gateway, version=V311, name=None, pk=PK, **terms):
    """One that is there."""
    made = Device(gateway, version, name, pk)
    made.login(**terms)
    return made


def by_version(version, old, new):
    return new if version == V5 else old


def prop(identifier, value):
    """A property of MQTT 5.0 by its form."""
    form = interop._PROPERTY_FORMS[identifier]  # pylint: disable=protected-access
    if form == "p":
        return bytes([identifier]) + text(value[0]) + text(value[1])
    if form == "s":
        return bytes([identifier]) + text(value)
    return bytes([identifier]) + struct.pack("!" + form, value)


def users(*pairs):
    return b"".join(prop(38, pair) for pair in pairs)
