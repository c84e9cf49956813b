#!/usr/bin/python3
"""paho.py COMMAND: paho-mqtt of Debian (3.1, 3.1.1, 5.0) against the gateway, and what paho cannot
be made to do (withhold a PUBACK, send an alias of its own) by the byte.
"""
import os
import queue
import select
import socket
import struct
import sys
import threading
import time

sys.dont_write_bytecode = True
# This file has the name of paho's package: look for that one elsewhere.
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path = [path for path in sys.path if os.path.abspath(path or ".") != HERE]
try:
    import paho.mqtt.client as mqtt
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties
    from paho.mqtt.subscribeoptions import SubscribeOptions
except ImportError as error:
    print(f"skipped: {error}; apt install python3-paho-mqtt")
    sys.exit(77)
sys.path.insert(0, HERE)
from interop import *  # pylint: disable=wildcard-import,unused-wildcard-import,wrong-import-position

command()
gateway = Gateway("--receive-max", "100", "--topic-alias-max", "10", "--packet-bytes-max", "65536",
                  "--session-expiry-max-s", "3600")
PORT = gateway.port


class Paho:
    """A paho client in its own thread; what happens lies in queues."""

    def __init__(self, version, client_id="", clean=True, props=None, keepalive=60, will=None,
                 user=None, port=PORT):
        self.version, self.messages, self.events = version, queue.Queue(), queue.Queue()
        options = {} if version == V5 else {"clean_session": clean or client_id == ""}
        if version == V31 and client_id == "":
            client_id = f"anon-{id(self)}"
        self.client = mqtt.Client(client_id, protocol=version, reconnect_on_failure=False, **options)
        self.client.on_message = lambda _c, _u, message: self.messages.put(message)
        self.client.on_connect = lambda _c, _u, flags, reason, props=None: \
            self.events.put(("connect", value(reason), flags["session present"], props))
        self.client.on_disconnect = lambda _c, _u, reason, props=None: \
            self.events.put(("disconnect", value(reason), None, props))
        self.client.on_subscribe = lambda _c, _u, mid, codes, props=None: \
            self.events.put(("subscribe", [value(code) for code in codes], mid, props))
        self.client.on_unsubscribe = lambda _c, _u, mid, props=None, codes=None: \
            self.events.put(("unsubscribe", codes, mid, props))
        self.published = {}
        if will:
            self.client.will_set(*will)
        if user:
            self.client.username_pw_set(*user)
        more = {"clean_start": clean, "properties": props} if version == V5 else {}
        self.client.connect("127.0.0.1", port, keepalive, **more)
        self.client.loop_start()
        self.connack = self.event("connect")

    def event(self, kind, seconds=PATIENCE_S):
        end = time.monotonic() + seconds
        while True:
            try:
                got = self.events.get(timeout=max(0.001, end - time.monotonic()))
            except queue.Empty:
                return (kind, "nothing", None, None)
            if got[0] == kind:
                return got

    def subscribe(self, topic, qos=0, **options):
        if self.version == V5 and isinstance(topic, str):
            self.client.subscribe(topic, options=SubscribeOptions(qos, **options))
        elif self.version == V5:
            self.client.subscribe([(t, SubscribeOptions(q)) for t, q in topic])
        else:
            self.client.subscribe(topic, qos) if isinstance(topic, str) else \
                self.client.subscribe(topic)
        return self.event("subscribe")[1]

    def publish(self, topic, payload=b"", qos=0, retain=False, **props):
        properties = None
        if props:
            properties = Properties(PacketTypes.PUBLISH)
            for name, content in props.items():
                setattr(properties, name, content)
        info = self.client.publish(topic, payload, qos, retain, properties)
        if qos < 2:
            info.wait_for_publish(PATIENCE_S)
        return info

    def received(self, count, seconds=PATIENCE_S):
        out, end = [], time.monotonic() + seconds
        while len(out) < count:
            try:
                out.append(self.messages.get(timeout=max(0.001, end - time.monotonic())))
            except queue.Empty:
                break
        return out

    def leave(self):
        self.client.disconnect()
        self.client.loop_stop()

    def die(self):
        """The connection goes without DISCONNECT."""
        self.client.loop_stop()
        self.client._sock.close()  # pylint: disable=protected-access


def value(reason):
    return reason.value if hasattr(reason, "value") else reason


def named(version, what):
    return f"{VERSIONS[version]}: {what}"


def texts(messages):
    return [message.payload.decode() for message in messages]


def connack_properties():
    paho = Paho(V5)
    props = paho.connack[3]
    got = {name: getattr(props, name, None) for name in (
        "MaximumQoS", "ReceiveMaximum", "MaximumPacketSize", "TopicAliasMaximum",
        "SubscriptionIdentifierAvailable", "SharedSubscriptionAvailable",
        "WildcardSubscriptionAvailable", "ServerKeepAlive", "SessionExpiryInterval")}
    check("5.0: CONNACK announces the gateway's limits and nothing beyond", got, {
        "MaximumQoS": 1, "ReceiveMaximum": 100, "MaximumPacketSize": 65536,
        "TopicAliasMaximum": 10, "SubscriptionIdentifierAvailable": 0,
        "SharedSubscriptionAvailable": 0, "WildcardSubscriptionAvailable": None,
        "ServerKeepAlive": None, "SessionExpiryInterval": None})
    assigned = getattr(props, "AssignedClientIdentifier", "")
    other = Paho(V5)
    second = getattr(other.connack[3], "AssignedClientIdentifier", "")
    check(f"5.0: an empty client id is assigned one: {assigned}",
          len(assigned) > 8 and assigned != second and second != "", True)
    paho.leave()
    other.leave()
    wanted = Properties(PacketTypes.CONNECT)
    wanted.SessionExpiryInterval = 86400
    wanted.UserProperty = ("key", "value")
    wanted.RequestProblemInformation = 0
    paho = Paho(V5, "limits", props=wanted)
    check("5.0: session expiry is lowered to the maximum and that is announced",
          getattr(paho.connack[3], "SessionExpiryInterval", None), 3600)
    check("5.0: no id is assigned to one that has one",
          getattr(paho.connack[3], "AssignedClientIdentifier", None), None)
    paho.leave()


def keepalive_bounds():
    bounded = Gateway("--keepalive-min-s", "10", "--keepalive-max-s", "100")
    paho = Paho(V5, keepalive=1000, port=bounded.port)
    check("5.0: a keep-alive above the maximum is lowered and announced",
          getattr(paho.connack[3], "ServerKeepAlive", None), 100)
    paho.leave()
    for version in VERSIONS:
        with Client(bounded.port, version) as client:
            client.send(connect(version, "short", keepalive=5))
            check(named(version, "a keep-alive below the minimum is refused"), client.ending(),
                  ["connack 0x82" if version == V5 else "connack 0x2", "closed"])
    bounded.stop()


def is_served(client):
    """It answers, perhaps behind a CONNACK."""
    client.send(PINGREQ_PACKET)
    got = client.next()
    while isinstance(got, Packet) and got.kind == CONNACK and got.reason == 0:
        got = client.next()
    return isinstance(got, Packet) and got.kind == PINGRESP


def taken_over(version):
    for clean in (True, False):
        first = Paho(version, f"twin-{version}-{clean}", clean)
        first.subscribe("twin/#", 1)
        second = Paho(version, f"twin-{version}-{clean}", clean)
        got = first.event("disconnect")
        reason = 0x8e if version == V5 else "closed"
        check(named(version, f"a second connection takes over, clean {clean}"),
              got[1] if version == V5 else "closed" if got[1] not in ("nothing", 0) else got[1],
              reason)
        check(named(version, f"the second is served, clean {clean}"),
              (second.connack[1], second.subscribe("twin/again", 1)), (0, [1]))
        first.client.loop_stop()
        second.leave()
    # Ten at once: exactly one is left, and it is served.
    many = [Client(PORT, version) for _ in range(10)]
    for client in many:
        client.send(connect(version, f"race-{version}"))
    ended = []

    def nine_ended():
        ended.extend(client for client in many if client not in ended and
                     client.ending(0.01)[-1] in (CLOSED, RESET))
        return len(ended) >= 9
    wait_until(nine_ended)
    left = [client for client in many if client not in ended]
    check(named(version, "of ten connections with one id one is left"),
          (len(left), [is_served(client) for client in left]), (1, [True]))
    for client in many:
        client.close()


def session_present(version):
    expiry = None
    if version == V5:
        expiry = Properties(PacketTypes.CONNECT)
        expiry.SessionExpiryInterval = 60
    present = 0 if version == V31 else 1  # 3.1 has no such bit
    name = f"present-{version}"
    first = Paho(version, name, False, expiry)
    check(named(version, "no session is present at first"), first.connack[1:3], (0, 0))
    first.subscribe("present/#", 1)
    first.leave()
    again = Paho(version, name, False, expiry)
    check(named(version, "the session is present when its client comes back"), again.connack[2],
          present)
    publisher = Paho(version)
    publisher.publish("present/x", "kept", 1)
    check(named(version, "its subscription is there"), texts(again.received(1)), ["kept"])
    again.die()
    publisher.publish("present/x", "while away", 1)
    clean = Paho(version, name, True, expiry)
    check(named(version, "clean start: no session is present"), clean.connack[2], 0)
    check(named(version, "clean start: nothing is delivered"), texts(clean.received(1, 0.3)), [])
    clean.leave()
    publisher.leave()


def keepalive_timeout(version):
    clients = []
    for seconds in (1, 2):
        began = time.monotonic()
        client = opened(PORT, version, f"silent-{version}-{seconds}", keepalive=seconds)
        clients.append((seconds, client, began))
    began = time.monotonic()
    lively = opened(PORT, version, f"lively-{version}", keepalive=4)  # without pings it ends after 6
    while time.monotonic() - began < 7 or (clients and time.monotonic() - began < PATIENCE_S):
        time.sleep(0.3)
        lively.ping()
        for entry in list(clients):
            seconds, client, since = entry
            if not select.select([client.socket], [], [], 0)[0]:
                continue
            took = time.monotonic() - since
            clients.remove(entry)
            expected = ["disconnect 0x8d", "closed"] if version == V5 else ["closed"]
            check(named(version, f"silent for 1.5 × {seconds} s (noticed after {took:.1f} s)"),
                  (client.ending(), 1.5 * seconds - 0.1 <= took), (expected, True))
    check(named(version, "every silent client was closed"), [s for s, _, _ in clients], [])
    check(named(version, "one that pings in time stays"), lively.ping(), True)
    lively.close()


def receive_maximum():
    """Towards a client that allows two: two, and one more for each PUBACK, in order."""
    for away in (False, True):
        client = Client(PORT, V5)
        expiry = b"\x11\0\0\0\x3c"
        client.open(f"window-{away}", clean=False, props=b"\x21\0\2" + expiry)
        client.subscribe((f"window/{away}", 1))
        if away:
            client.send(DISCONNECT_PACKET)
            client.ending()
            client.close()
        publisher = Paho(V5)
        for number in range(10):
            publisher.publish(f"window/{away}", str(number), 1)
        publisher.leave()
        if away:
            client = Client(PORT, V5)
            client.open(f"window-{away}", clean=False, props=b"\x21\0\2" + expiry)
        got = client.messages(2, ack=False) + client.messages(1, 0.5, ack=False)
        words = "stored messages" if away else "live messages"
        check(f"5.0: Receive Maximum 2, {words}: two without a PUBACK", len(got), 2)
        while 2 <= len(got) < 10:
            client.send(puback(got[len(got) - 2].packet_id))
            more = client.messages(1, ack=False)
            if not more:
                break
            got += more
        client.send(*(puback(m.packet_id) for m in got[-2:]))
        got += client.messages(1, 0.3)
        check(f"5.0: Receive Maximum 2, {words}: one more for each PUBACK, in order",
              [int(m.payload) for m in got], list(range(10)))
        client.close()


def receive_maximum_of_gateway():
    """100 are announced: so many may be on their way before the first PUBACK can have come."""
    with opened(PORT, V5) as client:
        for first in range(1, 1001, 100):
            client.send(b"".join(publish(V5, "max", b"", 1, number) for number in range(first, first + 100)))
            acks = [client.expect(PUBACK) for _ in range(100)]
            if [ack.packet_id for ack in acks] != list(range(first, first + 100)):
                break
        check("5.0: publishes within Receive Maximum are acknowledged in order",
              [ack.packet_id for ack in acks], list(range(901, 1001)))
        check("5.0: nobody subscribed: PUBACK says so", {ack.reason for ack in acks}, {0x10})
    with opened(PORT, V5) as client:
        client.send(b"".join(publish(V5, "max", b"", 1, number) for number in range(1, 102)))
        got = [client.next() for _ in range(101)]
        check("5.0: one more in one go ends the session", getattr(got[-1], "reason", got[-1]), 0x93)


def peer_packet_size():
    """What is larger than the receiver's Maximum Packet Size is not sent, and the rest goes on."""
    client = Client(PORT, V5)
    client.open(props=b"\x27\0\0\0\x64")  # 100
    client.subscribe(("size/#", 1))
    publisher = Paho(V5)
    for size in (10, 200, 20, 90, 30):
        publisher.publish("size/x", "x" * size, 1)
    check("5.0: a packet above the client's maximum is left out",
          [len(m.payload) for m in client.messages(3)], [10, 20, 30])
    publisher.leave()
    client.close()


def topic_alias():
    alias = lambda number: b"\x23" + struct.pack("!H", number)  # noqa: E731
    with opened(PORT, V5) as subscriber, opened(PORT, V5) as client, \
            opened(PORT, V311) as other:
        for each in (subscriber, other):
            each.subscribe(("alias/#", 0))
        client.send(publish(V5, "alias/one", b"1", props=alias(1)),
                    publish(V5, "", b"2", props=alias(1)),
                    publish(V5, "alias/two", b"3", props=alias(10)),
                    publish(V5, "", b"4", props=alias(10)),
                    publish(V5, "", b"5", props=alias(1)),
                    publish(V5, "alias/new", b"6", props=alias(1)),
                    publish(V5, "", b"7", 1, 5, props=alias(1)),
                    publish(V5, "alias/two", b"8"))
        expected = [("alias/one", b"1"), ("alias/one", b"2"), ("alias/two", b"3"),
                    ("alias/two", b"4"), ("alias/one", b"5"), ("alias/new", b"6"),
                    ("alias/new", b"7"), ("alias/two", b"8")]
        for each in (subscriber, other):
            got = each.messages(8)
            check(named(each.version, "topic aliases of the publisher are resolved"),
                  [(m.topic, m.payload) for m in got], expected)
            check(named(each.version, "and not passed on"), [m.props for m in got], [{}] * 8)
        client.send(publish(V5, "alias/x", props=alias(11)))
        check("5.0: an alias above the maximum", client.ending()[-2:], ["disconnect 0x94", "closed"])
    with opened(PORT, V5) as client:
        client.send(publish(V5, "", b"", props=alias(1)))
        check("5.0: aliases end with their connection", client.ending(),
              ["disconnect 0x94", "closed"])


def too_large(version):
    with opened(PORT, version) as client:
        client.send(publish(version, "large", bytes(60000), 1, 1))
        check(named(version, "a packet just below the maximum is taken"),
              client.expect(PUBACK).packet_id, 1)
        client.send(publish(version, "large", bytes(66000), 1, 1))
        check(named(version, "a packet above the maximum packet size"), client.ending(),
              ["disconnect 0x95", "closed"] if version == V5 else ["closed"])


def qos2(version):
    subscriber = Paho(version)
    check(named(version, "SUBSCRIBE with QoS 2 is granted 1"), subscriber.subscribe("two/#", 2), [1])
    publisher = Paho(version)
    publisher.publish("two/x", "one", 1)
    got = subscriber.received(1)
    check(named(version, "and gets QoS 1"), [(m.qos, m.payload) for m in got], [(1, b"one")])
    with opened(PORT, version) as client:
        client.send(publish(version, "two/x", b"two", 2, 1))
        check(named(version, "PUBLISH with QoS 2 is refused"), client.ending(),
              ["disconnect 0x9b", "closed"] if version == V5 else ["closed"])
    check(named(version, "and not delivered"), texts(subscriber.received(1, 0.3)), [])
    for kind, flags in ((PUBREC, 0), (PUBREL, 2), (PUBCOMP, 0)):
        with opened(PORT, version) as client:
            client.send(packet(kind, b"\0\1", flags))
            check(named(version, f"packet {kind} of QoS 2 is refused"), client.ending(),
                  ["disconnect 0x9b", "closed"] if version == V5 else ["closed"])
    publisher.leave()
    subscriber.leave()


def subscribe_codes(version):
    paho = Paho(version)
    failure = 0x80 if version < V5 else 0x9e
    check(named(version, "SUBACK answers each filter in order"),
          paho.subscribe([("codes/0", 0), ("$share/group/codes", 1), ("codes/1", 1), ("codes/2", 2)]),
          [0, failure, 1, 1])
    paho.leave()
    with opened(PORT, version) as client:
        client.send(unsubscribe(version, "never", packet_id=9))
        got = client.expect(UNSUBACK)
        check(named(version, "UNSUBACK of what was not there"), (got.packet_id, got.codes),
              (9, [0x11] if version == V5 else []))
        client.subscribe(("a", 0), ("b", 1))
        client.send(unsubscribe(version, "b", "c", "a", packet_id=10))
        got = client.expect(UNSUBACK)
        check(named(version, "UNSUBACK of three"), (got.packet_id, got.codes),
              (10, [0, 0x11, 0] if version == V5 else []))
        client.send(publish(version, "a", b""), publish(version, "b", b""), PINGREQ_PACKET)
        check(named(version, "after UNSUBACK nothing comes"), client.next().kind, PINGRESP)
    many = [(f"many/{number}", number & 1) for number in range(500)]
    with opened(PORT, version) as client:
        check(named(version, "500 filters in one SUBSCRIBE"), client.subscribe(*many),
              [qos for _, qos in many])


def subscription_limit():
    small = Gateway("--subscriptions-max", "2")
    for clean in (True, False):
        with opened(small.port, V5, f"small-{clean}", clean=clean, props=b"\x11\0\0\0\x05") as client:
            check(f"a filter above the limit is refused, clean {clean}",
                  client.subscribe(("a", 0), ("b", 0), ("c", 0)), [0, 0, 0x97])
            check(f"at the limit a filter that is there can be changed, clean {clean}",
                  client.subscribe(("a", 1)), [1])
            client.send(unsubscribe(V5, "a"))
            client.expect(UNSUBACK)
            check(f"there is room again, clean {clean}", client.subscribe(("c", 1)), [1])
    small.stop()


def own_messages(client):
    """The first message, and all that come with it."""
    out = client.messages(1)
    client.send(PINGREQ_PACKET)
    while True:
        got = client.next()
        if isinstance(got, str) or got.kind == PINGRESP:
            return out
        if got.kind == PUBLISH:
            out.append(got)
            if got.qos:
                client.send(puback(got.packet_id))


def overlapping(version):
    """One message to one session, at the higher QoS, or one for each; never none."""
    with opened(PORT, version) as client:
        client.subscribe(("over/#", 0), ("over/+", 1), ("over/x", 0))
        client.send(publish(version, "over/x", b"1", 1, 1))
        got = own_messages(client)
        check(named(version, "overlapping subscriptions deliver"), len(got) in (1, 3), True)
        check(named(version, "the highest QoS of them is honoured"), max((m.qos for m in got), default=None), 1)
        client.subscribe(("over/#", 1))
        client.subscribe(("over/#", 1))
        client.send(unsubscribe(version, "over/+", "over/x"))
        client.expect(UNSUBACK)
        client.send(publish(version, "over/x", b"2", 1, 2))
        check(named(version, "subscribing twice is one subscription"),
              [m.payload for m in own_messages(client)], [b"2"])


def no_local():
    for expiry in (0, 60):
        props = Properties(PacketTypes.CONNECT)
        props.SessionExpiryInterval = expiry
        for attempt in range(4):  # whichever shard it is on
            own, other = Paho(V5, f"local-{attempt}", props=props), Paho(V5)
            own.subscribe("local/#", 1, noLocal=True)
            other.subscribe("local/#", 1)
            own.publish("local/x", "own", 1)
            other.publish("local/x", "foreign", 1)
            got = (texts(own.received(1) + own.received(1, 0.2)), sorted(texts(other.received(2))))
            own.leave()
            other.leave()
            if got != (["foreign"], ["foreign", "own"]):
                break
        check(f"5.0: no local, session expiry {expiry}: one's own does not come back, others' do",
              got, (["foreign"], ["foreign", "own"]))


def retain(version):
    lenient = Gateway("--retain-is-refused", "false")
    subscriber, publisher = Paho(version, port=lenient.port), Paho(version, port=lenient.port)
    subscriber.subscribe("retain/#", 1)
    for qos in (0, 1):
        publisher.publish(f"retain/{qos}", "x", qos, True)
    got = subscriber.received(2)
    check(named(version, "RETAIN is cleared"), [(m.topic, m.retain) for m in got],
          [("retain/0", False), ("retain/1", False)])
    late = Paho(version, port=lenient.port)
    late.subscribe("retain/#", 1)
    check(named(version, "nothing is kept"), texts(late.received(1, 0.2)), [])
    for paho in (subscriber, publisher, late):
        paho.leave()
    lenient.stop()


def retain_refused():
    strict = Gateway()
    paho = Paho(V5, port=strict.port)
    check("5.0, as it is by default: CONNACK says so",
          getattr(paho.connack[3], "RetainAvailable", None), 0)
    paho.client.publish("t", b"", 0, True)
    check("5.0, as it is by default: RETAIN is answered with 0x9A", paho.event("disconnect")[1], 0x9a)
    paho.client.loop_stop()
    with opened(strict.port, V311) as client:
        client.subscribe(("t", 0))
        client.send(publish(V311, "t", b"x", retain=True))
        check("3.1.1: RETAIN makes an ordinary message",
              [(m.retain, m.payload) for m in client.messages(1)], [(0, b"x")])
    strict.stop()


def redelivery(version):
    expiry = b"\x11\0\0\0\x3c" if version == V5 else b""
    name = f"again-{version}"
    client = opened(PORT, version, name, clean=False, props=expiry)
    client.subscribe((name, 1))
    with opened(PORT, V311) as publisher:
        for number in range(20):
            publisher.send(publish(V311, name, str(number), 1, number + 1))
            publisher.expect(PUBACK)
    got = client.messages(20, ack=False)
    check(named(version, "first delivery: no DUP, distinct identifiers"),
          ([m.dup for m in got], len({m.packet_id for m in got})), ([0] * 20, 20))
    # All but the first and the last three are acknowledged, out of order.
    left = [got[0]] + got[17:]
    client.send(*(puback(m.packet_id) for m in reversed(got[1:17])), PINGREQ_PACKET)
    client.expect(PINGRESP)
    client.socket.shutdown(socket.SHUT_WR)  # without DISCONNECT
    client.ending()  # it is away from here on, and the new one is not sent to it yet
    client.close()
    with opened(PORT, V311) as publisher:
        publisher.send(publish(V311, name, b"new", 1, 1))
        publisher.expect(PUBACK)
    client = opened(PORT, version, name, clean=False, props=expiry)
    again = client.messages(5, ack=False)
    check(named(version, "redelivery: what was not acknowledged, in order, with DUP, then the new"),
          [(m.payload, m.dup) for m in again], [(m.payload, 1) for m in left] + [(b"new", 0)])
    check(named(version, "redelivery: with the packet identifiers of the first time"),
          [m.packet_id for m in again[:4]], [m.packet_id for m in left])
    client.send(*(puback(m.packet_id) for m in again), PINGREQ_PACKET)
    client.expect(PINGRESP)
    client.close()
    client = opened(PORT, version, name, clean=False, props=expiry)
    check(named(version, "redelivery: nothing once it is acknowledged"), client.messages(1, 0.2), [])
    client.close()


def wildcards(version):
    rules = [("#", ["a", "a/b", "/"]), ("+", ["a"]), ("+/+", ["a/b", "/"]), ("a/#", ["a", "a/b"]),
             ("$SYS/#", ["$SYS/a"]), ("$SYS/+", ["$SYS/a"]), ("+/a", []), ("/+", ["/"])]
    topics = ["a", "a/b", "/", "$SYS/a"]
    for clean in (True, False):
        for rule, expected in rules:
            expiry = b"\x11\0\0\0\x01" if version == V5 and not clean else b""
            with opened(PORT, version, f"wild-{version}-{clean}", clean=clean, props=expiry) as client:
                client.subscribe((rule, 0))
                client.send(*(publish(version, topic, b"") for topic in topics))
                client.send(unsubscribe(version, rule))
                got = []
                while True:
                    one = client.next()
                    if isinstance(one, str) or one.kind == UNSUBACK:
                        break
                    got.append(one.topic)
                if got != expected:
                    break
        check(named(version, f"wildcards, clean {clean}: {rule}"), got, expected)


def will(version):
    watcher = Paho(version)
    watcher.subscribe("will/#", 1)
    for qos in (0, 1, 2):
        dying = Paho(version, will=(f"will/{qos}", "dead", qos, True))
        check(named(version, f"a will of QoS {qos} is accepted"), dying.connack[1], 0)
        dying.die()
    publisher = Paho(version)
    time.sleep(0.2)
    publisher.publish("will/marker", "marker", 1)
    check(named(version, "wills are not published"), texts(watcher.received(1)), ["marker"])
    watcher.leave()
    publisher.leave()


def properties():
    subscriber, publisher = Paho(V5), Paho(V5)
    subscriber.subscribe("props/#", 1)
    pairs = [("k", "v"), ("a", "1"), ("k", "v"), ("", ""), ("ü", "€" * 100)]
    publisher.publish("props/x", b"\0\xff", 1, UserProperty=pairs, ResponseTopic="answer/x",
                      CorrelationData=bytes(range(256)), ContentType="application/octet-stream",
                      MessageExpiryInterval=100, PayloadFormatIndicator=0)
    got = subscriber.received(1)
    props = got[0].properties if got else None
    check("5.0: properties pass unchanged and in order",
          [getattr(props, name, None) for name in (
              "UserProperty", "ResponseTopic", "CorrelationData", "ContentType",
              "TopicAlias")],
          [pairs, "answer/x", bytes(range(256)), "application/octet-stream", None])
    expiry = getattr(props, "MessageExpiryInterval", 0)  # less the seconds that it has waited
    check(f"5.0: the message expiry, too: {expiry}", 100 - PATIENCE_S <= expiry <= 100, True)
    check("5.0: payloads are bytes", got[0].payload if got else None, b"\0\xff")
    subscriber.leave()
    publisher.leave()


def beginning(client):
    """What CONNECT was answered with, and whether it stays."""
    reason = client.expect(CONNACK).reason
    return [f"connack {reason:#x}"] + client.ending(PATIENCE_S if reason else 0.5)


def empty_id(version):
    with Client(PORT, version) as client:
        client.send(connect(version, "", clean=False))
        expected = ["connack 0x2", "closed"] if version < V5 else ["connack 0x0", NOTHING]
        check(named(version, "an empty client id without clean start"), beginning(client), expected)
    with Client(PORT, version) as client:
        client.send(connect(version, "", clean=True))
        expected = ["connack 0x2", "closed"] if version == V31 else ["connack 0x0", NOTHING]
        check(named(version, "an empty client id with clean start"), beginning(client), expected)


def goodbye(version):
    """DISCONNECT is answered by closing; 5.0: it may change the session's expiry."""
    with opened(PORT, version) as client:
        client.send(DISCONNECT_PACKET, PINGREQ_PACKET)
        check(named(version, "DISCONNECT closes, and nothing behind it counts"), client.ending(),
              ["closed"])
    if version < V5:
        return
    for expiry, present in ((b"\x11\0\0\0\0", 0), (b"\x11\0\0\0\x3c", 1)):
        name = f"bye-{present}"
        with opened(PORT, V5, name, clean=True, props=b"\x11\0\0\0\x05") as client:
            client.send(disconnect(V5, 0, expiry))
            client.ending()
        with opened(PORT, V5, f"other-{name}"):
            pass
        client = Client(PORT, V5)
        check(f"5.0: DISCONNECT changes the session's expiry: session present {present}",
              client.open(name, clean=False).session_present, present)
        client.close()


for each in VERSIONS:
    for case in (taken_over, session_present, qos2, subscribe_codes, overlapping, retain, redelivery,
                 wildcards, will, too_large, empty_id, goodbye):
        run_case(case, each)
for case in (connack_properties, keepalive_bounds, receive_maximum, receive_maximum_of_gateway,
             peer_packet_size, topic_alias, subscription_limit, no_local, retain_refused, properties):
    run_case(case)
threads = [threading.Thread(target=run_case, args=(keepalive_timeout, each)) for each in VERSIONS]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
gateway.check_no_connections()
finish()
